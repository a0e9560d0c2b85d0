//! The sandbox can give each kind of odd answer, so that users can rehearse them.

use crate::support::{Job, Outbox, Program, SOON, Setup, found};
use acquire_outbox::sandbox::ODD;

/// The sandbox with these flags, and an outbox that sends to it.
fn rehearsal(flags: &[&str]) -> (crate::support::Daemon, Outbox) {
    let folder = std::env::temp_dir();
    let listen = ["sandbox", "--listen", "127.0.0.1:0"];
    let sandbox = Program::in_folder(&folder).start(&[&listen, flags].concat());
    let url = found(SOON, "the sandbox's address", || {
        let out = sandbox.stdout();
        let line = out.lines().find_map(|line| line.strip_prefix("listening on "))?;
        Some(line.trim().to_owned())
    });
    let more = "[channels.chat]\non_uncertain = \"hold\"\n[channels.sms]\non_uncertain = \"hold\"";
    (sandbox, Setup::sending_to(&url).more(more).ready())
}

/// The `status` and `error_code` that this kind of answer must lead to.
fn expected(kind: &str) -> (&'static str, Option<&'static str>) {
    match kind {
        "cut-200" => ("uncertain", Some("connection_lost")),
        "page-200" => ("uncertain", Some("response_unreadable")),
        "says-no" => ("failed", Some("CHAT_ALREADY_JOINED")),
        "success-false" => ("failed", Some("http_200")),
        "bom-400" | "cut-400" => ("failed", Some("ERROR_INVALID_INPUT")),
        "cut-401" => ("pending", Some("http_401")),
        "page-404" | "empty-404" => ("pending", Some("http_404")),
        "page-403" => ("pending", Some("http_403")),
        kind if kind.starts_with("retry-after") || kind == "ratelimit-reset" => {
            ("pending", Some("ERROR_TOO_MANY_REQUESTS"))
        }
        _ => ("sent", None),
    }
}

#[test]
fn the_sandbox_gives_each_kind_of_odd_answer() {
    for odd in ODD {
        let (_sandbox, outbox) = rehearsal(&["--odd", odd.name]);
        let jobs = [outbox.chat(1, "hi"), outbox.add(Job::sms(2, "hi"))];
        let _daemon = outbox.daemon();
        let (status, code) = expected(odd.name);
        for id in jobs {
            let row = outbox
                .when(id, odd.name, |row| row.text("status") == status && row.int("attempts") > 0);
            // A 429 without a body has no type.
            let code =
                code.map(|code| if code.starts_with("ERROR_TOO") { "http_429" } else { code });
            assert_eq!(row["error_code"].as_str(), code, "{}: {row:?}", odd.name);
            match odd.name {
                _ if status != "sent" => {}
                "float-id" => assert!(!row.text("message_id").contains('.'), "{row:?}"),
                "long-id" => assert_eq!(row.text("message_id").len(), 23, "{row:?}"),
                _ => assert!(row.text("message_id").starts_with("82"), "{}: {row:?}", odd.name),
            }
        }
    }
}

#[test]
fn odd_answers_have_shares_and_a_firewall_can_refuse_one_case() {
    let (_sandbox, outbox) = rehearsal(&["--odd", "bom=50%", "--odd", "gzip=50%"]);
    let refused_case = outbox.chat(900_403, "hi");
    let jobs: Vec<_> = (1..20).map(|case| outbox.chat(case, "hi")).collect();
    outbox.run_until_empty();
    let row = outbox.row(refused_case);
    assert_eq!((row.text("status"), row.text("error_code")), ("failed", "http_403"), "{row:?}");
    assert!(jobs.iter().all(|job| outbox.status(*job) == "sent"));
}

#[test]
fn the_kinds_of_odd_answers_are_listed_and_a_wrong_one_is_refused() {
    let program = || Program::in_folder(&std::env::temp_dir());
    let list = program().run(&["sandbox", "--odd", "list"]).expect(0);
    assert_eq!(list.stdout.lines().count(), ODD.len());
    let refused = program().run(&["sandbox", "--odd", "bomb"]).expect(2);
    assert!(refused.stderr.contains("choose one of bom, utf-16"), "{}", refused.stderr);
}
