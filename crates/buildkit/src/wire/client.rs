//! What a client serves on its session: files, credentials, secrets, agents.

/// One message of a file transfer, either way.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Packet {
    /// Its kind.
    #[prost(enumeration = "PacketKind", tag = "1")]
    pub kind: i32,
    /// A file's attributes.
    #[prost(message, optional, tag = "2")]
    pub stat: Option<Stat>,
    /// Which file is asked for or sent.
    #[prost(uint32, tag = "3")]
    pub id: u32,
    /// Its bytes, or why it fails.
    #[prost(bytes = "vec", tag = "4")]
    pub data: Vec<u8>,
}

/// A file's attributes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Stat {
    /// Its path.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Its mode, as Go writes it.
    #[prost(uint32, tag = "2")]
    pub mode: u32,
    /// Its owner.
    #[prost(uint32, tag = "3")]
    pub uid: u32,
    /// Its group.
    #[prost(uint32, tag = "4")]
    pub gid: u32,
    /// Its bytes.
    #[prost(int64, tag = "5")]
    pub size: i64,
    /// Nanoseconds since the epoch when it was changed.
    #[prost(int64, tag = "6")]
    pub mod_time: i64,
    /// What a link names.
    #[prost(string, tag = "7")]
    pub linkname: String,
    /// Of a device.
    #[prost(int64, tag = "8")]
    pub devmajor: i64,
    /// Of a device.
    #[prost(int64, tag = "9")]
    pub devminor: i64,
}

/// Bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BytesMessage {
    /// The bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub data: Vec<u8>,
}

/// Asks for credentials.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CredentialsRequest {
    /// The registry.
    #[prost(string, tag = "1")]
    pub host: String,
}

/// Credentials, or nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CredentialsResponse {
    /// The name; empty for a token.
    #[prost(string, tag = "1")]
    pub username: String,
    /// The password or token.
    #[prost(string, tag = "2")]
    pub secret: String,
}

/// Asks for a secret.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetSecretRequest {
    /// Its name.
    #[prost(string, tag = "1")]
    pub id: String,
}

/// A secret.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GetSecretResponse {
    /// Its bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub data: Vec<u8>,
}

/// Asks whether an agent is there.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckAgentRequest {
    /// Its name.
    #[prost(string, tag = "1")]
    pub id: String,
}

/// It is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckAgentResponse {}

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum PacketKind {
    /// A file's attributes; without any, the list is at its end.
    Stat = 0,
    /// A file's bytes are asked for.
    Req = 1,
    /// A file's bytes; none, at its end.
    Data = 2,
    /// All is done.
    Fin = 3,
    /// It failed.
    Err = 4,
}
