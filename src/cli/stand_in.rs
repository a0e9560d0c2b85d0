//! The stand-in for Acquire that `run --sandbox` and `demo` run inside this process.

use crate::sandbox::{Sandbox, Settings};
use anyhow::{Context, Result};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

pub struct StandIn {
    sandbox: Sandbox,
    pub address: Url,
}

/// A stand-in that answers until [`ServingStandIn::end`].
pub struct ServingStandIn {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl StandIn {
    pub async fn bind() -> Result<StandIn> {
        let sandbox = Sandbox::bind(Settings::default()).await?;
        let address = sandbox.base_url().parse().context("the sandbox's own address")?;
        Ok(StandIn { sandbox, address })
    }

    pub fn serve(self) -> ServingStandIn {
        let (end, ended) = oneshot::channel::<()>();
        let task = tokio::spawn(self.sandbox.serve(async {
            let _ = ended.await;
        }));
        ServingStandIn { end, task }
    }
}

impl ServingStandIn {
    /// Ends it, after the dispatcher: until then it answers what is drained.
    pub async fn end(self) -> Result<()> {
        drop(self.end);
        self.task.await.context("the sandbox")
    }
}
