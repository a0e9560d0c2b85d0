//! A node's session: its connection, which is opened again when it was lost, and its transactions,
//! which are numbered.

use super::pooling::WorkUnits;
use super::{PostgresError, PostgresStore};
use crate::acquire::{BootTime, Lease};
use crate::config::PostgresServer;
use crate::queue::pause::RESTORED;
use crate::store::StoreError;
use sqlx::{AssertSqlSafe, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long a node may claim and begin requests after it has renewed its lease. Others take its jobs over
/// after this and the longest request; a database that does not answer for longer only makes it pause.
pub(super) const LEASE: Duration = Duration::from_secs(6);
/// An idle node renews its lease this often.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(2);
/// For clocks that do not run at the same speed.
const MARGIN: Duration = Duration::from_millis(100);
/// A request's time limit ends it a little later than it says.
const REQUEST_MARGIN: Duration = Duration::from_millis(500);
/// How long a statement may take, with the way there and back.
const ANSWER: Duration = Duration::from_secs(10);
/// How often a pause of everything is tried, and how long is waited in between: nobody else knows that it is needed.
const PAUSE_TRIES: (u32, Duration) = (20, Duration::from_millis(500));
/// A cycle waits only for other nodes' cycles, and must not cost the node its lease.
const SETTINGS: &str = "SET lock_timeout = '3s'; SET statement_timeout = '9s'";
/// Through a pooler a cycle is a transaction of several messages: a node that freezes within it gives its
/// locks back before its lease ends.
const UNIT_SETTINGS: [&str; 3] = [
    "SET LOCAL lock_timeout = '3s'",
    "SET LOCAL statement_timeout = '9s'",
    "SET LOCAL idle_in_transaction_session_timeout = '4s'",
];

const BURIED: &str = "OB001";
const LOST_TRANSACTIONS: &str = "OB002";
const COMMITTED: &str = "OB003";

const PAUSE_EVERYTHING: &str = "INSERT INTO outbox_pauses (account, channel, reason) VALUES ('', '', $1) ON CONFLICT DO NOTHING";

/// One node's connection and right to work.
pub(super) struct NodeSession {
    server: PostgresServer,
    /// `None`: it was lost, or a statement of it was given up, and the next call opens another.
    store: Option<PostgresStore>,
    pub(super) epoch: i64,
    /// The last transaction that is known to be committed, also for the session that notes answers.
    cycle: Arc<AtomicI64>,
    pub(super) lease: Lease,
    /// When the lease was last asked for.
    renewed: BootTime,
    /// No request of this node takes longer.
    longest_request: Duration,
    /// Whether the caller has said it.
    is_said: bool,
    /// Why the tenure is over.
    over: Option<StoreError>,
}

/// What binds a transaction to the node: the first four arguments of `outbox_beat` and `outbox_cycle`.
pub(super) struct Beat {
    pub epoch: i64,
    pub cycle: i64,
    pub lease_ms: i64,
    pub request_ms: i64,
}

impl NodeSession {
    pub(super) fn new(store: PostgresStore, longest_request: Duration) -> NodeSession {
        let renewed = BootTime::now();
        NodeSession {
            server: store.server().clone(),
            store: Some(store),
            epoch: 0,
            cycle: Arc::default(),
            lease: Lease::until(renewed),
            renewed,
            longest_request,
            is_said: false,
            over: None,
        }
    }

    pub(super) fn server(&self) -> &PostgresServer {
        &self.server
    }

    /// The number of the last transaction that is known to be committed.
    pub(super) fn committed(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.cycle)
    }

    /// Whether each transaction may get another session; true as well while there is no connection.
    pub(super) fn is_pooled(&self) -> bool {
        self.store.as_ref().is_none_or(|store| store.units.is_some())
    }

    /// # Errors
    /// Why the tenure is over.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.over.clone().map_or(Ok(()), Err)
    }

    pub(super) fn is_time_to_renew(&self) -> bool {
        BootTime::now() >= self.renewed.after(RENEW_EVERY)
    }

    /// Executes statements that need no number. The connection is taken out meanwhile: a call that is given
    /// up, whatever it had begun, leaves none behind.
    pub(super) async fn with<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, PostgresError> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => open(&self.server, self.epoch).await?,
        };
        let unit = async {
            store.begin_unit().await?;
            let done = work(&mut store.conn).await.map_err(PostgresError::from);
            store.end_unit(done).await
        };
        let silent = |_| PostgresError::Lost(format!("no answer within {} s", ANSWER.as_secs()));
        let done = timeout(ANSWER, unit).await.map_err(silent)?;
        if !done.as_ref().is_err_and(is_of_no_use) {
            self.store = Some(store);
        }
        done
    }

    /// The session for the store's own functions. A call that is given up loses it.
    pub(super) async fn with_store<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PostgresStore) -> Result<T, PostgresError>,
    ) -> Result<T, PostgresError> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => open(&self.server, self.epoch).await?,
        };
        let unit = async {
            store.begin_unit().await?;
            let done = work(&mut store).await;
            store.end_unit(done).await
        };
        let silent = |_| PostgresError::Lost(format!("no answer within {} s", ANSWER.as_secs()));
        let done = timeout(ANSWER, unit).await.map_err(silent)?;
        if !done.as_ref().is_err_and(is_of_no_use) {
            self.store = Some(store);
        }
        done
    }

    /// Executes the node's next transaction, which renews its lease. The lease is counted from before it was
    /// asked for.
    ///
    /// # Errors
    /// After one, it may have been committed all the same: the next one finds out.
    pub(super) async fn transact<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection, Beat) -> Result<T, sqlx::Error>,
    ) -> Result<T, StoreError> {
        self.check()?;
        let asked = BootTime::now();
        let beat = Beat {
            epoch: self.epoch,
            cycle: self.cycle.load(Ordering::Relaxed) + 1,
            lease_ms: millis(LEASE),
            request_ms: self.request_ms(),
        };
        let done = self.with(async move |conn| work(conn, beat).await).await;
        match done {
            Ok(done) => {
                self.cycle.fetch_add(1, Ordering::Relaxed);
                self.renewed = asked;
                self.lease.renew(asked.after(LEASE - MARGIN));
                Ok(done)
            }
            Err(e) => Err(self.refused(e).await),
        }
    }

    /// Once said it only grows: requests that began with the settings of before may still be in flight.
    pub(super) fn expect_requests(&mut self, longest: Duration) {
        let before = if self.is_said { self.longest_request } else { Duration::ZERO };
        self.longest_request = before.max(longest);
        self.is_said = true;
    }

    pub(super) fn request_ms(&self) -> i64 {
        millis(self.longest_request + REQUEST_MARGIN)
    }

    /// The epoch has begun, with this many transactions; `asked`: when it was asked for.
    pub(super) fn joined(&mut self, epoch: i64, cycle: i64, asked: BootTime) {
        self.epoch = epoch;
        self.cycle.store(cycle, Ordering::Relaxed);
        self.renewed = asked;
        self.lease.renew(asked.after(LEASE - MARGIN));
    }

    /// What an error means for the tenure.
    async fn refused(&mut self, e: PostgresError) -> StoreError {
        match e.code() {
            Some(COMMITTED) => {
                self.cycle.fetch_add(1, Ordering::Relaxed);
                let sentence = "the answer to a transaction was lost; it has been committed";
                StoreError::Other(sentence.to_owned())
            }
            Some(BURIED) => self.end(StoreError::Superseded),
            Some(LOST_TRANSACTIONS) => {
                let reason = format!(
                    "{RESTORED}the database has lost transactions of a node (a failover or a restore); jobs may \
                     have been sent since: `acquire-outbox status` says what to do"
                );
                self.lease.end();
                let how = match self.pause_everything(&reason).await {
                    Ok(()) => "everything in it is paused".to_owned(),
                    Err(e) => format!("pause everything in it before another node starts ({e})"),
                };
                self.end(StoreError::Gone(format!(
                    "the database has gone back in time, as after a failover to an asynchronous standby or a \
                     restore: jobs that were sent may be waiting in it again; {how}"
                )))
            }
            _ => e.into(),
        }
    }

    async fn pause_everything(&mut self, reason: &str) -> Result<(), PostgresError> {
        let mut tries = 1;
        loop {
            let pause = sqlx::query(PAUSE_EVERYTHING).bind(reason);
            match self.with(async move |conn| pause.execute(conn).await).await {
                Ok(_) => return Ok(()),
                Err(e) if tries >= PAUSE_TRIES.0 => return Err(e),
                Err(_) => sleep(PAUSE_TRIES.1).await,
            }
            tries += 1;
        }
    }

    fn end(&mut self, why: StoreError) -> StoreError {
        self.lease.end();
        self.over = Some(why.clone());
        why
    }

    /// Gives up the lease, and the connection.
    pub(super) async fn close(&mut self) -> Result<(), StoreError> {
        self.lease.end();
        let epoch = self.epoch;
        let leave = sqlx::query("SELECT outbox_leave($1)").bind(epoch);
        let left = match self.check() {
            Ok(()) => self.with(async move |conn| leave.execute(conn).await).await.map(|_| ()),
            Err(_) => Ok(()),
        };
        if let Some(store) = self.store.take() {
            store.close().await?;
        }
        Ok(left?)
    }
}

