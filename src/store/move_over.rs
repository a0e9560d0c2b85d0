//! Carries an outbox over to another place, ids and history kept: from a file to a server, back, or
//! between two of a kind.

use super::StoreError;
use super::postgres::{SchemaArrival, SchemaDeparture};
use super::sqlite::{FileArrival, FileDeparture};
use crate::config::Database;
use crate::queue::carried::{Carried, CarriedPart, CarriedRest, LeftBehind};
use crate::queue::policy::Purpose;

/// How many of the jobs that cannot be carried an error names.
const NAMED: usize = 10;

/// The outbox that is left. Nobody else writes to it until this is dropped, and everything in it is
/// paused from then on: no dispatcher sends a job twice that has been carried over.
enum Departure {
    Sqlite(FileDeparture),
    Postgres(Box<SchemaDeparture>),
}

/// The outbox that everything is carried to, in one transaction: after an error it is empty.
enum Arrival {
    Sqlite(FileArrival),
    Postgres(Box<SchemaArrival>),
}

/// Jobs that cannot be carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Nothing is carried over then.
    Refuse,
    /// They stay where they are.
    LeaveBehind,
}

/// Carries everything over; `to` is created where it is missing, and must be empty. `progress` gets
/// the number of jobs so far.
///
/// # Errors
/// [`StoreError::Unusable`] while a dispatcher works on either, if jobs are still `sending`, if `to`
/// is not empty, or if a job cannot be carried over.
pub async fn move_over(
    from: &Database,
    to: &Database,
    unfit: Unfit,
    progress: impl FnMut(u64),
) -> Result<Carried, StoreError> {
    if from == to {
        return Err(StoreError::Unusable(format!(
            "{from} is both ends of the move; name two different ones"
        )));
    }
    for end in [from, to] {
        // A place that does not exist yet has no dispatcher.
        if matches!(super::Store::dispatcher_is_running(end).await, Ok(true)) {
            return Err(StoreError::Unusable(format!(
                "a dispatcher works on {end}; stop it, and every other one that may start on it"
            )));
        }
    }
    let mut departure = Departure::begin(from, &format!("moved to {to}")).await?;
    let (carried, arrival, rest) = match carry(&mut departure, to, unfit, progress).await {
        Ok(carried) => carried,
        Err(e) => {
            // If that fails, the pause stays; the first error says more.
            let _ = departure.undo().await;
            return Err(e);
        }
    };
    // The answer to the commit may be lost: so the pause stays.
    arrival.settle(&rest).await.map_err(|e| {
        StoreError::Unusable(format!(
            "{e}; it is unknown whether everything was moved: if {to} has the jobs, it was; \
             otherwise move it again. {from} stays paused"
        ))
    })?;
    departure.end().await?;
    Ok(carried)
}

async fn carry(
    departure: &mut Departure,
    to: &Database,
    unfit: Unfit,
    mut progress: impl FnMut(u64),
) -> Result<(Carried, Arrival, CarriedRest), StoreError> {
    let mut arrival = Arrival::begin(to, departure.purpose()).await?;
    let mut carried = Carried::default();
    let mut after = i64::MIN;
    loop {
        let load = departure.load(after).await?;
        carried.left_behind.extend(load.unreadable.iter().cloned());
        let refused = arrival.put(&load).await?;
        let left = |id: i64| refused.iter().any(|job| job.id == id);
        carried.jobs += load.jobs.iter().filter(|job| !left(job.id)).count() as u64;
        carried.attempts += load.attempts.iter().filter(|of| !left(of.job_id)).count() as u64;
        carried.left_behind.extend(refused);
        progress(carried.jobs);
        let Some(last) = load.last else { break };
        after = last;
    }
    if unfit == Unfit::Refuse && !carried.left_behind.is_empty() {
        return Err(StoreError::Unusable(not_carried(&carried.left_behind)));
    }
    let mut rest = departure.rest().await?;
    rest.set_aside.retain(|of| carried.left_behind.iter().all(|left| left.id != of.job_id));
    Ok((carried, arrival, rest))
}

