//! A table with millions of rows that no node can claim, written past the triggers.

use super::node::ServerOutbox;
use crate::database::TEXT;
use crate::plan::Plan;
use anyhow::Result;

impl ServerOutbox {
    /// Adds jobs that are scheduled for tomorrow, jobs behind one whose next attempt is a day away, and
    /// finished ones with their history.
    pub fn deepen(&self, plan: &Plan) -> Result<()> {
        let (scheduled, stuck, finished) = (plan.waiting, plan.stuck, plan.finished);
        let payload = format!("jsonb_build_object('caseId', 2000000000 + i, 'message', '{TEXT}')");
        // Without the indexes it takes a third of the time; they are made as the migration has them.
        self.database.execute(&format!(
            "SET session_replication_role = replica; SET synchronous_commit = off; SET maintenance_work_mem = '512MB';
             DO $$
             DECLARE made text[];
             BEGIN
                 SELECT array_agg(pg_get_indexdef(i.indexrelid)) INTO made FROM pg_index i
                 LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid
                 WHERE i.indrelid IN ('outbox'::regclass, 'outbox_attempts'::regclass) AND c.oid IS NULL;
                 PERFORM set_config('bench.indexes', array_to_string(made, '; '), false);
                 EXECUTE (SELECT 'DROP INDEX ' || string_agg(i.indexrelid::regclass::text, ', ') FROM pg_index i
                          LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid
                          WHERE i.indrelid IN ('outbox'::regclass, 'outbox_attempts'::regclass) AND c.oid IS NULL);
             END $$;
             INSERT INTO outbox (channel, payload, due_at, send_at, wait, lane)
             SELECT 'chat', {payload}, now() + interval '1 day' + i * interval '1 second', now() + interval '1 day' + i * interval '1 second',
                 'scheduled', hashint8extended(i, 1) FROM generate_series(1, {scheduled}) i;
             INSERT INTO outbox (channel, payload, ordering_key, due_at, wait, lane, holds, next_attempt_at, attempts, moves)
             VALUES ('chat', (SELECT {payload} FROM generate_series(1, 1) i), 'stuck', now(), 'backoff', outbox_lane_of('stuck', 'chat', 'default', '{{}}'),
                 outbox_lane_of('stuck', 'chat', 'default', '{{}}'), now() + interval '20 hours', 1, 2);
             INSERT INTO outbox (channel, payload, ordering_key, due_at, wait, lane, moves)
             SELECT 'chat', {payload}, 'stuck', now() + i * interval '1 us', 'parked', outbox_lane_of('stuck', 'chat', 'default', '{{}}'), 1
             FROM generate_series(1, {stuck}) i;
             WITH o AS (
                 INSERT INTO outbox (channel, payload, due_at, lane, status, attempts, message_id, receipt, updated_at, finished_at, moves)
                 SELECT 'chat', {payload}, now() - interval '20 days' + i * interval '100 ms', hashint8extended(i, 2), 'sent', 1, (8289 + i)::text,
                     jsonb_build_object('data.id', 8289 + i), now() - interval '20 days' + i * interval '100 ms', now() - interval '20 days' + i * interval '100 ms', 2
                 FROM generate_series(1, {finished}) i RETURNING id, due_at)
             INSERT INTO outbox_attempts (job_id, attempt, started_at, duration_ms, outcome, http_status, node)
             SELECT id, 1, due_at, 3, 'accepted', 200, 'bench' FROM o;
             DO $$ BEGIN EXECUTE current_setting('bench.indexes'); END $$;"
        ))?;
        self.database.execute("VACUUM ANALYZE")?;
        self.database.execute("CHECKPOINT")
    }
}
