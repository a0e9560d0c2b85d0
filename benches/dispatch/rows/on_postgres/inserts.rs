//! `postgres-inserts`: what the checks and the bell cost producers. The floor is the same table without them; the
//! line for a table with four columns and only a primary key is for information.

use crate::postgres::node::ServerOutbox;
use crate::postgres::producers::{BARE_TABLE, PLAIN_SERVER_TABLE};
use crate::report::Line;
use crate::rows::{Bench, Pairs, Station};
use anyhow::Result;

const CLIENTS: u32 = 16;

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let (cluster, seconds) = (bench.cluster()?, bench.plan.busy_seconds);
    let outboxes = bench.each(|binary| {
        let outbox = ServerOutbox::new(cluster, binary)?;
        outbox.database.execute(&format!("{PLAIN_SERVER_TABLE}; {BARE_TABLE}"))?;
        Ok(outbox)
    })?;
    let mut stations: Vec<Station<'_, f64>> = Vec::new();
    for table in ["plain", "bare", "outbox"] {
        for outbox in &outboxes {
            stations.push(Box::new(move || {
                cluster.checkpoint()?;
                outbox.database.inserts_per_second(table, CLIENTS, seconds)
            }));
        }
    }
    let rounds = bench.alternately("postgres-inserts", stations)?;
    let mut tables = rounds.chunks(outboxes.len());
    let mut next = || tables.next().unwrap_or_default();
    let (plain, bare, outbox) = (next(), next(), next());
    let over = |floor: &[Vec<f64>]| -> Pairs<f64> {
        let pairs = |(floor, value): (&Vec<f64>, &Vec<f64>)| {
            floor.iter().copied().zip(value.iter().copied()).collect()
        };
        floor.iter().zip(outbox).map(pairs).collect()
    };
    let line = |floor: &str, pairs: &Pairs<f64>| {
        let what = format!("{CLIENTS} clients into the outbox");
        Line::over("postgres-inserts", what, "inserts/s", floor, pairs, |rate| *rate)
    };
    Ok(vec![
        line("into the same table, no triggers", &over(bare)).at_least(0.65, 0.8),
        line("into four columns with a primary key", &over(plain)),
    ])
}
