//! Jobs of unknown outcome that are looked for at Acquire, through a tenure.

use super::{Outbox, accepted, chat, cycle, ended, fault, ids, room, room_of};
use acquire_outbox::config::{ChannelPolicy, OnUncertain};
use acquire_outbox::queue::change::{Change, Mode, Resolution};
use acquire_outbox::queue::doubt::DoubtfulJob;
use acquire_outbox::queue::ended::Ended;
use acquire_outbox::queue::job::{Channel, Job, Millis};
use acquire_outbox::queue::new_job::NewJob;
use acquire_outbox::queue::outcome::{Outcome, Receipt};
use acquire_outbox::queue::policy::Purpose;
use acquire_outbox::queue::story::Extent;
use acquire_outbox::queue::transition::{Transition, after_look, decide};
use acquire_outbox::queue::verification::{Candidate, Likeness, Verdict};
use acquire_outbox::queue::when::now;
use acquire_outbox::store::Tenure;
use std::time::Duration;

/// Far enough ahead that every look and every attempt is due.
const DAY: i64 = 86_400_000;
const LEASE: Duration = Duration::from_secs(60);

fn policy() -> ChannelPolicy {
    ChannelPolicy { on_uncertain: OnUncertain::Verify, ..ChannelPolicy::default() }
}

fn unknown(job: &Job, at: Millis) -> Ended {
    let outcome = Outcome::Unknown { fault: fault() };
    let transition = decide(job, outcome, &policy(), now());
    Ended { transition, ..ended(job, accepted(), at) }
}

/// Claims what there is and loses its answers.
async fn lose(tenure: &mut Tenure) -> Vec<Job> {
    let claimed = cycle(tenure, &[], Some(&room(9)), now()).await.claimed;
    let record: Vec<_> = claimed.iter().map(|job| unknown(job, now() - 20)).collect();
    let done = cycle(tenure, &record, Some(&room(0)), now()).await;
    assert_eq!(done.recorded.ids, ids(&claimed));
    claimed
}

async fn take(tenure: &mut Tenure, at: Millis) -> Vec<DoubtfulJob> {
    let mut taken = tenure.take_sought(9, &[], at, LEASE).await.unwrap();
    taken.sort_by_key(|doubt| doubt.job.id);
    taken
}

fn found(doubt: &DoubtfulJob, id: &str) -> Transition {
    let seen = Candidate {
        message_id: id.to_owned(),
        receipt: Receipt::default(),
        created: Some(now()),
        sender: "user".to_owned(),
        likeness: Likeness::Same,
    };
    after_look(&doubt.job, Verdict::Sent(seen), &policy(), None, now())
}

fn absent(doubt: &DoubtfulJob) -> Transition {
    after_look(&doubt.job, Verdict::NotDelivered, &policy(), None, now())
}

fn unclear(doubt: &DoubtfulJob, next: Option<Millis>) -> Transition {
    let verdict = Verdict::Unclear { fault: fault(), candidates: Vec::new() };
    after_look(&doubt.job, verdict, &policy(), next, now())
}

pub async fn a_job_of_unknown_outcome_is_looked_for_and_recorded_as_sent(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1, 1]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    lose(&mut tenure).await;
    assert_eq!(outbox.statuses(&jobs).await, ["uncertain", "pending"]);
    let agenda = tenure.look().await.unwrap();
    assert!(agenda.next_look.is_some_and(|at| at > now() + 2_000 && at < now() + 7_000));
    assert!(tenure.left(now()).await.unwrap().is_none(), "it is not left");
    assert!(take(&mut tenure, now()).await.is_empty(), "it is too early");
    let doubts = take(&mut tenure, now() + 10_000).await;
    let [doubt] = &doubts[..] else { panic!("{doubts:?}") };
    let sought = &doubt.sought;
    assert_eq!((sought.id, sought.round, sought.attempts), (jobs[0], 1, 1));
    let payload: serde_json::Value = serde_json::from_str(&sought.payload).unwrap();
    assert_eq!(payload["message"], "hello");
    let (since, until) = (now() - sought.since, now() - sought.until);
    assert!(until >= 0 && since >= until && since < 5_000, "{since} {until}");
    // The lane is kept: nothing of it is claimed.
    assert!(cycle(&mut tenure, &[], Some(&room(9)), now() + DAY).await.claimed.is_empty());
    let recorded = tenure.record_verdict(sought, &found(doubt, "77"), Some("[]")).await;
    assert!(recorded.unwrap());
    let again = tenure.record_verdict(sought, &found(doubt, "77"), None).await.unwrap();
    assert!(!again, "it is not verified any more");
    let story = outbox.store.story(jobs[0], Extent::ALL).await.unwrap().unwrap();
    let row = &story.job.delivery;
    assert_eq!((row.status.as_str(), row.message_id.as_deref()), ("sent", Some("77")));
    assert_eq!(row.error_code.as_deref(), Some("verified"));
    let outcomes: Vec<_> = story.history.iter().map(|row| row.outcome.as_str()).collect();
    assert_eq!(outcomes, ["verified"]);
    assert_eq!(story.job.seen.as_deref(), Some("[]"));
    let next = cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed;
    assert_eq!(ids(&next), jobs[1..]);
}

