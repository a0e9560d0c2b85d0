//! Changing jobs, pausing and resuming.

use super::{Outbox, cycle, ended, fault, ids, room};
use acquire_outbox::queue::act::{ActOrigin, Actor};
use acquire_outbox::queue::change::{Change, Mode, Resolution};
use acquire_outbox::queue::correction::{Corrected, DraftFence};
use acquire_outbox::queue::filter::Filter;
use acquire_outbox::queue::job::{Channel, Status};
use acquire_outbox::queue::outcome::Outcome;
use acquire_outbox::queue::story::Extent;
use acquire_outbox::queue::when::now;
use acquire_outbox::store::{ALL, StoreError};
use std::time::Duration;

fn of(status: Status) -> Filter {
    Filter { statuses: vec![status], ..Filter::default() }
}

pub async fn a_change_says_what_it_refused_and_changes_the_rest(mut outbox: Outbox) {
    let ids = outbox.insert(&[1, 2, 3]).await;
    let asked = [ids[0], 99, ids[2]];
    let refused = outbox.store.change(Change::Cancel, &asked, Mode::Apply).await.unwrap();
    assert_eq!((refused.len(), refused[0].id), (1, 99));
    assert_eq!(refused[0].sentence, "there is no such job");
    assert_eq!(outbox.statuses(&ids).await, ["cancelled", "pending", "cancelled"]);
    let again = outbox.store.change(Change::Cancel, &ids[..1], Mode::Apply).await.unwrap();
    assert_eq!(again[0].sentence, "is cancelled already");
    let back = outbox.store.change(Change::Retry, &ids[..1], Mode::Apply).await.unwrap();
    assert!(back.is_empty());
    assert_eq!(outbox.status(ids[0]).await, "pending");
}

pub async fn what_an_applications_trigger_refuses_is_named_and_the_rest_is_changed(
    mut outbox: Outbox,
) {
    let ids = outbox.insert(&[1, 2, 3]).await;
    let when = format!("OLD.id = {}", ids[1]);
    let rule = outbox.engine().own_rule("UPDATE OF status", &when, "the shop says no");
    outbox.store.execute_sql(&rule).await.unwrap();
    let refused = outbox.store.change(Change::Cancel, &ids, Mode::Apply).await.unwrap();
    assert_eq!((refused.len(), refused[0].id), (1, ids[1]));
    assert_eq!(refused[0].sentence, "the shop says no");
    assert_eq!(outbox.statuses(&ids).await, ["cancelled", "pending", "cancelled"]);
    // By filter it undoes the whole batch.
    let pending = of(Status::Pending);
    let other = outbox.insert(&[4]).await;
    let found = outbox.store.ids(&pending, i64::MIN, ALL).await.unwrap();
    let refused = outbox.store.change_where(Change::Cancel, &pending, &found).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Refused { by_rule: true, .. }), "{refused:?}");
    assert_eq!(refused.to_string(), "the shop says no");
    assert_eq!(outbox.status(other[0]).await, "pending");
}

pub async fn a_rehearsed_change_changes_nothing(mut outbox: Outbox) {
    let ids = outbox.insert(&[1, 2]).await;
    let would = outbox.store.change(Change::Cancel, &ids, Mode::Rehearse).await.unwrap();
    assert!(would.is_empty());
    let would = outbox.store.change(Change::Prune, &ids, Mode::Rehearse).await.unwrap();
    assert_eq!(would.iter().map(|job| job.id).collect::<Vec<_>>(), ids);
    let would =
        outbox.store.change(Change::Resolve(Resolution::Sent), &ids, Mode::Rehearse).await.unwrap();
    assert!(would[0].sentence.starts_with("is pending; "), "{}", would[0].sentence);
    assert_eq!(outbox.statuses(&ids).await, ["pending", "pending"]);
}

pub async fn a_change_by_filter_leaves_what_no_longer_passes(mut outbox: Outbox) {
    // One conversation: each cancellation moves the next job up.
    let ids = outbox.insert(&[1, 1, 1, 1]).await;
    let pending = of(Status::Pending);
    let found = outbox.store.ids(&pending, i64::MIN, ALL).await.unwrap();
    assert_eq!(found, ids);
    outbox.store.change(Change::Cancel, &ids[1..2], Mode::Apply).await.unwrap();
    assert_eq!(outbox.store.change_where(Change::Cancel, &pending, &found).await.unwrap(), 3);
    let all = Filter::default();
    // No filter deletes what has not ended.
    outbox.insert(&[2]).await;
    let found = outbox.store.ids(&all, i64::MIN, ALL).await.unwrap();
    assert_eq!(outbox.store.change_where(Change::Prune, &all, &found).await.unwrap(), 4);
    assert_eq!(outbox.store.count(&all).await.unwrap(), 1);
}

