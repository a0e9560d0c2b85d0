//! Messages that got a page that Acquire did not write. Either nothing gets through to Acquire, or
//! something on the way blocks this message: the answers to other messages show which.

use super::probing::Probing;
use super::{Moment, RouteId, Routes};
use crate::queue::job::{Channel, Millis};
use crate::queue::outcome::PageVerdict;
use crate::queue::retry;
use std::collections::BTreeMap;
use tokio::time::{Duration, Instant};

/// After this many pages while others were answered, the page may be about this message: one could be
/// chance.
const PAGES: u32 = 2;

/// The same if messages got through that had got a page before: one of several ways to Acquire is
/// broken, and a page is chance.
const PAGES_BY_CHANCE: u32 = 8;
const CHANCE_FOR: Duration = Duration::from_secs(600);

/// The same for a message with no others after it, but with some at the same time or just before
/// it.
const PAGES_TOGETHER: u32 = 3;
const PAGES_AFTER: u32 = 8;
const JUST_BEFORE: Duration = Duration::from_secs(10);

/// If one of two ways to Acquire were broken, each answer and each page would be one of two equally
/// likely outcomes. After this many in a row that fit only messages that are to blame, no more are
/// needed: answers to others without a page among them, and pages of suspects of which none got
/// through.
const PROOF: u32 = 12;

/// How many are remembered at most: jobs that a person deleted would otherwise stay forever.
const MOST: usize = 10_000;

struct Suspect {
    account: String,
    channel: Channel,
    /// All pages that it got.
    pages: u32,
    /// The pages since Acquire has answered another message of its route; `None`: it has not.
    since_others: Option<u32>,
    /// After this many pages the page is about this message, if it is the only suspect of its
    /// route.
    if_only: Option<u32>,
    /// The place of its last page among all outcomes on its route, and the greatest common divisor
    /// of the distances between its pages. Where requests go to several servers in turn and one of
    /// them is broken, a message may meet just that one again and again: then it is above 1.
    at: u32,
    period: u32,
}

/// By job.
#[derive(Default)]
pub(super) struct Suspects(BTreeMap<i64, Suspect>);

impl Suspects {
    /// A job got a page. True: only this job does. `since`: how long before its request began
    /// Acquire last answered another job of its route; zero if later.
    fn met(
        &mut self,
        job: i64,
        (account, channel): (&str, Channel),
        since: Option<Duration>,
        pages: Pages,
    ) -> bool {
        let Pages { by_chance, clean, at } = pages;
        if self.0.len() >= MOST {
            self.0.pop_first();
        }
        let if_only = match since {
            Some(Duration::ZERO) if !by_chance => Some(PAGES_TOGETHER),
            Some(before) if before <= JUST_BEFORE => Some(PAGES_AFTER),
            _ => None,
        };
        let suspect = self.0.entry(job).or_insert_with(|| Suspect {
            account: account.to_owned(),
            channel,
            pages: 0,
            since_others: None,
            if_only,
            at,
            period: 0,
        });
        suspect.pages = suspect.pages.saturating_add(1);
        suspect.period = gcd(at.wrapping_sub(suspect.at), suspect.period);
        suspect.at = at;
        let in_turn = suspect.period != 1;
        suspect.since_others = suspect.since_others.map(|pages| pages + 1);
        let (pages, since_others, if_only) = (suspect.pages, suspect.since_others, suspect.if_only);
        let (count, together) = self.of(account, channel).fold((0, 0_u32), |(count, sum), s| {
            (count + 1, sum.saturating_add(s.since_others.unwrap_or(0)))
        });
        let only = count == 1;
        let proven = pages >= PAGES_BY_CHANCE || clean.saturating_add(pages) >= PROOF;
        let most = if by_chance { PAGES_BY_CHANCE } else { PAGES };
        let alone = if in_turn {
            false
        } else if only {
            proven
                && (since_others.is_some_and(|pages| pages >= most)
                    || if_only.is_some_and(|most| pages >= most))
        } else {
            together >= PROOF && since_others.is_some_and(|pages| pages >= most)
        };
        if alone {
            self.0.remove(&job);
        }
        alone
    }

    /// Acquire has answered this job. True: it was a suspect itself. Then messages with nothing
    /// wrong get pages too, and the other suspects' pages are counted from here on.
    fn answered(&mut self, job: i64, account: &str, channel: Channel) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let was_one = self.0.remove(&job).is_some();
        for other in self.of(account, channel) {
            match &mut other.since_others {
                Some(pages) if was_one => *pages = 0,
                pages => _ = pages.get_or_insert(0),
            }
        }
        was_one
    }

    /// Another message got one, too: earlier answers to others no longer prove anything.
    fn in_doubt(&mut self, account: &str, channel: Channel) {
        for suspect in self.of(account, channel) {
            (suspect.since_others, suspect.if_only) = (None, None);
        }
    }

    /// The jobs of an account that are suspects.
    pub(super) fn jobs<'a>(&'a self, account: &'a str) -> impl Iterator<Item = i64> + 'a {
        self.0.iter().filter(move |(_, suspect)| suspect.account == account).map(|(job, _)| *job)
    }

    fn of(&mut self, account: &str, channel: Channel) -> impl Iterator<Item = &mut Suspect> {
        self.0.values_mut().filter(move |s| s.channel == channel && s.account == account)
    }
}

