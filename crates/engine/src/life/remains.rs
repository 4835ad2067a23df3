//! Control groups whose owner was killed: whatever lives in them is ended, and they go.

use std::time::{Duration, Instant};

use hako_sys::cgroup::Group;

/// Killed processes leave their group a moment after they were killed; so long that moment may be.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries: nothing tells that a group of cgroup v1 is empty.
const PAUSE: Duration = Duration::from_millis(5);

/// Ends what is in a group and removes it; a group that is not there is no failure. Blocks.
pub(crate) fn clear(group: &Group) -> Result<(), hako_sys::Error> {
    if !group.exists() {
        return Ok(());
    }
    // A frozen group does not die.
    let _ = group.thaw();
    group.kill_all()?;
    let until = Instant::now() + PATIENCE;
    loop {
        match group.delete() {
            Err(_) if Instant::now() < until => std::thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
}

/// The same by path, where nobody waits for the outcome. Blocks.
pub(crate) fn clear_path(path: &str) {
    if let Err(error) = Group::open(path).and_then(|group| clear(&group)) {
        tracing::warn!(%error, path, "control group of a killed supervisor");
    }
}