/// Requests that have not begun do not begin any more.
impl Drop for NodeSession {
    fn drop(&mut self) {
        self.lease.end();
    }
}

/// Whether another session may be better: this one has ended, or its server has become a standby.
fn is_of_no_use(e: &PostgresError) -> bool {
    e.ends_the_session() || e.code() == Some("25006")
}

/// Another session of the node with this epoch; 0: it has none yet.
async fn open(server: &PostgresServer, epoch: i64) -> Result<PostgresStore, PostgresError> {
    let mut store = PostgresStore::open_session("acquire-outbox node", server).await?;
    set_up(&mut store, epoch).await?;
    Ok(store)
}

/// One round trip: a node whose connection is cut often has to get on all the same. Units of work make the
/// same settings from the next one on.
pub(super) async fn set_up(store: &mut PostgresStore, epoch: i64) -> Result<(), PostgresError> {
    if store.units.is_some() {
        let mut settings = UNIT_SETTINGS.map(str::to_owned).to_vec();
        settings.extend((epoch != 0).then(|| name_session(epoch, true)));
        store.units = Some(WorkUnits::of(&store.server().schema, &settings));
        return Ok(());
    }
    let mut settings = SETTINGS.to_owned();
    if epoch != 0 {
        settings = format!("{settings}; {}", name_session(epoch, false));
    }
    sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut store.conn).await?;
    Ok(())
}

/// What the sessions of a node are called, so that its burial can end them. `local`: until the transaction ends.
pub(super) fn name_session(epoch: i64, local: bool) -> String {
    format!("SELECT set_config('application_name', outbox_session_name({epoch}), {local})")
}

pub(super) fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
