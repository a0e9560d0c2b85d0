//! TLS with an authority of one's own, and where a password may be.

use crate::support::SOON;
use crate::support::{Cluster, Program, eventually, never_shows};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use tempfile::TempDir;

const PASSWORD: &str = "p4ss word-ü";

/// An address of this machine that is no other test's: the port is the socket's, too.
fn address() -> String {
    let id = std::process::id();
    format!("127.83.{}.{}", id / 250 % 250 + 1, id % 250 + 1)
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Gives the server a certificate, and asks for a password wherever somebody connects by TCP.
fn secure(cluster: &Cluster, address: &str, authority: &CertifiedIssuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![address.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let (owner, folder) = (fs::metadata(cluster.folder()).unwrap(), cluster.folder());
    for (name, pem) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
        fs::write(folder.join(name), pem).unwrap();
        chown(folder.join(name), Some(owner.uid()), Some(owner.gid())).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let database = cluster.database();
    let hba = database.one("SHOW hba_file");
    let rules = "local all all trust\nhostssl all all all scram-sha-256\n";
    fs::write(hba.text("hba_file"), rules).unwrap();
    database
        .execute(&format!("ALTER SYSTEM SET ssl_cert_file = '{}/server.crt'", folder.display()));
    database.execute(&format!("ALTER SYSTEM SET ssl_key_file = '{}/server.key'", folder.display()));
    database.execute("ALTER SYSTEM SET ssl = on");
    database.execute("SELECT pg_reload_conf()");
    eventually(SOON, "TLS", || database.one("SHOW ssl").text("ssl") == "on");
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_server_is_verified_and_a_password_comes_from_its_file() {
    let address = address();
    let listen = format!("listen_addresses={address}");
    let Some(cluster) = Cluster::start(&[&listen]) else { return };
    let (ours, others) = (authority(), authority());
    secure(&cluster, &address, &ours);
    let database = cluster.database();
    let name = database.one("SELECT current_database()::text AS name").text("name").to_owned();
    database.execute(&format!("CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'"));
    database.execute(&format!("GRANT CREATE ON DATABASE {name} TO app"));

    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("ca.pem"), ours.pem()).unwrap();
    fs::write(folder.path().join("other.pem"), others.pem()).unwrap();
    private(&folder.path().join("right"), &format!("{PASSWORD}\n"));
    private(&folder.path().join("wrong"), "wr0ng");
    let lines = format!("other:*:*:*:wr0ng\n{address}:5432:{name}:app:{PASSWORD}\n");
    private(&folder.path().join("lines"), &lines);

    let url = format!("postgres://app@{address}/{name}?sslmode=verify-full&sslrootcert=");
    let program = |ca: &str, variable: &str, file: &str| {
        let config = format!("database = \"{url}{ca}\"\nschema = \"messaging\"\n");
        fs::write(folder.path().join("acquire-outbox.toml"), config).unwrap();
        let file = folder.path().join(file);
        Program::in_folder(folder.path()).env(variable, file.to_str().unwrap())
    };
    let by_file = "ACQUIRE_OUTBOX_DATABASE_PASSWORD_FILE";
    program("ca.pem", by_file, "right").run(&["init"]).expect(0);
    program("ca.pem", "PGPASSFILE", "lines").run(&["status"]).expect(0);
    let ssl = database.one("SELECT count(*) AS plain FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'app' AND NOT ssl");
    assert_eq!(ssl.int("plain"), 0);

    let refused = [
        program("other.pem", by_file, "right").run(&["status"]),
        program("ca.pem", by_file, "wrong").run(&["status"]),
        program("ca.pem", "PGPASSFILE", "none").run(&["status"]),
    ];
    for refused in refused {
        assert_ne!(refused.code, Some(0), "{refused:?}");
        assert!(refused.stderr.contains(&address), "{refused:?}");
        for secret in [PASSWORD, "wr0ng"] {
            never_shows("a refusal", &refused.output(), secret);
        }
    }
    // Another name than the certificate has.
    let wrong_name = url.replace(&format!("@{address}"), "@127.0.0.1") + "ca.pem";
    let refused = program("ca.pem", by_file, "right").env("ACQUIRE_OUTBOX_DATABASE", wrong_name);
    assert_ne!(refused.run(&["status"]).code, Some(0));
}

#[test]
fn of_several_hosts_the_first_that_answers_is_taken() {
    let Some(cluster) = Cluster::start(&[]) else { return };
    let database = cluster.database();
    let name = database.one("SELECT current_database()::text AS name").text("name").to_owned();
    let folder = TempDir::new().unwrap();
    let socket = cluster.folder().display();
    let url = format!("postgres:///{name}?host=/nowhere,{socket}&user=postgres");
    let program = Program::in_folder(folder.path()).env("ACQUIRE_OUTBOX_DATABASE", url);
    program.run(&["init"]).expect(0);
    program.run(&["status"]).expect(0);
}
