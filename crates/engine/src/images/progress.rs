//! What a long verb tells while it runs, in Docker's words. Leaves out JSON: the server writes it.

use std::pin::Pin;

use futures_util::Stream;

use crate::Result;

/// One line of a verb's progress. The wire form of each is given with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A remark: `{"status": …}`, with `"id"` when there is one.
    Status {
        /// What it is about: a tag, a short layer id.
        id: Option<String>,
        /// The text.
        status: String,
    },
    /// The state of one layer: `{"status": …, "progressDetail": {…}, "progress": …, "id": …}`.
    Layer {
        /// The layer's short id.
        id: String,
        /// The text: `Downloading`, `Pull complete`.
        status: String,
        /// How far it is; without it `"progressDetail": {}` is written.
        amount: Option<Amount>,
    },
    /// Free text: `{"stream": …}`.
    Stream {
        /// The text with its line end.
        text: String,
    },
    /// What a push arrived at: `{"progressDetail": {}, "aux": {"Tag": …, "Digest": …, "Size": …}}`.
    Pushed {
        /// The tag.
        tag: String,
        /// The manifest's digest.
        digest: String,
        /// The manifest's length in bytes.
        size: u64,
    },
}

/// So much of so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Bytes done.
    pub current: u64,
    /// Bytes in all; 0 when unknown.
    pub total: u64,
}

/// A verb's progress. An error is the last item; when it is also the first, nothing was begun and the server answers with
/// its status. Dropping the stream cancels the verb.
pub type ProgressStream = Pin<Box<dyn Stream<Item = Result<Progress>> + Send>>;
