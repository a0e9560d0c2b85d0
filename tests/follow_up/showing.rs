//! Where what became of a message is shown: commands, pages, metrics, files.

use super::{delivering, delivery, following, one_of_each};
use crate::support::{Daemon, Outbox, StandIn, sqlite_only};

/// A chat that was seen, an email that was returned and an SMS that failed; the daemon has its pages.
fn with_all(check: impl FnOnce(&Outbox, [i64; 3], Daemon)) {
    let acquire: StandIn = delivering(1.0);
    let outbox = following(&acquire, "50ms");
    let jobs = one_of_each(&outbox);
    let daemon = outbox.program().start(&["run", "--listen", "127.0.0.1:0"]).ready();
    for (id, state) in jobs.into_iter().zip(["seen", "bounced", "failed"]) {
        outbox.when(id, state, |row| delivery(row).as_deref() == Some(state));
    }
    check(&outbox, jobs, daemon);
}

#[test]
fn commands_list_what_did_not_arrive() {
    with_all(|outbox, [chat, mail, sms], _daemon| {
        let listed = |flags: &[&str]| -> Vec<i64> {
            let arguments = [&["list", "--json", "--ascending"], flags].concat();
            let json = outbox.run(&arguments).expect(0).json();
            json.as_array().unwrap().iter().map(|job| job["id"].as_i64().unwrap()).collect()
        };
        assert_eq!(listed(&["--bounced"]), [mail]);
        assert_eq!(listed(&["--delivery", "bounced,failed"]), [mail, sms]);
        assert_eq!(listed(&["--delivery", "seen"]), [chat]);
        assert_eq!(listed(&["--bounced", "--channel", "sms"]), [0; 0]);
        let wrong = outbox.run(&["list", "--delivery", "lost"]).expect(2);
        assert!(wrong.stderr.contains("delivered, seen, bounced, failed"), "{}", wrong.stderr);

        let lines = outbox.run(&["list", "--bounced"]).expect(0).stdout;
        assert!(lines.contains("delivery_at") && lines.contains("\tbounced\t"), "{lines}");
        let shown = outbox.run(&["show", &mail.to_string()]).expect(0).stdout;
        assert!(shown.contains("bounced at 20"), "{shown}");
        assert!(shown.contains("sent: bounced"), "{shown}");
        let json = outbox.run(&["show", &mail.to_string(), "--json"]).expect(0).json();
        assert_eq!((&json["delivery"], &json["status"]), (&"bounced".into(), &"sent".into()));
        assert!(json["followed_up_at"].is_string() && json["next_follow_up_at"].is_null());

        let status = outbox.run(&["status"]).expect(0).stdout;
        assert!(
            status.contains("1 was returned and 1 failed after Acquire had accepted them"),
            "{status}"
        );
        let json = outbox.run(&["status", "--json"]).expect(0).json();
        assert_eq!(json["undelivered"], serde_json::json!({"bounced": 1, "failed": 1}));

        let exported = outbox.run(&["export", "--bounced"]).expect(0).stdout;
        let exported: serde_json::Value = serde_json::from_str(exported.trim()).unwrap();
        assert_eq!((&exported["id"], &exported["delivery"]), (&mail.into(), &"bounced".into()));
        assert!(exported["delivery_at"].is_string());
        let csv = outbox.run(&["export", "--format", "csv"]).expect(0).stdout;
        assert!(csv.lines().next().unwrap().contains("finished_at,delivery,delivery_at"), "{csv}");
    });
}

#[test]
fn pages_show_what_did_not_arrive() {
    with_all(|_, [chat, mail, sms], mut daemon| {
        let front = daemon.get("/").body;
        for (state, word) in [("bounced", "1 bounced"), ("failed", "1 failed")] {
            assert!(
                front.contains(&format!("href=\"/jobs?delivery={state}\">{word}</a>")),
                "{front}"
            );
        }
        let list = daemon.get("/jobs?delivery=bounced&delivery=failed").body;
        for (id, is_there) in [(chat, false), (mail, true), (sms, true)] {
            assert_eq!(list.contains(&format!("href=\"/jobs/{id}\"")), is_there, "{id}: {list}");
        }
        assert!(list.contains("value=\"bounced\" checked"), "{list}");
        assert!(list.contains(": bounced"), "{list}");
        let job = daemon.get(&format!("/jobs/{mail}")).body;
        assert!(job.contains("<dt>Delivery</dt><dd>bounced at 20"), "{job}");
        assert_eq!(daemon.get("/jobs?delivery=lost").status, 400);
    });
}

#[test]
fn metrics_count_what_acquire_said() {
    with_all(|_, _, mut daemon| {
        let scrape = daemon.scrape();
        let asked = |channel: &str, found: &str| {
            scrape.number(&format!(
                "acquire_outbox_follow_ups_total{{account=\"default\",channel=\"{channel}\",found=\"{found}\"}}"
            ))
        };
        for (channel, found) in [("chat", "seen"), ("mail", "bounced"), ("sms", "failed")] {
            assert_eq!(asked(channel, found), 1.0, "{channel}");
            assert_eq!(asked(channel, "nothing"), 0.0, "{channel}");
        }
        for state in ["bounced", "failed"] {
            let series = format!("acquire_outbox_undelivered_jobs{{delivery=\"{state}\"}}");
            assert_eq!(scrape.number(&series), 1.0);
        }
        assert_eq!(scrape.number("acquire_outbox_following_jobs"), 0.0);
    });
}

#[test]
fn an_outbox_that_is_moved_keeps_what_became_of_its_messages() {
    sqlite_only!("it moves a file; tests/postgres_commands/moving.rs moves to PostgreSQL and back");
    with_all(|outbox, jobs, daemon| {
        daemon.sigterm();
        daemon.wait(crate::support::SOON);
        let other = outbox.folder().join("other.db");
        let other = other.to_str().unwrap();
        outbox.run(&["move", "--from", "outbox.db", "--to", other]).expect(0);
        let listed = outbox.run(&["list", "--json", "--database", other]).expect(0).json();
        let listed = listed.as_array().unwrap();
        for (id, state) in jobs.into_iter().zip(["seen", "bounced", "failed"]) {
            let row = outbox.row(id);
            let there = listed.iter().find(|job| job["id"] == id).unwrap();
            assert_eq!(there["delivery"], state);
            let at = crate::support::iso(row.int("delivery_at"));
            assert_eq!(there["delivery_at"], at, "{there}");
        }
    });
}
