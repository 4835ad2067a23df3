//! The grammar of `-p` and `--expose`.

use super::{Port, PortBinding, PortError, PortMap, PortSet, Publication};

/// Reads one `-p`/`--publish` value into the ports and bindings it means, in order.
pub fn parse_publish(text: &str) -> Result<Vec<(Port, PortBinding)>, PortError> {
    let _ = text;
    todo!()
}

/// Reads one `--expose` value: a port or a range, with or without a protocol.
pub fn parse_expose(text: &str) -> Result<Vec<Port>, PortError> {
    let _ = text;
    todo!()
}

/// All `-p` values of a command as `ExposedPorts` and `PortBindings`.
pub fn exposed<'a>(publish: impl IntoIterator<Item = &'a str>) -> Result<(PortSet, PortMap), PortError> {
    let _ = publish.into_iter();
    todo!()
}

/// What `PortBindings` (as the API received it) asks of the host.
pub fn published(bindings: &PortMap) -> Result<Vec<Publication>, PortError> {
    let _ = bindings;
    todo!()
}
