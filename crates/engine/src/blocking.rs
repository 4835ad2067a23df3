//! Work that makes a thread wait (the disk, mostly) without keeping other tasks of that thread waiting, and without the
//! cost of a hop where there is nobody else to hold up.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `work` here, after other tasks were given to other threads.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
