//! `demo`: all of it in one go, in a temporary folder, with nothing to set up.

use super::{last_words, list, output};
use crate::log;
use acquire_outbox::config::{Config, Database};
use acquire_outbox::daemon;
use acquire_outbox::dispatcher::Until;
use acquire_outbox::metrics::Metrics;
use acquire_outbox::queue::filter::{Filter, Page};
use acquire_outbox::queue::job::Status;
use acquire_outbox::queue::policy::Purpose;
use acquire_outbox::queue::story::Delivery;
use acquire_outbox::reload::Reload;
use acquire_outbox::sandbox::{Sandbox, Settings};
use acquire_outbox::store::Store;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::oneshot;

#[derive(clap::Args)]
#[command(after_help = "\
It takes some seconds, needs no account, and sends nothing to anybody: a stand-in for Acquire runs
inside. The database stays in a temporary folder, for you to look at.

Example:
  acquire-outbox demo")]
pub struct Args {}

/// What the demo's producers execute: plain SQL, as any program would.
const INSERTS: [(&str, &str); 7] = [
    (
        "a chat message",
        r#"INSERT INTO outbox (channel, payload, source)
VALUES ('chat', '{"caseId": 2069, "message": "Your order has left our house."}', 'orders');"#,
    ),
    (
        "a second one of the same conversation: it goes after the first",
        r#"INSERT INTO outbox (channel, payload, source)
VALUES ('chat', '{"caseId": 2069, "message": "It arrives tomorrow."}', 'orders');"#,
    ),
    (
        "a mail, once: the same idempotency_key twice is one message",
        r#"INSERT OR IGNORE INTO outbox (channel, payload, source, idempotency_key)
VALUES ('mail', '{"caseId": 1128, "contactId": 9156860, "from": "billing@example.com",
        "to": ["ada@example.com"], "subject": "Invoice 7", "textBody": "Thank you."}', 'billing', 'invoice-7');"#,
    ),
    (
        "a text message, before all others that wait",
        r#"INSERT INTO outbox (channel, payload, source, priority)
VALUES ('sms', '{"From": "+12513188609", "To": "+12515550100", "Body": "Disk full on db1",
        "contactId": 751069, "threadId": 2219, "timelineId": 2108}', 'monitoring', 9);"#,
    ),
    (
        "one that needs retries: Acquire is down for its first two attempts",
        r#"INSERT INTO outbox (channel, payload, source)
VALUES ('chat', '{"caseId": 900503, "message": "We are back."}', 'orders');"#,
    ),
    (
        "one that Acquire refuses: there is no such case",
        r#"INSERT INTO outbox (channel, payload, source)
VALUES ('chat', '{"caseId": 900404, "message": "Anybody there?"}', 'orders');"#,
    ),
    (
        "one for later",
        r#"INSERT INTO outbox (channel, payload, source, send_at)
VALUES ('chat', '{"caseId": 2070, "message": "How was it?"}', 'orders', datetime('now', '+4 seconds'));"#,
    ),
];

pub async fn run(_: Args) -> Result<ExitCode> {
    output::spool()?;
    let stop = daemon::stop_signal(last_words)?;
    let folder = tempfile::Builder::new().prefix("acquire-outbox-demo-").tempdir()?.keep();
    let database = Database::from(folder.join("outbox.db"));
    let stand_in = Sandbox::bind(Settings::default()).await?;
    let address = stand_in.base_url().parse().context("the sandbox's own address")?;
    let mut config = Config::for_sandbox(database.clone(), &address);
    for policy in config.channels.values_mut() {
        policy.retry.initial = Duration::from_millis(500);
    }
    let mut store = Store::init(Purpose::Sandbox, &database).await?.0;
    output::line(format!(
        "An outbox for the sandbox in {database}, and a stand-in for Acquire at {address}.\n"
    ))?;
    output::line("Programs insert messages with plain SQL:\n")?;
    for (what, sql) in INSERTS {
        output::line(format!("-- {what}\n{sql}\n"))?;
        store.execute_sql(sql).await?;
    }
    output::line("The dispatcher starts; what happens:\n")?;
    let (end, ended) = oneshot::channel::<()>();
    let serving = tokio::spawn(stand_in.serve(async {
        let _ = ended.await;
    }));
    let metrics = Metrics::of_this_process(log::lost());
    // Waits for the scheduled job, too.
    let (all_done, is_all_done) = oneshot::channel::<()>();
    let mut all_done = Some(all_done);
    let stop = async {
        tokio::select! {
            () = stop => {}
            _ = is_all_done => {}
        }
    };
    let dispatching = daemon::run(config, metrics, Until::Stopped, Reload::never(), stop);
    let mut seen = BTreeMap::new();
    tokio::pin!(dispatching);
    let done = loop {
        tokio::select! {
            done = &mut dispatching => break done,
            () = tokio::time::sleep(Duration::from_millis(100)) => tell_news(&mut store, &mut seen).await?,
        }
        if none_waits(&mut store).await? {
            drop(all_done.take());
        }
    };
    done?;
    tell_news(&mut store, &mut seen).await?;
    drop(end);
    serving.await.context("the sandbox")?;
    report(&mut store, &database).await?;
    Ok(ExitCode::SUCCESS)
}

/// Whether every job has ended.
async fn none_waits(store: &mut Store) -> Result<bool> {
    let statuses = vec![Status::Pending, Status::Sending];
    Ok(store.count(&Filter { statuses, ..Filter::default() }).await? == 0)
}

/// A line for each job whose state has changed since the last look.
async fn tell_news(store: &mut Store, seen: &mut BTreeMap<i64, (String, i64)>) -> Result<()> {
    let mut jobs = store.deliveries(&Filter::default(), &Page::newest(100)).await?;
    jobs.reverse();
    for job in jobs {
        let state = (job.status.clone(), job.attempts);
        if seen.get(&job.id) != Some(&state) {
            output::line(format!("  #{} {:4}  {}", job.id, job.channel, sentence(&job)))?;
            seen.insert(job.id, state);
        }
    }
    Ok(())
}

fn sentence(job: &Delivery) -> String {
    let error = || job.error.as_deref().unwrap_or_default();
    match (job.status.as_str(), &job.next_attempt_at, &job.send_at) {
        ("sent", ..) => {
            let id = job.message_id.as_deref().unwrap_or("unknown");
            format!("sent: message {id}, attempt {}", job.attempts)
        }
        ("failed", ..) => {
            format!("failed ({}): {}", job.failure.as_deref().unwrap_or("?"), error())
        }
        ("pending", Some(at), _) => format!("again at {at}: {}", error()),
        ("pending", None, Some(at)) => format!("scheduled for {at}"),
        (status, ..) => status.to_owned(),
    }
}

async fn report(store: &mut Store, database: &Database) -> Result<()> {
    output::line("\nThe delivery report (anyone may query the view delivery_status):\n")?;
    let mut jobs = store.deliveries(&Filter::default(), &Page::newest(100)).await?;
    jobs.reverse();
    list::print(&jobs)?;
    output::line(format!(
        "\nTry next:
  acquire-outbox --database {database} list
  acquire-outbox --database {database} show 5
  acquire-outbox --database {database} run --sandbox
  sqlite3 {database} \"SELECT id, status, message_id, error FROM delivery_status\"
With an account: see docs/configuration.md, then `acquire-outbox check` and `acquire-outbox run`."
    ))
}
