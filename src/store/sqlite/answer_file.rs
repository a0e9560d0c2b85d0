//! The note of answers ([`AnswerNote`](crate::store::AnswerNote)) as a file next to the database.
//!
//! A kill of the process loses its memory, but not what it has written to a file. So an answer that is
//! noted is recorded by the next start, and its place is free before the next cycle is on disk: that is
//! what lets claims be made ahead of free places. The note is not synced. After a loss of power its
//! jobs may be of unknown outcome, as if it did not exist.

use super::progress::open_note;
use super::record::EndedRow;
use super::{RealPath, SqliteError, SqliteStore};
use crate::queue::ended::Ended;
use crate::queue::job::Millis;
use crate::queue::when::now;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// The file has two halves of this many bytes. One has the answers that the running cycle records,
/// the other those that arrive meanwhile.
const HALF: u64 = 512 * 1024;

/// The first line: which dispatcher noted this, and what the values of the other lines are. An outcome
/// is one line each, a JSON array.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    epoch: i64,
    started_at: Millis,
    columns: Vec<String>,
}

impl Header {
    fn of(epoch: i64, started_at: Millis) -> Header {
        let columns = EndedRow::COLUMNS.iter().map(|name| (*name).to_owned()).collect();
        Header { epoch, started_at, columns }
    }
}

fn path_of(database: &RealPath) -> PathBuf {
    database.hidden("dispatcher-answers")
}

/// The answers of the dispatcher that is running, as far as they are not known to be on disk.
#[derive(Debug)]
pub struct AnswerFile {
    file: File,
    /// The half that is being written to, where each begins, and up to where it is written.
    half: usize,
    starts: [u64; 2],
    ends: [u64; 2],
    /// Whether a half may have answers that are not on disk.
    needed: [bool; 2],
    lines: Vec<u8>,
}

impl AnswerFile {
    /// Begins an empty note.
    pub(super) fn begin(
        database: &RealPath,
        epoch: i64,
        started_at: Millis,
    ) -> std::io::Result<AnswerFile> {
        let file = open_note(&path_of(database), database, OFlags::WRONLY)?;
        file.set_len(0)?;
        let mut header = serde_json::to_vec(&Header::of(epoch, started_at))?;
        header.push(b'\n');
        file.write_all_at(&header, 0)?;
        let starts = [header.len() as u64, HALF];
        let needed = [false; 2];
        Ok(AnswerFile { file, half: 1, starts, ends: starts, needed, lines: Vec::new() })
    }

    /// Writes these down. False: they could not be, and have a place until they are recorded.
    pub fn keep(&mut self, ended: &[&Ended]) -> bool {
        if ended.is_empty() {
            return true;
        }
        self.lines.clear();
        for one in ended {
            if serde_json::to_writer(&mut self.lines, &EndedRow::of(one)).is_err() {
                return false;
            }
            self.lines.push(b'\n');
        }
        let (at, length) = (self.ends[self.half], self.lines.len() as u64);
        let limit = HALF * (self.half as u64 + 1);
        if at + length > limit || self.file.write_all_at(&self.lines, at).is_err() {
            return false;
        }
        self.ends[self.half] = at + length;
        self.needed[self.half] = true;
        true
    }

    /// A cycle begins that records all that has been noted.
    pub fn cycle_begins(&mut self) {
        let other = 1 - self.half;
        if !self.needed[other] {
            // From its beginning. What is left of older lines does no harm: they are on disk.
            self.half = other;
            self.ends[other] = self.starts[other];
        }
    }

    /// That cycle is on disk, and has left nothing to record again.
    pub fn cycle_recorded(&mut self) {
        self.needed[1 - self.half] = false;
    }
}

const CLAIMED: &str = "\
SELECT id, attempts, claimed_by FROM outbox WHERE claimed_by IS NOT NULL AND +status = 'sending'";

impl SqliteStore {
    /// Records the answers that the last dispatcher of this file had noted when it was killed; gives their
    /// number. Call it with the lock held, before the next epoch begins.
    pub(super) async fn record_noted_answers(&mut self) -> Result<usize, SqliteError> {
        let Some(noted) = noted(&RealPath::of(self.path())?) else { return Ok(0) };
        let (header, lines) = noted;
        let (epoch, started_at) = (self.epoch().await?, self.epoch_started_at().await?);
        if header != Header::of(epoch, started_at) {
            return Ok(0);
        }
        let claimed = sqlx::query_as(CLAIMED).fetch_all(&mut self.conn).await?;
        let claimed: HashSet<(i64, i64, i64)> = claimed.into_iter().collect();
        let mut recorded = 0;
        for line in lines {
            // A line may be torn, or of a job that was recorded since.
            let Ok(values) = serde_json::from_str::<Vec<Value>>(&line) else { continue };
            let whole = |at: usize| values.get(at).and_then(Value::as_i64);
            let (Some(id), Some(attempts), Some(claim)) = (whole(0), whole(1), whole(2)) else {
                continue;
            };
            if values.len() != EndedRow::COLUMNS.len() || !claimed.contains(&(id, attempts, claim))
            {
                continue;
            }
            match self.record_json(format!("[{line}]"), now(), epoch).await {
                Ok(lost) => recorded += usize::from(!lost.contains(&id)),
                // A rule of this row's: recovery decides about it, and sets it aside if need be.
                Err(e) if e.is_of_a_row() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(recorded)
    }
}

/// What a dispatcher has noted; `None` if there is no note that can be read.
fn noted(database: &RealPath) -> Option<(Header, Vec<String>)> {
    let file = open_note(&path_of(database), database, OFlags::RDONLY).ok()?;
    let mut bytes = Vec::new();
    file.take(2 * HALF).read_to_end(&mut bytes).ok()?;
    // Between the halves there may be zeros.
    let mut lines = bytes.split(|byte| matches!(byte, b'\n' | 0)).filter(|line| !line.is_empty());
    let header = serde_json::from_slice(lines.next()?).ok()?;
    let text = |line: &[u8]| String::from_utf8(line.to_vec()).ok();
    Some((header, lines.filter_map(text).collect()))
}
