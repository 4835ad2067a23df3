//! Tar archives as `cp` needs them: packing a local tree, unpacking into a directory that nothing in the archive can
//! leave, and Docker's rules for what a copy's destination means. Images' layers are none of this module's business.

pub(crate) mod header;
pub(crate) mod pack;
pub(crate) mod rules;
pub(crate) mod unpack;
