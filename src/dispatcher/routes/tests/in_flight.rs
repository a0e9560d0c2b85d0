use super::*;

#[test]
fn what_is_unrecorded_after_a_claim_is_never_more_than_max_in_flight() {
    let (start, mut routes) = (Instant::now(), routes(&[(Channel::Chat, None)]));
    routes.set_max_in_flight(5);
    let chat = id(&routes, Channel::Chat);
    let mut room = |in_flight| limit(&room_of(&mut routes, &load(chat, in_flight), start));
    assert_eq!((0..7).map(&mut room).collect::<Vec<_>>(), [5, 4, 3, 2, 1, 0, 0]);
}

#[test]
fn a_full_route_of_a_refused_account_is_not_probed() {
    let mut routes = routes(&[(Channel::Chat, None)]);
    routes.set_max_in_flight(2);
    let (at, chat) = (Moment { at: Instant::now(), wall: 0 }, id(&routes, Channel::Chat));
    routes.refuse(chat, "401", at);
    let later = at.at + Duration::from_secs(60);
    assert_eq!(limit(&room_of(&mut routes, &load(chat, 2), later)), 0);
    assert_eq!(limit(&room_of(&mut routes, &load(chat, 1), later)), 1);
}

#[test]
fn a_reload_counts_what_is_in_flight_for_the_route_as_it_is_then() {
    let at = Moment { at: Instant::now(), wall: 0 };
    let mut routes = routes(&[(Channel::Chat, None), (Channel::Mail, None)]);
    let (chat, mail) = (id(&routes, Channel::Chat), id(&routes, Channel::Mail));
    let fresh = super::routes(&[(Channel::Mail, None)]);
    let former = routes.replace(fresh, &Default::default(), at);
    assert_eq!(former.now(chat), None);
    assert_eq!(former.now(mail), Some(id(&routes, Channel::Mail)));
}
