use super::reasons::{NAMED, SILENCE};
use super::*;
use crate::queue::block::BlockKind;
use crate::queue::job::Channel;

const NOW: Millis = 1_795_338_000_000;

/// An outbox in which nothing is wrong, and 3 SMS of two accounts wait.
struct Outbox {
    dispatching: Dispatching,
    sandbox: bool,
    pauses: Vec<Pause>,
    blocks: Vec<Block>,
    backlogs: Vec<RouteBacklog>,
    uncertain: u64,
    set_aside: u64,
    last_sent: BTreeMap<String, Millis>,
    failures: Failures,
}

impl Outbox {
    fn well() -> Outbox {
        Outbox {
            dispatching: Dispatching::Running,
            sandbox: false,
            pauses: Vec::new(),
            blocks: Vec::new(),
            backlogs: vec![backlog("shop", "sms", 2, 1_000), backlog("default", "sms", 1, 500)],
            uncertain: 0,
            set_aside: 0,
            last_sent: BTreeMap::from([("sms".to_owned(), NOW - 1_000)]),
            failures: Failures::default(),
        }
    }

    fn assess(&self) -> Assessment {
        assess(&Vitals {
            now: NOW,
            dispatching: self.dispatching,
            sandbox: self.sandbox,
            pauses: &self.pauses,
            blocks: &self.blocks,
            backlogs: Some(&self.backlogs),
            uncertain: self.uncertain,
            set_aside: self.set_aside,
            untouched: 0,
            flaws: 0,
            last_sent: &self.last_sent,
            failures: self.failures,
        })
    }

    /// The verdict and the codes of its reasons.
    #[track_caller]
    fn is(&self, condition: Condition, codes: &[&str]) -> Assessment {
        let seen = self.assess();
        let found: Vec<_> = seen.concerns.iter().map(|concern| concern.code).collect();
        assert_eq!((seen.condition, found.as_slice()), (condition, codes));
        assert!(found.iter().all(|code| CODES.contains(code)));
        assert!(seen.concerns.iter().all(|concern| !concern.remedy.to_string().is_empty()));
        seen
    }
}

fn backlog(account: &str, channel: &str, jobs: u64, due_since: Millis) -> RouteBacklog {
    let due = Some(NOW - due_since);
    let (account, channel) = (account.to_owned(), channel.to_owned());
    RouteBacklog { account, channel, jobs, oldest_due: due, oldest_ready: due }
}

fn pause(account: Option<&str>, channel: Option<Channel>) -> Pause {
    let account = account.map(str::to_owned);
    Pause { account, channel, reason: "secret words".into(), since: NOW - 60_000, until: None }
}

fn block(account: &str, channel: &str, kind: BlockKind) -> Block {
    let (account, channel) = (account.to_owned(), channel.to_owned());
    Block { account, channel, kind, reason: "401".into(), since: NOW - 60_000, until: None }
}

