//! Logical replication of the table `outbox`: what a subscriber has, and what it has not.

use crate::support::{Cluster, Job, Program, SOON, eventually};
use tempfile::TempDir;

#[test]
fn a_subscriber_has_the_rows_and_runs_no_trigger() {
    let Some(cluster) = Cluster::start(&["wal_level=logical"]) else { return };
    let folder = TempDir::new().unwrap();
    let (from, to) = (cluster.database(), cluster.database());
    for database in [&from, &to] {
        let program = Program::in_folder(folder.path());
        program.env("ACQUIRE_OUTBOX_DATABASE", database.url()).run(&["init"]).expect(0);
    }
    // No row would arrive if it fired.
    to.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fired'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    let always =
        "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'outbox'::regclass AND tgenabled <> 'O'";
    assert_eq!(to.number(always), 0, "the outbox's own are of the same kind");
    from.execute("CREATE PUBLICATION of_outbox FOR TABLE outbox");
    // In one cluster the slot is made by hand.
    from.query("SELECT pg_create_logical_replication_slot('of_outbox', 'pgoutput')::text AS slot");
    let name = from.one("SELECT current_database()::text AS name");
    let (name, socket) = (name.text("name"), cluster.folder().display());
    to.execute(&format!(
        "CREATE SUBSCRIPTION of_outbox CONNECTION 'host={socket} user=postgres dbname={name}' PUBLICATION of_outbox
         WITH (create_slot = false, slot_name = 'of_outbox')"
    ));
    from.insert(&Job::chat(1, "words").sql());
    eventually(SOON, "the row arrives", || to.number("SELECT count(*) FROM outbox") == 1);
    from.execute("UPDATE outbox SET status = 'cancelled' WHERE id = 1");
    let cancelled = "SELECT count(*) FROM outbox WHERE status = 'cancelled' AND wait IS NULL AND finished_at IS NOT NULL";
    // What the publisher's triggers made of it comes with it.
    eventually(SOON, "the change arrives", || to.number(cancelled) == 1);
    to.execute("DROP TRIGGER refuse ON outbox");
    // Ids do not follow: the subscriber's own next one is taken.
    let refused = to.try_insert(&Job::chat(2, "words").sql()).unwrap_err();
    assert!(refused.contains("outbox_pkey"), "{refused}");
    to.query("SELECT setval('outbox_id_seq', 100), setval('outbox_nodes_epoch_seq', 100)");
    assert_eq!(to.insert(&Job::chat(2, "words").sql()), 101);
    to.execute(
        "ALTER SUBSCRIPTION of_outbox DISABLE; ALTER SUBSCRIPTION of_outbox SET (slot_name = NONE)",
    );
    to.execute("DROP SUBSCRIPTION of_outbox");
    from.query("SELECT pg_drop_replication_slot('of_outbox')::text AS dropped");
}
