//! `demo`: everything at once, in a temporary folder, with nothing to set up.

use super::stand_in::StandIn;
use super::{flush_log, list, output};
use crate::config::{Config, Database, Web};
use crate::daemon;
use crate::dispatcher::Until;
use crate::log;
use crate::metrics::Metrics;
use crate::queue::filter::{Filter, Page};
use crate::queue::job::Status;
use crate::queue::policy::Purpose;
use crate::queue::story::Delivery;
use crate::reload::Reload;
use crate::store::Store;
use anyhow::Result;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::oneshot;

#[derive(clap::Args)]
#[command(after_help = "\
It takes a few seconds, needs no account and delivers nothing: a stand-in for
Acquire runs inside. The database stays in a temporary folder, where you can
look at it.

Examples:
  acquire-outbox demo
  acquire-outbox demo --page  and look at the dashboard, until Ctrl-C")]
pub struct DemoArgs {
    /// Serve the dashboard, and keep running until Ctrl-C
    #[arg(long)]
    page: bool,
}

/// Jobs that have not ended.
const OPEN: [Status; 2] = [Status::Pending, Status::Sending];

/// What the demo's producers execute: plain SQL, like any program.
const INSERTS: [(&str, &str); 7] = [
    (
        "a chat message",
        r#"INSERT INTO outbox (channel, payload, source)
VALUES ('chat', '{"caseId": 2069, "message": "Your order has shipped."}', 'orders');"#,
    ),
    (
        "a second one in the same conversation: it is sent after the first",
        r#"INSERT INTO outbox (channel, payload, source)
VALUES ('chat', '{"caseId": 2069, "message": "It arrives tomorrow."}', 'orders');"#,
    ),
    (
        "an email: an idempotency_key makes sure that it is sent once",
        r#"INSERT OR IGNORE INTO outbox (channel, payload, source, idempotency_key)
VALUES ('mail', '{"caseId": 1128, "contactId": 9156860, "from": "billing@example.com",
        "to": ["ada@example.com"], "subject": "Invoice 7", "textBody": "Thank you."}', 'billing', 'invoice-7');"#,
    ),
    (
        "a text message that is sent before all waiting ones",
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
        "one that is scheduled",
        r#"INSERT INTO outbox (channel, payload, source, send_at)
VALUES ('chat', '{"caseId": 2070, "message": "How was it?"}', 'orders', datetime('now', '+4 seconds'));"#,
    ),
];

/// The dashboard's usual port.
const USUAL_PORT: u16 = 9464;

pub async fn run(args: DemoArgs) -> Result<ExitCode> {
    output::spool()?;
    let stop = daemon::stop_signal(flush_log)?;
    let folder = tempfile::Builder::new().prefix("acquire-outbox-demo-").tempdir()?.keep();
    let database = Database::from(folder.join("outbox.db"));
    let stand_in = StandIn::bind().await?;
    let mut config = Config::for_sandbox(database.clone(), &stand_in.address);
    for policy in config.channels.values_mut() {
        policy.retry.initial = Duration::from_millis(500);
    }
    let page = args.page.then(free_address).transpose()?;
    config.web = page.map(|listen| Web {
        listen,
        token: None,
        hosts: Vec::new(),
        inbox: None,
        path_prefix: None,
    });
    let mut store = Store::init(Purpose::Sandbox, &database).await?.0;
    output::line(format!(
        "An outbox for the sandbox in {database}, and a stand-in for Acquire at {}.\n",
        stand_in.address
    ))?;
    insert(&mut store).await?;
    let serving = stand_in.serve();
    dispatch(&mut store, config, stop).await?;
    serving.end().await?;
    if page.is_none() {
        report(&mut store, &database).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The usual port, or another one where that is taken.
fn free_address() -> Result<SocketAddr> {
    let at = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    Ok(at(USUAL_PORT).or_else(|_| at(0))?.local_addr()?)
}

async fn insert(store: &mut Store) -> Result<()> {
    output::line("Programs insert messages with plain SQL:\n")?;
    for (what, sql) in INSERTS {
        output::line(format!("-- {what}\n{sql}\n"))?;
        store.execute_sql(sql).await?;
    }
    Ok(())
}

/// Runs the daemon until every job has ended, and prints what happens; with a page, until it is stopped.
async fn dispatch(store: &mut Store, config: Config, stop: impl Future<Output = ()>) -> Result<()> {
    output::line("The dispatcher starts. This is what happens:\n")?;
    let metrics = Metrics::of_this_process(log::lost());
    // `Until::Empty` would not wait for the scheduled job.
    let (database, page) = (config.database.clone(), config.web.as_ref().map(|web| web.listen));
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
    let mut kept = None;
    tokio::pin!(dispatching);
    let done = loop {
        tokio::select! {
            done = &mut dispatching => break done,
            () = tokio::time::sleep(Duration::from_millis(100)) => print_news(store, &mut seen).await?,
        }
        let is_open = all_done.is_some();
        if is_open && store.count(&Filter::of_states(&OPEN)).await? == 0 {
            let ended = all_done.take();
            let Some(address) = page else { continue };
            // Kept, so that the daemon and its pages stay.
            kept = ended;
            print_news(store, &mut seen).await?;
            report(store, &database).await?;
            output::line(format!("\nThe dashboard: http://{address}/   (Ctrl-C ends the demo)"))?;
        }
    };
    drop(kept);
    done?;
    print_news(store, &mut seen).await
}

/// Prints a line for each job whose state has changed since the last call.
async fn print_news(store: &mut Store, seen: &mut BTreeMap<i64, (String, i64)>) -> Result<()> {
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
        ("pending", Some(at), _) => format!("next attempt at {at}: {}", error()),
        ("pending", None, Some(at)) => format!("scheduled for {at}"),
        (status, ..) => status.to_owned(),
    }
}

async fn report(store: &mut Store, database: &Database) -> Result<()> {
    let program = program();
    output::line("\nThe delivery report (any program can query the view delivery_status):\n")?;
    let mut jobs = store.deliveries(&Filter::default(), &Page::newest(100)).await?;
    jobs.reverse();
    list::print(&jobs)?;
    output::line(format!(
        "\nTry next:
  {program} --database {database} list
  {program} --database {database} show 5
  {program} --database {database} run --sandbox --listen 127.0.0.1:{USUAL_PORT}
  sqlite3 {database} \"SELECT id, status, message_id, error FROM delivery_status\"
With an account: see docs/configuration.md, then run `{program} check` and `{program} run`."
    ))
}

/// The program as it can be typed: by its name if the shell finds this program by it, or by its path.
fn program() -> String {
    const NAME: &str = env!("CARGO_PKG_NAME");
    let Ok(this) = std::env::current_exe() else { return NAME.to_owned() };
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&folders).map(|folder| folder.join(NAME)).find(|p| p.is_file());
    let is_found = found.is_some_and(|path| path.canonicalize().ok() == this.canonicalize().ok());
    let path = this.display().to_string();
    let is_plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    match (is_found, is_plain) {
        (true, _) => NAME.to_owned(),
        (false, true) => path,
        (false, false) => format!("'{}'", path.replace('\'', r"'\''")),
    }
}
