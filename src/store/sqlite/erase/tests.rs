use super::*;
use crate::queue::when::now;
use std::path::Path;

async fn store(folder: &Path) -> SqliteStore {
    SqliteStore::open(&folder.join("outbox.db")).await.unwrap()
}

/// A sent job of a channel that ended then; without a dispatcher, so by the machine's own steps.
async fn sent(
    store: &mut SqliteStore,
    channel: Channel,
    payload: &str,
    finished_at: Millis,
) -> i64 {
    let job = crate::queue::new_job::NewJob {
        channel,
        payload: payload.to_owned(),
        account: "default".into(),
        idempotency_key: None,
        ordering_key: Some(String::new()),
        priority: 0,
        send_at: None,
        expires_at: None,
        max_attempts: None,
        source: None,
    };
    let id = store.insert(&job).await.unwrap().id();
    let steps = format!(
        "UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = 1, claimed_by = 1 WHERE id = {id};
         UPDATE outbox SET status = 'sent', moves = moves + 1, claimed_by = NULL, finished_at = {finished_at} WHERE id = {id};"
    );
    store.execute_sql(&steps).await.unwrap();
    id
}

fn chat(words: &str) -> String {
    format!(r#"{{"caseId": 7, "message": "{words}"}}"#)
}

async fn payload(store: &mut SqliteStore, id: i64) -> String {
    store.payload(id, crate::store::ALL).await.unwrap().unwrap()
}

const CHAT_LEFT: &str = r#"{"scrubbed":true,"caseId":7}"#;

#[tokio::test]
async fn the_words_of_what_was_sent_until_then_are_taken_out_and_the_ids_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(folder.path()).await;
    let old = sent(&mut store, Channel::Chat, &chat("old"), 1_000).await;
    let new = sent(&mut store, Channel::Chat, &chat("new"), 3_000).await;
    let sms = r#"{"From":"+1","To":"+2","Body":"b","contactId":5,"threadId":6,"timelineId":8}"#;
    let other = sent(&mut store, Channel::Sms, sms, 1_000).await;
    let done = store.scrub(Channel::Chat, 2_000).await.unwrap();
    assert_eq!(done, Erased { rows: 1, more: false });
    assert_eq!(payload(&mut store, old).await, CHAT_LEFT);
    assert_eq!(payload(&mut store, new).await, chat("new"));
    assert_eq!(payload(&mut store, other).await, sms);
    store.scrub(Channel::Sms, 2_000).await.unwrap();
    let left = r#"{"scrubbed":true,"contactId":5,"threadId":6,"timelineId":8}"#;
    assert_eq!(payload(&mut store, other).await, left);
    // It continues where it stopped.
    assert_eq!(store.scrub(Channel::Chat, 2_999).await.unwrap().rows, 0);
    assert_eq!(store.scrub(Channel::Chat, 3_000).await.unwrap().rows, 1);
    assert_eq!(payload(&mut store, new).await, CHAT_LEFT);
}

#[tokio::test]
async fn many_that_ended_at_once_are_all_scrubbed_batch_by_batch() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(folder.path()).await;
    let many = format!(
        "INSERT INTO outbox (channel, payload, ordering_key)
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
         SELECT 'chat', '{}', '' FROM n;
         UPDATE outbox SET status = 'sending', moves = moves + 1, wait = NULL, attempts = 1, claimed_by = 1;
         UPDATE outbox SET status = 'sent', moves = moves + 1, claimed_by = NULL, finished_at = 1000;",
        chat("hi")
    );
    store.execute_sql(&many).await.unwrap();
    let mut batches = vec![];
    loop {
        let done = store.scrub(Channel::Chat, 2_000).await.unwrap();
        batches.push(done.rows);
        if !done.more {
            break;
        }
    }
    assert_eq!(batches, [500, 500, 200]);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE payload <> ?1")
        .bind(CHAT_LEFT)
        .fetch_one(&mut store.conn)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn large_messages_make_small_batches() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(folder.path()).await;
    for _ in 0..5 {
        sent(&mut store, Channel::Chat, &chat(&"x".repeat(400_000)), 1_000).await;
    }
    let half = store.scrub(Channel::Chat, 2_000).await.unwrap();
    assert_eq!(half, Erased { rows: 2, more: true });
    assert_eq!(store.prune(Status::Sent, 2_000).await.unwrap(), Erased { rows: 4, more: true });
    assert_eq!(store.prune(Status::Sent, 2_000).await.unwrap(), Erased { rows: 1, more: false });
}

/// A clock that was set back, or a setting by which more is kept, puts the limit before the mark.
#[tokio::test]
async fn what_ends_before_the_mark_is_found_once_the_limit_has_been_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(folder.path()).await;
    let now = now();
    sent(&mut store, Channel::Chat, &chat("ahead"), now).await;
    assert_eq!(store.scrub(Channel::Chat, now).await.unwrap().rows, 1);
    // An hour back, by the clock.
    assert_eq!(store.scrub(Channel::Chat, now - 3_600_000).await.unwrap().rows, 0);
    let late = sent(&mut store, Channel::Chat, &chat("late"), now - 3_599_000).await;
    assert_eq!(store.scrub(Channel::Chat, now - 3_500_000).await.unwrap().rows, 1);
    assert_eq!(payload(&mut store, late).await, CHAT_LEFT);
}

#[tokio::test]
async fn what_is_scrubbed_or_pruned_is_nowhere_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = store(folder.path()).await;
    for (words, ended) in [("so secret a word", 1_000), ("forgotten for good", 10_000)] {
        // Short enough for a page of its table, and one that needs its own pages.
        for long in [1, 2_000] {
            sent(&mut store, Channel::Chat, &chat(&words.repeat(long)), ended).await;
        }
    }
    let in_file = |words: &str| {
        let file = std::fs::read(folder.path().join("outbox.db")).unwrap();
        file.windows(words.len()).any(|part| part == words.as_bytes())
    };
    store.checkpoint("TRUNCATE").await.unwrap();
    assert!(in_file("so secret a word") && in_file("forgotten for good"));
    assert_eq!(store.scrub(Channel::Chat, 2_000).await.unwrap().rows, 2);
    assert_eq!(store.prune(Status::Sent, 20_000).await.unwrap().rows, 4);
    store.checkpoint("TRUNCATE").await.unwrap();
    assert!(!in_file("so secret a word"), "scrubbed");
    assert!(!in_file("forgotten for good"), "pruned");
}
