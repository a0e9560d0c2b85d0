//! `prune`: by the retention settings, by id and by filter.

use crate::support::{
    Gate, Job, Outbox, Reply, SOON, Server, Setup, Shop, eventually, has_terminals, shop,
};
use serde_json::json;
use std::time::Duration;

/// What ended did so that many days ago.
fn days_ago(outbox: &Outbox, days: u64) {
    let days = Duration::from_secs(days * 86_400);
    outbox.move_back("finished_at", days, "finished_at IS NOT NULL");
    // A sent message cannot be changed, its insertion included.
    outbox.move_back("created_at", days, "status IN ('failed', 'cancelled')");
}

fn ids(outbox: &Outbox) -> Vec<i64> {
    outbox.query("SELECT id FROM outbox ORDER BY id").iter().map(|row| row.int("id")).collect()
}

#[test]
fn without_a_filter_it_goes_by_the_retention_settings() {
    let server = Server::start();
    let Shop { outbox, sent, refused, exhausted, cancelled, later } = shop(&server);
    days_ago(&outbox, 29);
    let young = outbox.run(&["prune"]).expect(0);
    assert_eq!(young.stdout, "0 jobs pruned\n");
    assert!(
        young
            .stderr
            .contains("the retention settings keep sent jobs for 30days, failed jobs forever"),
        "{young:?}"
    );
    days_ago(&outbox, 2);
    let dry = outbox.run(&["prune", "--dry-run", "--json"]).expect(0).json();
    assert_eq!(dry, json!({"dry_run": true, "would_change": 1, "ids": [sent], "refused": []}));
    let pruned = outbox.run(&["prune"]).expect(0);
    assert_eq!(pruned.stdout, "1 job pruned\n");
    assert_eq!(ids(&outbox), [refused, exhausted, cancelled, later]);
    assert!(outbox.history(sent).is_empty(), "history goes with its job");
    assert_eq!(outbox.history(exhausted).len(), 2);
}

fn kept(server: &Server, retention: &str) -> Setup {
    Outbox::setup(server).more(&format!("[retention]\n{retention}"))
}

#[test]
fn each_kind_has_a_setting_of_its_own() {
    let server = Server::answering(|_| Reply::status(400));
    let outbox = kept(&server, "failed = \"7d\"\ncancelled = \"1d\"").ready();
    let failed = outbox.chat(1, "refused");
    outbox.run_until_empty();
    let cancelled = outbox.chat(2, "cancelled");
    outbox.run(&["cancel", &cancelled.to_string()]).expect(0);
    days_ago(&outbox, 2);
    assert_eq!(
        outbox.run(&["prune", "--json"]).expect(0).json(),
        json!({"changed": 1, "refused": []})
    );
    assert_eq!(ids(&outbox), [failed]);
}

#[test]
fn by_filter_and_by_id_it_takes_what_is_finished_alone() {
    let server = Server::start();
    let Shop { outbox, sent, refused, exhausted, cancelled, later } = shop(&server);
    days_ago(&outbox, 3);
    let none = outbox.run(&["prune", "--older-than", "4d"]).expect(0);
    assert_eq!(none.stdout, "0 jobs pruned\n");
    let one = outbox.run(&["prune", "--failure", "rejected", "--older-than", "2d"]).expect(0);
    assert_eq!((one.stdout.as_str(), one.stderr.as_str()), ("1 job pruned\n", "1 job matches\n"));
    assert_eq!(ids(&outbox), [sent, exhausted, cancelled, later]);
    let pending = later.to_string();
    let by_id = outbox.run(&["prune", &pending, &sent.to_string(), &refused.to_string()]).expect(1);
    assert_eq!(by_id.stdout, "1 job pruned\n");
    let sentence =
        format!("job {later}: is pending; only sent, failed and cancelled jobs can be pruned");
    assert!(by_id.stderr.contains(&sentence), "{by_id:?}");
    assert!(by_id.stderr.contains(&format!("job {refused}: there is no such job")), "{by_id:?}");
    assert_eq!(outbox.run(&["prune", "--all"]).expect(0).stdout, "2 jobs pruned\n");
    assert_eq!(ids(&outbox), [later]);
    for status in ["pending", "uncertain", "sending"] {
        let wrong = outbox.run(&["prune", "--status", status]).expect(2);
        assert!(wrong.stderr.contains("must be sent or failed or cancelled"), "{wrong:?}");
    }
}

#[test]
fn what_is_on_the_wire_or_uncertain_is_never_pruned() {
    let gate = Gate::closed();
    let held = gate.clone();
    let server = Server::answering(move |request| match request.words().as_str() {
        "lost" => Reply::status(502),
        _ => Reply::accepted(request).behind(&held),
    });
    let outbox = Outbox::setup(&server).more("[channels.chat]\non_uncertain = \"hold\"").ready();
    let _daemon = outbox.daemon();
    let (lost, flies) = (outbox.chat(1, "lost"), outbox.chat(2, "flies"));
    eventually(SOON, "both", || {
        outbox.status(lost) == "uncertain" && outbox.status(flies) == "sending"
    });
    assert_eq!(outbox.run(&["prune", "--all"]).expect(0).stdout, "0 jobs pruned\n");
    let by_id = outbox.run(&["prune", &lost.to_string(), &flies.to_string()]).expect(1);
    assert_eq!(by_id.stdout, "0 jobs pruned\n");
    gate.open();
    assert_eq!(outbox.settled(flies)["status"], "sent");
}

#[test]
fn thousands_go_in_batches_with_their_keys_free_again() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let job = |n| Job::chat(n, "hi").column("idempotency_key", &format!("'key {n}'"));
    outbox.add_all((1..=1700).map(job));
    outbox.execute("UPDATE outbox SET status = 'cancelled' WHERE id <= 1600");
    let pruned = outbox.run(&["prune", "--status", "cancelled", "--json"]).expect(0).json();
    assert_eq!(pruned["changed"], 1600);
    assert_eq!(outbox.count("pending"), 100);
    outbox.add(Job::chat(1, "again").column("idempotency_key", "'key 1'"));
}

#[test]
fn a_terminal_is_asked_before_anything_is_deleted() {
    if !has_terminals() {
        return;
    }
    let server = Server::start();
    let Shop { outbox, .. } = shop(&server);
    let before = ids(&outbox);
    let prune = |typed: &str| {
        outbox.program().on_a_terminal().run_with_input(&["prune", "--status", "failed"], typed)
    };
    let asked = prune("n\n").expect(1);
    assert!(asked.stdout.contains("Delete 2 jobs with their history? [y/N]"), "{asked:?}");
    assert_eq!(ids(&outbox), before);
    prune("yes\n").expect(0);
    assert_eq!(ids(&outbox).len(), before.len() - 2);
}
