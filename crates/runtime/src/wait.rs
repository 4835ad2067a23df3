//! Waiting at a door for whoever starts the container.

use hako_sys::fdpass::{Channel, Listener};

use crate::LaunchError;
use crate::order::{self, Answer, Order, Parcel};

/// Lets visitors in until one says go; that one then hears how it went.
pub(crate) fn for_start(door: Listener) -> Result<Channel, LaunchError> {
    loop {
        let visitor = door.accept()?;
        // Visitors may only look whether somebody is in, or be killed before they speak.
        if let Ok(Some((Order::Go, _))) = order::receive(&visitor) {
            order::send(&visitor, &Answer::Ready, &Parcel::default())?;
            return Ok(visitor);
        }
    }
}
