//! Sent messages whose delivery is asked about, through a tenure.

use super::{Outbox, accepted, chat, cycle, ended, ids, room};
use acquire_outbox::config::ChannelPolicy;
use acquire_outbox::queue::ended::Ended;
use acquire_outbox::queue::filter::{Filter, Page};
use acquire_outbox::queue::follow_up::{DeliveryEvent, DeliveryState, FollowedJob};
use acquire_outbox::queue::job::{Channel, Job, Millis};
use acquire_outbox::queue::new_job::NewJob;
use acquire_outbox::queue::outcome::{Fault, Outcome, Receipt};
use acquire_outbox::queue::policy::OnUncertain;
use acquire_outbox::queue::story::{Delivery, Extent};
use acquire_outbox::queue::transition::{after_look, decide};
use acquire_outbox::queue::unreadable::{ReadPurpose, UnreadableRoute};
use acquire_outbox::queue::verification::{Candidate, Likeness, Verdict};
use acquire_outbox::queue::when::now;
use acquire_outbox::store::Tenure;
use serde_json::json;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(600);
/// Later than every first question.
const LATER: Millis = 700_000;
const BOUNCED: DeliveryEvent =
    DeliveryEvent { state: DeliveryState::Bounced, at: Some(1_800_000_000_000) };

fn policy() -> ChannelPolicy {
    ChannelPolicy { follow_up: Some(PAUSE), ..ChannelPolicy::default() }
}

fn sent(job: &Job) -> Ended {
    let fields = json!({"id": 8289, "caseMessageId": 77, "caseId": 5});
    let receipt = Receipt {
        message_id: Some("8289".to_owned()),
        fields: fields.as_object().unwrap().clone(),
    };
    let outcome = Outcome::Accepted { receipt, note: None };
    Ended { transition: decide(job, outcome, &policy(), now()), ..ended(job, accepted(), now()) }
}

/// Sends what there is.
async fn send(tenure: &mut Tenure) {
    let claimed = cycle(tenure, &[], Some(&room(9)), now()).await.claimed;
    let record: Vec<_> = claimed.iter().map(sent).collect();
    let done = cycle(tenure, &record, Some(&room(0)), now()).await;
    assert_eq!(done.recorded.ids, ids(&claimed));
}

async fn take(tenure: &mut Tenure, at: Millis) -> Vec<FollowedJob> {
    let mut taken = tenure.take_follow_ups(9, &[], at, LEASE).await.unwrap();
    taken.sort_by_key(|job| job.id);
    taken
}

async fn record(tenure: &mut Tenure, job: &FollowedJob, event: Option<DeliveryEvent>) -> bool {
    tenure.record_follow_up(job, event, true, None, now()).await.unwrap()
}

async fn row(outbox: &mut Outbox, id: i64) -> Delivery {
    outbox.store.delivery(id).await.unwrap().unwrap()
}

