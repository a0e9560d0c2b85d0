//! The note of answers: what a node had received but not recorded when it died.

use super::{Outbox, cycle, ids, look_and_bury, sent};
use acquire_outbox::queue::ended::Ended;
use acquire_outbox::queue::job::Job;
use acquire_outbox::store::{AnswerNote, Keeping, Tenure};
use sqlx::Connection as _;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const NOTED: &str = "SELECT count(*) FROM outbox_answers";

async fn keep(note: &mut AnswerNote, jobs: &[&Job]) {
    let ended: Vec<_> = jobs.iter().map(|job| sent(job)).collect();
    let ended: Vec<&Ended> = ended.iter().collect();
    assert_eq!(note.keep(&ended, || true), Keeping::UnderWay);
    assert!(note.kept().await);
}

/// Buries dead nodes until this many of their jobs without a note have been decided.
async fn bury(other: &mut Tenure, jobs: usize) {
    let begun = Instant::now();
    let mut decided = 0;
    while decided < jobs {
        assert!(begun.elapsed() < Duration::from_secs(30), "only {decided} have been decided");
        decided += look_and_bury(other).await;
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_a_dead_node_had_noted_is_recorded_and_the_rest_is_uncertain() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1, 1, 2, 3, 4]).await;
    let mut other = outbox.node().await;
    let mut node = outbox.node().await;
    let mut note = node.answer_note().unwrap();
    assert!(node.answer_note().is_none(), "a node has only one");
    let claimed = cycle(&mut node, &[], 9).await.claimed;
    assert_eq!(ids(&claimed), [jobs[0], jobs[2], jobs[3], jobs[4]]);
    keep(&mut note, &[&claimed[0], &claimed[1]]).await;
    keep(&mut note, &[&claimed[2]]).await;
    // One of them is also recorded by the node itself: its note has no effect.
    cycle(&mut node, &[sent(&claimed[1])], 0).await;
    drop((node, note));
    bury(&mut other, 1).await;
    for (job, status, outcome) in [
        (jobs[0], "sent", "accepted"),
        (jobs[2], "sent", "accepted"),
        (jobs[3], "sent", "accepted"),
        (jobs[4], "uncertain", "uncertain"),
    ] {
        assert_eq!(outbox.status(job).await, status, "job {job}");
        let history =
            format!("SELECT string_agg(outcome, ' ') FROM outbox_attempts WHERE job_id = {job}");
        assert_eq!(outbox.text(&history).await, outcome, "job {job}");
    }
    assert_eq!(
        outbox.text(&format!("SELECT message_id FROM outbox WHERE id = {}", jobs[0])).await,
        "8289"
    );
    // The head has been sent: the next job of its key can be claimed.
    assert_eq!(ids(&cycle(&mut other, &[], 9).await.claimed), [jobs[1]]);
    assert_eq!(outbox.number(NOTED).await, 0);
    assert_eq!(
        outbox.number("SELECT count(*) FROM outbox_nodes WHERE settled_at IS NULL").await,
        1
    );
}

#[tokio::test]
async fn a_note_is_deleted_once_its_answers_are_recorded() {
    let Some(outbox) = Outbox::new().await else { return };
    outbox.insert(&[1, 2, 3]).await;
    let mut node = outbox.node().await;
    let mut note = node.answer_note().unwrap();
    let claimed = cycle(&mut node, &[], 9).await.claimed;
    keep(&mut note, &[&claimed[0]]).await;
    note.cycle_begins();
    keep(&mut note, &[&claimed[1]]).await;
    assert_eq!(outbox.number(NOTED).await, 2, "the cycle is not on disk");
    note.cycle_recorded();
    keep(&mut note, &[&claimed[2]]).await;
    assert_eq!(outbox.number(NOTED).await, 2, "the second and the third");
    let done: Vec<_> = claimed.iter().map(sent).collect();
    cycle(&mut node, &done, 0).await;
    node.close().await.unwrap();
    assert_eq!(outbox.number(NOTED).await, 0, "an orderly end leaves none");
}

