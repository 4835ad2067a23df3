//! How far each service has come, for those that wait for it.

use std::collections::BTreeMap;

use tokio::sync::watch;

/// How far a service has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Nothing is done yet.
    Waiting,
    /// Its containers are there.
    Created,
    /// They were started.
    Started,
    /// It will not come further.
    Failed,
}

/// The stages of all services.
pub(super) struct Stages {
    services: BTreeMap<String, watch::Sender<Stage>>,
}

impl Stages {
    pub(super) fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        Self { services: names.map(|name| (name.to_owned(), watch::Sender::new(Stage::Waiting))).collect() }
    }

    /// A service has come so far.
    pub(super) fn reach(&self, name: &str, stage: Stage) {
        if let Some(sender) = self.services.get(name) {
            sender.send_replace(stage);
        }
    }

    /// Waits until a service has come so far, or failed; true unless it failed. Services that take no part are there.
    pub(super) async fn reached(&self, name: &str, stage: Stage) -> bool {
        let Some(sender) = self.services.get(name) else { return true };
        let mut receiver = sender.subscribe();
        let reached = receiver.wait_for(|now| *now >= stage).await;
        reached.is_ok_and(|now| *now != Stage::Failed)
    }
}
