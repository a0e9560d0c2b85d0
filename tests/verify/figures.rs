//! The three policies on the same 1,000 jobs: a fifth of the answers is lost, and half of those messages
//! were accepted. `cargo test --release --test all verify::figures -- --nocapture` prints the figures.

use super::vendor::{Fate, Vendor};
use crate::support::{Job, Outbox};
use std::time::Duration;

const JOBS: i64 = 1000;

/// Sent, left to a person, sent twice, never arrived.
type Result = (i64, i64, usize, usize);

fn run(policy: &str) -> Result {
    let vendor = Vendor::new(|text, times| {
        let n: u32 = text.parse().unwrap_or(0);
        match (n % 10, times) {
            (0, 1) => Fate::LostAnswer(Duration::ZERO),
            (5, 1) => Fate::LostRequest,
            _ => Fate::Answered,
        }
    });
    let more = format!(
        "[channels.chat]\non_uncertain = \"{policy}\"\nverify_after = [\"100ms\", \"400ms\"]\n"
    );
    let outbox = Outbox::setup(&vendor.server).more(&more).ready();
    outbox.add_all((1..=JOBS).map(|n| Job::chat(n, &n.to_string())));
    outbox.run_until_empty();
    let twice = vendor.twice().len();
    let missing = (1..=JOBS).filter(|n| vendor.copies(&n.to_string()) == 0).count();
    let (sent, uncertain) = (outbox.count("sent"), outbox.count("uncertain"));
    println!(
        "{policy}: {JOBS} jobs, {sent} sent, {uncertain} left to a person, {twice} arrived twice, \
         {missing} did not arrive, {} questions to Acquire",
        vendor.looks()
    );
    (sent, uncertain, twice, missing)
}

#[test]
fn a_thousand_jobs_under_each_policy() {
    assert_eq!(run("verify"), (JOBS, 0, 0, 0));
    assert_eq!(run("hold"), (JOBS * 4 / 5, JOBS / 5, 0, 100));
    let (sent, uncertain, twice, missing) = run("retry");
    assert_eq!((sent, uncertain, missing), (JOBS, 0, 0));
    assert_eq!(twice, 100);
}
