use super::gates::BREAKER_AFTER;
use super::pace::CATCH_UP;
use super::*;
use crate::acquire::Connection;
use crate::config::{OnUncertain, Rate};
use crate::queue::claim::{Claim, Room};
use crate::queue::outcome::LocalResource;
use proptest::prelude::*;
use std::collections::BTreeSet;

pub(crate) fn routes(rates: &[(Channel, Option<Rate>)]) -> Routes {
    routes_to("http://127.0.0.1:9/api/v1", rates)
}

pub(crate) fn routes_to(base_url: &str, rates: &[(Channel, Option<Rate>)]) -> Routes {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connection = Connection {
        base_url: &base_url.parse().unwrap(),
        api_key: &"key".into(),
        user_type_parameter: "x-user-type",
        extra_roots: &[],
        request_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        proxy: None,
        at_most_once: false,
        idle_connections: usize::MAX,
    };
    let route = |&(channel, rate): &(Channel, Option<Rate>)| {
        let endpoint = Arc::new(Endpoint::new(channel, &connection).unwrap());
        let policy = ChannelPolicy { rate, on_uncertain: OnUncertain::Retry, ..Default::default() };
        Route::new("default".to_owned(), channel, endpoint, policy)
    };
    Routes::new(rates.iter().map(route).collect(), RetryPolicy::default())
}

/// What each route has room for, whether it is at rest or not.
pub(crate) fn room_of(routes: &mut Routes, now: Instant, took: Duration) -> Vec<Claim> {
    routes.room(now, took);
    let of = |r: &Route| Claim { account: r.account.clone(), channel: r.channel, limit: r.room };
    routes.routes.iter().filter(|r| r.room > 0).map(of).collect()
}

impl Routes {
    /// Of each route.
    pub(crate) fn set_max_in_flight(&mut self, limit: u32) {
        self.routes.iter_mut().for_each(|r| r.policy.max_in_flight = limit);
    }
}

fn job(channel: Channel) -> Job {
    Job {
        id: 1,
        channel,
        account: "default".to_owned(),
        payload: Vec::new(),
        attempts: 1,
        claim: 1,
        unspent: 0,
        uncertain_attempts: 0,
        budget_from: 0,
        max_attempts: None,
        due_at: 0,
        expires_at: None,
    }
}

fn rate(text: &str) -> Option<Rate> {
    Some(text.parse().unwrap())
}

/// Claims all that there is room for, as if there were jobs without end; how many.
fn claim_all(routes: &mut Routes, now: Instant) -> usize {
    let room = room_of(routes, now, Duration::ZERO);
    let jobs: Vec<_> = room.iter().flat_map(|c| (0..c.limit).map(|_| job(c.channel))).collect();
    routes.claimed(jobs.clone(), now, false);
    for job in &jobs {
        let at = Moment { at: now, wall: 0 };
        routes.next(&job.account, job.channel, at).expect("what is claimed is sent at once");
        routes.ended(&job.account, job.channel, None);
    }
    jobs.len()
}