pub async fn an_uncertain_job_is_resolved_or_retried(mut outbox: Outbox) {
    let ids = outbox.insert(&[1, 2, 3]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    let claimed = cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed;
    assert_eq!(claimed.len(), 3);
    let policy_gives_up = |job: &_| {
        let mut ended = ended(job, Outcome::Unknown { fault: fault() }, now());
        ended.transition.status = Status::Uncertain;
        (ended.transition.wait, ended.transition.next_attempt_at) = (None, None);
        ended
    };
    let unknown: Vec<_> = claimed.iter().map(policy_gives_up).collect();
    cycle(&mut tenure, &unknown, None, now()).await;
    assert_eq!(outbox.statuses(&ids).await, ["uncertain"; 3]);
    let decisions =
        [Change::Resolve(Resolution::Sent), Change::Resolve(Resolution::Failed), Change::Retry];
    for (change, id) in decisions.into_iter().zip(&ids) {
        assert!(outbox.store.change(change, &[*id], Mode::Apply).await.unwrap().is_empty());
    }
    assert_eq!(outbox.statuses(&ids).await, ["sent", "failed", "pending"]);
    let cancelled = outbox.store.change(Change::Cancel, &ids[..1], Mode::Apply).await.unwrap();
    assert_eq!(cancelled.len(), 1, "what was sent cannot be cancelled");
}

pub async fn acts_have_a_name_and_a_correction_is_fenced(mut outbox: Outbox) {
    let id = outbox.insert(&[1]).await[0];
    let store = &mut outbox.store;
    let payload = r#"{"caseId": 2, "message": "corrected"}"#;
    let pending = store.draft(id).await.unwrap().unwrap();
    assert!(!pending.fence.is_correctable());
    let left = store.correct(&pending.fence, payload).await.unwrap();
    assert_eq!(left, Corrected::LeftAlone("pending".to_owned()));
    store.act_as(Actor::new(ActOrigin::Page, "Anna"));
    store.change(Change::Cancel, &[id], Mode::Apply).await.unwrap();
    let draft = store.draft(id).await.unwrap().unwrap();
    let of = |status: &str, moves| DraftFence { id, status: status.to_owned(), moves };
    let moves = draft.fence.moves;
    for other in [of("cancelled", moves - 1), of("failed", moves)] {
        let left = store.correct(&other, payload).await.unwrap();
        assert_eq!(left, Corrected::LeftAlone("cancelled".to_owned()));
    }
    let missing = DraftFence { id: 999, ..draft.fence.clone() };
    assert_eq!(store.correct(&missing, payload).await.unwrap(), Corrected::Missing);
    // A payload that the database refuses changes nothing.
    let refused = store.correct(&draft.fence, r#"{"caseId": 2}"#).await.unwrap_err();
    assert!(
        refused.rule().is_some_and(|said| said.starts_with("outbox.payload.message")),
        "{refused}"
    );
    assert_eq!(store.draft(id).await.unwrap().unwrap().fence, draft.fence);
    assert_eq!(store.correct(&draft.fence, payload).await.unwrap(), Corrected::Done);
    let story = store.story(id, Extent::ALL).await.unwrap().unwrap();
    let acts: Vec<_> = story.acts.iter().map(|act| (act.deed.as_str(), act.by())).collect();
    let by = || "page: Anna".to_owned();
    assert_eq!(acts, [("cancel", by()), ("change", by()), ("retry", by())]);
    let earlier = store.earlier_payloads(id, ALL).await.unwrap();
    assert_eq!((earlier.len(), earlier[0].0), (1, story.acts[1].id));
    assert!(store.payload(id, ALL).await.unwrap().unwrap().contains("corrected"));
    assert_eq!(outbox.status(id).await, "pending");
}

pub async fn only_a_job_in_backoff_is_tried_now(mut outbox: Outbox) {
    let ids = outbox.insert(&[1, 2, 3]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    let claimed = cycle(&mut tenure, &[], Some(&room(1)), now()).await.claimed;
    let unavailable = Outcome::Unavailable { fault: fault(), retry_after: None };
    let mut waits = ended(&claimed[0], unavailable, now());
    waits.transition.next_attempt_at = waits.transition.next_attempt_at.map(|at| at + 3_600_000);
    let job = waits.transition.id;
    cycle(&mut tenure, &[waits], None, now()).await;
    let others: Vec<i64> = ids.iter().copied().filter(|id| *id != job).collect();
    let asked = [job, others[0], 99];
    let would = outbox.store.change(Change::TryNow, &asked, Mode::Rehearse).await.unwrap();
    let refused = outbox.store.change(Change::TryNow, &asked, Mode::Apply).await.unwrap();
    assert_eq!(would, refused);
    assert_eq!(refused.iter().map(|job| job.id).collect::<Vec<_>>(), [others[0], 99]);
    assert!(refused[0].sentence.starts_with("is pending, not in backoff"), "{refused:?}");
    assert_eq!(refused[1].sentence, "there is no such job");
    // It is claimed, in its second attempt.
    let again = cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed;
    let attempts = again.iter().find(|claimed| claimed.id == job).map(|claimed| claimed.attempts);
    assert_eq!(attempts, Some(2));
    let by_filter = Filter { in_backoff: true, ..of(Status::Pending) };
    assert_eq!(outbox.store.ids(&by_filter, i64::MIN, ALL).await.unwrap(), [0; 0]);
    assert_eq!(outbox.store.change_where(Change::TryNow, &by_filter, &ids).await.unwrap(), 0);
}

pub async fn a_pause_ends_by_its_own_name_alone(mut outbox: Outbox) {
    let store = &mut outbox.store;
    store.pause(Some("shop"), Some(Channel::Sms), "why", None).await.unwrap();
    store.pause(Some("shop"), None, "", None).await.unwrap();
    store.pause(None, None, "", None).await.unwrap();
    let subjects = |pauses: &[acquire_outbox::queue::pause::Pause]| {
        pauses.iter().map(|pause| pause.subject()).collect::<Vec<_>>()
    };
    let pauses = store.pauses(ALL).await.unwrap();
    assert_eq!(subjects(&pauses), ["everything", "account shop", "sms of account shop"]);
    assert_eq!(subjects(&store.pauses(1).await.unwrap()), ["everything"]);
    let since = pauses[2].since;
    store.pause(Some("shop"), Some(Channel::Sms), "another reason", None).await.unwrap();
    let again = &store.pauses(ALL).await.unwrap()[2];
    assert_eq!((again.since, again.reason.as_str()), (since, "another reason"));
    assert!(store.resume(Some("shop"), None).await.unwrap());
    assert!(!store.resume(Some("shop"), None).await.unwrap());
    assert_eq!(store.pauses(ALL).await.unwrap().len(), 2);
}

pub async fn a_pause_with_an_end_is_ended_by_the_cycle_that_is_due_then(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1]).await;
    let hour = Duration::from_secs(3600);
    outbox.store.pause(None, Some(Channel::Chat), "why", Some(hour)).await.unwrap();
    outbox.store.pause(Some("shop"), None, "", None).await.unwrap();
    let until = outbox.store.pauses(ALL).await.unwrap()[0].until.unwrap();
    let mut tenure = outbox.take_over().await.unwrap();
    let agenda = tenure.look().await.unwrap();
    assert!((agenda.next_due.unwrap() - until).abs() < 60_000, "it wakes the dispatcher up");
    assert!(cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed.is_empty());
    let later = cycle(&mut tenure, &[], Some(&room(9)), until + 5_000).await.claimed;
    let left: Vec<_> =
        outbox.store.pauses(ALL).await.unwrap().iter().map(|pause| pause.subject()).collect();
    assert_eq!(left, ["account shop"], "a pause without an end stays");
    assert_eq!(ids(&later), jobs, "the same cycle claims what it has held back");
}

pub async fn the_end_of_a_pause_is_a_time_for_whoever_writes_it(mut outbox: Outbox) {
    let hour = match outbox.is_on_postgres() {
        true => "now() + interval '1 hour'",
        false => "datetime('now', '+1 hour')",
    };
    let store = &mut outbox.store;
    let insert = format!("INSERT INTO outbox_pauses (channel, until) VALUES ('sms', {hour})");
    store.execute_sql(&insert).await.unwrap();
    let pause = store.pauses(ALL).await.unwrap().remove(0);
    assert!((pause.until.unwrap() - now() - 3_600_000).abs() < 60_000, "{pause:?}");
    let again = format!("UPDATE outbox_pauses SET until = {hour}");
    store.execute_sql(&again).await.unwrap();
    assert!(store.pauses(ALL).await.unwrap()[0].until.is_some());
    // Paused again, without an end.
    store.pause(None, Some(Channel::Sms), "why", None).await.unwrap();
    assert_eq!(store.pauses(ALL).await.unwrap()[0].until, None);
    for wrong in ["'soon'", "5"] {
        let wrong = format!("UPDATE outbox_pauses SET until = {wrong}");
        let refused = store.execute_sql(&wrong).await.unwrap_err().to_string();
        assert!(!refused.is_empty());
    }
}

pub async fn what_waits_in_a_restored_outbox_becomes_uncertain(mut outbox: Outbox) {
    let ids = outbox.insert(&[1, 1, 2]).await;
    outbox.store.pause(None, None, "restored", None).await.unwrap();
    assert_eq!(outbox.store.resolve_restored(now() - 60_000).await.unwrap(), 0);
    assert_eq!(outbox.store.resolve_restored(now() + 60_000).await.unwrap(), 3);
    assert_eq!(outbox.store.resolve_restored(now() + 60_000).await.unwrap(), 0);
    assert_eq!(outbox.statuses(&ids).await, ["uncertain"; 3]);
}
