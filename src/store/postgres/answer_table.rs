//! The note of answers ([`AnswerNote`](crate::store::AnswerNote)) as rows of `outbox_answers`. The node
//! that buries this one records them.
//!
//! A separate session writes them, so that they do not wait for the cycle that is running. It does not wait
//! for the disk either: they have to survive the node, not the server.

use super::ended_json;
use super::node_session::set_up;
use super::{PostgresError, PostgresStore};
use crate::config::PostgresServer;
use crate::queue::ended::Ended;
use crate::queue::when::now;
use crate::store::Keeping;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::warn;

/// PostgreSQL would compress a longer row or move it out of the table, which costs more than a second row.
const ROW_BYTES: usize = 1_500;
/// How long one note may take.
const ANSWER: Duration = Duration::from_secs(2);
/// How long to wait after an error before the next note.
const AGAIN: Duration = Duration::from_secs(2);

/// How long to wait for another note before what has been recorded is deleted.
const IDLE: Duration = Duration::from_secs(5);

const NOT_SYNCED: &str = "SET synchronous_commit = off";
/// Inserts a note, and deletes those whose answers have been recorded since. It needs no fence: a note counts
/// only for rows that still belong to the claim that it names.
const NOTE: &str = "\
WITH recorded AS (DELETE FROM outbox_answers WHERE epoch = $1 AND note <= $4)
INSERT INTO outbox_answers (epoch, note, ended) SELECT $1, $2, unnest($3::text[])";

const FORGET: &str = "DELETE FROM outbox_answers WHERE epoch = $1 AND note <= $2";

/// The answers of this node that are not known to be recorded.
#[derive(Debug)]
pub struct AnswerTable {
    to_write: mpsc::Sender<Note>,
    written: mpsc::Receiver<bool>,
    is_writing: bool,
    /// The number of the last note.
    last: i64,
    /// The last note that the running cycle records, and the last one that has been recorded.
    recording: i64,
    recorded: Arc<AtomicI64>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Note {
    number: i64,
    /// JSON arrays.
    rows: Vec<String>,
}

impl AnswerTable {
    /// For the node with this epoch. It connects only when there is something to note.
    pub(super) fn of(server: &PostgresServer, epoch: i64) -> AnswerTable {
        let (to_write, notes) = mpsc::channel(1);
        let (tell, written) = mpsc::channel(1);
        let recorded = Arc::new(AtomicI64::new(0));
        let (server, known) = (server.clone(), Arc::clone(&recorded));
        let writer = Writer { server, epoch, session: None, recorded: known, is_failing: false };
        let task = tokio::spawn(writer.run(notes, tell));
        AnswerTable { to_write, written, is_writing: false, last: 0, recording: 0, recorded, task }
    }

    pub fn keep(&mut self, ended: &[&Ended]) -> Keeping {
        if ended.is_empty() || self.is_writing {
            return Keeping::NotKept;
        }
        let (number, rows) = (self.last + 1, ended_json::arrays(ended, now(), ROW_BYTES));
        if self.to_write.try_send(Note { number, rows }).is_err() {
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
        self.recorded.store(self.recording, Ordering::Relaxed);
    }
}

impl Drop for AnswerTable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task with the session that writes the notes.
struct Writer {
    server: PostgresServer,
    epoch: i64,
    /// Opened when there is something to note, and closed when there has been nothing for a while.
    session: Option<PostgresStore>,
    recorded: Arc<AtomicI64>,
    is_failing: bool,
}

impl Writer {
    /// Writes one note after another, until the dispatcher is gone.
    async fn run(mut self, mut notes: mpsc::Receiver<Note>, tell: mpsc::Sender<bool>) {
        loop {
            let note = match &self.session {
                Some(_) => timeout(IDLE, notes.recv()).await,
                None => Ok(notes.recv().await),
            };
            match note {
                Ok(Some(note)) => {
                    let is_written = self.note(note).await;
                    if tell.send(is_written).await.is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(_) => {
                    // What this leaves behind, the next note deletes, or the node's end.
                    let _ = timeout(ANSWER, self.forget()).await;
                    self.session = None;
                }
            }
        }
    }

    async fn note(&mut self, note: Note) -> bool {
        let reason = match timeout(ANSWER, self.write(note)).await {
            Ok(Ok(())) => {
                self.is_failing = false;
                return true;
            }
            Ok(Err(e)) => e.to_string(),
            Err(_) => format!("no answer within {} s", ANSWER.as_secs()),
        };
        if !std::mem::replace(&mut self.is_failing, true) {
            warn!(reason, "answers cannot be noted: sending is slower until they can be");
        }
        // Whatever the error was, a new session may help. Until then places become free only when their
        // answers are recorded.
        self.session = None;
        sleep(AGAIN).await;
        false
    }

    async fn write(&mut self, note: Note) -> Result<(), PostgresError> {
        let store = match &mut self.session {
            Some(store) => store,
            None => {
                let name = "acquire-outbox answers";
                let mut store = PostgresStore::open_session(name, &self.server).await?;
                set_up(&mut store, self.epoch).await?;
                sqlx::raw_sql(NOT_SYNCED).execute(&mut store.conn).await?;
                self.session.insert(store)
            }
        };
        let query = sqlx::query(NOTE).bind(self.epoch).bind(note.number).bind(note.rows);
        query.bind(self.recorded.load(Ordering::Relaxed)).execute(&mut store.conn).await?;
        Ok(())
    }

    /// Deletes the notes whose answers have been recorded, and closes the session.
    async fn forget(&mut self) -> Result<(), PostgresError> {
        let Some(mut store) = self.session.take() else { return Ok(()) };
        let query = sqlx::query(FORGET).bind(self.epoch);
        query.bind(self.recorded.load(Ordering::Relaxed)).execute(&mut store.conn).await?;
        store.close().await
    }
}
