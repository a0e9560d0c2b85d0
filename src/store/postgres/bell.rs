//! The bell: how a node learns of a commit at once. NOTIFY in every transaction would make all producers
//! take turns at their commits; so they notify only where a node sleeps, which it shows by a lock.
//!
//! A node that is about to sleep takes the bell's lock exclusively. A producer tries to share it, and
//! keeps its share until its commit; one that cannot share it notifies. So a node either learns of a
//! commit, or cannot fall asleep before it. The migration has the producers' half, `outbox_ring`.

use super::bell_poll;
use super::connect_options::connect_options;
use super::connection::quoted;
use super::node_session::name_session;
use crate::config::PostgresServer;
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The channel of this schema's bell.
const CHANNEL: &str = "SELECT 'outbox_' || 'outbox'::regclass::oid";
/// Takes the bell, or says who has it: producers, who share it, or another node. Then producers notify, and
/// this one hears it as well.
const TAKE: &str = "\
SELECT CASE WHEN pg_try_advisory_lock(1869771896, t.id) THEN 'taken'
    WHEN pg_try_advisory_lock_shared(1869771896, t.id) AND pg_advisory_unlock_shared(1869771896, t.id) THEN 'producers'
    ELSE 'node' END
FROM (SELECT 'outbox'::regclass::oid::integer AS id OFFSET 0) t";
const LEAVE: &str = "SELECT pg_advisory_unlock_all()";

/// How often a node looks itself while it cannot take the bell, at first and after a while: a producer's
/// transaction is open.
const POLL: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));
/// How often it tries to take the bell that another node has, at first and after a while.
const TAKEN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));
/// How many of those are quick.
const SOON: u32 = 8;
/// How many polls are quick.
const QUICK: u32 = 100;
/// A node that has just claimed does not fall asleep: the next results, or jobs, are near.
const AWAKE: Duration = Duration::from_millis(3);
/// How long after an error the connection is tried again.
const AGAIN: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(10);

/// A task with a connection that listens.
pub(super) struct Bell {
    asleep: watch::Sender<bool>,
    rung: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Bell {
    /// `polls`: nothing can be listened to, so the task looks itself.
    pub(super) fn of(server: &PostgresServer, epoch: i64, polls: bool) -> Bell {
        let (asleep, sleeps) = watch::channel(false);
        let rung = Arc::new(Notify::new());
        let (server, ringer) = (server.clone(), Arc::clone(&rung));
        let task = match polls {
            true => tokio::spawn(bell_poll::poll(server, sleeps, ringer)),
            false => tokio::spawn(ring(server, epoch, sleeps, ringer)),
        };
        Bell { asleep, rung, task }
    }

    /// Resolves when another program may have committed. Cancel-safe.
    pub(super) async fn rung(&self) {
        self.asleep.send_if_modified(|asleep| !std::mem::replace(asleep, true));
        self.rung.notified().await;
    }

    /// There is work: producers need not notify.
    pub(super) fn awake(&self) {
        self.asleep.send_if_modified(|asleep| std::mem::replace(asleep, false));
    }

    pub(super) fn end(&self) {
        self.task.abort();
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.end();
    }
}

/// Without the connection the node's slow look remains.
async fn ring(
    server: PostgresServer,
    epoch: i64,
    mut sleeps: watch::Receiver<bool>,
    rung: Arc<Notify>,
) {
    loop {
        if let Ok(mut listener) = listener(&server, epoch).await {
            // What was committed while nobody listened.
            rung.notify_one();
            let _ = listen(&mut listener, &mut sleeps, &rung).await;
        }
        sleep(AGAIN).await;
    }
}

async fn listener(server: &PostgresServer, epoch: i64) -> Result<PgListener, sqlx::Error> {
    let mut refused = sqlx::Error::PoolTimedOut;
    for options in connect_options(server)? {
        let options = options.application_name("acquire-outbox bell");
        // Of no other user: it is lost with the connection, and its lock with it.
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(ANSWER);
        let connected = async {
            let pool = pool.connect_with(options).await?;
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.eager_reconnect(false);
            let path = format!("SET search_path = {}, pg_temp", quoted(&server.schema));
            let set_up = format!("{path}; {}", name_session(epoch, false));
            (&mut listener).execute(AssertSqlSafe(set_up)).await?;
            let channel: String = sqlx::query_scalar(CHANNEL).fetch_one(&mut listener).await?;
            listener.listen(&channel).await?;
            Ok(listener)
        };
        match timeout(ANSWER, connected).await {
            Ok(Ok(listener)) => return Ok(listener),
            Ok(Err(e)) => refused = e,
            Err(_) => {}
        }
    }
    Err(refused)
}

/// Until the connection is lost.
async fn listen(
    listener: &mut PgListener,
    sleeps: &mut watch::Receiver<bool>,
    rung: &Notify,
) -> Result<(), sqlx::Error> {
    loop {
        // Awake: what is rung meanwhile is not needed.
        while !*sleeps.borrow_and_update() {
            tokio::select! {
                changed = sleeps.changed() => if changed.is_err() { return Ok(()) },
                heard = listener.try_recv() => if heard?.is_none() { return Ok(()) },
            }
        }
        if timeout(AWAKE, sleeps.wait_for(|asleep| !asleep)).await.is_ok() {
            continue;
        }
        let mut polls: u32 = 0;
        let taken = loop {
            let owner = ask(listener, TAKE).await?;
            if owner == "taken" {
                break true;
            }
            let by_producers = owner == "producers";
            let pause = match by_producers {
                true if polls < QUICK => POLL.0,
                true => POLL.1,
                false if polls < SOON => TAKEN.0,
                false => TAKEN.1,
            };
            polls = polls.saturating_add(1);
            tokio::select! {
                () = sleep(pause) => if by_producers { rung.notify_one() },
                heard = listener.try_recv() => {
                    if heard?.is_none() { return Ok(()) }
                    rung.notify_one();
                }
                awake = sleeps.wait_for(|asleep| !asleep) => if awake.is_err() { return Ok(()) } else { break false },
            }
        };
        // It may sleep again by now: then it tries again.
        if !taken {
            continue;
        }
        // What was committed before the bell was taken.
        rung.notify_one();
        loop {
            tokio::select! {
                heard = listener.try_recv() => {
                    if heard?.is_none() { return Ok(()) }
                    rung.notify_one();
                }
                awake = sleeps.wait_for(|asleep| !asleep) => {
                    if awake.is_err() { return Ok(()) }
                    break;
                }
            }
        }
        leave(listener).await?;
    }
}

async fn ask(listener: &mut PgListener, sql: &'static str) -> Result<String, sqlx::Error> {
    let asked = timeout(ANSWER, sqlx::query_scalar(sql).fetch_one(&mut *listener)).await;
    asked.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

async fn leave(listener: &mut PgListener) -> Result<(), sqlx::Error> {
    let left = timeout(ANSWER, sqlx::query(LEAVE).execute(&mut *listener)).await;
    left.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map(|_| ())
}
