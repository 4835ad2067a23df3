//! Steps whose build died with its daemon: killed and cleared away when the next one starts.

use std::path::Path;

use hako_model::id::ContainerId;
use hako_supervisor::Handle;
use hako_supervisor::protocol::{Ask, Kind};
use hako_sys::cgroup::Group;

use crate::house::House;
use crate::life::Link;

/// How long an orphan may take to end.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// Clears all steps away.
pub(crate) async fn sweep(house: &House) {
    for entry in std::fs::read_dir(house.layout.steps()).into_iter().flatten().flatten() {
        let Ok(id) = ContainerId::parse(&entry.file_name().to_string_lossy()) else { continue };
        if tokio::time::timeout(PATIENCE, end(house, &id)).await.is_err() {
            tracing::warn!(id = id.short(), "an orphaned build step does not end");
        }
        clear(house, &id, &entry.path());
    }
}

/// Kills what its supervisor still runs.
async fn end(house: &House, id: &ContainerId) {
    let Ok(handle) = Handle::connect(&house.layout.door(id)) else { return };
    let Ok(link) = Link::new(handle) else { return };
    let events = link.events();
    // Whatever it answers: what counts is that it leaves.
    let _ = link.ask(Ask::Hello { since: Some(0) }, Vec::new()).await;
    let _ = link.ask(Ask::Kill { signal: 9, sender: None }, Vec::new()).await;
    let Some(mut events) = events else { return };
    while let Some(event) = events.recv().await {
        if event.kind == Kind::Left {
            let _ = link.ask(Ask::Acknowledge { seq: event.seq }, Vec::new()).await;
        }
    }
}

/// Takes away what a supervisor that was killed, too, left behind.
fn clear(house: &House, id: &ContainerId, dir: &Path) {
    let path = format!("{}/{id}", house.cgroup_parent);
    if let Ok(group) = Group::open(&path)
        && group.exists()
    {
        let swept = group.thaw().and_then(|()| group.kill_all()).and_then(|()| group.delete());
        if let Err(error) = swept {
            tracing::warn!(%error, path, "cgroup of a build step stays");
        }
    }
    let _ = std::fs::remove_file(house.layout.door(id));
    let _ = std::fs::remove_dir_all(dir);
}
