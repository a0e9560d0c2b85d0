use super::*;
use crate::dispatcher::routes::blocking::BREAKER_AFTER;

/// A key that may not write mail, say, is refused there and works elsewhere.
#[test]
fn a_refusal_that_another_channel_disproves_blocks_only_its_own_channel() {
    let start = Instant::now();
    let moment = |seconds| Moment { at: start + Duration::from_secs(seconds), wall: 0 };
    let mut routes = routes(&[(Channel::Chat, None), (Channel::Mail, None)]);
    let (chat, mail) = (id(&routes, Channel::Chat), id(&routes, Channel::Mail));
    let channels = |routes: &mut Routes, now| {
        let room = room_of(routes, &Load::default(), now);
        room.iter().map(|claim| claim.channel).collect::<Vec<_>>()
    };

    assert!(routes.refuse(mail, "401", moment(0)).1);
    assert_eq!(channels(&mut routes, start), [], "all of the account waits");
    assert_eq!(routes.works(chat), News::default());
    assert_eq!(channels(&mut routes, start), [Channel::Chat]);
    assert_eq!(routes.blocks()[0].channel, "mail");

    // However often chat works, mail is probed at growing intervals, and its refusal is no news.
    let probes = (0..600).filter(|seconds| {
        routes.works(chat);
        let probed = channels(&mut routes, moment(*seconds).at).contains(&Channel::Mail);
        probed && !routes.refuse(mail, "401", moment(*seconds)).1
    });
    assert!(probes.count() < 12);
    assert!(routes.works(mail).accepted);
    assert!(routes.blocks().is_empty());
}

#[test]
fn what_is_being_claimed_does_not_go_out_over_a_route_that_is_shut_meanwhile() {
    type Shut = fn(&mut Routes, RouteId, Moment);
    let ways: [(&str, Shut); 4] = [
        ("Retry-After", |routes, id, at| {
            routes.retry_after(id, Duration::from_secs(5), "429", at);
        }),
        ("refusal", |routes, id, at| {
            routes.refuse(id, "401", at);
        }),
        ("breaker", |routes, id, at| {
            for _ in 0..BREAKER_AFTER {
                routes.failed(id, "503", at);
            }
        }),
        ("shortage", |routes, id, at| {
            routes.run_short(id, LocalResource::Memory, "none", at);
        }),
    ];
    for (way, shut) in ways {
        let (mut routes, at) =
            (routes(&[(Channel::Chat, None)]), Moment { at: Instant::now(), wall: 0 });
        let chat = id(&routes, Channel::Chat);
        routes.room(&Load::default(), at.at);
        shut(&mut routes, chat, at);
        claimed(&mut routes, &[(chat, 1)]);
        assert!(!routes.may_send(chat), "{way}");
        routes.room(&Load::default(), at.at);
        assert!(routes.may_send(chat), "{way}: the room of the next claim knows of it");
    }
}

/// The account is probed by the next job, though the one before went back unsent.
#[test]
fn a_probe_that_goes_back_is_no_longer_out() {
    let mut routes = routes(&[(Channel::Chat, None)]);
    let (start, chat) = (Instant::now(), id(&routes, Channel::Chat));
    routes.refuse(chat, "401", Moment { at: start, wall: 0 });
    let later = start + Duration::from_secs(60);
    for _ in 0..2 {
        assert_eq!(limit(&room_of(&mut routes, &Load::default(), later)), 1);
        claimed(&mut routes, &[(chat, 1)]);
        routes.expect_jobs();
        assert_eq!(limit(&room_of(&mut routes, &Load::default(), later)), 0);
        routes.probe_ended(chat);
    }
}

#[test]
fn after_a_shortage_one_goes_out_and_then_more_and_more() {
    let start = Instant::now();
    let at = |millis: u64| Moment { at: start + Duration::from_millis(millis), wall: 0 };
    let mut routes = of_accounts(2).limited(4, 1 << 20);
    let [a0, a1] = ["a0", "a1"].map(|account| routes.id(account, Channel::Chat).unwrap());
    let none = Load::default();
    let jobs = |routes: &mut Routes, now: Moment| routes.room(&none, now.at).places;
    assert!(routes.run_short(a0, LocalResource::Descriptors, "none", at(0)));
    assert!(!routes.run_short(a1, LocalResource::Descriptors, "none", at(0)), "once");
    assert_eq!(jobs(&mut routes, at(1)), 0);
    assert!(!routes.has_enough(at(1).at), "what was out before shows nothing");
    assert_eq!(routes.next_opening(&none, at(1).at), Some(at(250).at));
    // A cycle that only records does not show what is there.
    claimed(&mut routes, &[]);
    let room = routes.room(&none, at(250).at);
    assert!(routes.worth_claiming(&room));
    assert_eq!(jobs(&mut routes, at(250)), 1);
    assert!(!routes.run_short(a1, LocalResource::Descriptors, "none", at(250)));
    assert_eq!((jobs(&mut routes, at(700)), jobs(&mut routes, at(750))), (0, 1));
    assert_eq!(routes.blocks().len(), 1);
    assert!(routes.has_enough(at(760).at));
    assert!(routes.blocks().is_empty());
    assert_eq!(jobs(&mut routes, at(760)), 2);
    assert!(!routes.has_enough(at(770).at) && !routes.has_enough(at(780).at));
    assert_eq!(jobs(&mut routes, at(780)), 4);
}

#[test]
fn without_a_free_port_only_the_affected_route_waits() {
    let now = Moment { at: Instant::now(), wall: 0 };
    let mut routes = of_accounts(2);
    let a0 = routes.id("a0", Channel::Chat).unwrap();
    assert!(routes.run_short(a0, LocalResource::Ports, "none", now));
    let free = room_of(&mut routes, &Load::default(), now.at);
    assert_eq!(free.len(), 5);
    assert_eq!(routes.blocks()[0].kind, BlockKind::Shortage);
}
