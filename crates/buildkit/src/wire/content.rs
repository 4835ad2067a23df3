//! `containerd.services.content.v1.Content`: blobs in a directory of the client's, by their digests.

/// Asks for a blob.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadRequest {
    /// Which.
    #[prost(string, tag = "1")]
    pub digest: String,
    /// From where on.
    #[prost(int64, tag = "2")]
    pub offset: i64,
    /// How much; 0 for all.
    #[prost(int64, tag = "3")]
    pub size: i64,
}

/// A piece of it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadResponse {
    /// Where it begins.
    #[prost(int64, tag = "1")]
    pub offset: i64,
    /// The bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub data: Vec<u8>,
}

/// What a message of a write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Action {
    /// A question how far it is.
    Stat = 0,
    /// More bytes.
    Write = 1,
    /// The end.
    Commit = 2,
}

/// A piece of a blob that is written.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WriteRequest {
    /// What it is.
    #[prost(enumeration = "Action", tag = "1")]
    pub action: i32,
    /// A name for the write.
    #[prost(string, tag = "2")]
    pub reference: String,
    /// The blob's size.
    #[prost(int64, tag = "3")]
    pub total: i64,
    /// Its digest.
    #[prost(string, tag = "4")]
    pub expected: String,
    /// Where the piece begins.
    #[prost(int64, tag = "5")]
    pub offset: i64,
    /// The bytes.
    #[prost(bytes = "vec", tag = "6")]
    pub data: Vec<u8>,
}

/// How far it is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WriteResponse {
    /// What was done.
    #[prost(enumeration = "Action", tag = "1")]
    pub action: i32,
    /// How much there is.
    #[prost(int64, tag = "4")]
    pub offset: i64,
}
