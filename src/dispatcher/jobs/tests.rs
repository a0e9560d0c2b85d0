use super::*;
use crate::config::Config;
use crate::dispatcher::routes::tests::{chat, id, routes};
use crate::dispatcher::sender::decide;
use crate::metrics::Metrics;
use crate::queue::job::Channel;
use crate::queue::outcome::{AttemptResult, Outcome, Receipt};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What may happen to the jobs; a number chooses among those that it may happen to.
#[derive(Debug, Clone, Copy)]
enum Event {
    Claimed,
    FindsPlace,
    GoesBack,
    KeepingBegins,
    AnswersAreKept,
    AnswersAreNotKept,
    RequestEnds(usize),
    CycleBegins,
    CycleSucceeds,
    CycleFails,
    /// A row of the cycle is refused, and kept for the next one.
    CycleRecordsAllBut(usize),
    Reload,
}

/// The stages that a job is in, apart from its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Waiting,
    Sending,
    /// Whether it has its place.
    ToRecord(bool),
    Recording(bool),
}

/// The map, and what it should be.
struct JobsFixture {
    config: Config,
    jobs: Jobs,
    expected: BTreeMap<i64, Expected>,
    order: Vec<i64>,
    recording: Vec<Ended>,
    keeping: Vec<i64>,
    route: RouteId,
    endpoint: Arc<Endpoint>,
    meter: Arc<RouteMeter>,
    last_id: i64,
}

impl JobsFixture {
    fn new() -> JobsFixture {
        let routes = routes(&[(Channel::Chat, None)]);
        let route = id(&routes, Channel::Chat);
        let url = "http://127.0.0.1:9/api/v1".parse().unwrap();
        JobsFixture {
            config: Config::for_sandbox("outbox.db".into(), &url),
            jobs: Jobs::default(),
            expected: BTreeMap::new(),
            order: Vec::new(),
            recording: Vec::new(),
            keeping: Vec::new(),
            route,
            endpoint: Arc::clone(&routes.of(route).endpoint),
            meter: Arc::new(Metrics::new(Instant::now(), 0).route("default", Channel::Chat)),
            last_id: 0,
        }
    }

    fn unsent(&self, id: i64) -> Ended {
        self.ended(id, Outcome::Withdrawn)
    }

    fn sent(&self, id: i64) -> Ended {
        let receipt = Receipt::default();
        self.ended(id, Outcome::Accepted { receipt, note: None })
    }

    fn ended(&self, id: i64, outcome: Outcome) -> Ended {
        let attempt =
            AttemptResult { outcome, http_status: None, started_at: 0, duration: Duration::ZERO };
        decide(&self.config, &chat(id), attempt)
    }

    /// The ids in this stage.
    fn all(&self, stage: Expected) -> Vec<i64> {
        self.expected.iter().filter(|(_, now)| **now == stage).map(|(id, _)| *id).collect()
    }

