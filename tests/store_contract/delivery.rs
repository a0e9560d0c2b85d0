//! Claiming, recording and recovering, through a tenure.

use super::{Outbox, accepted, chat, cycle, ended, fault, ids, room};
use acquire_outbox::queue::block::{Block, BlockKind};
use acquire_outbox::queue::change::{Change, Mode};
use acquire_outbox::queue::claim::Room;
use acquire_outbox::queue::filter::Filter;
use acquire_outbox::queue::job::{Channel, Status};
use acquire_outbox::queue::new_job::{GivenTime, NewJob};
use acquire_outbox::queue::outcome::Outcome;
use acquire_outbox::queue::story::Extent;
use acquire_outbox::queue::when::{iso, now};
use acquire_outbox::store::tenure::Plan;
use acquire_outbox::store::{ALL, Tenure};
use std::time::{Duration, Instant};

/// Far enough ahead that every retry is due.
const DAY: i64 = 86_400_000;

/// The outbox, and a tenure on it.
async fn taken_over(outbox: &Outbox) -> Tenure {
    outbox.take_over().await.unwrap()
}

pub async fn jobs_of_a_key_are_claimed_one_after_the_other(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1, 2, 1, 1]).await;
    let mut tenure = taken_over(&outbox).await;
    let room = room(9);
    let first = cycle(&mut tenure, &[], Some(&room), now()).await.claimed;
    assert_eq!(ids(&first), [jobs[0], jobs[1]]);
    assert_eq!(outbox.statuses(&jobs).await, ["sending", "sending", "pending", "pending"]);
    // The next of a key comes with the record of the one before.
    let record = [ended(&first[0], accepted(), now())];
    let done = cycle(&mut tenure, &record, Some(&room), now()).await;
    assert_eq!((done.recorded.ids, ids(&done.claimed)), (vec![jobs[0]], vec![jobs[2]]));
    // A job that was cancelled does not keep the others of its key back.
    outbox.store.change(Change::Cancel, &jobs[3..], Mode::Apply).await.unwrap();
    let last = outbox.insert(&[1]).await;
    let record = [ended(&done.claimed[0], accepted(), now())];
    let done = cycle(&mut tenure, &record, Some(&room), now()).await;
    assert_eq!(ids(&done.claimed), last);
}

pub async fn the_higher_priority_is_claimed_first(mut outbox: Outbox) {
    let mut jobs = outbox.insert(&[1, 2]).await;
    let urgent = NewJob { priority: 9, ..chat(3) };
    jobs.insert(0, outbox.store.insert(&urgent).await.unwrap().id());
    let mut tenure = taken_over(&outbox).await;
    assert_eq!(ids(&cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed), jobs);
}

pub async fn no_more_is_claimed_than_there_is_room(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1, 2, 3]).await;
    outbox.store.insert(&NewJob { account: "shop".to_owned(), ..chat(4) }).await.unwrap();
    let mut tenure = taken_over(&outbox).await;
    let claimed = cycle(&mut tenure, &[], Some(&room(2)), now()).await.claimed;
    assert_eq!(ids(&claimed), jobs[..2]);
    assert!(cycle(&mut tenure, &[], None, now()).await.claimed.is_empty());
    let agenda = tenure.look().await.unwrap();
    assert_eq!(agenda.ready_accounts, ["default", "shop"]);
    assert_eq!(tenure.backlog().await.unwrap().due, 2);
}

pub async fn what_is_passed_over_is_claimed_another_time(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1, 2, 3]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    let without = Room { passed_over: jobs[..2].to_vec(), ..room(1) };
    let done = cycle(&mut tenure, &[], Some(&without), now()).await;
    assert_eq!(ids(&done.claimed), jobs[2..]);
    let done = cycle(&mut tenure, &[], Some(&room(1)), now()).await;
    assert_eq!(ids(&done.claimed), jobs[..1]);
}

