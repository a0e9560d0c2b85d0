//! The sandbox, in this process.

use acquire_outbox::sandbox::{Faults, Log, Sandbox, Settings};
use serde_json::Value;
use tokio::runtime::Runtime;

/// A sandbox that runs until it is dropped.
pub struct StandIn {
    base_url: String,
    log: Log,
    _runtime: Runtime,
}

impl StandIn {
    pub fn with(faults: Faults) -> StandIn {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let sandbox = runtime.block_on(Sandbox::bind(Settings { faults, ..Settings::default() }));
        let sandbox = sandbox.unwrap();
        let (base_url, log) = (sandbox.base_url(), sandbox.log());
        runtime.spawn(sandbox.serve(std::future::pending()));
        StandIn { base_url, log, _runtime: runtime }
    }

    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// How often a message was accepted whose request has this text somewhere.
    pub fn copies(&self, text: &str) -> usize {
        let has = |body: &Value| body.to_string().contains(text);
        self.log.messages().iter().filter(|request| request.accepted && has(&request.body)).count()
    }
}
