//! `moby.buildkit.v1.Control`: builds, their progress, workers and the cache.

use std::collections::HashMap;

use prost_types::Timestamp;

use super::fault::{Range, SourceInfo};

/// A build.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SolveRequest {
    /// What the client calls it.
    #[prost(string, tag = "1")]
    pub reference: String,
    /// A graph of operations, of clients that bring their own.
    #[prost(message, optional, tag = "2")]
    pub definition: Option<Definition>,
    /// One exporter, as older clients say it.
    #[prost(string, tag = "3")]
    pub exporter: String,
    /// Its attributes.
    #[prost(map = "string, string", tag = "4")]
    pub exporter_attrs: HashMap<String, String>,
    /// The client's session.
    #[prost(string, tag = "5")]
    pub session: String,
    /// What understands the input; empty when the client drives the build itself.
    #[prost(string, tag = "6")]
    pub frontend: String,
    /// What it is told.
    #[prost(map = "string, string", tag = "7")]
    pub frontend_attrs: HashMap<String, String>,
    /// Caches outside.
    #[prost(message, optional, tag = "8")]
    pub cache: Option<CacheOptions>,
    /// What steps are allowed beyond the usual.
    #[prost(string, repeated, tag = "9")]
    pub entitlements: Vec<String>,
    /// What becomes of the result.
    #[prost(message, repeated, tag = "13")]
    pub exporters: Vec<Exporter>,
    /// Whether the client takes the result another way.
    #[prost(bool, tag = "14")]
    pub enable_session_exporter: bool,
}

/// Operations, encoded each.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Definition {
    /// The operations.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub operations: Vec<Vec<u8>>,
}

/// What becomes of a result.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exporter {
    /// Which exporter.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// Its attributes.
    #[prost(map = "string, string", tag = "2")]
    pub attrs: HashMap<String, String>,
}

/// Caches outside of the daemon.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CacheOptions {
    /// Where the cache is to be kept.
    #[prost(message, repeated, tag = "4")]
    pub exports: Vec<CacheOptionsEntry>,
    /// Where it is to be taken from.
    #[prost(message, repeated, tag = "5")]
    pub imports: Vec<CacheOptionsEntry>,
}

/// One cache.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CacheOptionsEntry {
    /// Its kind.
    #[prost(string, tag = "1")]
    pub kind: String,
    /// Where it is.
    #[prost(map = "string, string", tag = "2")]
    pub attrs: HashMap<String, String>,
}

/// The result of a build.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SolveResponse {
    /// What the exporters say.
    #[prost(map = "string, string", tag = "1")]
    pub exporter_response: HashMap<String, String>,
}

/// Asks for the progress of a build.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StatusRequest {
    /// Which.
    #[prost(string, tag = "1")]
    pub reference: String,
}

/// Progress.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StatusResponse {
    /// Steps.
    #[prost(message, repeated, tag = "1")]
    pub vertexes: Vec<Vertex>,
    /// Parts of steps.
    #[prost(message, repeated, tag = "2")]
    pub statuses: Vec<VertexStatus>,
    /// What steps wrote.
    #[prost(message, repeated, tag = "3")]
    pub logs: Vec<VertexLog>,
    /// What is dubious.
    #[prost(message, repeated, tag = "4")]
    pub warnings: Vec<VertexWarning>,
}

/// A step.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Vertex {
    /// Its identity.
    #[prost(string, tag = "1")]
    pub digest: String,
    /// The steps it needs.
    #[prost(string, repeated, tag = "2")]
    pub inputs: Vec<String>,
    /// What people see.
    #[prost(string, tag = "3")]
    pub name: String,
    /// An earlier build did it.
    #[prost(bool, tag = "4")]
    pub cached: bool,
    /// When it began.
    #[prost(message, optional, tag = "5")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[prost(message, optional, tag = "6")]
    pub completed: Option<Timestamp>,
    /// Why it failed.
    #[prost(string, tag = "7")]
    pub error: String,
}

/// A part of a step.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VertexStatus {
    /// Its name.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The step.
    #[prost(string, tag = "2")]
    pub vertex: String,
    /// What is counted.
    #[prost(string, tag = "3")]
    pub name: String,
    /// How far it is.
    #[prost(int64, tag = "4")]
    pub current: i64,
    /// How far it goes.
    #[prost(int64, tag = "5")]
    pub total: i64,
    /// When this was so.
    #[prost(message, optional, tag = "6")]
    pub timestamp: Option<Timestamp>,
    /// When it began.
    #[prost(message, optional, tag = "7")]
    pub started: Option<Timestamp>,
    /// When it ended.
    #[prost(message, optional, tag = "8")]
    pub completed: Option<Timestamp>,
}

