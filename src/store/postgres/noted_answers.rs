//! Records the answers that dead nodes had noted.

use super::ended_json::{is_known, later};
use super::postgres_tenure::PostgresTenure;
use crate::queue::job::Millis;
use crate::queue::report::Notice;
use crate::store::StoreError;
use serde_json::{Value, json};
use tracing::Level;

/// How many rows, of some answers each, one transaction records.
const PAGE: i64 = 50;

const NOTED: &str = "\
SELECT a.epoch, a.note, a.part, a.ended, (extract(epoch FROM clock_timestamp() - a.at) * 1000)::bigint
FROM outbox_answers a WHERE a.epoch = ANY ($1) AND (a.epoch, a.note, a.part) > ($2, $3, $4)
ORDER BY a.epoch, a.note, a.part LIMIT $5";
const FORGET: &str = "\
DELETE FROM outbox_answers a USING unnest($1::bigint[], $2::bigint[], $3::integer[]) AS x (epoch, note, part)
WHERE a.epoch = x.epoch AND a.note = x.note AND a.part = x.part";

impl PostgresTenure {
    /// Records the answers that these nodes had noted when they died. An answer for a row that is no longer
    /// theirs changes nothing. Gives the jobs whose rows somebody has locked: a later call records their
    /// answers.
    pub(super) async fn record_noted(&mut self, buried: &[i64]) -> Result<Vec<i64>, StoreError> {
        let (mut locked, mut count) = (Vec::new(), 0);
        let mut last = (0_i64, 0_i64, 0_i32);
        loop {
            let query = sqlx::query_as(NOTED).bind(buried);
            let query = query.bind(last.0).bind(last.1).bind(last.2).bind(PAGE);
            let rows: Vec<(i64, i64, i32, String, Millis)> =
                self.session.with(async move |conn| query.fetch_all(conn).await).await?;
            let Some((epoch, note, part, ..)) = rows.last() else { break };
            last = (*epoch, *note, *part);
            let read = |(.., ended, age): &(i64, i64, i32, String, Millis)| -> Vec<Value> {
                // What another version has written in another way says nothing here.
                let answers: Vec<Value> = serde_json::from_str(ended).unwrap_or_default();
                answers.into_iter().filter(is_known).map(|answer| later(answer, *age)).collect()
            };
            let answers: Vec<Vec<Value>> = rows.iter().map(read).collect();
            let held = self.record_answers(&answers.concat()).await?;
            let is_done = |answers: &&Vec<Value>| !answers.iter().any(|a| held.contains(&id(a)));
            count += answers.iter().filter(is_done).map(Vec::len).sum::<usize>();
            let done = rows.iter().zip(&answers).filter(|(_, answers)| is_done(answers));
            let (mut epochs, mut notes, mut parts) = (Vec::new(), Vec::new(), Vec::new());
            for ((epoch, note, part, ..), _) in done {
                epochs.push(*epoch);
                notes.push(*note);
                parts.push(*part);
            }
            let query = sqlx::query(FORGET).bind(epochs).bind(notes).bind(parts);
            self.session.with(async move |conn| query.execute(conn).await).await?;
            locked.extend(held);
        }
        if count > 0 {
            let sentence = "the answers that a dead node had noted are recorded";
            self.report.notice(Notice::new(Level::INFO, sentence).rows(count));
            self.report.may_be_ready = true;
        }
        Ok(locked)
    }

    /// Gives the jobs whose rows somebody has locked. An answer that the database refuses to record is kept:
    /// its job must not be sent again.
    async fn record_answers(&mut self, answers: &[Value]) -> Result<Vec<i64>, StoreError> {
        if answers.is_empty() {
            return Ok(Vec::new());
        }
        match self.record_kept(json!(answers).to_string()).await {
            Err(e) if e.is_of_a_row() => {}
            done => return done,
        }
        let mut locked = Vec::new();
        for answer in answers {
            match self.record_kept(json!([answer]).to_string()).await {
                Err(e) if e.is_of_a_row() => {
                    self.keep_outcome(id(answer), answer.to_string(), &e).await?;
                }
                done => locked.extend(done?),
            }
        }
        Ok(locked)
    }
}

fn id(answer: &Value) -> i64 {
    answer["id"].as_i64().unwrap_or_default()
}
