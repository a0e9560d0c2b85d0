//! What became of jobs, by account, channel and source.

use super::{Outbox, accepted, chat, cycle, ended, fault, room};
use acquire_outbox::queue::job::Channel;
use acquire_outbox::queue::new_job::NewJob;
use acquire_outbox::queue::outcome::{Outcome, Receipt};
use acquire_outbox::queue::outcome_counts::{DAY_MS, HOUR_MS, MINUTE_MS, OutcomeCounts};
use acquire_outbox::queue::when::now;
use acquire_outbox::store::Tenure;

async fn taken_over(outbox: &Outbox) -> Tenure {
    outbox.take_over().await.unwrap()
}

/// All that is in the history of the last hours, added up, and its routes.
async fn history(outbox: &mut Outbox) -> (OutcomeCounts, Vec<(String, String)>) {
    let (mut all, mut routes) = (OutcomeCounts::default(), Vec::new());
    for row in outbox.store.history(now() - 2 * HOUR_MS, DAY_MS).await.unwrap() {
        all.add(&row.tally);
        routes.push((row.account, row.channel));
    }
    routes.dedup();
    (all, routes)
}

pub async fn what_ended_is_counted_by_route_and_outcome(mut outbox: Outbox) {
    outbox.insert(&[1, 2, 3, 4]).await;
    let mut tenure = taken_over(&outbox).await;
    let claimed = cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed;
    let outcomes = [
        accepted(),
        Outcome::Rejected { fault: fault(), receipt: Receipt::default() },
        Outcome::Unavailable { fault: fault(), retry_after: None },
        Outcome::Withdrawn,
    ];
    let record: Vec<_> =
        claimed.iter().zip(outcomes).map(|(job, outcome)| ended(job, outcome, now())).collect();
    cycle(&mut tenure, &record, None, now()).await;
    let (all, routes) = history(&mut outbox).await;
    assert_eq!((all.sent, all.failed, all.uncertain, all.retried), (1, 1, 0, 1));
    assert_eq!(all.late.iter().sum::<u64>(), 1, "lateness is of what was sent");
    assert_eq!(routes, [("default".to_owned(), "chat".to_owned())]);
    let minutes = outbox.store.history(now() - HOUR_MS, MINUTE_MS).await.unwrap();
    assert!(minutes.iter().all(|row| row.begins_at % MINUTE_MS == 0 && row.begins_at <= now()));
}

pub async fn recording_twice_is_counted_once(mut outbox: Outbox) {
    outbox.insert(&[1, 2]).await;
    let mut tenure = taken_over(&outbox).await;
    let claimed = cycle(&mut tenure, &[], Some(&room(9)), now()).await.claimed;
    let record: Vec<_> = claimed.iter().map(|job| ended(job, accepted(), now())).collect();
    for _ in 0..2 {
        tenure.record(&record[..1]).await.unwrap();
        assert_eq!(history(&mut outbox).await.0.sent, 1);
    }
    tenure.record(&record[1..]).await.unwrap();
    assert_eq!(history(&mut outbox).await.0.sent, 2);
}

pub async fn what_fails_without_an_attempt_is_counted(mut outbox: Outbox) {
    outbox.insert(&[1, 2, 3]).await;
    let expire = match outbox.is_on_postgres() {
        true => "UPDATE outbox SET expires_at = now() - interval '1 minute' WHERE id = 1",
        false => "UPDATE outbox SET expires_at = datetime('now', '-1 minute') WHERE id = 1",
    };
    outbox.store.execute_sql(expire).await.unwrap();
    outbox.store.execute_sql("UPDATE outbox SET account = 'gone' WHERE id = 2").await.unwrap();
    let mut tenure = taken_over(&outbox).await;
    cycle(&mut tenure, &[], Some(&room(0)), now()).await;
    tenure.fail_unknown_accounts(&["gone".to_owned()], &["default"]).await.unwrap();
    let (all, routes) = history(&mut outbox).await;
    assert_eq!((all.failed, all.sent), (2, 0));
    assert_eq!(routes.len(), 2, "{routes:?}");
}

pub async fn what_a_dead_dispatcher_left_is_counted(mut outbox: Outbox) {
    outbox.insert(&[1, 2]).await;
    let mut tenure = taken_over(&outbox).await;
    cycle(&mut tenure, &[], Some(&room(9)), now()).await;
    drop(tenure);
    let _next = taken_over(&outbox).await;
    let (all, _) = history(&mut outbox).await;
    assert_eq!((all.retried, all.ended()), (2, 0), "the usual policy tries again");
}

pub async fn what_waits_is_counted_by_route(mut outbox: Outbox) {
    outbox.insert(&[1, 1, 2]).await;
    let of_shop = NewJob { account: "shop".to_owned(), ..chat(9) };
    outbox.store.insert(&of_shop).await.unwrap();
    let found = outbox.store.backlogs(now() + 1000).await.unwrap();
    let seen: Vec<_> =
        found.iter().map(|b| (b.account.as_str(), b.channel.as_str(), b.jobs)).collect();
    assert_eq!(seen, [("default", "chat", 3), ("shop", "chat", 1)]);
    assert!(found.iter().all(|b| b.oldest_due.is_some() && b.oldest_ready.is_some()));
    outbox.store.pause(None, Some(Channel::Chat), "", None).await.unwrap();
    let pulse = outbox.store.pulse(now(), 9).await.unwrap();
    assert_eq!((pulse.last_sent.len(), pulse.verifying, pulse.untouched), (0, 0, 0));
}

pub async fn sources_have_their_shares(mut outbox: Outbox) {
    outbox.insert(&[1, 2, 3, 4]).await;
    outbox.store.execute_sql("UPDATE outbox SET source = 'shop' WHERE id <= 3").await.unwrap();
    let mut tenure = taken_over(&outbox).await;
    let claimed = cycle(&mut tenure, &[], Some(&room(2)), now()).await.claimed;
    let refused = Outcome::Rejected { fault: fault(), receipt: Receipt::default() };
    let record = [ended(&claimed[0], accepted(), now()), ended(&claimed[1], refused, now())];
    cycle(&mut tenure, &record, None, now()).await;
    let rows = outbox.store.sources(now() - DAY_MS, now() + 1000, 100, 10).await.unwrap();
    let seen: Vec<_> = rows
        .iter()
        .map(|r| (r.source.as_deref(), r.tally.sent, r.tally.failed, r.waiting))
        .collect();
    assert_eq!(seen, [(Some("shop"), 1, 1, 1), (None, 0, 0, 1)]);
    assert_eq!(rows[0].tally.late.iter().sum::<u64>(), 1);
    assert!(rows[1].oldest_due.is_some());
    assert_eq!(outbox.store.sources(now() - DAY_MS, now(), 100, 1).await.unwrap().len(), 1);
}