impl Routes {
    /// A job whose request was begun at `began` got a page that Acquire did not write. The account
    /// is blocked like a refused one, except that the first probe goes out at once and with another
    /// job. True: that is news.
    pub fn page(
        &mut self,
        job: i64,
        id: RouteId,
        reason: &str,
        began: Instant,
        now: Moment,
    ) -> (PageVerdict, bool) {
        let policy = self.probe_policy.clone();
        self.of_mut(id).answers.page(job);
        let RouteId(at) = id;
        let route = &self.routes[at];
        let (account, channel) = (route.account.as_str(), route.channel);
        let since = route.answers.last.map(|at| began.saturating_duration_since(at));
        let by_chance = route.answers.after_page.is_some_and(|at| now.at < at + CHANCE_FOR);
        let pages = Pages {
            by_chance,
            clean: route.answers.since_page_of_another(job),
            at: route.answers.outcomes,
        };
        if self.suspects.met(job, (account, channel), since, pages) {
            return (PageVerdict::OnlyThisMessage, false);
        }
        let suspect = &self.suspects.0[&job];
        let (pages, others_pass) = (suspect.pages, suspect.since_others.is_some());
        let mut pause = retry::delay(&policy, pages);
        let Some(refusal) = self.refusals.iter_mut().find(|r| r.concerns(account, channel)) else {
            if !others_pass {
                self.block_for_page(job, id, reason, now.wall_at(now.at + pause), now);
            }
            return (PageVerdict::Again { pause }, !others_pass);
        };
        refusal.others_first = true;
        if refusal.only == Some(job) {
            // Its own delays grow; another job may be a probe at any time.
            refusal.probing.block.until = Some(now.wall_at(now.at + pause));
        } else {
            refusal.only = None;
            refusal.probing.failed(&policy, now);
            let next = refusal.probing.next_at().saturating_duration_since(now.at);
            // After the next probe, which is to be another job.
            pause = pause.max(next + next / 2);
            if pages == 1 {
                self.suspects.in_doubt(account, channel);
            }
        }
        (PageVerdict::Again { pause }, false)
    }

    fn block_for_page(&mut self, job: i64, id: RouteId, reason: &str, until: Millis, now: Moment) {
        let block = self.refused_block(id, format!("job {job}: {reason}"), now);
        let mut probing = Probing::begin(block, &self.probe_policy, now);
        probing.restart(now);
        probing.block.until = Some(until);
        self.push_refusal(id, probing, Some(job));
    }

    /// Acquire has answered this job, whatever it said.
    pub fn answered(&mut self, job: i64, id: RouteId, now: Instant) {
        let RouteId(at) = id;
        let route = &self.routes[at];
        let was_one = self.suspects.answered(job, &route.account, route.channel);
        let answers = &mut self.of_mut(id).answers;
        answers.last = Some(now);
        answers.since_page = answers.since_page.saturating_add(1);
        answers.outcomes = answers.outcomes.wrapping_add(1);
        if was_one {
            answers.after_page = Some(now);
        }
    }
}

/// What is known of a route's pages when a job gets one.
#[derive(Clone, Copy)]
struct Pages {
    /// They come and go: messages that had got one got through.
    by_chance: bool,
    /// Answers since another message got one.
    clean: u32,
    /// The place of this one among all outcomes.
    at: u32,
}

/// The greatest common divisor; that of 0 and a number is the number.
fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// When Acquire itself answered on a route, whatever it said.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Answers {
    last: Option<Instant>,
    /// To a job that had got a page before.
    after_page: Option<Instant>,
    /// How many since the last page.
    since_page: u32,
    /// The job that got the last pages, and how many answers came between them and since the page
    /// before.
    paged: Option<(i64, u32)>,
    /// Answers and pages so far.
    outcomes: u32,
}

impl Answers {
    fn page(&mut self, job: i64) {
        self.paged = Some((job, self.since_page_of_another(job)));
        self.since_page = 0;
        self.outcomes = self.outcomes.wrapping_add(1);
    }

    fn since_page_of_another(&self, job: i64) -> u32 {
        let between = self.paged.filter(|(paged, _)| *paged == job).map_or(0, |(_, count)| count);
        between.saturating_add(self.since_page)
    }
}

#[cfg(test)]
mod tests {
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
    fn a_page_that_one_message_alone_gets_ends_it() {
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
    fn answers_of_before_an_outage_prove_nothing_in_it() {
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
}
