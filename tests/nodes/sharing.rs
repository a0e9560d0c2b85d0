//! What nodes share: jobs, the order of keys, blocks, accounts; and what they do not wait for.

use super::{Outbox, cycle, ids, sent, withdrawn};
use acquire_outbox::queue::block::{Block, BlockKind};
use acquire_outbox::queue::claim::{Claim, Cycle, CycleResult, Room};
use acquire_outbox::queue::job::Channel;
use acquire_outbox::queue::when::now;
use acquire_outbox::store::Tenure;
use acquire_outbox::store::tenure::Plan;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

#[tokio::test]
async fn nodes_share_the_jobs_and_keep_the_order_of_each_key() {
    let Some(outbox) = Outbox::new().await else { return };
    let cases: Vec<i64> = (0..300).map(|n| n * 7 % 11).collect();
    let jobs = outbox.insert(&cases).await;
    let case_of: BTreeMap<_, _> = jobs.iter().copied().zip(cases).collect();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push((outbox.node().await, Vec::new()));
    }
    let mut order: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    let mut worked = BTreeSet::new();
    let begun = Instant::now();
    while order.values().map(Vec::len).sum::<usize>() < jobs.len() {
        assert!(begun.elapsed() < Duration::from_secs(50), "{order:?}");
        let mut claimed = Vec::new();
        let cycles = nodes.iter_mut().map(|(node, record)| cycle(node, record, 4));
        for done in futures_util::future::join_all(cycles).await {
            claimed.push(done.claimed);
        }
        for (at, (claimed, (_, record))) in claimed.into_iter().zip(&mut nodes).enumerate() {
            worked.extend((!claimed.is_empty()).then_some(at));
            for job in &claimed {
                order.entry(case_of[&job.id]).or_default().push(job.id);
            }
            *record = claimed.iter().map(sent).collect();
        }
    }
    assert_eq!(worked.len(), 3);
    for (case, order) in order {
        assert!(order.is_sorted(), "case {case}: {order:?}");
        assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), order.len());
    }
}

#[tokio::test]
async fn a_row_that_somebody_has_locked_holds_nobody_up() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1, 2, 3]).await;
    let mut node = outbox.node().await;
    let claimed = cycle(&mut node, &[], 2).await.claimed;
    let record: Vec<_> = claimed.iter().map(sent).collect();
    let mut tx = sqlx::PgConnection::connect_with(&outbox.sql.options()).await.unwrap();
    let lock = format!("BEGIN; SELECT 1 FROM outbox WHERE id = {} FOR UPDATE", jobs[0]);
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut tx).await.unwrap();
    let done = cycle(&mut node, &record, 9).await;
    assert_eq!((done.recorded.ids, ids(&done.claimed)), (jobs[1..2].to_vec(), jobs[2..].to_vec()));
    assert_eq!(done.recorded.lost, [0i64; 0], "the other is given again");
    // If the node dies now, nobody knows that outcome: the history must not say another one than the row.
    let history = format!("SELECT count(*) FROM outbox_attempts WHERE job_id = {}", jobs[0]);
    assert_eq!(outbox.number(&history).await, 0);
    sqlx::raw_sql("ROLLBACK").execute(&mut tx).await.unwrap();
    assert_eq!(cycle(&mut node, &record[..1], 9).await.recorded.ids, jobs[..1]);
    assert_eq!(outbox.status(jobs[0]).await, "sent");
    assert_eq!(outbox.number(&history).await, 1);
}

/// The claim parks the second of a case before it claims the first: there the trigger holds it up, until a pause has
/// been committed.
#[tokio::test]
async fn a_pause_that_is_committed_during_a_claim_is_seen_by_it() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1, 1]).await;
    let mut node = outbox.node().await;
    pause_during_a_claim(&outbox, &mut node).await;
    assert_eq!(outbox.status(jobs[0]).await, "pending");
    outbox.query("DELETE FROM outbox_pauses RETURNING 1").await;
    assert_eq!(ids(&cycle(&mut node, &[], 9).await.claimed), jobs[..1]);
}