    fn expect(&mut self, id: i64, stage: Expected) {
        self.expected.insert(id, stage);
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Claimed => {
                self.last_id += 1;
                self.expect(self.last_id, Expected::Waiting);
                let job = Job { payload: vec![b'.'; 7], ..chat(self.last_id) };
                self.jobs.wait(self.route, job, tokio::time::Instant::now());
            }
            Event::FindsPlace => {
                let Some(job) = self.first_waiting() else { return };
                self.expect(job.id, Expected::Sending);
                self.jobs.send(InFlight {
                    job,
                    payload_bytes: 7,
                    route: Some(self.route),
                    endpoint: Arc::clone(&self.endpoint),
                    meter: Arc::clone(&self.meter),
                });
            }
            Event::GoesBack => {
                let Some(job) = self.first_waiting() else { return };
                self.expect(job.id, Expected::ToRecord(false));
                self.order.push(job.id);
                self.jobs.end_unsent(self.unsent(job.id));
            }
            Event::KeepingBegins => {
                let unkept: Vec<_> = self.jobs.unkept().iter().map(|e| e.transition.id).collect();
                for id in &unkept {
                    assert_eq!(self.expected[id], Expected::ToRecord(true));
                }
                self.keeping.extend(unkept);
                self.jobs.begin_keeping();
            }
            Event::AnswersAreKept => {
                for id in std::mem::take(&mut self.keeping) {
                    match self.expected[&id] {
                        Expected::Recording(true) => self.expect(id, Expected::Recording(false)),
                        Expected::ToRecord(true) => self.expect(id, Expected::ToRecord(false)),
                        other => panic!("job {id}: {other:?}"),
                    }
                }
                self.jobs.kept();
            }
            Event::AnswersAreNotKept => {
                self.keeping.clear();
                self.jobs.not_kept();
            }
            Event::RequestEnds(which) => {
                let sending = self.all(Expected::Sending);
                let Some(&id) = sending.get(which % sending.len().max(1)) else { return };
                assert_eq!(self.jobs.request(id).unwrap().job.id, id);
                self.expect(id, Expected::ToRecord(true));
                self.order.push(id);
                self.jobs.end(self.sent(id));
                assert!(self.jobs.request(id).is_none(), "a request ends once");
            }
            // One cycle at a time.
            Event::CycleBegins if self.recording.is_empty() => {
                self.recording = self.jobs.begin_recording();
                let taken: Vec<_> = self.recording.iter().map(|e| e.transition.id).collect();
                assert_eq!(taken, std::mem::take(&mut self.order), "all of them, in their order");
                for id in taken {
                    let Expected::ToRecord(place) = self.expected[&id] else { panic!("job {id}") };
                    self.expect(id, Expected::Recording(place));
                }
            }
            Event::CycleBegins => {}
            Event::CycleSucceeds => self.cycle_ends(|_| true),
            Event::CycleFails => self.cycle_ends(|_| false),
            Event::CycleRecordsAllBut(refused) => self.cycle_ends(|at| at != refused),
            Event::Reload => {
                let route = self.route;
                while let Some(job) = self.first_waiting() {
                    self.expect(job.id, Expected::ToRecord(false));
                    self.order.push(job.id);
                    self.jobs.end_unsent(self.unsent(job.id));
                }
                self.jobs.reroute(|id| (id == route).then_some(id));
            }
        }
    }

    fn cycle_ends(&mut self, recorded: impl Fn(usize) -> bool) {
        let taken = std::mem::take(&mut self.recording).into_iter().enumerate();
        let (on_disk, again): (Vec<_>, Vec<_>) = taken.partition(|(at, _)| recorded(*at));
        let on_disk: Vec<_> = on_disk.into_iter().map(|(_, ended)| ended).collect();
        let again: Vec<_> = again.into_iter().map(|(_, ended)| ended).collect();
        self.expected.retain(|id, _| !on_disk.iter().any(|ended| ended.transition.id == *id));
        self.keeping.retain(|id| self.expected.contains_key(id));
        let first = again.iter().map(|ended| ended.transition.id);
        self.order.splice(0..0, first.clone());
        for id in first {
            let Expected::Recording(place) = self.expected[&id] else { panic!("job {id}") };
            self.expect(id, Expected::ToRecord(place));
        }
        self.jobs.recorded(&on_disk);
        self.jobs.not_recorded(again);
    }

    /// Takes the first of those that wait, which is the first that was claimed.
    fn first_waiting(&mut self) -> Option<Job> {
        let first = self.all(Expected::Waiting).first().copied();
        let job = self.jobs.next_waiting(self.route);
        assert_eq!(job.as_ref().map(|job| job.id), first);
        job
    }

    fn check(&self) {
        for id in 1..=self.last_id {
            assert_eq!(self.jobs.holds(id, None), self.expected.contains_key(&id), "job {id}");
        }
        let in_flight = self.all(Expected::Sending).len();
        assert_eq!(self.jobs.in_flight(), in_flight);
        let waiting = self.all(Expected::Waiting).len();
        assert_eq!(self.jobs.unrecorded(), self.expected.len() - in_flight - waiting);
        let ended =
            [Expected::ToRecord(true), Expected::Recording(true)].map(|s| self.all(s).len());
        let places = u32::try_from(in_flight + ended.iter().sum::<usize>()).unwrap();
        assert_eq!(self.jobs.places_taken(self.route), places);
        assert_eq!(self.jobs.waiting_since(self.route).is_some(), waiting > 0);
        assert_eq!(self.jobs.is_empty(), self.expected.is_empty());
        let to_record: Vec<_> = self.jobs.to_record().map(|ended| ended.transition.id).collect();
        assert_eq!(to_record, self.order);
        let mut load = Load::default();
        (0..in_flight + waiting).for_each(|_| load.add(Some(self.route), 7));
        assert_eq!(self.jobs.load().of(self.route), load.of(self.route));
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => Just(Event::Claimed),
        4 => Just(Event::FindsPlace),
        2 => Just(Event::KeepingBegins),
        2 => Just(Event::AnswersAreKept),
        1 => Just(Event::AnswersAreNotKept),
        1 => Just(Event::GoesBack),
        4 => (0..20usize).prop_map(Event::RequestEnds),
        3 => Just(Event::CycleBegins),
        2 => Just(Event::CycleSucceeds),
        1 => Just(Event::CycleFails),
        1 => (0..3usize).prop_map(Event::CycleRecordsAllBut),
        1 => Just(Event::Reload),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_job_is_known_from_its_claim_to_its_record_whatever_happens_in_between(
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut test = JobsFixture::new();
        for event in events {
            test.happens(event);
            test.check();
        }
    }
}

