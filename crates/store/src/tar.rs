//! Tar: reading every dialect met in images (ustar, pax with global headers, GNU long names, all sparse forms, base-256
//! numbers), and writing one (ustar with pax where ustar cannot say it). Leaves out what entries *mean* on a disk.

mod entry;
mod header;
mod pax;
mod reader;
mod sparse;
mod writer;

pub use entry::{Entry, Kind, Mtime};
pub use reader::{Reader, Tap};
pub use writer::Writer;

/// The size of a header and the unit of padding.
pub(crate) const BLOCK: usize = 512;
/// The most bytes one long name, link or pax record may take.
pub(crate) const EXTENSION_LIMIT: u64 = 1 << 20;
/// The most bytes of a path; the kernel takes no longer one.
pub(crate) const PATH_LIMIT: usize = 4096;

#[cfg(test)]
mod tests;
