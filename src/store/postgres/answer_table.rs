//! The note of answers ([`AnswerNote`](crate::store::AnswerNote)) as rows of `outbox_answers`. The node
//! that buries this one records them.
//!
//! A separate session writes them, so that they do not wait for the cycle that is running. It does not wait
//! for the disk either: they have to survive the node, not the server.

use super::ended_json;
use super::node_session::{NodeSession, set_up};
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
use tokio::time::{Instant, timeout};
use tracing::warn;

/// PostgreSQL would compress a longer row or move it out of the table, which costs more than a second row.
const ROW_BYTES: usize = 1_500;
/// How long one note may take, with a new session for it.
const ANSWER: Duration = Duration::from_secs(15);
/// How long the end waits for one.
const END: Duration = Duration::from_secs(2);
/// How long to wait for another note before what has been recorded is deleted.
const IDLE: Duration = Duration::from_secs(5);

/// How many notes may be there that are not recorded, which is more than any cycle leaves unless somebody keeps
/// its rows locked.
const MOST: i64 = 200;
/// How long after an error nothing is noted: places are free only once their answers are recorded.
const WITHOUT: Duration = Duration::from_secs(5);

const SETTINGS: &str = "SET enable_seqscan = off";
/// Inserts a note, and deletes those whose answers have been recorded since. What a note does to rows is fenced by
/// the claims that it names. That it frees places is fenced by the node's last transaction: otherwise an old
/// primary that can still be reached would take notes that nobody will read.
const NOTE: &str = "\
WITH setting AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
recorded AS (DELETE FROM outbox_answers WHERE epoch = $1 AND note > $5 AND note <= $4)
INSERT INTO outbox_answers (epoch, note, part, ended)
SELECT $1, $2, x.part, x.ended FROM setting, unnest($3::text[]) WITH ORDINALITY AS x (ended, part)
WHERE EXISTS (SELECT 1 FROM outbox_nodes n WHERE n.epoch = $1 AND n.buried_at IS NULL AND n.cycle >= $6)";
const FORGET: &str = "DELETE FROM outbox_answers WHERE epoch = $1 AND note > $3 AND note <= $2";

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
    /// Notes failed a moment ago.
    without_until: Option<Instant>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Note {
    number: i64,
    /// JSON arrays.
    rows: Vec<String>,
}

impl AnswerTable {
    /// For the node of this session. It connects only when there is something to note.
    pub(super) fn of(node: &NodeSession) -> AnswerTable {
        let (to_write, notes) = mpsc::channel(1);
        let (tell, written) = mpsc::channel(1);
        let recorded = Arc::new(AtomicI64::new(0));
        let writer = Writer {
            server: node.server().clone(),
            epoch: node.epoch,
            committed: node.committed(),
            session: None,
            recorded: Arc::clone(&recorded),
            written: 0,
            deleted: 0,
            is_failing: false,
        };
        AnswerTable {
            to_write,
            written,
            is_writing: false,
            last: 0,
            recording: 0,
            recorded,
            without_until: None,
            task: tokio::spawn(writer.run(notes, tell)),
        }
    }

    /// Whether places become free before their answers are recorded.
    pub fn works(&self) -> bool {
        let is_failing = self.without_until.is_some_and(|until| Instant::now() < until);
        !is_failing && self.last - self.recorded.load(Ordering::Relaxed) <= MOST
    }

    pub fn keep(&mut self, ended: &[&Ended]) -> Keeping {
        if ended.is_empty() || self.is_writing || !self.works() {
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
        self.without_until = (!kept).then(|| Instant::now() + WITHOUT);
        kept
    }

    /// Waits for a note that is being written: nothing is noted after the node's end.
    pub async fn end(&mut self) {
        if self.is_writing {
            let _ = timeout(END, self.kept()).await;
        }
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
    /// The node's last transaction that is known to be committed.
    committed: Arc<AtomicI64>,
    /// Opened when there is something to note, and closed when there has been nothing for a while.
    session: Option<PostgresStore>,
    recorded: Arc<AtomicI64>,
    /// The last note, and up to which one they are deleted. Below that an old snapshot may keep dead rows.
    written: i64,
    deleted: i64,
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
                    let forgotten = timeout(ANSWER, self.forget()).await;
                    // What is not recorded yet is deleted later.
                    if !matches!(forgotten, Ok(Ok(()))) || self.deleted >= self.written {
                        self.session = None;
                    }
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
        // Whatever the error was, a new session may help.
        self.session = None;
        false
    }

    async fn write(&mut self, note: Note) -> Result<(), PostgresError> {
        let store = match &mut self.session {
            Some(store) => store,
            None => {
                let name = "acquire-outbox answers";
                let mut store = PostgresStore::open_session(name, &self.server).await?;
                // The address may lead to a pooler by now.
                store.require_session("answers cannot be noted")?;
                set_up(&mut store, self.epoch).await?;
                sqlx::raw_sql(SETTINGS).execute(&mut store.conn).await?;
                self.session.insert(store)
            }
        };
        let recorded = self.recorded.load(Ordering::Relaxed);
        let query = sqlx::query(NOTE).bind(self.epoch).bind(note.number).bind(note.rows);
        let query = query.bind(recorded).bind(self.deleted);
        let query = query.bind(self.committed.load(Ordering::Relaxed));
        let inserted = query.execute(&mut store.conn).await?.rows_affected();
        if inserted == 0 {
            let sentence = "the node's last transaction is not in this database";
            return Err(PostgresError::Lost(sentence.to_owned()));
        }
        (self.written, self.deleted) = (note.number, recorded);
        Ok(())
    }

    /// Deletes the notes whose answers have been recorded.
    async fn forget(&mut self) -> Result<(), PostgresError> {
        let Some(store) = &mut self.session else { return Ok(()) };
        let recorded = self.recorded.load(Ordering::Relaxed);
        let query = sqlx::query(FORGET).bind(self.epoch).bind(recorded).bind(self.deleted);
        query.execute(&mut store.conn).await?;
        self.deleted = recorded;
        Ok(())
    }
}