#[test]
fn what_a_failed_cycle_could_not_record_is_known_and_recorded_before_what_ended_later() {
    let mut test = JobsFixture::new();
    for event in [
        Event::Claimed,
        Event::Claimed,
        Event::FindsPlace,
        Event::FindsPlace,
        Event::RequestEnds(1),
        Event::CycleBegins,
        Event::RequestEnds(0),
    ] {
        test.happens(event);
    }
    assert!(test.jobs.holds(2, None), "the running cycle records it");
    assert_eq!((test.jobs.in_flight(), test.jobs.unrecorded()), (0, 2));
    test.happens(Event::CycleFails);
    assert!(test.jobs.holds(2, None));
    let ids: Vec<_> = test.jobs.to_record().map(|ended| ended.transition.id).collect();
    assert_eq!(ids, [2, 1]);
}

/// For example after a shortage on this machine: the next attempt has the same number, so a note that is
/// left over must not be taken for its outcome.
#[test]
fn what_had_no_request_is_not_kept() {
    let mut test = JobsFixture::new();
    for event in [Event::Claimed, Event::Claimed, Event::FindsPlace, Event::FindsPlace] {
        test.happens(event);
    }
    test.jobs.end(test.unsent(1));
    test.jobs.end(test.sent(2));
    let unkept: Vec<_> = test.jobs.unkept().iter().map(|ended| ended.transition.id).collect();
    assert_eq!(unkept, [2]);
    assert_eq!(test.jobs.places_taken(test.route), 2, "both still hold their places");
}

/// On PostgreSQL a note is written while the loop continues.
#[test]
fn an_outcome_that_is_kept_after_it_was_recorded_does_not_affect_the_next_claim() {
    let mut test = JobsFixture::new();
    for event in [Event::Claimed, Event::FindsPlace, Event::RequestEnds(0), Event::KeepingBegins] {
        test.happens(event);
    }
    for event in [Event::CycleBegins, Event::CycleSucceeds] {
        test.happens(event);
    }
    test.last_id = 0;
    for event in [Event::Claimed, Event::FindsPlace, Event::RequestEnds(0)] {
        test.happens(event);
    }
    test.happens(Event::AnswersAreKept);
    assert_eq!(test.jobs.places_taken(test.route), 1, "the job's next attempt holds its place");
    test.check();
}

/// A slow route with many requests in flight does not keep a quick one from its places.
#[test]
fn a_note_is_worth_it_once_a_third_of_a_waiting_routes_places_are_answered() {
    let mut test = JobsFixture::new();
    for _ in 0..4 {
        test.happens(Event::Claimed);
    }
    for _ in 0..3 {
        test.happens(Event::FindsPlace);
    }
    assert!(!test.jobs.needs_places(), "nothing is answered");
    test.happens(Event::RequestEnds(0));
    assert!(test.jobs.needs_places());
    test.happens(Event::KeepingBegins);
    assert!(!test.jobs.needs_places(), "it is being kept");
    test.happens(Event::RequestEnds(0));
    test.happens(Event::FindsPlace);
    assert!(!test.jobs.needs_places(), "nothing waits");
}

/// A cycle recorded an attempt and claimed the job again, and its answer was lost.
#[test]
fn an_outcome_says_nothing_about_a_later_attempt() {
    let mut test = JobsFixture::new();
    for event in [Event::Claimed, Event::FindsPlace, Event::RequestEnds(0)] {
        test.happens(event);
    }
    let attempt = chat(1).attempts;
    assert!(test.jobs.holds(1, Some(attempt)) && !test.jobs.holds(1, Some(attempt + 1)));
    for event in [Event::CycleBegins, Event::CycleFails] {
        test.happens(event);
    }
    assert!(test.jobs.superseded(1).is_some());
    assert!(test.jobs.is_empty() && test.jobs.to_record().next().is_none());
    assert_eq!(test.jobs.places_taken(test.route), 0);
    assert!(test.jobs.superseded(1).is_none());
}

#[test]
fn a_request_whose_account_has_gone_counts_for_no_route() {
    let mut test = JobsFixture::new();
    test.happens(Event::Claimed);
    test.happens(Event::FindsPlace);
    test.jobs.reroute(|_| None);
    assert_eq!((test.jobs.load().of(test.route), test.jobs.in_flight()), (0, 1));
    test.happens(Event::RequestEnds(0));
    assert_eq!(*test.jobs.load(), Load::default());
}

#[test]
fn ids_that_share_their_low_bits_do_not_share_their_hashes() {
    let hash = |id: i64| {
        let mut hasher = IdHasher::default();
        hasher.write_i64(id);
        hasher.finish() & 0xff
    };
    let hashes: std::collections::BTreeSet<_> = (0..256).map(|n| hash(n << 20)).collect();
    assert!(hashes.len() > 100, "{}", hashes.len());
}