async fn pause_during_a_claim(outbox: &Outbox, node: &mut Tenure) {
    let hold_up = "
        CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            WHILE NOT EXISTS (SELECT 1 FROM outbox_pauses) LOOP PERFORM pg_sleep(0.01); END LOOP;
            RETURN NEW;
        END $$;
        CREATE TRIGGER hold_up BEFORE UPDATE ON outbox FOR EACH ROW
            WHEN (OLD.wait = 'arrived' AND NEW.wait = 'parked') EXECUTE FUNCTION hold_up();
        SELECT 1";
    outbox.query(hold_up).await;
    let pause = async {
        let held_up = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND query LIKE '%outbox_cycle%' AND wait_event = 'PgSleep'";
        let begun = Instant::now();
        while outbox.number(held_up).await == 0 {
            assert!(begun.elapsed() < Duration::from_secs(9), "the claim parks nothing");
        }
        outbox.query("INSERT INTO outbox_pauses (channel) VALUES ('chat') RETURNING 1").await;
    };
    let (done, ()) = tokio::join!(cycle(node, &[], 9), pause);
    assert_eq!(ids(&done.claimed), [0i64; 0]);
    // From here on nothing is held up.
    outbox.query("DROP TRIGGER hold_up ON outbox; SELECT 1").await;
}

/// As above; and while it is paused somebody takes the first away, which nobody has made the head of its lane.
#[tokio::test]
async fn jobs_behind_one_that_a_pause_kept_from_being_claimed_are_not_left_behind() {
    for taken_away in [
        "UPDATE outbox SET status = 'cancelled' WHERE id = ID RETURNING 1",
        "DELETE FROM outbox WHERE id = ID RETURNING 1",
        "UPDATE outbox SET ordering_key = 'another' WHERE id = ID RETURNING 1",
        "UPDATE outbox SET send_at = now() + interval '1 hour' WHERE id = ID RETURNING 1",
        "UPDATE outbox SET expires_at = now() - interval '1 minute' WHERE id = ID RETURNING 1",
    ] {
        let Some(outbox) = Outbox::new().await else { return };
        let jobs = outbox.insert(&[1, 1, 1]).await;
        let mut node = outbox.node().await;
        pause_during_a_claim(&outbox, &mut node).await;
        outbox.query(&taken_away.replace("ID", &jobs[0].to_string())).await;
        outbox.query("DELETE FROM outbox_pauses RETURNING 1").await;
        let mut claimed = Vec::new();
        for _ in 0..4 {
            let done = cycle(&mut node, &[], 9).await.claimed;
            claimed.extend(ids(&done));
        }
        claimed.retain(|id| *id != jobs[0]);
        assert_eq!(claimed, jobs[1..2], "{taken_away}");
    }
}

