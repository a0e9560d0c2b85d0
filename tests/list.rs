//! `list`: filters, order, pages.

use crate::support::{Finished, Job, Outbox, Server, Shop, has_terminals, shop};
use serde_json::Value;

fn ids(finished: &Finished) -> Vec<i64> {
    let rows = finished.json();
    rows.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

#[test]
fn list_shows_the_newest_first_by_every_filter() {
    let server = Server::start();
    let Shop { outbox, sent, refused, exhausted, cancelled, later } = shop(&server);
    let cases: [(&[&str], &[i64]); 23] = [
        (&[], &[later, cancelled, exhausted, refused, sent]),
        (&["--status", "failed"], &[exhausted, refused]),
        (&["--channel", "chat"], &[later, cancelled, sent]),
        (&["--account", "default"], &[later, cancelled, exhausted, refused, sent]),
        (&["--account", "nobody"], &[]),
        (&["--source", "shop"], &[sent]),
        (&["--failure", "exhausted"], &[exhausted]),
        (&["--limit", "2"], &[later, cancelled]),
        (&["--channel", "chat", "--status", "pending"], &[later]),
        (&["--status", "cancelled,pending"], &[later, cancelled]),
        (&["--status", "uncertain"], &[]),
        (&["--error-code", "http_503"], &[exhausted]),
        (&["--error", "ANSWERED 503"], &[exhausted]),
        (&["--status", "failed", "--error", "no such words"], &[]),
        (&["--case", "5"], &[later]),
        (&["--case", "3", "--channel", "sms"], &[exhausted]),
        (&["--key", "k4"], &[cancelled]),
        (&["--newer-than", "1h"], &[later, cancelled, exhausted, refused, sent]),
        (&["--older-than", "1h"], &[]),
        (&["--sort", "attempts", "--limit", "1"], &[exhausted]),
        (&["--sort", "created", "--ascending", "--limit", "2"], &[sent, refused]),
        (&["--sort", "due", "--limit", "1"], &[later]),
        (
            &["--sort", "finished", "--ascending", "--status", "cancelled,pending"],
            &[cancelled, later],
        ),
    ];
    for (filters, expected) in cases {
        let mut arguments = vec!["list", "--json"];
        arguments.extend(filters);
        assert_eq!(ids(&outbox.run(&arguments).expect(0)), expected, "{filters:?}");
    }
}

#[test]
fn list_gives_the_columns_of_the_view() {
    let server = Server::start();
    let Shop { outbox, .. } = shop(&server);
    let listed = outbox.run(&["list", "--json"]).expect(0).json();
    let rows = outbox.query("SELECT * FROM delivery_status ORDER BY id DESC");
    let of_view: Vec<Value> = rows.into_iter().map(|row| Value::Object(row.0)).collect();
    assert_eq!(listed, Value::Array(of_view));
}

#[test]
fn list_is_plain_when_piped() {
    let server = Server::start();
    let Shop { outbox, sent, .. } = shop(&server);
    let plain = outbox.run(&["list"]).expect(0).stdout;
    assert!(!plain.contains('\u{1b}'), "{plain}");
    let with = |words: [&str; 2]| plain.lines().any(|line| words.iter().all(|w| line.contains(w)));
    assert!(with([&sent.to_string(), "sent"]), "{plain}");
    assert!(with(["failed", "exhausted"]), "{plain}");
}

#[test]
fn list_gives_fifty_unless_told_otherwise() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.add_all((1..=60).map(|case| Job::chat(case, "hi")));
    assert_eq!(ids(&outbox.run(&["list", "--json"]).expect(0)).len(), 50);
    assert_eq!(ids(&outbox.run(&["list", "--json", "--limit", "60"]).expect(0)).len(), 60);
}

#[test]
fn the_pages_of_a_list_follow_each_other() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.add_all((1..=5).map(|case| Job::chat(case, "hi")));
    let page = |number: &str, more: &[&str]| {
        let mut arguments = vec!["list", "--json", "--limit", "2", "--page", number];
        arguments.extend(more);
        ids(&outbox.run(&arguments).expect(0))
    };
    assert_eq!([page("1", &[]), page("2", &[]), page("3", &[])], [vec![5, 4], vec![3, 2], vec![1]]);
    assert!(page("4", &[]).is_empty());
    assert_eq!(page("2", &["--status", "pending", "--ascending"]), [3, 4]);
    let none = outbox.run(&["list", "--page", "0"]).expect(2);
    assert!(none.stderr.contains("0 is not in 1.."), "{none:?}");
}

#[test]
fn on_a_terminal_a_full_page_says_how_to_get_the_next_and_what_is_paused() {
    if !has_terminals() {
        return;
    }
    let server = Server::start();
    let outbox = Outbox::new(&server);
    outbox.chat(1, "hi");
    outbox.chat(2, "hi");
    outbox.run(&["pause", "chat", "--reason", "lunch"]).expect(0);
    let list = |limit: &str| {
        let program = outbox.program().on_a_terminal();
        program.run(&["list", "--limit", limit]).expect(0).stdout
    };
    assert!(list("2").contains("there may be more; see --page 2"), "{}", list("2"));
    assert!(list("3").contains("paused: chat since ") && list("3").contains("lunch"));
    assert!(!list("3").contains("--page"));
    assert_eq!(
        outbox.run(&["list", "--limit", "2"]).expect(0).stderr,
        "",
        "in a pipe: the rows alone"
    );
}