pub async fn a_sent_message_is_asked_about_and_what_became_of_it_is_recorded(mut outbox: Outbox) {
    let jobs = outbox.insert(&[5]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    send(&mut tenure).await;
    let agenda = tenure.look().await.unwrap();
    let due = agenda.next_follow_up.unwrap() - now();
    assert!((590_000..=600_100).contains(&due), "{due}");
    assert!(tenure.left(now()).await.unwrap().is_some(), "nothing waits for it");
    assert_eq!(outbox.store.overview(now()).await.unwrap().following, 1);
    assert!(take(&mut tenure, now()).await.is_empty(), "it is too early");
    let [job] = &take(&mut tenure, now() + LATER).await[..] else { panic!("one is due") };
    assert_eq!((job.id, job.channel, job.account.as_str()), (jobs[0], Channel::Chat, "default"));
    assert_eq!((job.message_id.as_deref(), job.case), (Some("8289"), Some(5)));
    assert_eq!(job.case_message_id.as_deref(), Some("77"));
    assert!((now() - job.sent_at).abs() < 5_000);
    let delivered = DeliveryEvent { state: DeliveryState::Delivered, at: None };
    let next = Some(now() + 1_000_000);
    let recorded = tenure.record_follow_up(job, Some(delivered), true, next, now()).await;
    assert!(recorded.unwrap());
    let seen = row(&mut outbox, jobs[0]).await;
    assert_eq!((seen.status.as_str(), seen.delivery.as_deref()), ("sent", Some("delivered")));
    let first_at = seen.delivery_at.clone().unwrap();
    // The same without a time keeps the first one; what comes later with one replaces it.
    let [job] = &take(&mut tenure, now() + 1_100_000).await[..] else { panic!("it is due") };
    let again = tenure.record_follow_up(job, Some(delivered), true, next, now() + 5).await;
    assert!(again.unwrap());
    assert_eq!(row(&mut outbox, jobs[0]).await.delivery_at, Some(first_at));
    let [job] = &take(&mut tenure, now() + 1_100_000).await[..] else { panic!("it is due") };
    assert!(tenure.record_follow_up(job, None, false, next, now()).await.unwrap());
    assert_eq!(row(&mut outbox, jobs[0]).await.delivery.as_deref(), Some("delivered"), "it stays");
    let [job] = &take(&mut tenure, now() + 1_100_000).await[..] else { panic!("it is due") };
    assert!(record(&mut tenure, job, Some(BOUNCED)).await);
    let story = outbox.store.story(jobs[0], Extent::ALL).await.unwrap().unwrap().job;
    assert_eq!(story.delivery.delivery.as_deref(), Some("bounced"));
    assert_eq!(story.delivery.delivery_at.as_deref(), Some("2027-01-15T08:00:00.000Z"));
    assert!(story.next_follow_up.is_none() && story.followed.is_some());
    assert!(take(&mut tenure, now() + 100 * LATER).await.is_empty(), "it is over");
    assert_eq!(tenure.look().await.unwrap().next_follow_up, None);
}

pub async fn a_question_that_is_lost_is_asked_again_after_its_lease(mut outbox: Outbox) {
    let jobs = outbox.insert(&[5, 5]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    send(&mut tenure).await;
    send(&mut tenure).await;
    let first = take(&mut tenure, now() + LATER).await;
    assert_eq!(first.iter().map(|job| job.id).collect::<Vec<_>>(), jobs);
    assert!(take(&mut tenure, now() + LATER + 20_000).await.is_empty(), "they are the first one's");
    if outbox.is_on_postgres() {
        let mut other = outbox.take_over().await.unwrap();
        assert!(take(&mut other, now() + LATER).await.is_empty(), "nor the other node's");
        assert!(!record(&mut other, &FollowedJob { fence: 1, ..first[0].clone() }, None).await);
        other.close().await.unwrap();
    }
    // Whoever takes over asks about them.
    drop(tenure);
    let mut tenure = outbox.take_over().await.unwrap();
    let second = take(&mut tenure, now() + LATER + 80_000).await;
    assert_eq!(second.len(), 2);
    assert!(!record(&mut tenure, &first[0], Some(BOUNCED)).await, "the fence");
    assert_eq!(row(&mut outbox, jobs[0]).await.delivery, None);
    assert!(record(&mut tenure, &second[0], Some(BOUNCED)).await);
    assert!(!record(&mut tenure, &second[0], Some(BOUNCED)).await, "it is recorded");
    outbox.store.execute_sql(&format!("DELETE FROM outbox WHERE id = {}", jobs[1])).await.unwrap();
    assert!(!record(&mut tenure, &second[1], Some(BOUNCED)).await, "it is gone");
}

pub async fn a_message_that_was_found_by_a_look_is_asked_about_too(mut outbox: Outbox) {
    let jobs = outbox.insert(&[5]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    let policy = ChannelPolicy { on_uncertain: OnUncertain::Verify, ..policy() };
    let claimed = cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed;
    let lost = Outcome::Unknown { fault: super::fault() };
    let lost = Ended {
        transition: decide(&claimed[0], lost, &policy, now()),
        ..ended(&claimed[0], accepted(), now())
    };
    cycle(&mut tenure, &[lost], None, now()).await;
    let doubts = tenure.take_sought(9, &[], now() + 10_000, LEASE).await.unwrap();
    let seen = Candidate {
        message_id: "77".to_owned(),
        receipt: Receipt::default(),
        created: Some(now()),
        sender: "user".to_owned(),
        likeness: Likeness::Same,
    };
    let found = after_look(&doubts[0].job, Verdict::Sent(seen), &policy, None, now());
    assert!(tenure.record_verdict(&doubts[0].sought, &found, None).await.unwrap());
    let [job] = &take(&mut tenure, now() + LATER).await[..] else { panic!("it is due") };
    assert_eq!((job.id, job.message_id.as_deref()), (jobs[0], Some("77")));
}

pub async fn what_is_paused_or_left_out_is_not_asked_about(mut outbox: Outbox) {
    outbox.insert(&[5]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    send(&mut tenure).await;
    let at = now() + LATER;
    for channel in [None, Some(Channel::Chat)] {
        let without = [("default".to_owned(), channel)];
        assert!(tenure.take_follow_ups(9, &without, at, LEASE).await.unwrap().is_empty());
    }
    outbox.store.pause(None, Some(Channel::Chat), "", None).await.unwrap();
    assert!(take(&mut tenure, at).await.is_empty());
    outbox.store.resume(None, Some(Channel::Chat)).await.unwrap();
    let others = [("default".to_owned(), Some(Channel::Mail)), ("shop".to_owned(), None)];
    assert_eq!(tenure.take_follow_ups(9, &others, at, LEASE).await.unwrap().len(), 1);
}

pub async fn a_sent_row_that_cannot_be_taken_up_stops_no_other(mut outbox: Outbox) {
    let free = || NewJob { ordering_key: Some(String::new()), ..chat(5) };
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(outbox.store.insert(&free()).await.unwrap().id());
    }
    let mut tenure = outbox.take_over().await.unwrap();
    send(&mut tenure).await;
    let when = format!("OLD.id = {}", jobs[1]);
    let rule = outbox.engine().own_rule("UPDATE OF follow_at", &when, "the shop says no");
    outbox.store.execute_sql(&rule).await.unwrap();
    let mut taken = Vec::new();
    for _ in 0..5 {
        let more = take(&mut tenure, now() + LATER).await;
        taken.extend(more.iter().map(|job| job.id));
    }
    taken.sort_unstable();
    assert_eq!(taken, [jobs[0], jobs[2]]);
    assert_eq!(outbox.store.overview(now()).await.unwrap().set_aside.count, 0);
}

pub async fn nobody_else_writes_what_became_of_a_message(mut outbox: Outbox) {
    let jobs = outbox.insert(&[5]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    send(&mut tenure).await;
    let id = jobs[0];
    for (column, says) in [
        (
            "delivery = 'seen'",
            "outbox.delivery: is written by the dispatcher and cannot be changed",
        ),
        ("delivery_at = created_at", "outbox.delivery_at: is written by the dispatcher"),
        ("follow_at = NULL", "and follow... are the dispatcher's own and cannot be changed"),
        ("followed_at = created_at", "and follow... are the dispatcher's own"),
    ] {
        let update = format!("UPDATE outbox SET {column} WHERE id = {id}");
        let refused = outbox.store.execute_sql(&update).await.unwrap_err();
        assert!(refused.rule().is_some_and(|rule| rule.contains(says)), "{column}: {refused}");
    }
    for column in ["delivery", "delivery_at", "follow_at", "followed_at"] {
        let value = if column == "delivery" { "'seen'" } else { "created_at" };
        let insert = format!(
            "INSERT INTO outbox (channel, payload, {column}) SELECT channel, payload, {value} FROM outbox"
        );
        let refused = outbox.store.execute_sql(&insert).await.unwrap_err();
        assert!(refused.rule().is_some_and(|rule| rule.contains("leave them out")), "{refused}");
    }
}

pub async fn where_it_is_off_nothing_is_asked(mut outbox: Outbox) {
    outbox.insert(&[5]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    let claimed = cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed;
    cycle(&mut tenure, &[ended(&claimed[0], accepted(), now())], None, now()).await;
    assert_eq!(tenure.look().await.unwrap().next_follow_up, None);
    assert!(take(&mut tenure, now() + 100 * LATER).await.is_empty());
    assert_eq!(outbox.store.overview(now()).await.unwrap().following, 0);
}

pub async fn undelivered_messages_are_found_by_filter_and_counted(mut outbox: Outbox) {
    let free = |case| NewJob { ordering_key: Some(String::new()), ..chat(case) };
    let mut jobs = Vec::new();
    for case in 1..=5 {
        jobs.push(outbox.store.insert(&free(case)).await.unwrap().id());
    }
    let mut tenure = outbox.take_over().await.unwrap();
    send(&mut tenure).await;
    let taken = take(&mut tenure, now() + LATER).await;
    for (job, state) in taken.iter().zip(DeliveryState::ALL) {
        assert!(record(&mut tenure, job, Some(DeliveryEvent { state, at: None })).await);
    }
    let of = |deliveries: &[DeliveryState]| Filter {
        deliveries: deliveries.to_vec(),
        ..Filter::default()
    };
    let elsewhere = Filter { channel: Some(Channel::Sms), ..of(&DeliveryState::ALL) };
    for (filter, expected) in [
        (of(&[DeliveryState::Bounced]), &jobs[2..3]),
        (of(&[DeliveryState::Failed, DeliveryState::Bounced]), &jobs[2..4]),
        (of(&[DeliveryState::Delivered]), &jobs[..1]),
        (of(&DeliveryState::ALL), &jobs[..4]),
        (elsewhere, &[][..]),
    ] {
        let page = Page { ascending: true, ..Page::newest(50) };
        let by_page = outbox.store.deliveries(&filter, &page).await.unwrap();
        assert_eq!(by_page.iter().map(|job| job.id).collect::<Vec<_>>(), expected, "{filter:?}");
        let by_ids = outbox.store.ids(&filter, 0, acquire_outbox::store::ALL).await.unwrap();
        assert_eq!(by_ids, expected);
        assert_eq!(outbox.store.ids(&filter, 0, 50).await.unwrap(), expected);
        assert_eq!(outbox.store.count(&filter).await.unwrap(), expected.len() as u64);
    }
    let undelivered = outbox.store.overview(now()).await.unwrap().undelivered;
    assert_eq!((undelivered.bounced, undelivered.failed), (1, 1));
    assert_eq!(outbox.store.pulse(now(), 10).await.unwrap().undelivered, undelivered);
}

pub async fn what_cannot_be_read_back_is_noted_until_it_can(mut outbox: Outbox) {
    let mut tenure = outbox.take_over().await.unwrap();
    assert_eq!(tenure.unreadable().await.unwrap(), []);
    let of = |purpose, code: &str| UnreadableRoute {
        account: "default".to_owned(),
        channel: Channel::Sms,
        purpose,
        fault: Fault::new(code, "no\0"),
        since: now(),
    };
    tenure.note_unreadable(&of(ReadPurpose::Verify, "http_403")).await.unwrap();
    tenure.note_unreadable(&of(ReadPurpose::FollowUp, "http_403")).await.unwrap();
    let first = tenure.unreadable().await.unwrap();
    tenure.note_unreadable(&of(ReadPurpose::Verify, "read_shape")).await.unwrap();
    drop(tenure);
    let mut tenure = outbox.take_over().await.unwrap();
    let seen = tenure.unreadable().await.unwrap();
    let by_purpose = |all: &[UnreadableRoute], purpose| {
        all.iter().find(|route| route.purpose == purpose).unwrap().clone()
    };
    let verify = by_purpose(&seen, ReadPurpose::Verify);
    assert_eq!((verify.channel, verify.fault.code.as_str()), (Channel::Sms, "read_shape"));
    assert_eq!(verify.since, by_purpose(&first, ReadPurpose::Verify).since, "it keeps its time");
    assert_eq!(outbox.store.overview(now()).await.unwrap().unreadable, seen);
    tenure.note_readable("default", Channel::Sms, ReadPurpose::Verify).await.unwrap();
    let left = tenure.unreadable().await.unwrap();
    assert_eq!(left, [by_purpose(&seen, ReadPurpose::FollowUp)]);
}
