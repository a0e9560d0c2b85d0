use super::route_meter::KINDS;
use super::*;
use crate::queue::job::Job;
use crate::queue::outcome::{Fault, Outcome, Receipt};
use crate::queue::transition::{self, AttemptKind};
use prometheus_client::encoding::text::encode;

const NOW: Millis = 1_700_000_000_000;

fn metrics() -> Metrics {
    Metrics::new(Instant::now(), NOW)
}

fn job(channel: Channel) -> Job {
    Job {
        id: 1,
        channel,
        account: "default".into(),
        payload: Vec::new(),
        attempts: 1,
        claim: 1,
        unspent: 0,
        uncertain_attempts: 0,
        budget_from: NOW,
        max_attempts: None,
        due_at: NOW - 2_000,
        expires_at: None,
    }
}

fn ended(channel: Channel, outcome: Outcome) -> Ended {
    let job = job(channel);
    let transition = transition::decide(&job, outcome, &ChannelPolicy::default(), NOW);
    Ended {
        transition,
        account: job.account.clone(),
        channel,
        due_at: job.due_at,
        http_status: None,
        started_at: NOW - 20,
        duration_ms: 20,
    }
}

fn accepted() -> Outcome {
    Outcome::Accepted { receipt: Receipt::default(), note: None }
}

fn text(metrics: &Metrics) -> String {
    let mut text = String::new();
    encode(&mut text, metrics.registry()).unwrap();
    text
}

#[test]
fn questions_to_acquire_are_shown_where_they_are_asked() {
    let metrics = metrics();
    let (looks, follow_ups) = ("acquire_outbox_looks_total{", "acquire_outbox_follow_ups_total{");
    let shown = |series: &str| text(&metrics).matches(series).count();
    metrics.show_questions("default", Channel::Chat, &ChannelPolicy::default());
    assert_eq!((shown(looks), shown(follow_ups)), (0, 0));
    let verifies = ChannelPolicy { on_uncertain: OnUncertain::Verify, ..ChannelPolicy::default() };
    metrics.show_questions("default", Channel::Chat, &verifies);
    assert_eq!((shown(looks), shown(follow_ups)), (5, 0));
    let follows = ChannelPolicy { follow_up: Some(Duration::from_secs(60)), ..verifies };
    metrics.show_questions("default", Channel::Chat, &follows);
    assert_eq!((shown(looks), shown(follow_ups)), (5, 8));
}

#[test]
fn an_attempt_is_counted_by_its_outcome_and_a_job_by_its_end() {
    let metrics = metrics();
    let meter = metrics.route("default", Channel::Sms);
    meter.begun();
    let e = ended(Channel::Sms, accepted());
    meter.ended(Some((AttemptKind::Accepted, Duration::from_millis(20))));
    metrics.recorded([&e]);
    let refused = ended(
        Channel::Mail,
        Outcome::Rejected { fault: Fault::new("x", "y"), receipt: Receipt::default() },
    );
    metrics.recorded([&refused]);
    let text = text(&metrics);
    for line in [
        "acquire_outbox_attempts_total{account=\"default\",channel=\"sms\",outcome=\"accepted\"} 1",
        "acquire_outbox_attempts_total{account=\"default\",channel=\"sms\",outcome=\"retry\"} 0",
        "acquire_outbox_in_flight{account=\"default\",channel=\"sms\"} 0",
        "acquire_outbox_finished_total{channel=\"sms\",status=\"sent\",failure=\"\"} 1",
        "acquire_outbox_finished_total{channel=\"mail\",status=\"failed\",failure=\"rejected\"} 1",
        "acquire_outbox_request_duration_seconds_bucket{le=\"0.025\",channel=\"sms\"} 1",
        "acquire_outbox_due_to_sent_seconds_sum{channel=\"sms\"} 2.0",
    ] {
        assert!(text.lines().any(|l| l == line), "no {line} in:\n{text}");
    }
}

#[test]
fn a_job_without_a_request_is_not_counted_as_an_attempt() {
    let metrics = metrics();
    let meter = metrics.route("default", Channel::Chat);
    meter.begun();
    let e = ended(Channel::Chat, Outcome::Withdrawn);
    meter.ended(None);
    metrics.recorded([&e]);
    let text = text(&metrics);
    assert!(text.contains("acquire_outbox_in_flight{account=\"default\",channel=\"chat\"} 0"));
    assert!(text.contains("acquire_outbox_request_duration_seconds_count{channel=\"chat\"} 0"));
}

#[test]
fn the_time_since_the_last_iteration_uses_the_given_clock() {
    let metrics = metrics();
    let begun = metrics.begun;
    assert_eq!(metrics.last_turn(begun), None);
    metrics.turned(begun + Duration::from_secs(3));
    let at = |seconds| metrics.last_turn(begun + Duration::from_secs(seconds));
    assert_eq!((at(10), at(3), at(1)), (Some(Duration::from_secs(7)), at(3), at(3)));
    assert_eq!(at(3), Some(Duration::ZERO));
}

#[test]
fn every_state_is_reported() {
    let metrics = metrics();
    assert_eq!(metrics.state(), DaemonState::Starting);
    for state in DaemonState::ALL {
        metrics.enter(state);
        assert_eq!(metrics.state(), state);
    }
}

#[test]
fn the_labels_of_outcomes_are_those_in_the_table() {
    for (at, (kind, word)) in KINDS.into_iter().enumerate() {
        assert_eq!(kind as usize, at);
        assert_eq!(serde_json::to_value(kind).unwrap(), word);
    }
    assert!(Failure::ALL.iter().enumerate().all(|(at, failure)| *failure as usize == at));
    assert!(Channel::ALL.iter().enumerate().all(|(at, channel)| *channel as usize == at));
}

#[test]
fn the_metrics_take_little_memory() {
    assert!(size_of::<Metrics>() < 16 * 1024, "{}", size_of::<Metrics>());
}
