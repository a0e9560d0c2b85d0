//! The outbox in an application's own database; the file on another machine.

use super::page::{Machine, block, can_run, text};
use crate::support::{Outbox, SOON, Server, eventually};
use std::fs;

#[test]
fn an_application_keeps_its_database_and_its_migrations() {
    let server = Server::start();
    let machine = Machine::new(Outbox::setup(&server));
    machine.shop.execute(
        "PRAGMA user_version = 7; PRAGMA application_id = 1234;
         CREATE TABLE orders (id INTEGER PRIMARY KEY, state TEXT);
         INSERT INTO orders VALUES (1, 'new')",
    );
    let init = block("init --database /var/lib/shop/shop.db");
    machine.run(init);
    machine.run(init);
    let configured = machine.here(text("toml", "database ="));
    assert_eq!(configured, format!("database = \"{}\"", machine.shop.path().display()));

    let _daemon = machine.daemon();
    // One commit for both, and a migration of the application while the daemon runs.
    machine.shop.execute(
        "BEGIN IMMEDIATE; UPDATE orders SET state = 'shipped' WHERE id = 1;
         INSERT INTO outbox (channel, payload)
         VALUES ('chat', json_object('caseId', 1, 'message', 'shipped')); COMMIT;
         ALTER TABLE orders ADD COLUMN note TEXT; CREATE INDEX by_state ON orders (state);
         ALTER TABLE orders RENAME TO purchases; PRAGMA user_version = 8",
    );
    eventually(SOON, "it is sent", || machine.count("sent") == 1);
    assert_eq!(server.words(), ["shipped"]);
    assert_eq!(machine.shop.number("PRAGMA user_version"), 8);
    assert_eq!(machine.shop.number("PRAGMA application_id"), 1234);
    assert_eq!(machine.shop.one("SELECT state FROM purchases")["state"], "shipped");
    let others = machine.shop.query(
        "SELECT name FROM sqlite_schema WHERE tbl_name NOT LIKE 'outbox%'
         AND name NOT IN ('purchases', 'by_state', 'delivery_status') AND name NOT LIKE 'sqlite_%'",
    );
    assert_eq!(others, []);
}

#[test]
fn a_moved_file_goes_on_where_it_was() {
    if !can_run() {
        return;
    }
    let server = Server::start();
    let machine = Machine::with_shop(Outbox::setup(&server));
    let daemon = machine.daemon();
    machine.chat(1, "before");
    eventually(SOON, "it is sent", || machine.count("sent") == 1);
    daemon.sigterm();
    daemon.wait(SOON);
    machine.chat(2, "not yet sent");
    machine.run(block("wal_checkpoint(TRUNCATE)"));

    let late = machine.outbox.run(&["status", "--database", machine.shop.path().to_str().unwrap()]);
    assert!(late.expect(1).stderr.contains("there is no database"));
    let there = Machine::new(Outbox::setup(&server));
    fs::copy(machine.path("/var/lib/shop/shop.db.moved"), there.shop.path()).unwrap();
    there.run(block("acquire-outbox check"));
    there.run_until_empty();
    assert_eq!(server.words().iter().filter(|words| !words.is_empty()).count(), 2);
    assert_eq!(there.count("sent"), 2);
}