/// Nothing would be gained by a session and a note for an answer whose place no job needs.
#[tokio::test]
async fn nothing_is_noted_where_no_job_waits_for_a_place() {
    let Some(outbox) = Outbox::new().await else { return };
    outbox.insert(&[1]).await;
    let mut node = outbox.node().await;
    let mut note = node.answer_note().unwrap();
    let claimed = cycle(&mut node, &[], 9).await.claimed;
    assert_eq!(note.keep(&[&sent(&claimed[0])], || false), Keeping::NotKept);
    let sessions = "SELECT count(*) FROM outbox_nodes n JOIN pg_stat_activity a ON a.application_name = outbox_session_name(n.epoch) \
         WHERE a.datname = current_database() AND a.query LIKE '%outbox_answers%'";
    assert_eq!(outbox.number(sessions).await, 0);
    assert_eq!(note.keep(&[&sent(&claimed[0])], || true), Keeping::UnderWay);
    assert!(note.kept().await);
    assert_eq!(outbox.number(sessions).await, 1);
}

#[tokio::test]
async fn what_has_been_recorded_is_deleted_though_no_other_note_follows() {
    let Some(outbox) = Outbox::new().await else { return };
    outbox.insert(&[1]).await;
    let mut node = outbox.node().await;
    let mut note = node.answer_note().unwrap();
    let claimed = cycle(&mut node, &[], 9).await.claimed;
    keep(&mut note, &[&claimed[0]]).await;
    note.cycle_begins();
    cycle(&mut node, &[sent(&claimed[0])], 0).await;
    note.cycle_recorded();
    let begun = Instant::now();
    while outbox.number(NOTED).await > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        sleep(Duration::from_millis(100)).await;
    }
    // It connects again.
    keep(&mut note, &[&claimed[0]]).await;
}

/// Another program has locked the row of a noted answer: nothing else may decide the job in the meantime, and no other
/// job waits for it.
#[tokio::test]
async fn a_noted_answer_whose_row_is_locked_is_recorded_later() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1, 2, 3]).await;
    let mut other = outbox.node().await;
    let mut node = outbox.node().await;
    let mut note = node.answer_note().unwrap();
    let claimed = cycle(&mut node, &[], 9).await.claimed;
    keep(&mut note, &[&claimed[0]]).await;
    keep(&mut note, &[&claimed[1]]).await;
    drop((node, note));
    let mut tx = sqlx::PgConnection::connect_with(&outbox.sql.options()).await.unwrap();
    let lock = format!("BEGIN; SELECT 1 FROM outbox WHERE id = {} FOR UPDATE", jobs[0]);
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut tx).await.unwrap();
    let begun = Instant::now();
    while outbox.status(jobs[2]).await == "sending" {
        assert!(begun.elapsed() < Duration::from_secs(30));
        look_and_bury(&mut other).await;
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(outbox.status(jobs[2]).await, "uncertain", "nobody knows its answer");
    assert_eq!(outbox.status(jobs[1]).await, "sent");
    assert_eq!(outbox.status(jobs[0]).await, "sending");
    assert_eq!(outbox.number(NOTED).await, 1);
    sqlx::raw_sql("ROLLBACK").execute(&mut tx).await.unwrap();
    while outbox.status(jobs[0]).await == "sending" {
        assert!(begun.elapsed() < Duration::from_secs(60));
        look_and_bury(&mut other).await;
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(outbox.status(jobs[0]).await, "sent");
    assert_eq!(outbox.number(NOTED).await, 0);
}

/// A trigger of somebody else's: the job, which was sent, must not be sent again.
#[tokio::test]
async fn a_noted_answer_that_the_database_refuses_is_set_aside() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1, 2]).await;
    let mut other = outbox.node().await;
    let mut node = outbox.node().await;
    let mut note = node.answer_note().unwrap();
    let claimed = cycle(&mut node, &[], 9).await.claimed;
    keep(&mut note, &[&claimed[0], &claimed[1]]).await;
    drop((node, note));
    let refusing = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
         CREATE TRIGGER refuse AFTER UPDATE ON outbox FOR EACH ROW WHEN (NEW.status = 'sent' AND NEW.id = {})
             EXECUTE FUNCTION refuse(); SELECT 1",
        jobs[0]
    );
    outbox.query(&refusing).await;
    let begun = Instant::now();
    while outbox.number("SELECT count(*) FROM outbox_set_aside WHERE record IS NOT NULL").await == 0
    {
        assert!(begun.elapsed() < Duration::from_secs(30));
        look_and_bury(&mut other).await;
        sleep(Duration::from_millis(50)).await;
    }
    look_and_bury(&mut other).await;
    assert_eq!(outbox.status(jobs[0]).await, "sending", "what became of it is kept");
    assert_eq!(outbox.status(jobs[1]).await, "sent");
    assert_eq!(outbox.number(NOTED).await, 0);
}