pub async fn a_failed_attempt_waits_and_is_claimed_again(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1, 1]).await;
    let mut tenure = taken_over(&outbox).await;
    let room = room(9);
    let claimed = cycle(&mut tenure, &[], Some(&room), now()).await.claimed;
    let unavailable = Outcome::Unavailable { fault: fault(), retry_after: None };
    let record = [ended(&claimed[0], unavailable, now())];
    let done = cycle(&mut tenure, &record, Some(&room), now()).await;
    assert!(done.claimed.is_empty(), "the next of its key waits with it");
    assert!(done.agenda.next_due.is_some_and(|due| due > now() - 1_000));
    let waiting = outbox.store.delivery(jobs[0]).await.unwrap().unwrap();
    assert_eq!((waiting.status.as_str(), waiting.attempts), ("pending", 1));
    assert_eq!(waiting.error_code.as_deref(), Some("http_503"));
    let again = cycle(&mut tenure, &[], Some(&room), now() + DAY).await.claimed;
    assert_eq!((ids(&again), again[0].attempts), (vec![jobs[0]], 2));
    cycle(&mut tenure, &[ended(&again[0], accepted(), now())], None, now()).await;
    let story = outbox.store.story(jobs[0], Extent::ALL).await.unwrap().unwrap();
    let outcomes: Vec<_> = story.history.iter().map(|row| row.outcome.as_str()).collect();
    assert_eq!(outcomes, ["retry", "accepted"]);
}

/// In a lane and without one.
pub async fn an_earlier_send_at_does_not_shorten_the_wait_for_the_next_attempt(mut outbox: Outbox) {
    const HOUR: i64 = 3_600_000;
    let mut jobs = outbox.insert(&[1]).await;
    let alone = NewJob { ordering_key: Some(String::new()), ..chat(2) };
    jobs.push(outbox.store.insert(&alone).await.unwrap().id());
    let mut tenure = taken_over(&outbox).await;
    let room = room(9);
    let claimed = cycle(&mut tenure, &[], Some(&room), now()).await.claimed;
    let retry_after = Some(Duration::from_secs(2 * 3600));
    let unavailable = || Outcome::Unavailable { fault: fault(), retry_after };
    let mut record: Vec<_> = claimed.iter().map(|job| ended(job, unavailable(), now())).collect();
    for ended in &mut record {
        ended.transition.next_attempt_at = Some(now() + 2 * HOUR);
    }
    cycle(&mut tenure, &record, None, now()).await;
    let send_at = format!("UPDATE outbox SET send_at = '{}'", iso(now() + HOUR));
    outbox.store.execute_sql(&send_at).await.unwrap();
    let at = now() + HOUR * 3 / 2;
    assert!(cycle(&mut tenure, &[], Some(&room), at).await.claimed.is_empty());
    assert!(cycle(&mut tenure, &[], Some(&room), at).await.claimed.is_empty());
    let mut again = ids(&cycle(&mut tenure, &[], Some(&room), now() + 3 * HOUR).await.claimed);
    again.sort_unstable();
    assert_eq!(again, jobs);
}

pub async fn what_is_paused_is_not_claimed(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1, 2]).await;
    let mut tenure = taken_over(&outbox).await;
    outbox.store.pause(Some("default"), Some(Channel::Chat), "why", None).await.unwrap();
    let room = room(9);
    assert!(cycle(&mut tenure, &[], Some(&room), now()).await.claimed.is_empty());
    assert_eq!(tenure.pauses().await.unwrap().len(), 1);
    outbox.store.resume(Some("default"), Some(Channel::Chat)).await.unwrap();
    assert_eq!(ids(&cycle(&mut tenure, &[], Some(&room), now()).await.claimed), jobs);
}

