//! What is worth a call: a verdict that differs from the last one reported.

use crate::desk::assessment::{Assessment, Concern, Condition};
use std::collections::BTreeSet;

/// What was last reported, and what has been seen since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastTold {
    condition: Condition,
    codes: BTreeSet<&'static str>,
    /// The fewest uncertain jobs since: one more is news, one resolved is not.
    uncertain: u64,
}

impl Default for LastTold {
    /// Everybody believes that all is well.
    fn default() -> LastTold {
        LastTold { condition: Condition::Well, codes: BTreeSet::new(), uncertain: 0 }
    }
}

/// Why somebody is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictNews {
    /// `verdict` or `uncertain`.
    pub event: &'static str,
    pub was: Condition,
}

impl LastTold {
    /// The verdict as it is now, reported or not.
    pub fn saw(&mut self, seen: &Assessment) {
        self.uncertain = self.uncertain.min(uncertain(seen));
    }

    /// What is new: another verdict, a reason of another kind, or another uncertain job.
    pub fn news(&self, seen: &Assessment) -> Option<VerdictNews> {
        let was = self.condition;
        let is_new = |code: &&'static str| !self.codes.contains(*code);
        if seen.condition != was {
            Some(VerdictNews { event: "verdict", was })
        } else if uncertain(seen) > self.uncertain {
            Some(VerdictNews { event: "uncertain", was })
        } else {
            let new = codes(seen).iter().any(is_new);
            new.then_some(VerdictNews { event: "verdict", was })
        }
    }

    /// This has been reported.
    pub fn told(&mut self, seen: &Assessment) {
        *self =
            LastTold { condition: seen.condition, codes: codes(seen), uncertain: uncertain(seen) };
    }
}

fn codes(seen: &Assessment) -> BTreeSet<&'static str> {
    seen.problems().map(|concern| concern.code).collect()
}

/// How many jobs wait for a person.
pub fn uncertain(seen: &Assessment) -> u64 {
    let is_it = |concern: &&Concern| concern.code == "uncertain";
    seen.concerns.iter().find(is_it).and_then(|concern| concern.jobs).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desk::assessment::{Dispatching, Failures, Vitals, assess};
    use std::collections::BTreeMap;

    fn with(uncertain: u64, set_aside: u64, dispatching: Dispatching) -> Assessment {
        assess(&Vitals {
            now: 0,
            dispatching,
            sandbox: true,
            pauses: &[],
            blocks: &[],
            backlogs: Some(&[]),
            uncertain,
            set_aside,
            untouched: 0,
            flaws: 0,
            last_sent: &BTreeMap::new(),
            failures: Failures::default(),
        })
    }

    #[test]
    fn a_change_is_told_once_and_what_gets_better_too() {
        let (mut told, event) =
            (LastTold::default(), |news: Option<VerdictNews>| news.map(|n| n.event));
        let mut see = |seen: Assessment| {
            told.saw(&seen);
            let news = event(told.news(&seen));
            told.told(&seen);
            news
        };
        let running = Dispatching::Running;
        assert_eq!(see(with(0, 0, running)), None);
        assert_eq!(see(with(1, 0, running)), Some("verdict"));
        assert_eq!(see(with(1, 0, running)), None);
        assert_eq!(see(with(2, 0, running)), Some("uncertain"));
        assert_eq!(see(with(1, 0, running)), None, "a person has resolved one");
        assert_eq!(see(with(2, 0, running)), Some("uncertain"));
        assert_eq!(see(with(2, 1, running)), Some("verdict"), "another kind of reason");
        assert_eq!(see(with(2, 1, Dispatching::Trouble)), Some("verdict"));
        assert_eq!(see(with(0, 0, running)), Some("verdict"));
    }

    #[test]
    fn what_was_not_told_stays_news() {
        let mut told = LastTold::default();
        let seen = with(3, 0, Dispatching::Running);
        told.saw(&seen);
        assert!(told.news(&seen).is_some() && told.news(&seen).is_some());
        let fewer = with(1, 0, Dispatching::Running);
        told.saw(&fewer);
        assert!(told.news(&fewer).is_some());
    }
}