pub async fn a_look_that_is_lost_is_made_again_after_its_lease(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    lose(&mut tenure).await;
    let first = take(&mut tenure, now() + 10_000).await;
    assert!(take(&mut tenure, now() + 20_000).await.is_empty(), "it is the first one's");
    let second = take(&mut tenure, now() + 80_000).await;
    assert_eq!(second[0].sought.round, 2);
    let late = tenure.record_verdict(&first[0].sought, &found(&first[0], "77"), None).await;
    assert!(!late.unwrap(), "the fence");
    assert_eq!(outbox.status(jobs[0]).await, "uncertain");
    assert!(
        tenure.record_verdict(&second[0].sought, &found(&second[0], "77"), None).await.unwrap()
    );
}

pub async fn what_is_not_there_is_sent_again_in_its_order(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1, 1]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    lose(&mut tenure).await;
    let doubts = take(&mut tenure, now() + 10_000).await;
    let next = unclear(&doubts[0], Some(now() + 30_000));
    assert!(tenure.record_verdict(&doubts[0].sought, &next, None).await.unwrap());
    assert_eq!(outbox.status(jobs[0]).await, "uncertain");
    let doubts = take(&mut tenure, now() + 40_000).await;
    let first_since = doubts[0].sought.since;
    assert!(tenure.record_verdict(&doubts[0].sought, &absent(&doubts[0]), None).await.unwrap());
    assert_eq!(outbox.statuses(&jobs).await, ["pending", "pending"]);
    let again = cycle(&mut tenure, &[], Some(&room(9)), now() + DAY).await.claimed;
    assert_eq!((ids(&again), again[0].attempts), (jobs[..1].to_vec(), 2));
    assert_eq!((again[0].uncertain_attempts, again[0].unspent), (0, 0));
    // Lost again: the time in which it is looked for begins with the first attempt.
    cycle(&mut tenure, &[unknown(&again[0], now())], None, now()).await;
    let doubts = take(&mut tenure, now() + 10_000).await;
    assert!((doubts[0].sought.since - first_since).abs() < 1_000);
    assert_eq!((doubts[0].sought.round, doubts[0].sought.attempts), (1, 2));
}

pub async fn what_stays_unclear_is_left_to_a_person_and_frees_its_lane(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1, 1]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    lose(&mut tenure).await;
    let doubts = take(&mut tenure, now() + 10_000).await;
    assert!(
        tenure.record_verdict(&doubts[0].sought, &unclear(&doubts[0], None), None).await.unwrap()
    );
    let row = outbox.store.delivery(jobs[0]).await.unwrap().unwrap();
    assert_eq!((row.status.as_str(), row.error_code.as_deref()), ("uncertain", Some("http_503")));
    assert!(take(&mut tenure, now() + DAY).await.is_empty());
    let next = cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed;
    assert_eq!(ids(&next), jobs[1..]);
    // A person asks for another look: it is made at once, and holds nothing back.
    assert!(outbox.store.change(Change::Verify, &jobs[..1], Mode::Apply).await.unwrap().is_empty());
    let doubts = take(&mut tenure, now() + 1_500).await;
    assert_eq!(doubts[0].job.id, jobs[0]);
    assert!(tenure.record_verdict(&doubts[0].sought, &absent(&doubts[0]), None).await.unwrap());
    cycle(&mut tenure, &[ended(&next[0], accepted(), now())], None, now()).await;
    let again = cycle(&mut tenure, &[], Some(&room(9)), now() + DAY).await.claimed;
    assert_eq!(ids(&again), jobs[..1]);
}

