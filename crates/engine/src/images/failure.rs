//! The errors of store and registry in the words of image verbs.

use std::io::ErrorKind;

use hako_model::image::InvalidManifest;
use hako_model::platform::InvalidPlatform;
use hako_model::reference::{InvalidReference, Reference};

use crate::Error;

/// A failure of the store, kept by its kind.
pub(super) fn of_store(error: &hako_store::Error) -> Error {
    let text = error.to_string();
    match error {
        hako_store::Error::NotFound { .. } => Error::not_found(text),
        hako_store::Error::InUse { .. } | hako_store::Error::Exists { .. } => Error::conflict(text),
        hako_store::Error::Ambiguous { .. } => Error::invalid(text),
        hako_store::Error::Io { cause, .. } if is_bad_content(cause.kind()) => Error::invalid(text),
        error if error.is_bad_input() => Error::invalid(text),
        _ => Error::system(text),
    }
}

/// What decompressors say of content that is none of theirs.
fn is_bad_content(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof)
}

/// A failure of a registry, kept by its kind.
pub(super) fn of_registry(error: &hako_registry::Error) -> Error {
    let text = error.to_string();
    match error {
        hako_registry::Error::Refused { status: 401, .. } => Error::unauthorized(text),
        hako_registry::Error::Refused { status: 403, .. } => Error::forbidden(text),
        hako_registry::Error::Refused { status: 404, .. } => Error::not_found(text),
        hako_registry::Error::Setting { .. } => Error::invalid(text),
        hako_registry::Error::Fetch { status: 404, .. } => Error::not_found(text),
        _ => Error::system(text),
    }
}

/// Why a pull of a reference failed, as Docker says it.
pub(super) fn of_pull(error: &hako_registry::Error, reference: &Reference) -> Error {
    let (name, whole) = (reference.familiar_name(), reference.familiar());
    match (error.status(), error.code()) {
        (_, Some("denied")) | (Some(401 | 403), _) => Error::not_found(format!(
            "pull access denied for {name}, repository does not exist or may require 'docker login': {error}"
        )),
        (_, Some("manifest unknown")) => Error::not_found(format!("manifest for {whole} not found: {error}")),
        (_, Some("name unknown")) => Error::not_found(format!("repository {name} not found: {error}")),
        (Some(404), _) => Error::not_found(format!("manifest for {whole} not found: {error}")),
        _ => of_registry(error),
    }
}

impl From<InvalidReference> for Error {
    fn from(cause: InvalidReference) -> Self {
        Self::invalid(cause.to_string())
    }
}

impl From<InvalidPlatform> for Error {
    fn from(cause: InvalidPlatform) -> Self {
        Self::invalid(cause.to_string())
    }
}

impl From<InvalidManifest> for Error {
    fn from(cause: InvalidManifest) -> Self {
        Self::invalid(cause.to_string())
    }
}
