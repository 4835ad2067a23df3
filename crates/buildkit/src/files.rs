//! How files travel between a client and hako: attributes first, then the bytes that are asked for.

mod incoming;
mod mode;
mod outgoing;

pub use incoming::{Received, receive};
pub use outgoing::send;

/// What the receiving end does, in messages.
pub(crate) const INCOMING: &str = "read the build context";

/// What the sending end does, in messages.
pub(crate) const OUTGOING: &str = "send files to the client";

use crate::Result;
use crate::wire::client::Packet;

/// A conversation of packets. Blocks.
pub trait Line {
    /// The other side's next packet; none at the end.
    ///
    /// # Errors
    /// The other side is gone or refuses.
    fn hear(&mut self) -> Result<Option<Packet>>;

    /// Says something.
    ///
    /// # Errors
    /// The other side is gone.
    fn say(&mut self, packet: Packet) -> Result<()>;
}

#[cfg(test)]
mod tests;
