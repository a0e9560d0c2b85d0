//! The GRANTs for roles that do not own the outbox.

use super::connection::quoted;
use crate::config::PostgresServer;
use crate::queue::role::{Duty, Reach, Role};
use crate::queue::transfer::PRODUCER_COLUMNS;
use std::fmt::Write as _;

/// What is not a message and not the dispatcher's own affair.
const STATUS_COLUMNS: &str = "id, channel, account, idempotency_key, ordering_key, priority, send_at, \
    expires_at, max_attempts, source, created_at, status, attempts, next_attempt_at, message_id, \
    receipt, failure, error_code, error, updated_at, finished_at, delivery, delivery_at, case_id, contact_id";

/// For counts and reasons to wait: `status` and `list` read them.
const QUEUE_COLUMNS: &str = "lane, due_at, wait, holds, claimed_by, unspent, uncertain_attempts, budget_from, verify_at, \
     verify_round, verify_from, verify_until, verify_seen, follow_at, followed_at, moves";

/// What a producer may change of a pending job whose message it may not read; the rules of the outbox
/// say when.
const CHANGEABLE: &str =
    "status, ordering_key, priority, send_at, expires_at, max_attempts, updated_at";

/// What a person who resolves an uncertain job, or fails a pending one, may set.
const RESOLVABLE: &str =
    "status, failure, error_code, error, message_id, receipt, updated_at, finished_at";

/// What says which version an outbox has and what it was made for: everyone who opens it reads them.
const OPENING: &str = "outbox_migrations, outbox_dispatcher";

const OTHER_TABLES: &str = "outbox_attempts, outbox_pauses, outbox_holds, outbox_nodes, outbox_elections, outbox_scrubbing, outbox_fill_missing, outbox_unreadable, outbox_history";

/// Without the payloads that were corrected.
const ACT_COLUMNS: &str = "id, job_id, at, deed, origin, name, detail, keeps_payload";

/// The statements, for the outbox's owner to execute; executing them again changes nothing.
pub fn grants(server: &PostgresServer, roles: &[Role], reach: Reach) -> String {
    let schema = quoted(&server.schema);
    let mut text = format!(
        "-- Execute it as the owner of the outbox, after `acquire-outbox init`.\n\
         BEGIN;\nSET LOCAL search_path = {schema}, pg_temp;\n"
    );
    if reach == Reach::OwnSource {
        text.push_str(BY_SOURCE);
    }
    for Role { name, duty } in roles {
        let role = quoted(name);
        let _ = writeln!(text, "\n-- {}\nGRANT USAGE ON SCHEMA {schema} TO {role};", title(*duty));
        for right in rights(*duty, reach) {
            let _ = writeln!(text, "GRANT {right} TO {role};");
        }
        if reach == Reach::OwnSource {
            text.push_str(&policy(name, *duty));
        }
    }
    text.push_str("COMMIT;\n");
    text
}

fn title(duty: Duty) -> &'static str {
    match duty {
        Duty::Producer => "A producer inserts, cancels and retries jobs, and reads their status.",
        Duty::Reader => "A reader reads the status of jobs, but no messages.",
        Duty::Operator => "An operator uses the commands, and reads messages.",
        Duty::Node => "A node runs the daemon; it need not own anything.",
    }
}

fn rights(duty: Duty, reach: Reach) -> Vec<String> {
    let all = PRODUCER_COLUMNS.join(", ");
    let every =
        |rights: &str| format!("{rights} ON outbox, {OTHER_TABLES}, outbox_set_aside, outbox_acts");
    match (duty, reach) {
        (Duty::Producer, Reach::Everything) => vec![
            format!("INSERT ({all}, created_at) ON outbox"),
            format!("SELECT ({STATUS_COLUMNS}), UPDATE ({CHANGEABLE}) ON outbox"),
            "SELECT ON delivery_status".to_owned(),
        ],
        (Duty::Producer, Reach::OwnSource) => vec![
            format!("INSERT ({all}, created_at) ON outbox"),
            format!("SELECT ({STATUS_COLUMNS}, payload) ON outbox"),
            format!("UPDATE ({CHANGEABLE}, channel, payload, account, idempotency_key) ON outbox"),
            "SELECT ON delivery_status".to_owned(),
        ],
        (Duty::Reader, _) => vec![
            format!("SELECT ({STATUS_COLUMNS}, {QUEUE_COLUMNS}) ON outbox"),
            format!("SELECT ON delivery_status, {OTHER_TABLES}, {OPENING}"),
            "SELECT (job_id, since, reason) ON outbox_set_aside".to_owned(),
            format!("SELECT ({ACT_COLUMNS}) ON outbox_acts"),
        ],
        (Duty::Operator, _) => vec![
            every("SELECT"),
            format!("SELECT ON delivery_status, {OPENING}"),
            format!("INSERT ({all}, created_at), UPDATE ({all}, {RESOLVABLE}), DELETE ON outbox"),
            "INSERT, UPDATE, DELETE ON outbox_pauses".to_owned(),
            "EXECUTE ON FUNCTION outbox_verify(bigint[])".to_owned(),
            "EXECUTE ON FUNCTION outbox_try_now(bigint[])".to_owned(),
        ],
        (Duty::Node, _) => vec![
            every("SELECT, INSERT, UPDATE, DELETE"),
            "SELECT, INSERT, UPDATE, DELETE ON outbox_answers, outbox_rates".to_owned(),
            format!("SELECT ON delivery_status, {OPENING}"),
        ],
    }
}

/// A view belongs to its owner, whom no policy concerns; from PostgreSQL 15 on it can be its reader's.
/// Before, the view shows nothing but what everybody may see: nothing.
const BY_SOURCE: &str = "\
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
DO $$
BEGIN
    IF current_setting('server_version_num')::integer < 150000 THEN
        RAISE EXCEPTION 'before PostgreSQL 15 delivery_status would show every producer the jobs of the others; leave --by-source out';
    END IF;
    ALTER VIEW delivery_status SET (security_invoker = true);
END $$;
";

fn policy(name: &str, duty: Duty) -> String {
    let (role, policy) = (quoted(name), quoted(&format!("outbox_{}", policy_name(name))));
    let condition = match duty {
        Duty::Producer => format!("source = '{}'", name.replace('\'', "''")),
        _ => "true".to_owned(),
    };
    format!(
        "DROP POLICY IF EXISTS {policy} ON outbox;\n\
         CREATE POLICY {policy} ON outbox TO {role} USING ({condition}) WITH CHECK ({condition});\n"
    )
}

/// PostgreSQL cuts off what is longer than 63 bytes.
fn policy_name(role: &str) -> &str {
    let mut end = role.len().min(63 - "outbox_".len());
    while !role.is_char_boundary(end) {
        end -= 1;
    }
    &role[..end]
}
