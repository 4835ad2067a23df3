//! Waiting for a container's end or removal.

use std::sync::Arc;
use std::time::Duration;

use hako_model::time::Timestamp;
use tokio::sync::watch;

use super::{Containers, Exit, WaitCondition};
use crate::clock::now;
use crate::container::{Container, Phase};
use crate::{Error, Result};

/// How long an end that is waited for is held back for clients that are slow to take the output.
const RELAY_PATIENCE: Duration = Duration::from_secs(1);

impl Containers {
    /// Begins to wait; nothing that happens after this returned is missed.
    pub async fn wait(&self, name: &str, condition: WaitCondition) -> Result<Waiting> {
        let container = self.house.index.find(name)?;
        let mut phase = container.phase.subscribe();
        let exits = phase.borrow_and_update().exits;
        Ok(Waiting { container, phase, condition, exits })
    }
}

/// A wait that has begun.
pub struct Waiting {
    container: Arc<Container>,
    phase: watch::Receiver<Phase>,
    condition: WaitCondition,
    /// How often it had ended before.
    exits: u64,
}

impl Waiting {
    /// The outcome, told after the output that the daemon passes on to attached clients. Cancel-safe.
    pub async fn exit(&mut self) -> Result<Exit> {
        let (condition, exits) = (self.condition, self.exits);
        let over = |phase: &Phase| match condition {
            // One that is started again at once has not been running in between, for Docker too.
            WaitCondition::NotRunning => !phase.status.state.is_running() || phase.exits > exits || phase.removed,
            WaitCondition::NextExit => phase.exits > exits || phase.removed,
            WaitCondition::Removed => phase.removed,
        };
        let status = self.phase.wait_for(over).await.map(|phase| Arc::clone(&phase.status));
        let status = status
            .map_err(|_| Error::system(format!("wait for container {}: engine is leaving", self.container.id)))?;
        // One that takes nothing must not keep the others waiting.
        let _ = tokio::time::timeout(RELAY_PATIENCE, self.container.relays.write()).await;
        let error = Some(status.error.clone()).filter(|text| !text.is_empty());
        Ok(Exit { code: status.exit_code.into(), error })
    }
}

/// Ends at `time`; never when there is none.
pub(super) async fn until(time: Option<Timestamp>) {
    match time {
        Some(time) => tokio::time::sleep(time.since(now())).await,
        None => std::future::pending().await,
    }
}