/// Claimed before a pause and not sent since: as if it had not been claimed.
pub async fn what_goes_back_at_a_pause_waits_for_the_resume(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1, 2]).await;
    let mut tenure = taken_over(&outbox).await;
    let room = room(9);
    let claimed = cycle(&mut tenure, &[], Some(&room), now()).await.claimed;
    assert_eq!(ids(&claimed), jobs);
    outbox.store.pause(None, Some(Channel::Chat), "why", None).await.unwrap();
    let back: Vec<_> = claimed.iter().map(|job| ended(job, Outcome::Withdrawn, now())).collect();
    let done = cycle(&mut tenure, &back, Some(&room), now()).await;
    assert_eq!((done.recorded.ids, done.claimed), (jobs.clone(), Vec::new()));
    assert!(cycle(&mut tenure, &[], Some(&room), now()).await.claimed.is_empty());
    for id in &jobs {
        let story = outbox.store.story(*id, Extent::ALL).await.unwrap().unwrap();
        assert_eq!((story.job.delivery.status.as_str(), story.attempts), ("pending", 0));
    }
    outbox.store.resume(None, Some(Channel::Chat)).await.unwrap();
    let again = cycle(&mut tenure, &[], Some(&room), now()).await.claimed;
    assert_eq!(ids(&again), jobs);
    assert!(again.iter().all(|job| job.attempts == 1), "the one that was not used");
}

pub async fn recording_twice_is_recording_once(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1]).await;
    let mut tenure = taken_over(&outbox).await;
    let claimed = cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed;
    let record = [ended(&claimed[0], accepted(), now())];
    assert_eq!(tenure.record(&record).await.unwrap().ids, jobs);
    assert_eq!(tenure.record(&record).await.unwrap().ids, jobs);
    let story = outbox.store.story(jobs[0], Extent::ALL).await.unwrap().unwrap();
    assert_eq!((story.attempts, story.job.delivery.status.as_str()), (1, "sent"));
    assert!(tenure.claims(|_, _| false).await.unwrap().is_empty());
}

pub async fn the_claims_of_a_dead_dispatcher_are_decided_by_the_next(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1, 1]).await;
    let mut tenure = taken_over(&outbox).await;
    let claimed = cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed;
    let unknown = tenure.claims(|id, _| id != jobs[0]).await.unwrap();
    assert_eq!(unknown.iter().map(|(job, _)| job.id).collect::<Vec<_>>(), jobs[..1]);
    drop(tenure);
    let mut next = taken_over(&outbox).await;
    let story = outbox.store.story(jobs[0], Extent::ALL).await.unwrap().unwrap();
    assert_eq!(story.history[0].outcome, "uncertain");
    assert_eq!(outbox.statuses(&jobs).await, ["pending"; 2], "the usual policy tries again");
    // What the dead one's request brought comes too late to change the job.
    let late = next.record(&[ended(&claimed[0], accepted(), now())]).await.unwrap();
    assert_eq!(late.lost, jobs[..1]);
    let again = cycle(&mut next, &[], Some(&room(9)), now() + DAY).await.claimed;
    assert_eq!((ids(&again), again[0].attempts), (jobs[..1].to_vec(), 2));
    assert!(again[0].claim > claimed[0].claim);
}

pub async fn a_second_dispatcher_waits_or_works_too(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1, 1, 2]).await;
    let mut tenure = taken_over(&outbox).await;
    assert!(tenure.check().is_ok());
    let second = tokio::time::timeout(Duration::from_millis(200), outbox.take_over()).await;
    if !outbox.is_on_postgres() {
        assert!(second.is_err(), "the second one waits");
        tenure.close().await.unwrap();
        let mut second = taken_over(&outbox).await;
        assert_eq!(cycle(&mut second, &[], Some(&room(9)), now()).await.claimed.len(), 2);
        return;
    }
    let mut second = match second {
        Ok(second) => second.unwrap(),
        Err(_) => taken_over(&outbox).await,
    };
    let first = cycle(&mut tenure, &[], Some(&room(1)), now()).await.claimed;
    let others = cycle(&mut second, &[], Some(&room(9)), now()).await.claimed;
    assert_eq!((ids(&first), ids(&others)), (jobs[..1].to_vec(), jobs[2..].to_vec()));
    // The next of a key is anybody's.
    cycle(&mut tenure, &[ended(&first[0], accepted(), now())], None, now()).await;
    assert_eq!(ids(&cycle(&mut second, &[], Some(&room(9)), now()).await.claimed), jobs[1..2]);
}

