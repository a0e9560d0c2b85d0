//! Where it listens, and what keeps it from that.

use super::client::{Client, TOKEN, dashboard, setup};
use crate::support::{Engine, Job, Outbox, SOON, Server, eventually, sqlite_only};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn it_is_off_unless_an_address_is_given() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let daemon = outbox.daemon();
    assert!(!daemon.stderr().contains("the dashboard is listening"));
}

#[test]
fn the_flag_goes_over_the_environment_and_that_over_the_file() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).more("[web]\nlisten = \"127.0.0.1:0\"").ready();
    let program = outbox.program();
    let by_file = program.start(&["run"]).ready();
    assert!(Client::of(&by_file).address.starts_with("127.0.0.1:"));
    drop(by_file);
    let program = program.env("ACQUIRE_OUTBOX_LISTEN", "127.0.0.2:0");
    let by_variable = program.start(&["run"]).ready();
    assert!(Client::of(&by_variable).address.starts_with("127.0.0.2:"));
    drop(by_variable);
    let by_flag = program.start(&["run", "--listen", "127.0.0.3:0"]).ready();
    let client = Client::of(&by_flag);
    assert!(client.address.starts_with("127.0.0.3:"));
    client.get("/").expect(200);
}

#[test]
fn others_machines_need_a_token() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9464", "[::ffff:192.0.2.1]:9464"] {
        let refused = outbox.run(&["run", "--listen", address]).expect(78);
        assert!(refused.stderr.contains("--listen: "), "{refused:?}");
        assert!(refused.stderr.contains("needs a token"), "{refused:?}");
    }
    let open = outbox.program().env("ACQUIRE_OUTBOX_WEB_TOKEN", TOKEN);
    let daemon = open.start(&["run", "--listen", "0.0.0.0:0"]).ready();
    let client = Client::of(&daemon);
    let port = client.address.rsplit_once(':').unwrap().1.to_owned();
    client.named(&format!("127.0.0.1:{port}")).bearer().get("/").expect(200);
    assert!(daemon.stderr().contains("put TLS in front of it"), "{}", daemon.stderr());
}

#[test]
fn what_is_wrong_in_the_file_is_named_with_its_line() {
    let server = Server::start();
    let token_file = |outbox: &Outbox, text: &str, mode| {
        let path = outbox.folder().join("token");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for (lines, words) in [
        ("listen = \"localhost:9464\"", "`web.listen`: must be an IP address and a port"),
        ("listen = \"127.0.0.1\"", "`web.listen`: must be an IP address and a port"),
        ("listen = 9464", "`web.listen`: must be a string in quotes"),
        (
            "listen = \"0.0.0.0:9464\"",
            "`web.listen`: 0.0.0.0:9464 can be reached from other machines",
        ),
        ("token = \"abc\"", "`web.token`: a token does not belong in this file"),
        ("token_env = \"NOT_SET\"", "`web.token_env`: the environment variable NOT_SET is not set"),
        (
            "token_env = \"a b\"",
            "must be the name of an environment variable, not the token itself",
        ),
        ("token_file = \"none\"", "cannot read the token file"),
        (
            "token_file = \"short\"",
            "`web.token_file`: the token is too short; it needs at least 16",
        ),
        ("token_file = \"token\"", "run: chmod o-r"),
        ("token_file = \"a\"\ntoken_env = \"B\"", "the token is set twice"),
        ("hosts = \"outbox.example.com\"", "`web.hosts`: must be an array of strings in quotes"),
        ("hosts = [\"https://outbox.example.com\"]", "`web.hosts`: must be host names"),
        (
            "listen = \"127.0.0.1:0\"\nhosts = [\"outbox.example.com\"]",
            "line 15: `web.hosts`: with these names the dashboard can be reached from other machines",
        ),
        ("path_prefix = \"outbox/\"", "`web.path_prefix`: must begin with a slash"),
        ("path_prefix = \"/jobs\"", "`web.path_prefix`: begins like a page of the dashboard"),
        ("lisen = \"127.0.0.1:9464\"", "unknown key `lisen` in [web]; did you mean `listen`?"),
    ] {
        let outbox = Outbox::setup(&server).more(&format!("[web]\n{lines}")).written();
        token_file(&outbox, TOKEN, 0o644);
        fs::write(outbox.folder().join("short"), "short").unwrap();
        fs::set_permissions(outbox.folder().join("short"), fs::Permissions::from_mode(0o600))
            .unwrap();
        let refused = outbox.run(&["run"]).expect(78);
        assert!(refused.stderr.contains(words), "{lines}: {refused:?}");
        assert!(refused.stderr.contains("outbox.toml, line "), "{refused:?}");
        assert!(
            !refused.stderr.contains(TOKEN) && !refused.stderr.contains("\"abc\""),
            "{refused:?}"
        );
    }
}

#[test]
fn a_wrong_address_on_the_command_line_is_wrong_usage() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    for address in ["localhost:9464", "9464", ":9464", "127.0.0.1:99999"] {
        let refused = outbox.run(&["run", "--listen", address]).expect(2);
        assert!(refused.stderr.contains("must be an IP address and a port"), "{refused:?}");
    }
    let unusable = outbox.run(&["run", "--listen", "192.0.2.1:0"]).expect(78);
    assert!(unusable.stderr.contains("needs a token"), "{unusable:?}");
    let program = outbox.program().env("ACQUIRE_OUTBOX_WEB_TOKEN", TOKEN);
    let unusable = program.run(&["run", "--listen", "192.0.2.1:0"]).expect(1);
    assert!(
        unusable.stderr.contains("cannot listen on 192.0.2.1:0 for the dashboard"),
        "{unusable:?}"
    );
}

