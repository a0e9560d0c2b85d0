use super::*;
use crate::dispatcher::routes::tests::{id, room_of, routes};
use crate::dispatcher::routes::{Load, News};
use crate::queue::job::Channel::{Chat, Mail};

struct RoutesFixture {
    routes: Routes,
    start: Instant,
}

impl RoutesFixture {
    fn new() -> RoutesFixture {
        RoutesFixture { routes: routes(&[(Chat, None), (Mail, None)]), start: Instant::now() }
    }

    fn at(&self, seconds: u64) -> Moment {
        let later = Duration::from_secs(seconds);
        Moment { at: self.start + later, wall: later.as_millis().try_into().unwrap() }
    }

    fn page(&mut self, job: i64, seconds: u64) -> (PageVerdict, bool) {
        let now = self.at(seconds);
        self.routes.page(job, id(&self.routes, Chat), "404", now.at, now)
    }

    /// How long the job waits.
    #[track_caller]
    fn again(&mut self, job: i64, seconds: u64) -> Duration {
        match self.page(job, seconds).0 {
            PageVerdict::Again { pause } => pause,
            PageVerdict::OnlyThisMessage => panic!("{job} failed at {seconds}"),
        }
    }

    fn answered(&mut self, job: i64) -> News {
        let long_ago = self.start - 2 * JUST_BEFORE;
        let chat = id(&self.routes, Chat);
        self.routes.answered(job, chat, long_ago);
        self.routes.works(chat)
    }

    fn probes(&mut self, seconds: u64) -> bool {
        let now = self.at(seconds).at;
        let room = room_of(&mut self.routes, &Load::default(), now);
        assert!(room.iter().all(|claim| claim.limit == 1) && room.len() <= 1, "{room:?}");
        !room.is_empty()
    }
}

#[test]
fn a_page_that_only_one_message_gets_ends_it() {
    let mut test = RoutesFixture::new();
    let first = test.page(1, 0);
    assert!(matches!(first, (PageVerdict::Again { .. }, true)), "{first:?}");
    let holds = test.routes.blocks();
    assert_eq!((holds[0].reason.as_str(), holds[0].channel.as_str()), ("job 1: 404", ""));
    assert!(holds[0].until > Some(0));
    assert!(test.probes(0), "another job goes out at once");
    assert!(test.answered(2).accepted);
    assert!(test.routes.blocks().is_empty());

    let second = test.page(1, 3);
    assert!(matches!(second, (PageVerdict::Again { .. }, false)), "{second:?}");
    assert!(test.routes.blocks().is_empty(), "the others are sent");
    test.again(1, 5);
    (0..PROOF).for_each(|other| _ = test.answered(10 + i64::from(other)));
    assert_eq!(test.page(1, 9).0, PageVerdict::OnlyThisMessage);
    assert!(test.page(1, 9).1, "a retry starts from nothing");
}

#[test]
fn while_nothing_gets_through_no_message_ends_and_probes_grow_rare() {
    let mut test = RoutesFixture::new();
    for job in 0..32 {
        test.again(job, 0);
    }
    let mut probes = 0;
    for seconds in 1..3600 {
        if test.probes(seconds) {
            probes += 1;
            test.again(if probes % 2 == 0 { 1 } else { 100 + probes }, seconds);
        }
    }
    assert!((8..20).contains(&probes), "{probes}");
    assert!(test.answered(7).accepted);
    for job in 0..32 {
        test.answered(job);
    }
    assert!(test.routes.suspects.0.keys().all(|job| *job >= 100));
}

#[test]
fn a_message_without_others_is_tried_at_growing_intervals_and_holds_up_no_new_one() {
    let mut test = RoutesFixture::new();
    let pauses: Vec<_> = (0..8).map(|round| test.again(1, round * 1000)).collect();
    assert!(pauses[7] > 20 * pauses[0], "{pauses:?}");
    assert!(test.probes(7001), "a new job goes out at once");
}

#[test]
fn a_suspect_that_is_answered_takes_the_blame_from_the_others() {
    let mut test = RoutesFixture::new();
    test.again(1, 0);
    test.again(2, 0);
    test.answered(3);
    test.again(1, 5);
    test.answered(2);
    for round in 1..u64::from(PAGES_BY_CHANCE) {
        test.again(1, 10 * round);
    }
    assert_eq!(test.page(1, 500).0, PageVerdict::OnlyThisMessage);
}

#[test]
fn answers_from_before_an_outage_prove_nothing_during_it() {
    let mut test = RoutesFixture::new();
    test.again(1, 0);
    test.answered(2);
    test.again(1, 5);
    assert!(test.page(3, 6).1);
    test.again(4, 6);
    test.again(1, 20);
    test.again(1, 60);
}

#[test]
fn the_last_of_a_queue_is_judged_by_those_with_it_and_before_it() {
    for (answered_at, pages) in [(1_i64, 3), (0, 3), (-1, 8), (-9, 8)] {
        let mut test = RoutesFixture::new();
        let start = test.start;
        let at = match u64::try_from(answered_at) {
            Ok(later) => start + Duration::from_secs(later),
            Err(_) => start - Duration::from_secs(answered_at.unsigned_abs()),
        };
        (0..PROOF).for_each(|_| test.routes.answered(2, id(&test.routes, Chat), at));
        for page in 1..pages {
            test.again(1, page * 100 - 100);
        }
        assert_eq!(test.page(1, 9000).0, PageVerdict::OnlyThisMessage, "{answered_at}");
    }
    // Two suspects prove nothing about each other, nor does an answer from long before.
    let mut test = RoutesFixture::new();
    test.answered(2);
    (0..20).for_each(|round| _ = test.again(1, round * 100));
    let mut test = RoutesFixture::new();
    test.routes.answered(2, id(&test.routes, Chat), test.start);
    for round in 0..20 {
        test.again(1, round * 100);
        test.again(3, round * 100);
    }
}

#[test]
fn a_probe_is_another_message_if_there_is_one() {
    let mut test = RoutesFixture::new();
    let chat = id(&test.routes, Chat);
    let probe = |test: &mut RoutesFixture, seconds, claimed: u32| {
        let room = test.routes.room(&Load::default(), test.at(seconds).at);
        let counts = (claimed > 0).then_some((chat, claimed));
        test.routes.claimed(&counts.into_iter().collect(), false);
        test.routes.probe_ended(chat);
        room.passed_over
    };
    test.again(1, 0);
    test.again(2, 0);
    assert_eq!(probe(&mut test, 100, 0), [1, 2]);
    assert!(test.routes.of(chat).may_have_jobs, "and there is none");
    assert_eq!(probe(&mut test, 100, 1), [0; 0]);
    test.again(1, 101);
    assert_eq!(probe(&mut test, 200, 1), [1, 2]);
}

#[test]
fn a_message_that_meets_the_broken_one_of_two_servers_in_turn_does_not_end() {
    let mut test = RoutesFixture::new();
    for round in 0..30 {
        test.again(1, 10 * round);
        test.answered(2);
    }
    test.answered(2);
    assert_eq!(test.page(1, 400).0, PageVerdict::OnlyThisMessage);
}

#[test]
fn answers_on_another_channel_prove_nothing() {
    let mut test = RoutesFixture::new();
    test.again(1, 0);
    let mail = id(&test.routes, Mail);
    test.routes.answered(2, mail, test.start);
    test.routes.works(mail);
    assert_eq!(test.routes.blocks()[0].channel, "chat");
    for seconds in 1..9 {
        test.again(1, seconds * 100);
    }
}
