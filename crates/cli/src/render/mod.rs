//! What a person sees: tables, templates, JSON, units, progress.

pub(crate) mod clock;
pub(crate) mod fold;
pub(crate) mod json;
pub(crate) mod listing;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod units;
pub(crate) mod zero;
