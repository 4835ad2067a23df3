//! Commands about containers.

mod api_socket;
pub(crate) mod attach;
pub(crate) mod commit;
pub(crate) mod copy;
pub(crate) mod create;
pub(crate) mod debug;
pub(crate) mod diff;
mod editing;
pub(crate) mod exec;
pub(crate) mod exit;
pub(crate) mod export;
pub(crate) mod inspect;
pub(crate) mod lifecycle;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod port;
pub(crate) mod remove;
pub(crate) mod run;
pub(crate) mod signals;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod top;
pub(crate) mod update;
pub(crate) mod why;