pub async fn blocks_are_published_and_replaced(mut outbox: Outbox) {
    let mut tenure = taken_over(&outbox).await;
    let block = |channel: &str, kind| Block {
        account: "default".to_owned(),
        channel: channel.to_owned(),
        kind,
        reason: "the key is refused".to_owned(),
        since: now(),
        until: None,
    };
    let blocks = [block("", BlockKind::ALL[0]), block("chat", BlockKind::ALL[1])];
    tenure.publish_blocks(&blocks).await.unwrap();
    assert_eq!(tenure.blocks().await.unwrap(), blocks);
    assert_eq!(outbox.store.pulse(now(), ALL).await.unwrap().blocks, blocks);
    tenure.publish_blocks(&blocks[1..]).await.unwrap();
    assert_eq!(outbox.store.overview(now()).await.unwrap().blocks, blocks[1..]);
}

pub async fn jobs_of_an_unknown_account_fail(mut outbox: Outbox) {
    let known = outbox.insert(&[1]).await;
    let gone = NewJob { account: "gone".to_owned(), ..chat(2) };
    let gone = outbox.store.insert(&gone).await.unwrap().id();
    let mut tenure = taken_over(&outbox).await;
    let report = tenure.fail_unknown_accounts(&["gone".to_owned()], &["default"]).await.unwrap();
    assert_eq!(report.failures.len(), 1);
    assert_eq!(outbox.statuses(&[known[0], gone]).await, ["pending", "failed"]);
    let groups = outbox.store.failures(10).await.unwrap();
    assert_eq!(groups[0].error_code.as_deref(), Some("unknown_account"));
}

pub async fn finished_jobs_are_deleted_and_scrubbed_by_the_plan(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1, 2]).await;
    outbox.store.change(Change::Cancel, &jobs[1..], Mode::Apply).await.unwrap();
    let mut tenure = taken_over(&outbox).await;
    let claimed = cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed;
    cycle(&mut tenure, &[ended(&claimed[0], accepted(), now())], None, now()).await;
    // What the database refuses to delete holds up no scrubbing.
    let refuse = outbox.engine().own_rule("DELETE", "true", "kept by us");
    outbox.store.execute_sql(&refuse).await.unwrap();
    let mut refuses = true;
    let begun = Instant::now();
    let text = loop {
        let plan = Plan {
            retention: vec![(Status::Cancelled, Duration::ZERO)],
            scrub: vec![(Channel::Chat, Duration::ZERO)],
            recorded_until: now(),
        };
        let upkept = tenure.upkeep(&plan).await.unwrap();
        let text = outbox.store.payload(jobs[0], ALL).await.unwrap().unwrap();
        let left = outbox.store.count(&Filter::default()).await.unwrap();
        if refuses && !text.contains("hello") {
            assert_eq!(left, 2);
            outbox.store.execute_sql(outbox.engine().drop_own_rule()).await.unwrap();
            refuses = false;
        }
        if left == 1 {
            break text;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{left} left; {text}");
        let soon = tokio::time::Instant::now() + Duration::from_millis(100);
        tokio::time::sleep_until(upkept.next.min(soon)).await;
    };
    assert!(text.replace(' ', "").contains(r#""caseId":1"#), "the ids stay: {text}");
    assert_eq!(outbox.status(jobs[0]).await, "sent");
}

pub async fn what_is_left_is_counted_when_nothing_is_left_to_send(mut outbox: Outbox) {
    let mut tenure = taken_over(&outbox).await;
    let later = now() + DAY;
    let send_at = Some(GivenTime::Millis(later));
    outbox.store.insert(&NewJob { send_at, ..chat(1) }).await.unwrap();
    let left = tenure.left(now()).await.unwrap().unwrap();
    assert_eq!((left.scheduled, left.paused, left.set_aside), (1, 0, 0));
    assert_eq!(left.next_due, Some(later), "as it was written, to the millisecond");
    outbox.insert(&[2]).await;
    assert_eq!(tenure.left(now()).await.unwrap(), None, "a job is due");
    outbox.store.pause(None, None, "", None).await.unwrap();
    assert_eq!(tenure.left(now()).await.unwrap().unwrap().paused, 1);
}
