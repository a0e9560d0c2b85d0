//! Which of file, environment and flags counts, and what a sandbox takes from them.

use super::*;

#[test]
fn flags_override_the_environment_and_that_overrides_the_file() {
    let mut setup = Setup::new("database = \"file.db\"");
    assert_eq!(setup.draft().unwrap().database, setup.path("file.db").into());
    setup = setup.env("ACQUIRE_OUTBOX_DATABASE", "env.db");
    assert_eq!(setup.draft().unwrap().database, "env.db".into());
    setup.database = Some("flag.db".into());
    assert_eq!(setup.draft().unwrap().database, "flag.db".into());
}

#[test]
fn the_environment_overrides_the_default_account_only() {
    let text = format!("{ACCOUNT}[accounts.b]\naccount_id = \"b\"\napi_key_env = \"KEY\"");
    let base = "http://127.0.0.1:9/api/v1";
    let setup = Setup::new(&text).env("ACQUIRE_BASE_URL", base).env("ACQUIRE_API_KEY", "other\n");
    let config = setup.config();
    assert_eq!(config.accounts["default"].base_url.as_str(), base);
    assert_eq!(config.accounts["default"].api_key.expose_secret(), "other");
    assert_eq!(config.accounts["b"].base_url.as_str(), "https://b.acquire.io/api/v1");
    assert_eq!(config.accounts["b"].api_key.expose_secret(), SECRET);

    let setup =
        Setup::new(&ACCOUNT.replace("account_id = \"acme\"", &format!("base_url = {base:?}")));
    let config = setup.env("ACQUIRE_ACCOUNT_ID", "prod").config();
    assert_eq!(config.accounts["default"].base_url.as_str(), "https://prod.acquire.io/api/v1");

    let file = Setup::new(ACCOUNT).key_file("key", "of-the-file", 0o600);
    let path = file.path("key");
    let config = file.env("ACQUIRE_API_KEY_FILE", path).config();
    assert_eq!(config.accounts["default"].api_key.expose_secret(), "of-the-file");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let mut setup = Setup::new(ACCOUNT);
    for name in [
        "ACQUIRE_OUTBOX_CONFIG",
        "ACQUIRE_OUTBOX_DATABASE",
        "ACQUIRE_ACCOUNT_ID",
        "ACQUIRE_API_KEY",
        "ACQUIRE_API_KEY_FILE",
        "ACQUIRE_BASE_URL",
    ] {
        setup = setup.env(name, "");
    }
    assert_eq!(setup.config().accounts["default"].api_key.expose_secret(), SECRET);
}

#[test]
fn a_key_in_the_environment_does_not_make_another_account() {
    let text = "[accounts.b]\naccount_id = \"b\"\napi_key_env = \"ACQUIRE_API_KEY\"";
    let config = Setup::new(text).env("ACQUIRE_API_KEY", SECRET).config();
    assert_eq!(config.accounts.keys().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_named_file_must_exist_and_replaces_the_default_ones() {
    let setup = Setup::new("database = \"first.db\"");
    std::fs::write(setup.path("config.toml"), "database = \"second.db\"").unwrap();
    std::fs::write(setup.path("other.toml"), "database = \"other.db\"").unwrap();
    assert_eq!(setup.draft().unwrap().database, setup.path("first.db").into());
    std::fs::remove_file(setup.path("acquire-outbox.toml")).unwrap();
    assert_eq!(setup.draft().unwrap().database, setup.path("second.db").into());

    let other = setup.path("other.toml");
    let setup = setup.env("ACQUIRE_OUTBOX_CONFIG", other);
    assert_eq!(setup.draft().unwrap().database, setup.path("other.db").into());
    let flags = Flags { config: Some(setup.path("none.toml")), database: None, ..Flags::default() };
    let error = load_database(&flags, &|name| setup.look_up(name)).unwrap_err().to_string();
    assert_says(&error, &["none.toml", "No such file", "--config"]);
}

#[test]
fn load_database_needs_a_valid_file_but_no_account_and_no_key() {
    let database = |text: &str| {
        let setup = Setup::new(text);
        let flags = Flags {
            config: Some(setup.path("acquire-outbox.toml")),
            database: None,
            ..Flags::default()
        };
        load_database(&flags, &|_| None)
    };
    for text in ["", "[accounts.default]", "[accounts.default]\napi_key_file = \"none\"", ACCOUNT] {
        assert!(database(text).is_ok(), "{text}");
    }
    for text in ["[accounts", "colour = 1", "[retry]\njitter = 2", "[accounts.default]\napi_key=1"]
    {
        assert!(database(text).is_err(), "{text}");
    }
}

#[test]
fn a_sandbox_has_every_account_and_reads_no_key() {
    let url = Url::parse("http://127.0.0.1:9/api/v1").unwrap();
    let names = |text: &str| {
        let setup = Setup::new(text);
        let flags = Flags {
            config: Some(setup.path("acquire-outbox.toml")),
            database: None,
            ..Flags::default()
        };
        let config = load_for_sandbox(&flags, &|_| None, &url).unwrap();
        for account in config.accounts.values() {
            assert_eq!(account.base_url, url);
            assert_eq!(account.api_key.expose_secret(), SANDBOX_KEY);
        }
        config.accounts.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(names(""), ["default"]);
    assert_eq!(names("[accounts.a]\n[accounts.b]\napi_key_file = \"none\""), ["a", "b"]);

    let config = Config::for_sandbox("demo.db".into(), &url);
    assert_eq!(config.channels.len(), 3);
}

#[test]
fn a_sandbox_refuses_the_database_of_the_systems_own_configuration() {
    let url = Url::parse("http://127.0.0.1:9/api/v1").unwrap();
    let setup = Setup::without_file();
    let system = setup.path("config.toml");
    std::fs::write(&system, "database = \"production.db\"").unwrap();
    let sandbox = |setup: &Setup| {
        let config = setup.draft().unwrap().in_sandbox(&url, &|_| None);
        config.map(|config| (config.sandbox, config.database))
    };
    let refused = sandbox(&setup).unwrap_err().to_string();
    for part in ["production.db", "config.toml", "--database", "ACQUIRE_OUTBOX_DATABASE"] {
        assert!(refused.contains(part), "{refused}");
    }
    let named = setup.env("ACQUIRE_OUTBOX_DATABASE", "sandbox.db");
    assert_eq!(sandbox(&named).unwrap(), (true, "sandbox.db".into()));
    // Other settings apply, and the default database if the file does not name one.
    let setup = Setup::without_file();
    std::fs::write(setup.path("config.toml"), "shutdown_timeout = \"1s\"").unwrap();
    assert_eq!(sandbox(&setup).unwrap(), (true, "outbox.db".into()));
    // Nor is another outbox's database accepted if somebody names its configuration.
    let setup = Setup::without_file();
    let other = setup.path("shop.toml");
    std::fs::write(&other, "database = \"shop.db\"").unwrap();
    let named = setup.env("ACQUIRE_OUTBOX_CONFIG", other);
    assert!(sandbox(&named).unwrap_err().to_string().contains("shop.db"));
    // A configuration in the working directory is the user's own.
    let setup = Setup::new("database = \"mine.db\"");
    assert!(sandbox(&setup).unwrap().1.to_string().ends_with("mine.db"));
}