#[test]
fn slots_that_nobody_took_are_not_saved_for_a_burst() {
    let start = Instant::now();
    let mut routes = routes(&[(Channel::Sms, rate("10/s"))]);
    for millis in (0..10_000).step_by(100) {
        let now = start + Duration::from_millis(millis);
        room_of(&mut routes, now, Duration::ZERO);
        routes.claimed(Vec::new(), now, false);
        routes.stir();
    }
    let now = start + Duration::from_secs(10);
    assert_eq!(claim_all(&mut routes, now), 1);
    assert_eq!(claim_all(&mut routes, now), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rate_is_kept_over_every_span(
        per_second in 1..5_000u32,
        steps in prop::collection::vec(0..400_000u64, 1..200),
    ) {
        let start = Instant::now();
        let mut routes = routes(&[(Channel::Sms, Some(Rate { count: per_second, per: Duration::from_secs(1) }))]);
        let (mut now, mut begun) = (start, vec![]);
        for micros in steps {
            now += Duration::from_micros(micros);
            for _ in 0..claim_all(&mut routes, now) {
                begun.push(now);
            }
        }
        let slack = 1.0 + CATCH_UP.as_secs_f64() * f64::from(per_second);
        for (i, from) in begun.iter().enumerate().step_by(7) {
            let span = (now - *from).as_secs_f64();
            let count = (begun.len() - i) as f64;
            prop_assert!(count <= span * f64::from(per_second) + slack + 0.01, "{count} in {span}");
        }
    }

    /// Otherwise the loop would spin.
    #[test]
    fn where_there_is_nothing_to_claim_the_next_opening_is_to_come(
        refused in any::<bool>(),
        held in any::<bool>(),
        steps in prop::collection::vec((0..3_000u64, 0..3usize), 1..60),
    ) {
        let start = Instant::now();
        let mut routes = routes(&[
            (Channel::Chat, rate("20/m")),
            (Channel::Mail, None),
            (Channel::Sms, rate("10/s")),
        ]);
        let moment = |at: Instant| Moment { at, wall: 0 };
        if refused {
            routes.refuse("default", Channel::Chat, "401", moment(start));
        }
        if held {
            routes.hold("default", Channel::Mail, Duration::from_secs(5), "429", moment(start));
        }
        let mut now = start;
        for (millis, found) in steps {
            now += Duration::from_millis(millis);
            routes.release(now);
            let room = room_of(&mut routes, now, Duration::ZERO);
            if routes.worth_claiming(&Room::unlimited(Vec::new())) {
                let jobs: Vec<_> = room.iter().take(found).map(|c| job(c.channel)).collect();
                routes.claimed(jobs.clone(), now, false);
                for job in &jobs {
                    prop_assert!(routes.next("default", job.channel, moment(now)).is_some());
                    routes.ended("default", job.channel, None);
                    routes.stir();
                }
                for job in &jobs {
                    routes.trouble("default", job.channel, "503", moment(now));
                }
            } else if let Some(opening) = routes.next_opening(now) {
                prop_assert!(opening > now, "{:?} ago", now - opening);
            }
        }
    }
}

#[test]
fn routes_that_find_nothing_rest() {
    for refused in [false, true] {
        let start = Instant::now();
        let mut routes = routes(&[
            (Channel::Chat, rate("1000/s")),
            (Channel::Mail, None),
            (Channel::Sms, rate("1/s")),
        ]);
        let mut now = start;
        if refused {
            routes.refuse("default", Channel::Chat, "401", Moment { at: start, wall: 0 });
            now += Duration::from_secs(10);
        }
        let room = room_of(&mut routes, now, Duration::ZERO);
        let claims = (0..10).take_while(|_| {
            room_of(&mut routes, now, Duration::ZERO);
            let worth = routes.worth_claiming(&Room::unlimited(Vec::new()));
            routes.claimed(Vec::new(), now, false);
            worth
        });
        assert!(claims.count() <= room.len() + 2, "it comes to rest");
    }
}

/// A key that may not write mail, say, is refused there and works elsewhere.
#[test]
fn a_refusal_that_another_channel_disproves_concerns_its_own_channel_alone() {
    let start = Instant::now();
    let moment = |seconds| Moment { at: start + Duration::from_secs(seconds), wall: 0 };
    let mut routes = routes(&[(Channel::Chat, None), (Channel::Mail, None)]);
    let channels = |room: Vec<Claim>| room.iter().map(|c| c.channel).collect::<Vec<_>>();

    assert!(routes.refuse("default", Channel::Mail, "401", moment(0)).1);
    assert_eq!(
        channels(room_of(&mut routes, start, Duration::ZERO)),
        [],
        "all of the account waits"
    );
    assert_eq!(routes.works("default", Channel::Chat), News::default());
    assert_eq!(channels(room_of(&mut routes, start, Duration::ZERO)), [Channel::Chat]);
    assert_eq!(routes.blocks()[0].channel, "mail");

    // However often chat works, mail is probed at growing intervals, and its refusal is no news.
    let probes = (0..600).filter(|seconds| {
        routes.works("default", Channel::Chat);
        let mail = channels(room_of(&mut routes, moment(*seconds).at, Duration::ZERO))
            .contains(&Channel::Mail);
        mail && !routes.refuse("default", Channel::Mail, "401", moment(*seconds)).1
    });
    assert!(probes.count() < 12);
    assert!(routes.works("default", Channel::Mail).accepted);
    assert!(routes.blocks().is_empty());
}

#[test]
fn a_rate_is_exact_over_a_minute_though_each_wake_up_is_late() {
    for (text, a_minute) in [("10/s", 600), ("7/s", 420), ("30/m", 30), ("400/s", 24_000)] {
        let start = Instant::now();
        let mut routes = routes(&[(Channel::Sms, rate(text))]);
        let (mut now, mut begun, mut wakes) = (start, 0, 0);
        while now < start + Duration::from_secs(60) {
            begun += claim_all(&mut routes, now);
            wakes += 1;
            let late = Duration::from_micros(300 + 700 * (wakes % 5));
            now = routes.next_opening(now).expect("there are always more jobs") + late;
        }
        let missed = a_minute as f64 * CATCH_UP.as_secs_f64() / 60.0;
        let most = a_minute + 1 + missed.ceil() as usize;
        assert!((a_minute - 1..=most).contains(&begun), "{text}: {begun}");
        assert!(wakes <= begun as u64 + 1, "{text}: woken {wakes} times for {begun}");
    }
}

const NONE: [i64; 0] = [];

fn chat(id: i64) -> Job {
    Job { id, ..job(Channel::Chat) }
}

fn ids(jobs: impl IntoIterator<Item = Job>) -> Vec<i64> {
    jobs.into_iter().map(|job| job.id).collect()
}

/// All that has a place at `now`.
fn sent(routes: &mut Routes, now: Moment) -> Vec<i64> {
    ids(std::iter::from_fn(|| routes.next("default", Channel::Chat, now)))
}

/// A route with two places whose requests take 2 ms, and how much it claims while it is full and a
/// cycle takes `took`.
fn full_route(policy: impl FnOnce(&mut ChannelPolicy), took: Duration) -> (Routes, Vec<Claim>) {
    let mut routes = routes(&[(Channel::Chat, None)]);
    routes.set_max_in_flight(2);
    policy(&mut routes.routes[0].policy);
    let start = Moment { at: Instant::now(), wall: 0 };
    for _ in 0..40 {
        room_of(&mut routes, start.at, Duration::ZERO);
        routes.claimed(vec![chat(0)], start.at, false);
        routes.next("default", Channel::Chat, start).unwrap();
        routes.ended("default", Channel::Chat, Some(Duration::from_millis(2)));
    }
    for id in [1, 2] {
        room_of(&mut routes, start.at, Duration::ZERO);
        routes.claimed(vec![chat(id)], start.at, false);
    }
    assert_eq!(sent(&mut routes, start), [1, 2]);
    let room = room_of(&mut routes, start.at, took);
    (routes, room)
}

/// How many jobs.
fn limit(room: &[Claim]) -> u32 {
    room.iter().map(|claim| claim.limit).sum()
}

#[test]
fn as_much_is_claimed_ahead_as_will_soon_have_a_place() {
    let ahead = |micros| limit(&full_route(|_| {}, Duration::from_micros(micros)).1);
    assert_eq!(ahead(0), 0);
    assert_eq!(ahead(200), 0, "requests take ten times as long as a cycle");
    assert_eq!(ahead(500), 2);
    assert_eq!(ahead(800), 3);
    assert_eq!(ahead(100_000), 4, "twice the places at most");
}

#[test]
fn what_a_crash_would_leave_to_a_person_is_not_claimed_ahead() {
    let took = Duration::from_millis(1);
    assert_eq!(limit(&full_route(|_| {}, took).1), 4);
    assert_eq!(limit(&full_route(|p| p.on_uncertain = OnUncertain::Hold, took).1), 0);
    assert_eq!(limit(&full_route(|p| p.uncertain_retries = 1, took).1), 0);
    assert_eq!(limit(&full_route(|p| p.retry.max_attempts = 1, took).1), 0);
}

/// Two on the wire, and three in line, claimed `at`.
fn with_a_line() -> (Routes, Moment) {
    let (mut routes, _) = full_route(|_| {}, Duration::from_millis(1));
    let at = Moment { at: Instant::now(), wall: 1_000 };
    routes.claimed(vec![chat(3), Job { expires_at: Some(999), ..chat(4) }, chat(5)], at.at, false);
    assert_eq!((sent(&mut routes, at), routes.in_line()), (NONE.to_vec(), 3));
    (routes, at)
}

#[test]
fn each_in_line_goes_out_as_a_place_becomes_free_and_what_has_expired_goes_back() {
    let (mut routes, at) = with_a_line();
    routes.ended("default", Channel::Chat, None);
    assert_eq!(sent(&mut routes, at), [3]);
    routes.ended("default", Channel::Chat, None);
    assert_eq!(sent(&mut routes, at), [5]);
    assert_eq!(ids(routes.take_returned()), [4]);
}

#[test]
fn what_is_in_line_for_too_long_goes_back() {
    let (mut routes, at) = with_a_line();
    let end = routes.next_opening(at.at).unwrap();
    routes.release(end - Duration::from_micros(1));
    assert_eq!(ids(routes.take_returned()), NONE);
    routes.release(end);
    assert_eq!(ids(routes.take_returned()), [3, 4, 5]);
    assert_eq!(routes.in_line(), 0);
    let room = room_of(&mut routes, end, Duration::from_millis(5));
    assert_eq!(limit(&room), 0, "nothing has ended: it would be in line again");
}

/// And so does what is being claimed at that moment.
#[test]
fn a_route_that_is_shut_sends_nothing_that_is_in_line() {
    type Shut = fn(&mut Routes, Moment);
    let ways: [(&str, Shut); 4] = [
        ("Retry-After", |routes, at| {
            routes.hold("default", Channel::Chat, Duration::from_secs(5), "429", at);
        }),
        ("refusal", |routes, at| {
            routes.refuse("default", Channel::Chat, "401", at);
        }),
        ("breaker", |routes, at| {
            for _ in 0..BREAKER_AFTER {
                routes.trouble("default", Channel::Chat, "503", at);
            }
        }),
        ("stop", |routes, _| routes.shut_all()),
    ];
    for (way, shut) in ways {
        let (mut routes, at) = with_a_line();
        room_of(&mut routes, at.at, Duration::from_millis(1));
        routes.ended("default", Channel::Chat, None);
        shut(&mut routes, at);
        routes.claimed(vec![chat(6)], at.at, false);
        assert_eq!(sent(&mut routes, at), NONE, "{way}");
        assert_eq!(ids(routes.take_returned()), [3, 4, 5, 6], "{way}");
    }
}

/// The account is probed by the next job, though the one before went back unsent.
#[test]
fn a_probe_that_goes_back_is_no_probe_on_its_way() {
    let mut routes = routes(&[(Channel::Chat, None)]);
    let start = Instant::now();
    routes.refuse("default", Channel::Chat, "401", Moment { at: start, wall: 0 });
    let later = start + Duration::from_secs(60);
    for _ in 0..2 {
        let room = room_of(&mut routes, later, Duration::ZERO);
        assert_eq!(limit(&room), 1);
        routes.claimed(vec![chat(1)], later, false);
        assert_eq!(limit(&room_of(&mut routes, later, Duration::ZERO)), 0);
        routes.shut_all();
        assert_eq!(ids(routes.take_returned()), [1]);
    }
}

/// By the new settings it may not have been claimed.
#[test]
fn what_is_in_line_at_a_reload_goes_back() {
    for channel in [Channel::Chat, Channel::Mail] {
        let (mut old, at) = with_a_line();
        old.replace(routes(&[(channel, None)]), &BTreeSet::new(), std::iter::empty(), at);
        assert_eq!((sent(&mut old, at), ids(old.take_returned())), (NONE.to_vec(), vec![3, 4, 5]));
    }
}

/// Its one probe goes to a channel that has a place.
#[test]
fn a_full_route_of_a_refused_account_is_not_probed_ahead() {
    let (mut routes, _) = full_route(|_| {}, Duration::ZERO);
    let at = Moment { at: Instant::now(), wall: 0 };
    routes.refuse("default", Channel::Mail, "401", at);
    let room = room_of(&mut routes, at.at + Duration::from_secs(60), Duration::from_millis(5));
    assert_eq!(limit(&room), 0);
}

/// This many accounts, each with all three channels.
fn of_accounts(count: usize) -> Routes {
    let one = routes(&[(Channel::Chat, None)]).routes.remove(0);
    let of = |account: usize| {
        let (endpoint, policy) = (one.endpoint.clone(), one.policy.clone());
        Channel::ALL.map(|channel| {
            Route::new(format!("a{account}"), channel, endpoint.clone(), policy.clone())
        })
    };
    Routes::new((0..count).flat_map(of).collect(), RetryPolicy::default())
}

#[test]
fn a_cycle_is_told_of_the_routes_alone_whose_room_has_changed() {
    let now = Instant::now();
    let mut routes = of_accounts(400);
    assert_eq!(routes.room(now, Duration::ZERO).changed.len(), 1200, "at first of all");
    routes.claimed(Vec::new(), now, false);
    let room = routes.room(now, Duration::ZERO);
    assert_eq!((room.changed.len(), routes.active.len()), (0, 0));
    assert!(!routes.worth_claiming(&room));
    routes.stir();
    assert!(routes.worth_claiming(&room), "any of them may have a job by now");
    let job = Job { account: "a7".to_owned(), ..job(Channel::Mail) };
    routes.claimed(vec![job.clone()], now, false);
    let at = Moment { at: now, wall: 0 };
    assert!(routes.next("a7", Channel::Mail, at).is_some());
    let room = routes.room(now, Duration::ZERO);
    let changed: Vec<_> = room.changed.iter().map(|c| (c.account.as_str(), c.channel)).collect();
    assert_eq!(
        (changed, routes.active.len()),
        (vec![], 1),
        "half of the places are free as before"
    );
    routes.has_back(0);
    routes.ended("a7", Channel::Mail, None);
    routes.room(now, Duration::ZERO);
    assert_eq!(routes.active.len(), 0);
}

#[test]
fn a_route_that_is_gone_has_no_room_and_one_that_is_held_has_none_until_then() {
    let now = Moment { at: Instant::now(), wall: 0 };
    let mut routes = of_accounts(2);
    routes.room(now.at, Duration::ZERO);
    routes.claimed(Vec::new(), now.at, false);
    let hold = Duration::from_secs(3);
    routes.hold("a1", Channel::Sms, hold, "429", now);
    let none = |account: &str, channel| Claim { account: account.to_owned(), channel, limit: 0 };
    assert_eq!(routes.room(now.at, Duration::ZERO).changed, [none("a1", Channel::Sms)]);
    routes.claimed(Vec::new(), now.at, false);
    routes.replace(of_accounts(1), &BTreeSet::new(), std::iter::empty(), now);
    let gone: Vec<_> =
        routes.room(now.at, hold).changed.into_iter().filter(|c| c.account == "a1").collect();
    assert_eq!(gone, Channel::ALL.map(|channel| none("a1", channel)));
}

#[test]
fn places_and_bytes_are_free_again_when_a_job_ends_or_goes_back() {
    let now = Moment { at: Instant::now(), wall: 0 };
    let mut routes = of_accounts(1).limited(2, 1 << 20);
    let large = |id| Job {
        id,
        account: "a0".to_owned(),
        payload: vec![b'x'; 500_000],
        ..job(Channel::Chat)
    };
    assert_eq!(routes.room(now.at, Duration::ZERO).places, 2);
    routes.claimed(vec![large(1)], now.at, true);
    let room = routes.room(now.at, Duration::ZERO);
    assert_eq!((room.places, room.bytes.large, room.bytes.alone), (1, 286_432, false));
    assert!(!routes.worth_claiming(&room), "what was left does not fit yet");
    assert!(routes.next("a0", Channel::Chat, now).is_some());
    routes.has_back(500_000);
    routes.ended("a0", Channel::Chat, None);
    let room = routes.room(now.at, Duration::ZERO);
    assert!(room.bytes.alone && routes.worth_claiming(&room));
    routes.claimed(vec![large(2)], now.at, false);
    routes.shut_all();
    assert_eq!(routes.take_returned().len(), 1);
    assert_eq!(routes.room(now.at, Duration::ZERO).places, 2);
}

#[test]
fn after_a_shortage_one_goes_out_and_then_more_and_more() {
    let start = Instant::now();
    let at = |millis: u64| Moment { at: start + Duration::from_millis(millis), wall: 0 };
    let mut routes = of_accounts(2).limited(4, 1 << 20);
    let places = |routes: &mut Routes, now: Moment| routes.room(now.at, Duration::ZERO).places;
    assert!(routes.run_short("a0", Channel::Chat, LocalResource::Descriptors, "none", at(0)));
    assert!(
        !routes.run_short("a1", Channel::Chat, LocalResource::Descriptors, "none", at(0)),
        "once"
    );
    assert_eq!(places(&mut routes, at(1)), 0);
    assert!(!routes.has_enough(at(1).at), "what was out before shows nothing");
    assert_eq!(routes.next_opening(at(1).at), Some(at(250).at));
    // A cycle that only records does not show what is there.
    routes.claimed(Vec::new(), at(2).at, false);
    let room = routes.room(at(250).at, Duration::ZERO);
    assert!(routes.worth_claiming(&room));
    assert_eq!(places(&mut routes, at(250)), 1);
    assert!(!routes.run_short("a1", Channel::Chat, LocalResource::Descriptors, "none", at(250)));
    assert_eq!((places(&mut routes, at(700)), places(&mut routes, at(750))), (0, 1));
    assert_eq!(routes.blocks().len(), 1);
    assert!(routes.has_enough(at(760).at));
    assert!(routes.blocks().is_empty());
    assert_eq!(places(&mut routes, at(760)), 2);
    assert!(!routes.has_enough(at(770).at) && !routes.has_enough(at(780).at));
    assert_eq!(places(&mut routes, at(780)), 4);
}

#[test]
fn for_want_of_a_port_its_own_route_alone_waits() {
    let now = Moment { at: Instant::now(), wall: 0 };
    let mut routes = of_accounts(2);
    assert!(routes.run_short("a0", Channel::Chat, LocalResource::Ports, "none", now));
    let free = room_of(&mut routes, now.at, Duration::ZERO);
    assert_eq!(free.len(), 5);
    assert_eq!(routes.blocks()[0].kind, BlockKind::Shortage);
}
