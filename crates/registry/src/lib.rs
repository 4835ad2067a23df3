//! The distribution protocol from the client's side, and Docker's credential files and helpers.
//! Leaves out what is done with blobs: callers keep and verify them. Documents are verified here.

mod challenge;
mod client;
pub mod credentials;
mod dial;
mod download;
mod error;
mod file;
mod refusal;
mod repository;
mod session;
mod settings;
mod token;
mod transport;
mod trust;
mod upload;

pub use client::Client;
pub use dial::lookup;
pub use download::Download;
pub use error::{Error, Result, Stage};
pub use file::File;
pub use repository::{Access, Document, Repository};
pub use session::Sent;
pub use settings::Settings;
pub use upload::{Begun, Upload};
