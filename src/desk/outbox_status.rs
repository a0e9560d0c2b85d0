//! Everything that is known of an outbox as a whole, as of one moment.

use super::assessment::{Assessment, Dispatching};
use super::checkup;
use crate::config::Database;
use crate::queue::examination::Storage;
use crate::queue::job::Millis;
use crate::queue::node::Nodes;
use crate::queue::overview::Overview;
use crate::queue::when::now;
use crate::store::{Store, StoreError};

/// Everything that is shown, as of one moment.
pub struct OutboxStatus {
    pub database: Database,
    pub now: Millis,
    pub overview: Overview,
    /// Whether a dispatcher works on it.
    pub running: bool,
    /// Those that are at work or have left something to decide.
    pub nodes: Nodes,
    pub storage: Storage,
    pub sandbox: bool,
    pub assessment: Assessment,
}

impl OutboxStatus {
    /// Reads all of it.
    ///
    /// # Errors
    /// The store's.
    pub async fn read(store: &mut Store) -> Result<OutboxStatus, StoreError> {
        let now = now();
        let overview = store.overview(now).await?;
        let failures = checkup::failures(store, now).await?;
        let database = store.database();
        let running = Store::dispatcher_is_running(&database).await?;
        let dispatching = if running { Dispatching::Running } else { Dispatching::Nobody };
        let sandbox = store.is_sandbox();
        Ok(OutboxStatus {
            assessment: checkup::of_overview(&overview, failures, dispatching, sandbox, now),
            running,
            nodes: store.nodes(false).await?,
            storage: Store::storage(&database),
            sandbox,
            database,
            now,
            overview,
        })
    }
}
