use super::*;
use std::collections::BTreeSet;

#[test]
fn a_cycle_is_given_only_the_routes_whose_room_has_changed() {
    let now = Instant::now();
    let mut routes = of_accounts(400);
    let none = Load::default();
    assert_eq!(routes.room(&none, now).changed.len(), 1200, "at first all of them");
    claimed(&mut routes, &[]);
    let room = routes.room(&none, now);
    assert_eq!((room.changed.len(), routes.active.len()), (0, 0));
    assert!(!routes.worth_claiming(&room));
    routes.expect_jobs();
    assert!(routes.worth_claiming(&room), "any of them may have a job by now");
    let mail = routes.id("a7", Channel::Mail).unwrap();
    claimed(&mut routes, &[(mail, 1)]);
    let room = routes.room(&load(mail, 1), now);
    let changed: Vec<_> = room.changed.iter().map(|c| (c.account.as_str(), c.channel)).collect();
    assert_eq!((changed, routes.active.len()), (vec![("a7", Channel::Mail)], 1));
    claimed(&mut routes, &[]);
    routes.probe_ended(mail);
    assert_eq!(routes.room(&none, now).changed.len(), 1, "the cycle that records gives it back");
    claimed(&mut routes, &[]);
    routes.room(&none, now);
    assert_eq!(routes.active.len(), 0);
}

#[test]
fn a_route_that_is_gone_has_no_room_and_one_that_is_blocked_has_none_until_then() {
    let now = Moment { at: Instant::now(), wall: 0 };
    let mut routes = of_accounts(2);
    let load = Load::default();
    routes.room(&load, now.at);
    claimed(&mut routes, &[]);
    let sms = routes.id("a1", Channel::Sms).unwrap();
    routes.retry_after(sms, Duration::from_secs(3), "429", now);
    let none = |account: &str, channel| Claim { account: account.to_owned(), channel, limit: 0 };
    assert_eq!(routes.room(&load, now.at).changed, [none("a1", Channel::Sms)]);
    claimed(&mut routes, &[]);
    routes.replace(of_accounts(1), &BTreeSet::new(), now);
    let changed = routes.room(&load, now.at).changed;
    let gone: Vec<_> = changed.into_iter().filter(|c| c.account == "a1").collect();
    assert_eq!(gone, Channel::ALL.map(|channel| none("a1", channel)));
}

#[test]
fn what_was_cut_off_is_claimed_once_something_has_been_recorded() {
    let now = Instant::now();
    let mut routes = of_accounts(1).limited(2, 1 << 20);
    let a0 = routes.id("a0", Channel::Chat).unwrap();
    let mut load = Load::default();
    assert_eq!(routes.room(&load, now).places, 2);
    load.add(Some(a0), 500_000);
    routes.claimed(&[(a0, 1)].into(), true);
    let room = routes.room(&load, now);
    assert_eq!((room.places, room.bytes.large, room.bytes.alone), (1, 286_432, false));
    assert!(!routes.worth_claiming(&room), "what was left does not fit yet");
    load.remove(Some(a0), 500_000);
    routes.expect_jobs();
    let room = routes.room(&load, now);
    assert!(room.bytes.alone && routes.worth_claiming(&room));
}
