//! The kernel's switches below `/proc/sys/net`, of the caller's network namespace.

use std::io;
use std::path::Path;

use crate::{Error, Result};

/// Sets a switch unless it is set so already: a read-only `/proc/sys` is fine as long as it says what we need.
///
/// Returns whether the switch exists; IPv6 may be compiled out or disabled at boot.
pub(crate) fn set(switch: &str, value: &str) -> Result<bool> {
    let path = Path::new("/proc/sys/net").join(switch);
    match std::fs::read_to_string(&path) {
        Ok(now) if now.trim() == value => return Ok(true),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(cause) => return Err(Error::File { verb: "read", path: path.display().to_string(), cause }),
    }
    let refused = |cause| Error::File { verb: "write", path: path.display().to_string(), cause };
    std::fs::write(&path, value).map(|()| true).map_err(refused)
}

/// Whether a switch exists and is on.
pub(crate) fn is_on(switch: &str) -> bool {
    reads(switch, b"1")
}

/// Whether a switch exists and is off.
pub(crate) fn is_off(switch: &str) -> bool {
    reads(switch, b"0")
}

fn reads(switch: &str, value: &[u8]) -> bool {
    std::fs::read(Path::new("/proc/sys/net").join(switch)).is_ok_and(|now| now.trim_ascii() == value)
}