#[test]
fn a_standby_takes_the_address_over_with_the_lock() {
    sqlite_only!("a second daemon stands by; on PostgreSQL it is a second node");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let first = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    let client = Client::of(&first);
    let mut second = outbox.program().start(&["run", "--listen", &client.address]);
    second.wait_for_log("standing by");
    second.wait_for_log("the dashboard's address is in use: waiting for it");
    client.get("/").expect(200).shows(&format!("Process {}", first.pid()));
    drop(first);
    second.wait_for_log("the dashboard is listening");
    second.wait_for_log("ready");
    client.get("/").expect(200).shows(&format!("Process {}", second.pid()));
    assert_eq!(second.stderr().matches("is in use").count(), 1, "{}", second.stderr());
}

#[test]
fn a_standby_shows_who_dispatches() {
    sqlite_only!("a second daemon stands by; on PostgreSQL it is a second node");
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let first = outbox.daemon();
    let mut second = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]);
    second.wait_for_log("standing by");
    let client = Client::of(&second);
    let page = client.get("/").expect(200);
    page.shows("Standing by");
    page.shows(&format!("Process {} dispatches; this one takes over", first.pid()));
    let id = outbox.chat(1, "hi");
    outbox.settled(id);
    client.get("/jobs").expect(200).shows(&format!("/jobs/{id}"));
    second.sigterm();
    second.wait(SOON);
}

#[test]
fn an_address_in_use_is_waited_for_and_the_messages_go_out_meanwhile() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut daemon = outbox.program().start(&["run", "--listen", &address]).ready();
    daemon.wait_for_log("the dashboard's address is in use");
    let id = outbox.chat(1, "hi");
    assert_eq!(outbox.settled(id)["status"], "sent");
    drop(taken);
    daemon.wait_for_log("the dashboard is listening");
    Client::of(&daemon).get("/").expect(200);
}

#[test]
fn it_ends_with_the_daemon_and_leaves_the_log_in_the_database() {
    let server = Server::start();
    let (outbox, daemon, client) = dashboard(&server);
    client.clone().bearer().get("/").expect(200);
    let idle = client.connect();
    daemon.sigterm();
    let finished = daemon.wait(SOON).expect(0);
    assert!(!finished.stderr.contains("ERROR"), "{finished:?}");
    drop(idle);
    assert!(std::net::TcpStream::connect(&client.address).is_err());
    if Engine::of_this_run() == Engine::Sqlite {
        let log = outbox.folder().join("outbox.db-wal");
        assert!(!log.exists(), "the last connection did not close");
    }
}

#[test]
fn a_change_of_it_needs_a_restart_and_says_so() {
    let server = Server::start();
    let outbox = setup(&server).ready();
    let mut daemon = super::client::start(&outbox);
    let client = Client::of(&daemon).bearer();
    let text = fs::read_to_string(outbox.config_file()).unwrap();
    daemon.signal(libc::SIGHUP);
    daemon.wait_for_log("the configuration has been reloaded");
    assert!(!daemon.stderr().contains("needs a restart"), "{}", daemon.stderr());
    fs::write(outbox.config_file(), text.replace("127.0.0.1:0", "127.0.0.2:0")).unwrap();
    daemon.signal(libc::SIGHUP);
    daemon.wait_for_log("changes to [web] need a restart: the dashboard stays as it was");
    client.get("/").expect(200);
    let id = outbox.add(Job::chat(1, "hi"));
    eventually(SOON, "still dispatching", || outbox.status(id) == "sent");
}

#[test]
fn a_rehearsal_has_a_dashboard_too() {
    let server = Server::start();
    let outbox = Outbox::setup(&server).written();
    outbox.run(&["init", "--sandbox"]).expect(0);
    let daemon = outbox.program().start(&["run", "--sandbox", "--listen", "127.0.0.1:0"]).ready();
    Client::of(&daemon).get("/").expect(200).shows("Dispatching");
}
