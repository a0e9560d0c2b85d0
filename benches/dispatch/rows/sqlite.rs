//! `sqlite`: what the disk can do, so that a reader can judge the machine.

use super::Bench;
use crate::database::{Database, PLAIN_TABLE, insert_plain};
use crate::report::{Line, percentile};
use anyhow::Result;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;

const COMMITS: u32 = 2_000;
const SYNCS: u32 = 500;

pub fn measure(bench: &Bench) -> Result<Vec<Line>> {
    let rounds = bench.alone("sqlite", &[()], |()| {
        let folder = tempfile::tempdir()?;
        let sync = sync_millis(&File::create(folder.path().join("plain"))?)?;
        let path = folder.path().join("plain.db");
        File::create(&path)?;
        Ok((sync, commits_per_second(&Database::at(path))?))
    })?;
    let (syncs, commits) = rounds.into_iter().flatten().unzip();
    Ok(vec![
        Line::absolute("sqlite", "fdatasync after 4 KiB, p50", "ms", vec![syncs]),
        Line::absolute(
            "sqlite",
            "one INSERT a transaction, synced, flat out",
            "commits/s",
            vec![commits],
        ),
    ])
}

fn sync_millis(file: &File) -> Result<f64> {
    let mut millis = Vec::new();
    for number in 0..SYNCS {
        file.write_all_at(&[1; 4096], u64::from(number) * 4096)?;
        let clock = Instant::now();
        file.sync_data()?;
        millis.push(clock.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(percentile(&millis, 50))
}

fn commits_per_second(database: &Database) -> Result<f64> {
    database.with(async |connection| {
        sqlx::raw_sql(PLAIN_TABLE).execute(&mut *connection).await?;
        let clock = Instant::now();
        for _ in 0..COMMITS {
            insert_plain(connection).await?;
        }
        Ok(f64::from(COMMITS) / clock.elapsed().as_secs_f64())
    })
}
