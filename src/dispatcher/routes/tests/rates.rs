use super::*;
use crate::dispatcher::routes::pace::CATCH_UP;
use proptest::prelude::*;

/// Claims all that there is room for, as if there were jobs without end; how many.
fn claim_all(routes: &mut Routes, now: Instant) -> usize {
    let room = room_of(routes, &Load::default(), now);
    let counts: Vec<_> = room.iter().map(|c| (id(routes, c.channel), c.limit)).collect();
    claimed(routes, &counts);
    for (route, _) in counts {
        assert!(routes.may_send(route));
        routes.probe_ended(route);
    }
    limit(&room) as usize
}

#[test]
fn slots_that_nobody_took_are_not_saved_for_a_burst() {
    let start = Instant::now();
    let mut routes = routes(&[(Channel::Sms, rate("10/s"))]);
    for millis in (0..10_000).step_by(100) {
        let now = start + Duration::from_millis(millis);
        room_of(&mut routes, &Load::default(), now);
        claimed(&mut routes, &[]);
        routes.expect_jobs();
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
        let rate = Rate { count: per_second, per: Duration::from_secs(1) };
        let mut routes = routes(&[(Channel::Sms, Some(rate))]);
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
        blocked in any::<bool>(),
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
            let chat = id(&routes, Channel::Chat);
            routes.refuse(chat, "401", moment(start));
        }
        if blocked {
            let mail = id(&routes, Channel::Mail);
            routes.retry_after(mail, Duration::from_secs(5), "429", moment(start));
        }
        let load = Load::default();
        let mut now = start;
        for (millis, found) in steps {
            now += Duration::from_millis(millis);
            routes.unblock(now);
            let room = room_of(&mut routes, &load, now);
            if routes.worth_claiming(&Room::unlimited(Vec::new())) {
                let counts: Vec<_> =
                    room.iter().take(found).map(|c| (id(&routes, c.channel), 1)).collect();
                claimed(&mut routes, &counts);
                for (route, _) in &counts {
                    prop_assert!(routes.may_send(*route));
                    routes.probe_ended(*route);
                    routes.expect_jobs();
                }
                for (route, _) in &counts {
                    routes.failed(*route, "503", moment(now));
                }
            } else if let Some(opening) = routes.next_opening(&load, now) {
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
            let chat = id(&routes, Channel::Chat);
            routes.refuse(chat, "401", Moment { at: start, wall: 0 });
            now += Duration::from_secs(10);
        }
        let load = Load::default();
        let room = room_of(&mut routes, &load, now);
        let claims = (0..10).take_while(|_| {
            room_of(&mut routes, &load, now);
            let worth = routes.worth_claiming(&Room::unlimited(Vec::new()));
            claimed(&mut routes, &[]);
            worth
        });
        assert!(claims.count() <= room.len() + 2, "it comes to rest");
    }
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
            let opening = routes.next_opening(&Load::default(), now);
            now = opening.expect("there are always more jobs") + late;
        }
        assert!((a_minute - 1..=a_minute + 1).contains(&begun), "{text}: {begun}");
        assert!(wakes <= begun as u64 + 1, "{text}: woken {wakes} times for {begun}");
    }
}
