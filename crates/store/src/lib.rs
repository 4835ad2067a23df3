//! What lies on disk: blobs, layers, images, volumes and writable layers; tar in and out.
//!
//! Every call blocks; an async caller uses its own blocking threads. Nothing here knows registries, containers or HTTP.
//! The directory tree is the database: half-done work lives in `tmp/` and `ingest/`, and only a rename makes it visible.

pub mod archive;
mod blobs;
mod changes;
mod collect;
mod error;
mod extract;
mod flights;
mod hash;
mod images;
mod index;
mod layers;
mod quota;
mod rootfs;
mod store;
pub mod tar;
pub mod tree;
mod usage;
mod volumes;
mod writable;

pub use blobs::{Begun, Blobs, Draft, Follower, Ingest};
pub use changes::{Change, ChangeKind};
pub use collect::Collected;
pub use error::{Error, Result};
pub use hash::{HashReader, Hasher};
pub use images::{Bundle, Deleted, Image, Images, NewImage};
pub use layers::{
    ChainId, Claim, Layer, LayerClaim, LayerDraft, LayerPin, Layers, Limits, PackedFolder, Staged, Unpack, chain_ids,
    pack_folder, unpack_folder,
};
pub use rootfs::Rootfs;
pub use store::{Hold, Store};
pub use usage::{ImageUsage, Usage, tree as disk_usage};
pub use volumes::{NewVolume, Volume, Volumes};
pub use writable::Writable;
