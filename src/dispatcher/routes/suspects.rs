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
mod tests;
