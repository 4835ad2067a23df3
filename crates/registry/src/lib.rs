//! The distribution protocol from the client's side, and Docker's credential files and helpers.
//! Leaves out what is done with content: callers verify and keep blobs; documents are verified here.

pub mod credentials;
