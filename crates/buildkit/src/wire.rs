//! BuildKit's messages, as far as hako reads or writes them. Fields that are not here are skipped when read.

pub mod client;
pub mod content;
pub mod control;
pub mod fault;
pub mod gateway;