/// What a step wrote.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VertexLog {
    /// The step.
    #[prost(string, tag = "1")]
    pub vertex: String,
    /// When.
    #[prost(message, optional, tag = "2")]
    pub timestamp: Option<Timestamp>,
    /// 1 for output, 2 for errors.
    #[prost(int64, tag = "3")]
    pub stream: i64,
    /// What.
    #[prost(bytes = "vec", tag = "4")]
    pub message: Vec<u8>,
}

/// Something dubious.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VertexWarning {
    /// The step.
    #[prost(string, tag = "1")]
    pub vertex: String,
    /// How bad.
    #[prost(int64, tag = "2")]
    pub level: i64,
    /// In a line.
    #[prost(bytes = "vec", tag = "3")]
    pub short: Vec<u8>,
    /// At length.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub detail: Vec<Vec<u8>>,
    /// Where to read more.
    #[prost(string, tag = "5")]
    pub url: String,
    /// The file.
    #[prost(message, optional, tag = "6")]
    pub info: Option<SourceInfo>,
    /// Where in it.
    #[prost(message, repeated, tag = "7")]
    pub ranges: Vec<Range>,
}

/// Asks who builds.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListWorkersRequest {
    /// Which of them.
    #[prost(string, repeated, tag = "1")]
    pub filter: Vec<String>,
}

/// Who builds.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListWorkersResponse {
    /// The workers.
    #[prost(message, repeated, tag = "1")]
    pub record: Vec<WorkerRecord>,
}

/// One who builds.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WorkerRecord {
    /// Its name.
    #[prost(string, tag = "1")]
    pub id: String,
    /// What is known of it.
    #[prost(map = "string, string", tag = "2")]
    pub labels: HashMap<String, String>,
    /// What it builds for.
    #[prost(message, repeated, tag = "3")]
    pub platforms: Vec<Platform>,
    /// Its version.
    #[prost(message, optional, tag = "5")]
    pub version: Option<BuildkitVersion>,
}

/// A platform.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Platform {
    /// The processor.
    #[prost(string, tag = "1")]
    pub architecture: String,
    /// The system.
    #[prost(string, tag = "2")]
    pub os: String,
    /// The processor's variant.
    #[prost(string, tag = "3")]
    pub variant: String,
}

/// A version of BuildKit, or of what speaks like it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BuildkitVersion {
    /// Its package.
    #[prost(string, tag = "1")]
    pub package: String,
    /// Its number.
    #[prost(string, tag = "2")]
    pub version: String,
    /// Its revision.
    #[prost(string, tag = "3")]
    pub revision: String,
}

/// Asks for the version.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InfoRequest {}

/// The version.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InfoResponse {
    /// The version.
    #[prost(message, optional, tag = "1")]
    pub version: Option<BuildkitVersion>,
}

/// Asks for the cache's records.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DiskUsageRequest {
    /// Which of them.
    #[prost(string, repeated, tag = "1")]
    pub filter: Vec<String>,
}

/// The cache.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DiskUsageResponse {
    /// Its records.
    #[prost(message, repeated, tag = "1")]
    pub record: Vec<UsageRecord>,
}

/// A record of the cache.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UsageRecord {
    /// Its name.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Whether it changes.
    #[prost(bool, tag = "2")]
    pub mutable: bool,
    /// Whether something needs it now.
    #[prost(bool, tag = "3")]
    pub in_use: bool,
    /// Its bytes.
    #[prost(int64, tag = "4")]
    pub size: i64,
    /// When it was made.
    #[prost(message, optional, tag = "6")]
    pub created_at: Option<Timestamp>,
    /// When it was last used.
    #[prost(message, optional, tag = "7")]
    pub last_used_at: Option<Timestamp>,
    /// How often it was used.
    #[prost(int64, tag = "8")]
    pub usage_count: i64,
    /// What it holds.
    #[prost(string, tag = "9")]
    pub description: String,
    /// Its kind.
    #[prost(string, tag = "10")]
    pub record_type: String,
    /// Whether images hold it, too.
    #[prost(bool, tag = "11")]
    pub shared: bool,
    /// The records below.
    #[prost(string, repeated, tag = "12")]
    pub parents: Vec<String>,
}

/// Makes the cache smaller.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PruneRequest {
    /// Which records.
    #[prost(string, repeated, tag = "1")]
    pub filter: Vec<String>,
    /// Whether those that images hold are meant, too.
    #[prost(bool, tag = "2")]
    pub all: bool,
    /// Nanoseconds since the last use for which a record stays.
    #[prost(int64, tag = "3")]
    pub keep_duration: i64,
    /// Bytes that stay whatever happens.
    #[prost(int64, tag = "4")]
    pub reserved_space: i64,
    /// Bytes that may stay.
    #[prost(int64, tag = "5")]
    pub max_used_space: i64,
    /// Bytes of the disk that must be free.
    #[prost(int64, tag = "6")]
    pub min_free_space: i64,
}