fn not_carried(left: &[LeftBehind]) -> String {
    let named: Vec<_> =
        left.iter().take(NAMED).map(|job| format!("job {}: {}", job.id, job.reason)).collect();
    let more = if left.len() > NAMED {
        format!("; and {} more", left.len() - NAMED)
    } else {
        String::new()
    };
    format!(
        "nothing was moved, because of {}{more}; with --leave-behind such jobs stay where they are",
        named.join("; ")
    )
}

impl Departure {
    async fn begin(from: &Database, reason: &str) -> Result<Departure, StoreError> {
        match from {
            Database::File(path) => FileDeparture::begin(path, reason).await.map(Departure::Sqlite),
            Database::Postgres(server) => SchemaDeparture::begin(server, reason)
                .await
                .map(|to| Departure::Postgres(Box::new(to))),
        }
    }

    fn purpose(&self) -> Purpose {
        let is_sandbox = match self {
            Departure::Sqlite(from) => from.is_sandbox(),
            Departure::Postgres(from) => from.is_sandbox(),
        };
        if is_sandbox { Purpose::Sandbox } else { Purpose::Delivery }
    }

    /// The next jobs above `after`.
    async fn load(&mut self, after: i64) -> Result<CarriedPart, StoreError> {
        match self {
            Departure::Sqlite(from) => from.load(after).await,
            Departure::Postgres(from) => from.load(after).await,
        }
    }

    async fn rest(&mut self) -> Result<CarriedRest, StoreError> {
        match self {
            Departure::Sqlite(from) => from.rest().await,
            Departure::Postgres(from) => from.rest().await,
        }
    }

    async fn undo(self) -> Result<(), StoreError> {
        match self {
            Departure::Sqlite(from) => from.undo().await,
            Departure::Postgres(from) => from.undo().await,
        }
    }

    async fn end(self) -> Result<(), StoreError> {
        match self {
            Departure::Sqlite(from) => from.end().await,
            Departure::Postgres(from) => from.end().await,
        }
    }
}

impl Arrival {
    async fn begin(to: &Database, purpose: Purpose) -> Result<Arrival, StoreError> {
        match to {
            Database::File(path) => FileArrival::begin(path, purpose).await.map(Arrival::Sqlite),
            Database::Postgres(server) => SchemaArrival::begin(server, purpose)
                .await
                .map(|to| Arrival::Postgres(Box::new(to))),
        }
    }

    /// Gives the jobs that it cannot hold.
    async fn put(&mut self, load: &CarriedPart) -> Result<Vec<LeftBehind>, StoreError> {
        let (mut refused, mut parts) = (Vec::new(), vec![&load.jobs[..]]);
        // A part that is refused is halved until the job that is to blame is alone.
        while let Some(jobs) = parts.pop().filter(|jobs| !jobs.is_empty()) {
            let put = match self {
                Arrival::Sqlite(to) => to.put(jobs).await,
                Arrival::Postgres(to) => to.put(jobs).await,
            };
            match (put, jobs) {
                (Ok(()), _) => {}
                (Err(e), [job]) if e.is_of_a_row() => {
                    refused.push(LeftBehind { id: job.id, reason: e.to_string() });
                }
                (Err(e), _) if e.is_of_a_row() => {
                    let (first, second) = jobs.split_at(jobs.len() / 2);
                    parts.extend([second, first]);
                }
                (Err(e), _) => return Err(e),
            }
        }
        let is_here = |id: i64| refused.iter().all(|job| job.id != id);
        let attempts: Vec<_> =
            load.attempts.iter().filter(|of| is_here(of.job_id)).cloned().collect();
        match self {
            Arrival::Sqlite(to) => to.put_attempts(&attempts).await?,
            Arrival::Postgres(to) => to.put_attempts(&attempts).await?,
        }
        let acts: Vec<_> = load.acts.iter().filter(|of| is_here(of.job_id)).cloned().collect();
        match self {
            Arrival::Sqlite(to) => to.put_acts(&acts).await?,
            Arrival::Postgres(to) => to.put_acts(&acts).await?,
        }
        Ok(refused)
    }

    /// Gives every job its place in the queue, and commits.
    async fn settle(self, rest: &CarriedRest) -> Result<(), StoreError> {
        match self {
            Arrival::Sqlite(to) => to.settle(rest).await,
            Arrival::Postgres(to) => to.settle(rest).await,
        }
    }
}
