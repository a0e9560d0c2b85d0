//! `[notify]`: a command or an address is called when the verdict changes, and nothing waits for it.

use crate::support::{Gate, Outbox, Reply, SOON, Server, eventually, found, script};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const SECRET: &str = "s-77aa12-never-to-be-shown";

fn hook(server: &Server, more: &str) -> String {
    format!("[notify]\nurl = \"http://127.0.0.1:{}/hook-5f1c-secret-path\"\n{more}", server.port())
}

/// What was told of the outbox, in order.
fn told(hook: &Server) -> Vec<Value> {
    hook.requests().iter().map(|request| request.json()).collect()
}

#[test]
fn a_change_of_the_verdict_is_posted_signed_and_without_words_of_a_message() {
    let (server, hooks) = (Server::start(), Server::answering(|_| Reply::status(204)));
    let outbox = Outbox::setup(&server).more(&hook(&hooks, "secret_env = \"HOOK_SECRET\"")).ready();
    let id = outbox.chat(1, "words of a customer");
    outbox.run(&["pause", "chat", "--reason", "words of a person"]).expect(0);
    let program = outbox.program().env("HOOK_SECRET", SECRET);
    let daemon = program.start(&["run"]).ready();
    let first = hooks.wait_for(1).remove(0);
    let body = first.json();
    assert_eq!(
        (&body["event"], &body["verdict"], &body["was"]),
        (&json!("verdict"), &json!("attention"), &json!("well"))
    );
    let reason = &body["reasons"][0];
    assert_eq!((&reason["code"], &reason["jobs"]), (&json!("paused"), &json!(1)));
    assert_eq!(reason["do"], "acquire-outbox resume chat");
    assert!(
        body["text"]
            .as_str()
            .unwrap()
            .starts_with("acquire-outbox: attention: chat has been paused"),
        "{body}"
    );
    let text = first.body_text();
    assert!(!text.contains("words") && !text.contains(SECRET), "{text}");

    let at = first.header("acquire-outbox-timestamp").unwrap();
    let signed = std::process::Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", SECRET, "-r"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    if let Ok(mut openssl) = signed {
        use std::io::Write as _;
        openssl.stdin.take().unwrap().write_all(format!("{at}.{text}").as_bytes()).unwrap();
        let output = openssl.wait_with_output().unwrap().stdout;
        let digest = String::from_utf8(output).unwrap();
        let digest = digest.split(' ').next().unwrap();
        assert_eq!(first.header("acquire-outbox-signature"), Some(&*format!("sha256={digest}")));
    }
    // At most one a minute: what follows is not posted now, and the dispatch goes on.
    outbox.run(&["resume", "chat"]).expect(0);
    assert_eq!(outbox.settled(id)["status"], "sent");
    assert_eq!(told(&hooks).len(), 1);
    let log = daemon.stderr();
    assert!(!log.contains("hook-5f1c") && !log.contains(SECRET), "{log}");
}

#[test]
fn an_address_that_does_not_answer_is_called_again_and_holds_up_no_message() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::start();
    let hooks = Server::answering(move |request| match request.number {
        0 => Reply::status(500),
        _ => Reply::status(200).behind(&held),
    });
    let outbox = Outbox::setup(&server).more(&hook(&hooks, "")).ready();
    outbox.run(&["pause", "sms"]).expect(0);
    let mut daemon = outbox.program().start(&["run"]).ready();
    hooks.wait_for(1);
    daemon.wait_for_log("a notification failed");
    // The verdict is read again in five seconds, or after a rest as long as the machine is slow.
    eventually(3 * SOON, "the second call", || hooks.count() >= 2);
    // It has no answer yet.
    for case in 0..3 {
        assert_eq!(outbox.settled(outbox.chat(case, "hi"))["status"], "sent");
    }
    gate.open();
    daemon.wait_for_log("notified");
    assert!(hooks.requests()[1].header("acquire-outbox-signature").is_none());
    let log = daemon.stderr();
    assert!(!log.contains("hook-5f1c"), "{log}");
}

/// A script that writes what it gets, and with which environment.
fn teller(folder: &Path) -> PathBuf {
    let out = folder.join("told");
    script(
        folder.join("tell"),
        &format!("env > {0}.env\ncat > {0}.new\nmv {0}.new {0}\n", out.display()),
    )
}

#[test]
fn a_command_gets_the_verdict_and_no_key() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let command =
        format!("[notify]\ncommand = [\"{}\", \"an argument\"]", teller(folder.path()).display());
    let more = format!("{command}\n[channels.chat]\non_uncertain = \"hold\"");
    let outbox = Outbox::setup(&server).more(&more).ready();
    let program = outbox.program().env("MY_API_KEY", "k-of-the-environment");
    let mut daemon = program.start(&["run"]).ready();
    server.queue([Reply::status(502)]);
    let id = outbox.chat(1, "words");
    eventually(SOON, "the uncertain job", || outbox.status(id) == "uncertain");
    daemon.wait_for_log("notified");
    let out = folder.path().join("told");
    let body: Value =
        found(SOON, "what was told", || serde_json::from_str(&fs::read_to_string(&out).ok()?).ok());
    assert_eq!((&body["verdict"], &body["uncertain"]), (&json!("attention"), &json!(1)));
    let environment = fs::read_to_string(folder.path().join("told.env")).unwrap();
    assert!(environment.contains("OUTBOX_VERDICT=attention"), "{environment}");
    assert!(!environment.contains("k-of-the-environment"), "{environment}");
}

#[test]
fn settings_that_make_no_sense_are_refused_with_their_line() {
    let server = Server::start();
    for (more, words) in [
        ("[notify]\ncommand = []", "must name a program"),
        ("[notify]\ncommand = [\"a\"]\nurl = \"https://a.example\"", "keep one of"),
        ("[notify]\nurl = \"http://a.example/\"", "must be https"),
        ("[notify]\ncommand = [\"a\"]\nsecret_env = \"S\"", "signs what is sent to a `url`"),
        ("[notify]\nurll = \"https://a.example\"", "url"),
    ] {
        let outbox = Outbox::setup(&server).more(more).written();
        let program = outbox.program().env("S", SECRET);
        let refused = program.run(&["run", "--until-empty"]).expect(78);
        assert!(refused.stderr.contains(words), "{more}: {refused:?}");
    }
}