/// In a rolling upgrade: a note that this version does not understand says nothing to it.
#[tokio::test]
async fn a_note_of_another_version_leaves_the_outcome_unknown() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1, 2]).await;
    let mut other = outbox.node().await;
    let mut node = outbox.node().await;
    let mut note = node.answer_note().unwrap();
    let claimed = cycle(&mut node, &[], 9).await.claimed;
    keep(&mut note, &[&claimed[0]]).await;
    keep(&mut note, &[&claimed[1]]).await;
    drop((node, note));
    let newer = "UPDATE outbox_answers SET ended = replace(ended, '\"status\"', '\"mood\": 1, \"status\"') WHERE note = 1 RETURNING 1";
    assert_eq!(outbox.query(newer).await.len(), 1);
    bury(&mut other, 1).await;
    assert_eq!(outbox.status(jobs[0]).await, "uncertain");
    assert_eq!(outbox.status(jobs[1]).await, "sent");
}

/// Where a failover has left the old primary reachable: nobody will read what is noted there.
#[tokio::test]
async fn nothing_is_noted_in_a_database_that_has_not_the_nodes_last_transaction() {
    let Some(outbox) = Outbox::new().await else { return };
    outbox.insert(&[1]).await;
    let mut node = outbox.node().await;
    let mut note = node.answer_note().unwrap();
    let claimed = cycle(&mut node, &[], 9).await.claimed;
    outbox.query("UPDATE outbox_nodes SET cycle = cycle - 1 RETURNING 1").await;
    let ended = sent(&claimed[0]);
    assert_eq!(note.keep(&[&ended], || true), Keeping::UnderWay);
    assert!(!note.kept().await);
    assert_eq!(outbox.number(NOTED).await, 0);
}

/// If a note cannot be written, the places become free only when the answers are recorded.
#[tokio::test]
async fn a_note_that_cannot_be_written_is_not_kept() {
    let Some(outbox) = Outbox::new().await else { return };
    outbox.insert(&[1]).await;
    let mut node = outbox.node().await;
    let mut note = node.answer_note().unwrap();
    let claimed = cycle(&mut node, &[], 9).await.claimed;
    outbox.query("ALTER TABLE outbox_answers RENAME TO elsewhere").await;
    let ended = sent(&claimed[0]);
    assert_eq!(note.keep(&[&ended], || true), Keeping::UnderWay);
    assert_eq!(note.keep(&[&ended], || true), Keeping::NotKept, "one at a time");
    assert!(!note.kept().await);
    assert!(!note.works(), "and nothing is claimed ahead");
    outbox.query("ALTER TABLE elsewhere RENAME TO outbox_answers").await;
    let begun = Instant::now();
    while !note.works() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        sleep(Duration::from_millis(50)).await;
    }
    keep(&mut note, &[&claimed[0]]).await;
}
