//! The control group of a container: from its description, or of systemd.

use std::time::{Duration, Instant};

use hako_sys::cgroup::Group;

use crate::Session;
use crate::error::{Error, Result};
use crate::systemd::{self, Scope};

/// How long killed processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a new container's group will be, and the unit it belongs to, if that is made by systemd.
pub(crate) fn find(session: &Session, id: &str, wanted: &str) -> Result<(String, Option<Scope>)> {
    if !session.systemd {
        return Ok((path(id, wanted)?, None));
    }
    systemd::expect()?;
    let scope = Scope::of(wanted, id)?;
    Ok((scope.path()?, Some(scope)))
}

/// The path of a group that hako makes itself.
pub(crate) fn path(id: &str, wanted: &str) -> Result<String> {
    let sound = |path: &str| !path.split('/').any(|part| part == ".." || part == ".");
    if wanted.contains(':') || !sound(wanted) {
        let what = format!("linux.cgroupsPath {wanted:?} is not a path (SLICE:PREFIX:NAME needs --systemd-cgroup)");
        return Err(Error::Config { path: "config.json".into(), what });
    }
    Ok(match wanted.trim_end_matches('/') {
        "" => format!("/{id}"),
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    })
}

/// Refuses a group that an earlier container, or somebody else, left in a state no new container can be put into:
/// with processes in it, which would share its limits and its end, or frozen, which would stop the newcomer for ever.
pub(crate) fn expect_free(path: &str) -> Result<()> {
    let group = Group::open(path)?;
    if !group.exists() {
        return Ok(());
    }
    match group.pids()?.len() {
        0 => expect_thawed(&group),
        count => Err(Error::Occupied { path: path.to_owned(), count }),
    }
}

/// Refuses a group in which a new process would be stopped at once.
pub(crate) fn expect_thawed(group: &Group) -> Result<()> {
    if group.stops_newcomers()? {
        return Err(Error::Frozen { path: group.path().to_owned() });
    }
    Ok(())
}

/// Ends what is left in a container's group and removes it.
pub(crate) fn clear(path: &str) -> Result<()> {
    let group = Group::open(path)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match group.delete() {
            Err(error) if error.errno() == Some(rustix::io::Errno::BUSY) && Instant::now() < deadline => {
                group.kill_all()?;
                pause();
            }
            done => return Ok(done?),
        }
    }
}

/// A killed process is gone a moment later; nothing tells when a group is empty on every version.
fn pause() {
    std::thread::park_timeout(Duration::from_millis(1));
}
