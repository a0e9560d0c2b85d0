//! A database on PostgreSQL: its schema, its password, and what a layer may say about another's.

use super::*;

const URL: &str = "postgres://app@db/shop";

fn server(setup: &Setup) -> PostgresServer {
    match setup.draft().unwrap().database {
        Database::Postgres(server) => *server,
        Database::File(path) => panic!("a file: {}", path.display()),
    }
}

fn password(setup: &Setup) -> Option<String> {
    let server = server(setup);
    assert!(!format!("{server:?} {server}").contains(SECRET));
    let found = server.password(&server.hosts()[0], server.user().unwrap()).unwrap();
    found.map(|password| password.expose_secret().to_owned())
}

#[test]
fn the_schema_is_the_strongest_layers() {
    let setup = Setup::new(&format!("database = {URL:?}"));
    assert_eq!(server(&setup).schema, "public");
    let mut setup = Setup::new(&format!("database = {URL:?}\nschema = \"messaging\""));
    assert_eq!(server(&setup).schema, "messaging");
    setup = setup.env("ACQUIRE_OUTBOX_SCHEMA", "by env");
    assert_eq!(server(&setup).schema, "by env");
    // Another database in the same schema.
    setup.database = Some("postgres://app@other/shop".into());
    assert_eq!(server(&setup).to_string(), "postgres://app@other/shop, schema by env");
}

#[test]
fn only_a_postgresql_database_has_a_schema() {
    let refused = error("database = \"outbox.db\"\nschema = \"messaging\"");
    assert_says(&refused, &["acquire-outbox.toml, line 2: `schema`: ", "postgres://"]);
    let refused = error("schema = \"messaging\"");
    assert_says(&refused, &["line 1", "postgres://"]);
    // The file's schema is that of the file's database.
    let mut setup = Setup::new(&format!("database = {URL:?}\nschema = \"messaging\""));
    setup.database = Some("other.db".into());
    assert_eq!(setup.draft().unwrap().database, "other.db".into());
    let refused = error(&format!("database = {URL:?}\nschema = \"pg_catalog\""));
    assert_says(&refused, &["line 2: `schema`: belongs to PostgreSQL"]);
}

#[test]
fn the_password_is_read_from_a_file_each_time() {
    let setup = Setup::new(&format!("database = {URL:?}\ndatabase_password_file = \"pass\""));
    let setup = setup.key_file("pass", &format!("{SECRET} ü \n"), 0o600);
    assert_eq!(password(&setup).unwrap(), format!("{SECRET} ü "));
    let server = server(&setup);
    let setup = setup.key_file("pass", "another\r\n", 0o600);
    let found = server.password(&server.hosts()[0], "app").unwrap().unwrap();
    assert_eq!(found.expose_secret(), "another");
    std::fs::remove_file(setup.path("pass")).unwrap();
    let refused = server.password(&server.hosts()[0], "app").unwrap_err();
    assert_says(&refused, &["`database_password_file`: cannot read the password file"]);
}

#[test]
fn the_password_is_found_in_a_credential_a_variable_or_the_password_file() {
    let by = |setting: &str| Setup::new(&format!("database = {URL:?}\n{setting}"));
    let setup = by("database_password_credential = \"pass\"").key_file("pass", SECRET, 0o440);
    let folder = setup.folder.path().to_owned();
    assert_eq!(password(&setup.env("CREDENTIALS_DIRECTORY", folder)).unwrap(), SECRET);
    assert_eq!(password(&by("database_password_env = \"KEY\"")).unwrap(), SECRET);

    let setup = by("").key_file("lines", &format!("db:*:shop:app:{SECRET}\n"), 0o600);
    let lines = setup.path("lines");
    assert_eq!(password(&setup), None);
    let setup = setup.env("PGPASSFILE", lines);
    assert_eq!(password(&setup).unwrap(), SECRET);
    let setup = setup.env("PGPASSWORD", "stronger");
    assert_eq!(password(&setup).unwrap(), "stronger");
}

/// It would be sent to whatever server somebody names.
#[test]
fn the_files_password_is_not_used_for_another_database() {
    let text = format!("database = {URL:?}\ndatabase_password_env = \"KEY\"");
    let mut setup = Setup::new(&text);
    assert_eq!(password(&setup).unwrap(), SECRET);
    setup.database = Some("postgres://app@other/shop".into());
    assert_eq!(password(&setup), None);
    let own = setup.path("own");
    let setup = setup.env("ACQUIRE_OUTBOX_DATABASE_PASSWORD_FILE", own);
    let setup = setup.key_file("own", "own", 0o600);
    assert_eq!(password(&setup).unwrap(), "own");
}

#[test]
fn a_password_in_the_wrong_place_is_in_no_error() {
    for text in [
        format!("database = \"postgres://app:{SECRET}@db/shop\""),
        format!("database = \"postgres://app@db/shop?password={SECRET}\""),
        format!("database = {URL:?}\ndatabase_password = {SECRET:?}"),
        format!("database = {URL:?}\npassword = {SECRET:?}"),
    ] {
        let refused = error(&text);
        assert_says(&refused, &["a password does not belong in", "database_password_file"]);
    }
    for wrong in ["", "two\nlines\n"] {
        let text = format!("database = {URL:?}\ndatabase_password_file = \"pass\"");
        let refused = Setup::new(&text).key_file("pass", wrong, 0o600).error();
        assert_says(&refused, &["line 2: `database_password_file`: the password "]);
    }
    let text = format!("database = {URL:?}\ndatabase_password_file = \"pass\"");
    let refused = Setup::new(&text).key_file("pass", SECRET, 0o644).error();
    assert_says(&refused, &["chmod o-r"]);
}