pub async fn a_person_ends_a_verification(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1, 1, 2, 2, 3]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    lose(&mut tenure).await;
    let doubts = take(&mut tenure, now() + 10_000).await;
    assert_eq!(doubts.len(), 3);
    let sent = Change::Resolve(Resolution::Sent);
    assert!(outbox.store.change(sent, &jobs[..1], Mode::Apply).await.unwrap().is_empty());
    assert!(outbox.store.change(Change::Retry, &jobs[2..3], Mode::Apply).await.unwrap().is_empty());
    let id = jobs[4];
    outbox.store.execute_sql(&format!("DELETE FROM outbox WHERE id = {id}")).await.unwrap();
    for doubt in &doubts {
        assert!(!tenure.record_verdict(&doubt.sought, &found(doubt, "77"), None).await.unwrap());
    }
    assert!(take(&mut tenure, now() + DAY).await.is_empty());
    let next = cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed;
    let mut claimed = ids(&next);
    claimed.sort_unstable();
    assert_eq!(
        claimed,
        [jobs[1], jobs[2]],
        "the next of the first key, and the one that is sent again"
    );
}

pub async fn a_message_belongs_to_one_job(mut outbox: Outbox) {
    let free = || NewJob { ordering_key: Some(String::new()), ..chat(1) };
    let mut jobs = Vec::new();
    for _ in 0..2 {
        jobs.push(outbox.store.insert(&free()).await.unwrap().id());
    }
    let mut tenure = outbox.take_over().await.unwrap();
    lose(&mut tenure).await;
    let doubts = take(&mut tenure, now() + 10_000).await;
    assert!(tenure.has_rival(&doubts[0].sought).await.unwrap(), "the other may have sent it");
    let ids = ["77", "78"];
    assert!(tenure.recorded_ids(&doubts[0].sought, &ids).await.unwrap().is_empty());
    assert!(
        tenure.record_verdict(&doubts[0].sought, &found(&doubts[0], "77"), None).await.unwrap()
    );
    let recorded = tenure.recorded_ids(&doubts[1].sought, &ids).await.unwrap();
    assert_eq!(recorded.into_iter().collect::<Vec<_>>(), ["77"]);
    let own = tenure.recorded_ids(&doubts[0].sought, &ids).await.unwrap();
    assert!(own.is_empty(), "its own does not count");
    assert!(!tenure.has_rival(&doubts[1].sought).await.unwrap(), "the other's message is known");
    let taken = tenure.record_verdict(&doubts[1].sought, &found(&doubts[1], "77"), None).await;
    assert!(!taken.unwrap(), "another job has it");
    assert_eq!(outbox.status(jobs[1]).await, "uncertain");
    let other = NewJob { payload: r#"{"caseId": 1, "message": "other"}"#.to_owned(), ..free() };
    outbox.store.insert(&other).await.unwrap();
    assert_eq!(cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed.len(), 1);
    assert!(!tenure.has_rival(&doubts[1].sought).await.unwrap(), "another text");
    outbox.store.insert(&free()).await.unwrap();
    assert_eq!(cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed.len(), 1);
    assert!(tenure.has_rival(&doubts[1].sought).await.unwrap(), "one that is being sent");
}

pub async fn a_job_that_leaves_its_case_out_may_have_sent_any_message_like_it(mut outbox: Outbox) {
    outbox.store.fill_missing(&[Channel::Sms]).await.unwrap();
    let sms = |ids: &str, text: &str| NewJob {
        channel: Channel::Sms,
        payload: format!(
            r#"{{"From": "+12513188609", "To": "+919666929552", "contactId": 3, "Body": "{text}"{ids}}}"#
        ),
        ordering_key: Some(String::new()),
        ..chat(1)
    };
    let complete = sms(r#", "threadId": 7, "timelineId": 8"#, "hello");
    let complete = outbox.store.insert(&complete).await.unwrap().id();
    outbox.store.insert(&sms("", "other")).await.unwrap();
    let mut tenure = outbox.take_over().await.unwrap();
    let claimed = cycle(&mut tenure, &[], Some(&room_of(Channel::Sms, 9)), now()).await.claimed;
    let record: Vec<_> = claimed.iter().map(|job| unknown(job, now() - 20)).collect();
    cycle(&mut tenure, &record, Some(&room(0)), now()).await;
    let doubts = take(&mut tenure, now() + 10_000).await;
    let doubt = doubts.iter().find(|doubt| doubt.job.id == complete).unwrap();
    assert!(!tenure.has_rival(&doubt.sought).await.unwrap(), "another text");
    outbox.store.insert(&sms("", "hello")).await.unwrap();
    let claimed = cycle(&mut tenure, &[], Some(&room_of(Channel::Sms, 9)), now()).await.claimed;
    assert_eq!(claimed.len(), 1);
    assert!(tenure.has_rival(&doubt.sought).await.unwrap(), "it is being sent, to whichever case");
}

pub async fn what_is_paused_or_left_out_is_not_looked_for(mut outbox: Outbox) {
    outbox.insert(&[1]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    lose(&mut tenure).await;
    let at = now() + 10_000;
    for channel in [None, Some(Channel::Chat)] {
        let without = [("default".to_owned(), channel)];
        assert!(tenure.take_sought(9, &without, at, LEASE).await.unwrap().is_empty());
    }
    outbox.store.pause(Some("default"), None, "", None).await.unwrap();
    assert!(take(&mut tenure, at).await.is_empty());
    assert_eq!(tenure.left(now()).await.unwrap().map(|left| left.paused), Some(1));
    outbox.store.resume(Some("default"), None).await.unwrap();
    let others = [("default".to_owned(), Some(Channel::Mail)), ("shop".to_owned(), None)];
    assert_eq!(tenure.take_sought(9, &others, at, LEASE).await.unwrap().len(), 1);
}

pub async fn a_row_that_cannot_be_taken_up_stops_no_other(mut outbox: Outbox) {
    let earlier = outbox.insert(&[1]).await[0];
    let mut tenure = outbox.take_over().await.unwrap();
    lose(&mut tenure).await;
    let payload = r#"{"From": "+12513188609", "To": "+919666929552", "contactId": 3, "Body": "hi", "threadId": 7, "timelineId": 8}"#;
    let mut sms = Vec::new();
    for _ in 0..2 {
        let job = NewJob {
            channel: Channel::Sms,
            payload: payload.to_owned(),
            ordering_key: Some(String::new()),
            ..chat(1)
        };
        sms.push(outbox.store.insert(&job).await.unwrap().id());
    }
    let claimed = cycle(&mut tenure, &[], Some(&room_of(Channel::Sms, 9)), now()).await.claimed;
    let record: Vec<_> = claimed.iter().map(|job| unknown(job, now() - 20)).collect();
    cycle(&mut tenure, &record, Some(&room(0)), now()).await;
    let when = format!("OLD.id = {}", sms[0]);
    let rule = outbox.engine().own_rule("UPDATE OF verify_round", &when, "the shop says no");
    outbox.store.execute_sql(&rule).await.unwrap();
    // The one that waits longest is left alone, and is not to blame.
    let without = [("default".to_owned(), Some(Channel::Chat))];
    let mut taken = Vec::new();
    for _ in 0..3 {
        let doubts = tenure.take_sought(9, &without, now() + 10_000, LEASE).await.unwrap();
        taken.extend(doubts.iter().map(|doubt| doubt.job.id));
    }
    assert_eq!(taken, sms[1..]);
    let seen = outbox.store.overview(now()).await.unwrap().set_aside;
    assert_eq!((seen.count, seen.first[0].id), (1, sms[0]));
    assert_eq!(take(&mut tenure, now() + 10_000).await[0].job.id, earlier);
}

pub async fn what_a_dead_dispatcher_was_sending_is_looked_for(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1, 1]).await;
    let mut tenure = outbox.take_over().await.unwrap();
    assert_eq!(cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed.len(), 1);
    drop(tenure);
    let decide = |job: &Job, at: Millis| unknown(job, at);
    let mut next =
        Tenure::take_over(&outbox.database, Purpose::Delivery, decide, |_| {}).await.unwrap();
    assert_eq!(outbox.statuses(&jobs).await, ["uncertain", "pending"]);
    assert!(cycle(&mut next, &[], Some(&room(9)), now()).await.claimed.is_empty());
    let doubts = take(&mut next, now() + 10_000).await;
    assert_eq!((doubts[0].job.id, doubts[0].sought.attempts), (jobs[0], 1));
}

pub async fn nobody_else_writes_what_verification_needs(mut outbox: Outbox) {
    let jobs = outbox.insert(&[1]).await;
    let id = jobs[0];
    for change in ["verify_at = NULL", "verify_seen = NULL", "status = 'uncertain'"] {
        let update = format!("UPDATE outbox SET {change}, verify_round = 7 WHERE id = {id}");
        assert!(outbox.store.execute_sql(&update).await.unwrap_err().rule().is_some(), "{change}");
    }
    let mut tenure = outbox.take_over().await.unwrap();
    lose(&mut tenure).await;
    let payload = format!("UPDATE outbox SET priority = 3 WHERE id = {id}");
    let refused = outbox.store.execute_sql(&payload).await.unwrap_err();
    assert!(refused.rule().is_some_and(|rule| rule.contains("being verified")), "{refused}");
}
