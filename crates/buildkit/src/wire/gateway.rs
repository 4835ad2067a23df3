//! `moby.buildkit.v1.frontend.LLBBridge`: how a client drives a build itself.

use std::collections::HashMap;

use super::control::{CacheOptionsEntry, Definition, WorkerRecord};
use super::fault::Status;

/// Asks what the bridge can.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PingRequest {}

/// What it can.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PongResponse {
    /// Of frontends.
    #[prost(message, repeated, tag = "1")]
    pub frontend_caps: Vec<Capability>,
    /// Of operations.
    #[prost(message, repeated, tag = "2")]
    pub llb_caps: Vec<Capability>,
    /// Who builds.
    #[prost(message, repeated, tag = "3")]
    pub workers: Vec<WorkerRecord>,
}

/// Something that can be done.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Capability {
    /// Its name.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Whether it can.
    #[prost(bool, tag = "2")]
    pub enabled: bool,
}

/// A step of a build that the client drives.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SolveRequest {
    /// A graph of operations.
    #[prost(message, optional, tag = "1")]
    pub definition: Option<Definition>,
    /// What understands the input.
    #[prost(string, tag = "2")]
    pub frontend: String,
    /// What it is told.
    #[prost(map = "string, string", tag = "3")]
    pub frontend_opt: HashMap<String, String>,
    /// Caches outside.
    #[prost(message, repeated, tag = "12")]
    pub cache_imports: Vec<CacheOptionsEntry>,
    /// Whether it is to be done now.
    #[prost(bool, tag = "14")]
    pub evaluate: bool,
}

/// Its result.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SolveResponse {
    /// The result.
    #[prost(message, optional, tag = "3")]
    pub result: Option<Outcome>,
}

/// A result and what is known of it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Outcome {
    /// The result.
    #[prost(message, optional, tag = "3")]
    pub reference: Option<Ref>,
    /// Results by platform.
    #[prost(message, optional, tag = "4")]
    pub refs: Option<RefMap>,
    /// What is known of it.
    #[prost(map = "string, bytes", tag = "10")]
    pub metadata: HashMap<String, Vec<u8>>,
}

/// A result.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ref {
    /// Its name.
    #[prost(string, tag = "1")]
    pub id: String,
}

/// Results by platform.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RefMap {
    /// The results.
    #[prost(map = "string, message", tag = "1")]
    pub refs: HashMap<String, Ref>,
}

/// The client is done.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReturnRequest {
    /// What it made.
    #[prost(message, optional, tag = "1")]
    pub result: Option<Outcome>,
    /// Why it could not.
    #[prost(message, optional, tag = "2")]
    pub error: Option<Status>,
}

/// It was heard.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReturnResponse {}

/// Asks for a result to be there.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EvaluateRequest {
    /// Which.
    #[prost(string, tag = "1")]
    pub reference: String,
}

/// It is there.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EvaluateResponse {}