/// With one snapshot for a whole cycle, a job that is parked during it would be left behind.
#[tokio::test]
async fn a_node_sees_what_is_committed_during_its_cycle_whatever_the_databases_default() {
    let Some(outbox) = Outbox::new().await else { return };
    outbox.insert(&[1]).await;
    let setting = "
        DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''', current_database()); END $$;
        CREATE TABLE seen (level text);
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen VALUES (current_setting('transaction_isolation'));
            RETURN NEW;
        END $$;
        CREATE TRIGGER see BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION see();
        SELECT 1";
    outbox.query(setting).await;
    let mut node = outbox.node().await;
    assert_eq!(cycle(&mut node, &[], 9).await.claimed.len(), 1);
    assert_eq!(outbox.text("SELECT DISTINCT level FROM seen").await, "read committed");
}

/// Somebody has put the head of a key back while the triggers were disabled, and cancels it.
#[tokio::test]
async fn jobs_behind_a_head_that_was_put_back_past_the_triggers_are_not_left_behind() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1, 1]).await;
    let mut node = outbox.node().await;
    let claimed = cycle(&mut node, &[], 9).await.claimed;
    cycle(&mut node, &[withdrawn(&claimed[0])], 0).await;
    let put_back = format!(
        "SET session_replication_role = replica; UPDATE outbox SET wait = NULL WHERE id = {};
         SET session_replication_role = origin; SELECT 1",
        jobs[0]
    );
    outbox.query(&put_back).await;
    let plan = Plan { retention: Vec::new(), scrub: Vec::new(), recorded_until: now() };
    let begun = Instant::now();
    let wait = format!("SELECT coalesce(wait, '') AS wait FROM outbox WHERE id = {}", jobs[0]);
    while outbox.text(&wait).await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        node.upkeep(&plan).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let cancel = "UPDATE outbox SET status = 'cancelled' WHERE id = ID RETURNING 1";
    outbox.query(&cancel.replace("ID", &jobs[0].to_string())).await;
    let mut claimed = Vec::new();
    for _ in 0..3 {
        claimed.extend(ids(&cycle(&mut node, &[], 9).await.claimed));
    }
    assert_eq!(claimed, jobs[1..]);
}

use sqlx::Connection as _;

fn block(kind: BlockKind) -> Block {
    Block {
        account: "default".to_owned(),
        channel: String::new(),
        kind,
        reason: "why".to_owned(),
        since: now(),
        until: Some(now() + 60_000),
    }
}

#[tokio::test]
async fn a_block_of_one_node_keeps_the_others_from_trying() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1, 2, 3]).await;
    let (mut node, mut other) = (outbox.node().await, outbox.node().await);
    node.publish_blocks(&[block(BlockKind::Refused)]).await.unwrap();
    assert_eq!(other.blocks().await.unwrap(), []);
    assert_eq!(ids(&cycle(&mut other, &[], 9).await.claimed), [0i64; 0]);
    // The node itself decides when it tries: one probe for all.
    assert_eq!(ids(&cycle(&mut node, &[], 1).await.claimed), jobs[..1]);
    // Of two that have a block each, one tries.
    other.publish_blocks(&[block(BlockKind::Breaker)]).await.unwrap();
    assert_eq!(ids(&cycle(&mut other, &[], 9).await.claimed), [0i64; 0]);
    assert_eq!(ids(&cycle(&mut node, &[], 1).await.claimed), jobs[1..2]);
    node.publish_blocks(&[]).await.unwrap();
    assert_eq!(ids(&cycle(&mut other, &[], 9).await.claimed), jobs[2..]);
    // A shortage is of one machine.
    let more = outbox.insert(&[4]).await;
    node.publish_blocks(&[block(BlockKind::Shortage)]).await.unwrap();
    other.publish_blocks(&[]).await.unwrap();
    assert_eq!(ids(&cycle(&mut other, &[], 9).await.claimed), more);
}

#[tokio::test]
async fn a_job_fails_only_if_no_node_that_is_alive_knows_its_account() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1]).await;
    let (mut node, mut other) = (outbox.node().await, outbox.node().await);
    let gone = ["default".to_owned()];
    let fail = async |node: &mut Tenure| {
        node.fail_unknown_accounts(&gone, &["shop"]).await.unwrap().failures.len()
    };
    assert_eq!(fail(&mut node).await, 0, "the other has not said yet what it knows");
    let rooms = |account: &str| {
        let account = account.to_owned();
        Room::unlimited(vec![Claim { account, channel: Channel::Chat, limit: 0 }])
    };
    let say = async |node: &mut Tenure, room: Room| {
        let work =
            Cycle { record: &[], room: Some(&room), due: false, now: now(), expecting: false };
        assert!(matches!(node.cycle(&work).await.unwrap(), CycleResult::Done(_)));
    };
    say(&mut other, rooms("default")).await;
    assert_eq!(fail(&mut node).await, 0);
    other.close().await.unwrap();
    assert_eq!(fail(&mut node).await, 1);
    assert_eq!(outbox.status(jobs[0]).await, "failed");
}

#[tokio::test]
async fn a_row_that_the_database_refuses_is_set_aside_and_the_others_go_on() {
    let Some(outbox) = Outbox::new().await else { return };
    let jobs = outbox.insert(&[1, 2, 3]).await;
    let refuse = format!(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.id = {} AND NEW.status = 'sending' OR NEW.id = {} AND NEW.status = 'sent' THEN RAISE EXCEPTION 'not this one'; END IF;
            RETURN NEW; END $$;
         CREATE TRIGGER app BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION no(); SELECT 1",
        jobs[0], jobs[1]
    );
    outbox.query(&refuse).await;
    let mut node = outbox.node().await;
    assert_eq!(ids(&cycle(&mut node, &[], 9).await.claimed), [0i64; 0]);
    let claimed = cycle(&mut node, &[], 9).await.claimed;
    assert_eq!(ids(&claimed), jobs[1..]);
    let record: Vec<_> = claimed.iter().map(sent).collect();
    assert_eq!(cycle(&mut node, &record, 9).await.recorded.ids, jobs[1..]);
    let aside =
        outbox.query("SELECT job_id, reason, record FROM outbox_set_aside ORDER BY job_id").await;
    assert_eq!(aside.iter().map(|row| row.int("job_id")).collect::<Vec<_>>(), jobs[..2]);
    assert_eq!(outbox.status(jobs[2]).await, "sent");
    assert_eq!(outbox.status(jobs[1]).await, "sending");
}

#[tokio::test]
async fn a_rate_is_of_all_nodes_together() {
    let Some(outbox) = Outbox::new().await else { return };
    outbox.insert(&(0..200).collect::<Vec<_>>()).await;
    let mut nodes = [outbox.node().await, outbox.node().await];
    let rates = [("default".to_owned(), Channel::Chat, "20/s".parse().unwrap())];
    for node in &mut nodes {
        node.pace(&rates);
    }
    let (begun, mut claimed, mut by_node) = (Instant::now(), 0, [0, 0]);
    let mut record = [Vec::new(), Vec::new()];
    while begun.elapsed() < Duration::from_secs(3) {
        for (at, node) in nodes.iter_mut().enumerate() {
            let before = now();
            let done = cycle(node, &record[at], 9).await;
            claimed += done.claimed.len();
            by_node[at] += done.claimed.len();
            record[at] = done.claimed.iter().map(sent).collect();
            if done.claimed.is_empty() {
                let next = done.agenda.next_due.expect("when the next one may go");
                assert!(next > before && next <= now() + 60, "{before} {next} {}", now());
            }
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let most = begun.elapsed().as_secs_f64() * 20.0 + 2.5;
    assert!(claimed as f64 <= most && claimed >= 50, "{claimed}");
    assert!(by_node.iter().all(|count| *count > 0), "{by_node:?}");
}

#[tokio::test]
async fn the_history_of_all_nodes_is_added_up_and_folded_without_losing_a_job() {
    let Some(outbox) = Outbox::new().await else { return };
    outbox.insert(&(0..20).collect::<Vec<_>>()).await;
    let (mut one, mut other) = (outbox.node().await, outbox.node().await);
    let of_one: Vec<_> = cycle(&mut one, &[], 10).await.claimed.iter().map(sent).collect();
    let of_other: Vec<_> = cycle(&mut other, &[], 10).await.claimed.iter().map(sent).collect();
    assert_eq!((of_one.len(), of_other.len()), (10, 10));
    // Both record into the same minute at once.
    futures_util::future::join(cycle(&mut one, &of_one, 0), cycle(&mut other, &of_other, 0)).await;
    let sum = "SELECT CAST(sum(sent) AS bigint) FROM outbox_history";
    assert_eq!(outbox.number(sum).await, 20);
    let writers = "SELECT count(DISTINCT node) FROM outbox_history";
    assert_eq!(outbox.number(writers).await, 2);

    // As if they were of the day before: an hour of all nodes together.
    outbox
        .query("UPDATE outbox_history SET begins_at = begins_at - interval '1 day' RETURNING 1")
        .await;
    let rows = "SELECT count(*) FROM outbox_history WHERE node = 0";
    let plan = Plan { retention: Vec::new(), scrub: Vec::new(), recorded_until: now() };
    let begun = Instant::now();
    while outbox.number(rows).await == 0 {
        assert!(begun.elapsed() < Duration::from_secs(50), "nobody folds the history");
        for node in [&mut one, &mut other] {
            cycle(node, &[], 0).await;
            node.upkeep(&plan).await.unwrap();
        }
    }
    assert_eq!(outbox.number("SELECT count(*) FROM outbox_history WHERE node <> 0").await, 0);
    assert_eq!(outbox.number(sum).await, 20);
}
