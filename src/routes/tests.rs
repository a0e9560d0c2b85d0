use super::pace::CATCH_UP;
use super::*;
use crate::acquire::Connection;
use crate::config::{OnUncertain, Rate};
use proptest::prelude::*;

pub(crate) fn routes(rates: &[(Channel, Option<Rate>)]) -> Routes {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connection = Connection {
        base_url: &"http://127.0.0.1:9/api/v1".parse().unwrap(),
        api_key: &"key".into(),
        user_type_parameter: "x-user-type",
        extra_roots: &[],
        request_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
    };
    let route = |&(channel, rate): &(Channel, Option<Rate>)| {
        let endpoint = Arc::new(Endpoint::new(channel, &connection).unwrap());
        let policy = ChannelPolicy { rate, on_uncertain: OnUncertain::Retry, ..Default::default() };
        Route::new("default".to_owned(), channel, endpoint, policy)
    };
    Routes::new(rates.iter().map(route).collect(), RetryPolicy::default())
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
    }
}

fn rate(text: &str) -> Option<Rate> {
    Some(text.parse().unwrap())
}

/// Claims all that there is room for, as if there were jobs without end; how many.
fn claim_all(routes: &mut Routes, now: Instant) -> usize {
    let room = routes.room(now);
    let jobs: Vec<_> = room.iter().flat_map(|c| (0..c.limit).map(|_| job(c.channel))).collect();
    routes.claimed(&room, &jobs);
    for job in &jobs {
        routes.ended(&job.account, job.channel);
    }
    jobs.len()
}

#[test]
fn slots_that_nobody_took_are_not_saved_for_a_burst() {
    let start = Instant::now();
    let mut routes = routes(&[(Channel::Sms, rate("10/s"))]);
    for millis in (0..10_000).step_by(100) {
        let now = start + Duration::from_millis(millis);
        let room = routes.room(now);
        routes.claimed(&room, &[]);
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
            let room = routes.room(now);
            if routes.worth_claiming(&room) {
                let jobs: Vec<_> = room.iter().take(found).map(|c| job(c.channel)).collect();
                routes.claimed(&room, &jobs);
                for job in &jobs {
                    routes.ended("default", job.channel);
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
        let room = routes.room(now);
        let claims = (0..10).take_while(|_| {
            let room = routes.room(now);
            let worth = routes.worth_claiming(&room);
            routes.claimed(&room, &[]);
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
    assert_eq!(channels(routes.room(start)), [], "all of the account waits");
    assert_eq!(routes.works("default", Channel::Chat), News::default());
    assert_eq!(channels(routes.room(start)), [Channel::Chat]);
    assert_eq!(routes.holds()[0].channel, "mail");

    // However often chat works, mail is probed at growing intervals, and its refusal is no news.
    let probes = (0..600).filter(|seconds| {
        routes.works("default", Channel::Chat);
        let mail = channels(routes.room(moment(*seconds).at)).contains(&Channel::Mail);
        mail && !routes.refuse("default", Channel::Mail, "401", moment(*seconds)).1
    });
    assert!(probes.count() < 12);
    assert!(routes.works("default", Channel::Mail).accepted);
    assert_eq!(routes.holds(), []);
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