#[test]
fn an_outbox_in_which_nothing_is_wrong_is_well() {
    let seen = Outbox::well().is(Condition::Well, &[]);
    assert_eq!(serde_json::to_string(&seen).unwrap(), r#"{"verdict":"well","reasons":[]}"#);
}

#[test]
fn a_pause_counts_the_jobs_that_wait_for_it_and_says_how_to_end_it() {
    for (account, channel, jobs, resume) in [
        (None, None, 3, "acquire-outbox resume --all"),
        (None, Some(Channel::Sms), 3, "acquire-outbox resume sms"),
        (Some("shop"), None, 2, "acquire-outbox resume --account shop"),
        (Some("shop"), Some(Channel::Mail), 0, "acquire-outbox resume mail --account shop"),
    ] {
        let outbox = Outbox { pauses: vec![pause(account, channel)], ..Outbox::well() };
        let seen = outbox.is(Condition::Attention, &["paused"]);
        let concern = &seen.concerns[0];
        assert_eq!((concern.jobs, concern.remedy.to_string()), (Some(jobs), resume.to_owned()));
        assert!(!concern.text.contains("secret"), "{}", concern.text);
        let filter = concern.filter.as_ref().unwrap();
        assert_eq!((filter.account.as_deref(), filter.channel), (account, channel));
    }
}

#[test]
fn a_refused_account_and_an_open_breaker_need_attention_and_a_retry_after_does_not() {
    let blocks = vec![
        block("shop", "", BlockKind::Refused),
        block("default", "sms", BlockKind::Breaker),
        block("default", "sms", BlockKind::RetryAfter),
    ];
    let seen =
        Outbox { blocks, ..Outbox::well() }.is(Condition::Attention, &["refused", "breaker"]);
    assert_eq!(seen.concerns.iter().map(|c| c.jobs).collect::<Vec<_>>(), [Some(2), Some(1)]);
    assert!(seen.concerns[0].text.starts_with("account shop: the account is refused"));
}

#[test]
fn without_a_dispatcher_it_is_down_if_a_job_waits() {
    let outbox = Outbox { dispatching: Dispatching::Nobody, ..Outbox::well() };
    assert_eq!(outbox.is(Condition::Down, &["no_dispatcher"]).concerns[0].jobs, Some(3));
    let idle = Outbox { backlogs: Vec::new(), ..outbox };
    idle.is(Condition::Attention, &["no_dispatcher"]);
    let standby = Outbox { dispatching: Dispatching::Elsewhere, ..Outbox::well() };
    standby.is(Condition::Well, &["standby"]);
    let stuck = Outbox { dispatching: Dispatching::Stuck(90), ..Outbox::well() };
    stuck.is(Condition::Down, &["stuck"]);
    let trouble = Outbox { dispatching: Dispatching::Trouble, ..Outbox::well() };
    trouble.is(Condition::Down, &["trouble"]);
}

#[test]
fn it_is_down_when_nothing_is_sent_though_jobs_are_due_that_nothing_holds_back() {
    let old = SILENCE + 60_000;
    let mut outbox = Outbox::well();
    outbox.backlogs[0] = backlog("shop", "sms", 2, old);
    outbox.is(Condition::Well, &[]);
    outbox.last_sent.insert("sms".to_owned(), NOW - old);
    let seen = outbox.is(Condition::Down, &["nothing_sent"]);
    assert_eq!(seen.concerns[0].jobs, Some(2));
    assert!(seen.concerns[0].text.contains("sms jobs are due, the oldest for 11m"));
    // Another channel is no proof that this one works.
    outbox.last_sent.insert("mail".to_owned(), NOW);
    outbox.is(Condition::Down, &["nothing_sent"]);
    outbox.blocks.push(block("shop", "", BlockKind::Refused));
    outbox.is(Condition::Attention, &["refused"]);
    outbox.blocks.clear();
    outbox.pauses.push(pause(None, Some(Channel::Sms)));
    outbox.is(Condition::Attention, &["paused"]);
}

#[test]
fn the_worst_reason_comes_first_and_decides() {
    let outbox = Outbox {
        sandbox: true,
        uncertain: 131,
        set_aside: 1,
        pauses: vec![pause(None, None)],
        dispatching: Dispatching::Nobody,
        ..Outbox::well()
    };
    let codes = ["no_dispatcher", "paused", "uncertain", "set_aside", "sandbox"];
    let seen = outbox.is(Condition::Down, &codes);
    assert_eq!(seen.problems().count(), 4);
    assert_eq!(seen.concerns[2].text, "131 uncertain jobs wait for a person");
    let quiet = Outbox { sandbox: true, ..Outbox::well() };
    quiet.is(Condition::Well, &["sandbox"]);
}

#[test]
fn failures_are_a_reason_only_above_the_usual() {
    let row = |hours: Millis, sent: u64, failed: u64| HistoryRow {
        begins_at: NOW - hours * HOUR_MS,
        account: "shop".into(),
        channel: "sms".into(),
        tally: OutcomeCounts { sent, failed, ..OutcomeCounts::default() },
    };
    for (last, usual, condition) in [
        (row(0, 100, 20), vec![], Condition::Attention),
        (row(0, 100, 4), vec![], Condition::Well),
        (row(0, 1000, 20), vec![], Condition::Well),
        (row(0, 100, 20), (2..100).map(|at| row(at, 90, 10)).collect(), Condition::Well),
        (row(0, 60, 40), (2..100).map(|at| row(at, 90, 10)).collect(), Condition::Attention),
    ] {
        let before: Vec<_> = usual.into_iter().chain([last.clone()]).collect();
        let failures = Failures::of(&[last], &before, NOW);
        let outbox = Outbox { failures, ..Outbox::well() };
        assert_eq!(outbox.assess().condition, condition, "{failures:?}");
    }
}

#[test]
fn many_pauses_are_counted_and_not_all_named() {
    let accounts: Vec<String> = (0..50).map(|n| format!("a{n}")).collect();
    let pauses = accounts.iter().map(|name| pause(Some(name), None)).collect();
    let seen = Outbox { pauses, ..Outbox::well() }.assess();
    assert_eq!(seen.concerns.len(), NAMED + 1);
    assert_eq!(seen.concerns[NAMED].text, "30 more accounts and channels are paused");
}
