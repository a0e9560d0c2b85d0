//! The note of answers ([`AnswerNote`](crate::store::AnswerNote)) as rows of `outbox_answers`, which
//! whoever buries this node records.
//!
//! They are written by a session of their own, so that they do not wait for the cycle that is running, and
//! without waiting for the disk: they have to survive the node, not the server.

use super::ended_json;
use super::node_session::set_up;
use super::{PostgresError, PostgresStore};
use crate::config::PostgresServer;
use crate::queue::ended::Ended;
use crate::queue::when::now;
use crate::store::Keeping;
use std::future::pending;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// A longer row would be compressed and moved out of the table, which costs more than a second row.
const ROW_BYTES: usize = 1_500;
/// How long one note may take.
const ANSWER: Duration = Duration::from_secs(2);
/// How long after an error the next note is written at the earliest.
const AGAIN: Duration = Duration::from_secs(2);

const NOT_SYNCED: &str = "SET synchronous_commit = off";
/// Notes these, and deletes what has been recorded since.
const NOTE: &str = "\
WITH recorded AS (DELETE FROM outbox_answers WHERE epoch = $1 AND note <= $4)
INSERT INTO outbox_answers (epoch, note, ended) SELECT $1, $2, unnest($3::text[])";

/// The answers of this node, as far as they are not known to be recorded.
#[derive(Debug)]
pub struct AnswerTable {
    to_write: mpsc::Sender<Note>,
    written: mpsc::Receiver<bool>,
    is_writing: bool,
    /// The number of the last note.
    last: i64,
    /// The last one that the running cycle records, and the last one that is recorded.
    recording: i64,
    recorded: i64,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Note {
    number: i64,
    /// JSON arrays.
    rows: Vec<String>,
    recorded: i64,
}

impl AnswerTable {
    /// Of the node with this epoch. It connects when there is something to note.
    pub(super) fn of(server: &PostgresServer, epoch: i64) -> AnswerTable {
        let (to_write, notes) = mpsc::channel(1);
        let (tell, written) = mpsc::channel(1);
        let task = tokio::spawn(write(server.clone(), epoch, notes, tell));
        let (last, recording, recorded) = (0, 0, 0);
        AnswerTable { to_write, written, is_writing: false, last, recording, recorded, task }
    }

    pub fn keep(&mut self, ended: &[&Ended]) -> Keeping {
        if ended.is_empty() || self.is_writing {
            return Keeping::NotKept;
        }
        let (number, rows) = (self.last + 1, ended_json::arrays(ended, now(), ROW_BYTES));
        let note = Note { number, rows, recorded: self.recorded };
        if self.to_write.try_send(note).is_err() {
            return Keeping::NotKept;
        }
        self.last = number;
        self.is_writing = true;
        Keeping::UnderWay
    }

    pub async fn kept(&mut self) -> bool {
        if !self.is_writing {
            return pending().await;
        }
        let kept = self.written.recv().await.unwrap_or(false);
        self.is_writing = false;
        kept
    }

    pub fn cycle_begins(&mut self) {
        self.recording = self.last;
    }

    pub fn cycle_recorded(&mut self) {
        self.recorded = self.recording;
    }
}

impl Drop for AnswerTable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Writes one note after the other, until the dispatcher is gone.
async fn write(
    server: PostgresServer,
    epoch: i64,
    mut notes: mpsc::Receiver<Note>,
    tell: mpsc::Sender<bool>,
) {
    let mut session = None;
    while let Some(note) = notes.recv().await {
        let done = timeout(ANSWER, write_one(&mut session, &server, epoch, note)).await;
        let is_written = matches!(done, Ok(Ok(())));
        if !is_written {
            // Whatever was wrong with it. Meanwhile places are free once their answers are recorded.
            session = None;
            sleep(AGAIN).await;
        }
        if tell.send(is_written).await.is_err() {
            break;
        }
    }
}

async fn write_one(
    session: &mut Option<PostgresStore>,
    server: &PostgresServer,
    epoch: i64,
    note: Note,
) -> Result<(), PostgresError> {
    let store = match session {
        Some(store) => store,
        None => {
            let mut store = PostgresStore::open_session("acquire-outbox answers", server).await?;
            set_up(&mut store, epoch).await?;
            sqlx::raw_sql(NOT_SYNCED).execute(&mut store.conn).await?;
            session.insert(store)
        }
    };
    let query = sqlx::query(NOTE).bind(epoch).bind(note.number).bind(note.rows);
    query.bind(note.recorded).execute(&mut store.conn).await?;
    Ok(())
}
