//! Calling a client on its session: its files, credentials, secrets and agents.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use hako_sys::confined::Root;
use http::Uri;
use hyper::client::conn::http2;
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use prost::Message;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::files::{self, Line, Received};
use crate::wire::client::{
    BytesMessage, CheckAgentRequest, CheckAgentResponse, CredentialsRequest, CredentialsResponse, GetSecretRequest,
    GetSecretResponse, Packet,
};
use crate::wire::content::{Action, ReadRequest, ReadResponse, WriteRequest, WriteResponse};
use crate::{Error, Result};

/// The most bytes of one message.
const MESSAGE: usize = 16 << 20;

/// How often a silent client is asked whether it is there.
const ALIVE: Duration = Duration::from_secs(30);

/// How many packets may wait for the connection.
const BACKLOG: usize = 64;

/// How much a client may send before it is read.
const WINDOW: u32 = 1 << 20;

/// What need not be escaped in a header: what Go's `url.QueryEscape` leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A client's side of its session. Cheap to clone.
#[derive(Clone)]
pub struct Caller {
    channel: Channel,
    gone: watch::Receiver<bool>,
    methods: std::sync::Arc<[String]>,
}

impl Caller {
    /// Begins to speak with the client behind a connection that it handed over. It serves these methods.
    ///
    /// # Errors
    /// The client does not speak HTTP/2.
    pub async fn open(io: impl Read + Write + Unpin + Send + 'static, methods: Vec<String>) -> Result<Self> {
        let opened = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(ALIVE)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(2 * WINDOW)
            .handshake(io)
            .await;
        let (sender, connection) = opened.map_err(|error| Error::broken("open session", error.to_string()))?;
        let (leave, gone) = watch::channel(false);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("session: {error}");
            }
            // Nobody may be waiting for it.
            let _ = leave.send(true);
        });
        Ok(Self { channel: Channel(sender), gone, methods: methods.into() })
    }

    /// Waits until the client is gone.
    pub async fn closed(&self) {
        // A sender that is gone means the same.
        let _ = self.gone.clone().wait_for(|gone| *gone).await;
    }

    /// Whether the client said that it serves a method, `/package.Service/Method`.
    #[must_use]
    pub fn serves(&self, method: &str) -> bool {
        self.methods.iter().any(|own| own.eq_ignore_ascii_case(method))
    }

    /// Credentials for a registry; empty when it has none.
    ///
    /// # Errors
    /// The client refuses or is gone.
    pub async fn credentials(&self, host: &str) -> Result<CredentialsResponse> {
        let method = "/moby.filesync.v1.Auth/Credentials";
        if !self.serves(method) {
            return Ok(CredentialsResponse::default());
        }
        self.ask(format!("ask for credentials for {host}"), method, CredentialsRequest { host: host.to_owned() }).await
    }

    /// A secret's bytes.
    ///
    /// # Errors
    /// There is none of that name, or the client is gone.
    pub async fn secret(&self, id: &str) -> Result<Vec<u8>> {
        let asked = GetSecretRequest { id: id.to_owned() };
        let method = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
        let answer: GetSecretResponse = self.ask(format!("secret {id}"), method, asked).await?;
        Ok(answer.data)
    }

    /// Whether the client lends an agent of that name.
    ///
    /// # Errors
    /// It does not, or is gone.
    pub async fn check_agent(&self, id: &str) -> Result<()> {
        let asked = CheckAgentRequest { id: id.to_owned() };
        let _: CheckAgentResponse =
            self.ask(format!("ssh agent {id}"), "/moby.sshforward.v1.SSH/CheckAgent", asked).await?;
        Ok(())
    }

    /// A connection to one of its agents.
    ///
    /// # Errors
    /// The client refuses or is gone.
    pub async fn agent(
        &self,
        id: &str,
        sent: impl Stream<Item = BytesMessage> + Send + 'static,
    ) -> Result<Streaming<BytesMessage>> {
        let words = [("buildkit.ssh.id", vec![id.to_owned()])];
        self.stream("use the ssh agent", "/moby.sshforward.v1.SSH/ForwardAgent", &words, sent).await
    }

    /// Makes a directory hold files of the client's. Blocks; `tell` hears how many bytes came so far.
    ///
    /// # Errors
    /// The client refuses, is gone, or says what nobody should.
    pub fn receive_files(
        &self,
        wanted: &Wanted,
        root: &Root,
        runtime: &Handle,
        tell: &mut dyn FnMut(u64),
    ) -> Result<Received> {
        let words = [
            ("dir-name", vec![wanted.name.clone()]),
            ("exclude-patterns", wanted.exclude.clone()),
            ("followpaths", wanted.paths.clone()),
        ];
        let words = words.map(|(name, values)| (name.to_owned(), values)).to_vec();
        let mut line = Spoken::open(self, runtime, files::INCOMING, "/moby.filesync.v1.FileSync/DiffCopy", words);
        files::receive(root, &mut line, tell)
    }

    /// Gives the client what is in a directory. Blocks.
    ///
    /// # Errors
    /// The client refuses or is gone.
    pub fn send_files(&self, exporter: &str, root: &Root, folder: &str, runtime: &Handle) -> Result<()> {
        let words = vec![(EXPORTER.to_owned(), vec![exporter.to_owned()])];
        let mut line = Spoken::open(self, runtime, files::OUTGOING, SEND, words);
        files::send(root, folder, &mut line)
    }

    /// Gives the client a file, piece by piece.
    ///
    /// # Errors
    /// The client refuses or is gone.
    pub async fn send_file(
        &self,
        exporter: &str,
        pieces: impl Stream<Item = BytesMessage> + Send + 'static,
    ) -> Result<()> {
        let words = [(EXPORTER, vec![exporter.to_owned()])];
        let mut answers: Streaming<BytesMessage> = self.stream(files::OUTGOING, SEND, &words, pieces).await?;
        let refused = |cause| Error::Refused { what: files::OUTGOING.to_owned(), cause: Box::new(cause) };
        // It says nothing but that it has it.
        while answers.message().await.map_err(refused)?.is_some() {}
        Ok(())
    }

    /// Fetches what the client uploads, standard input for one.
    ///
    /// # Errors
    /// The client refuses or is gone.
    pub async fn upload(&self, path: &str) -> Result<Streaming<BytesMessage>> {
        let words = [("urlpath", vec![path.to_owned()])];
        let nothing = futures_util::stream::empty::<BytesMessage>();
        self.stream("read standard input", "/moby.upload.v1.Upload/Pull", &words, nothing).await
    }

    /// Reads a blob of a directory that the client calls `place`.
    ///
    /// # Errors
    /// The client has none, refuses or is gone.
    pub async fn blob(&self, place: &str, digest: &str) -> Result<Streaming<ReadResponse>> {
        let words = [(STORE, vec![place.to_owned()])];
        let asked = ReadRequest { digest: digest.to_owned(), ..ReadRequest::default() };
        let asked = futures_util::stream::iter([asked]);
        self.stream("read the cache", "/containerd.services.content.v1.Content/Read", &words, asked).await
    }

    /// Writes a blob into a directory that the client calls `place`; one that is there already is fine.
    ///
    /// # Errors
    /// The client refuses or is gone.
    pub async fn put_blob(&self, place: &str, pieces: impl Stream<Item = WriteRequest> + Send + 'static) -> Result<()> {
        let (what, words) = ("write the cache", [(STORE, vec![place.to_owned()])]);
        let is_there = |cause: &Status| cause.code() == tonic::Code::AlreadyExists;
        let method = "/containerd.services.content.v1.Content/Write";
        let mut answers: Streaming<WriteResponse> = match self.stream(what, method, &words, pieces).await {
            Err(Error::Refused { cause, .. }) if is_there(&cause) => return Ok(()),
            opened => opened?,
        };
        let mut committed = false;
        loop {
            match answers.message().await {
                Ok(Some(answer)) => committed |= answer.action == Action::Commit as i32,
                Ok(None) if committed => return Ok(()),
                Ok(None) => return Err(Error::broken(what, "the blob broke off".to_owned())),
                Err(cause) if is_there(&cause) => return Ok(()),
                Err(cause) => return Err(Error::Refused { what: what.to_owned(), cause: Box::new(cause) }),
            }
        }
    }

    async fn ask<A, B>(&self, what: String, method: &'static str, asked: A) -> Result<B>
    where
        A: Message + 'static,
        B: Message + Default + 'static,
    {
        let mut grpc = self.grpc().await?;
        let codec = ProstCodec::<A, B>::default();
        let refused = |cause: Status| Error::Refused { what, cause: Box::new(cause) };
        let answer = grpc.unary(Request::new(asked), http::uri::PathAndQuery::from_static(method), codec).await;
        answer.map(tonic::Response::into_inner).map_err(refused)
    }

    async fn stream<A, B>(
        &self,
        what: &str,
        method: &'static str,
        words: &[(&str, Vec<String>)],
        sent: impl Stream<Item = A> + Send + 'static,
    ) -> Result<Streaming<B>>
    where
        A: Message + 'static,
        B: Message + Default + 'static,
    {
        let mut grpc = self.grpc().await?;
        let mut request = Request::new(sent);
        for (name, values) in words {
            add(request.metadata_mut(), name, values)?;
        }
        let codec = ProstCodec::<A, B>::default();
        let refused = |cause: Status| Error::Refused { what: what.to_owned(), cause: Box::new(cause) };
        let answer = grpc.streaming(request, http::uri::PathAndQuery::from_static(method), codec).await;
        answer.map(tonic::Response::into_inner).map_err(refused)
    }

    async fn grpc(&self) -> Result<Grpc<Channel>> {
        let origin = Uri::from_static("http://localhost");
        let mut grpc = Grpc::with_origin(self.channel.clone(), origin).max_decoding_message_size(MESSAGE);
        grpc.ready().await.map_err(|_| Error::Gone)?;
        Ok(grpc)
    }
}

/// How a client takes files.
const SEND: &str = "/moby.filesync.v1.FileSend/DiffCopy";

/// The header that says which of several directories with blobs is meant.
const STORE: &str = "buildkit-attachable-store-id";

/// The header that says which of several outputs is meant.
const EXPORTER: &str = "buildkit-attachable-exporter-id";

/// Which files of a client are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Which of the directories that it shows.
    pub name: String,
    /// Patterns of what is not wanted, as in a .dockerignore.
    pub exclude: Vec<String>,
    /// What is wanted, links followed; everything when empty.
    pub paths: Vec<String>,
}

/// Adds a header with several values. Where one of them is no plain text, all are escaped, as Go's client expects.
fn add(words: &mut MetadataMap, name: &str, values: &[String]) -> Result<()> {
    let broken = |why: String| Error::broken("ask the client", why);
    let key = |name: &str| name.parse::<MetadataKey<Ascii>>().map_err(|error| broken(error.to_string()));
    let plain = values.iter().all(|value| value.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    if !plain {
        words.insert(key(&format!("{name}-encoded"))?, MetadataValue::from_static("1"));
    }
    for value in values {
        let text = if plain { value.clone() } else { utf8_percent_encode(value, PLAIN).to_string() };
        let value = MetadataValue::try_from(text).map_err(|error| broken(error.to_string()))?;
        words.append(key(name)?, value);
    }
    Ok(())
}

/// A transfer of files as a conversation.
struct Spoken<'a> {
    runtime: &'a Handle,
    what: &'static str,
    heard: Heard,
    said: mpsc::Sender<Packet>,
}

/// The client's packets. Its answer begins with its first packet, which may be long in coming: some clients listen first.
enum Heard {
    Opening(JoinHandle<Result<Streaming<Packet>>>),
    Open(Box<Streaming<Packet>>),
}

impl<'a> Spoken<'a> {
    fn open(
        caller: &Caller,
        runtime: &'a Handle,
        what: &'static str,
        method: &'static str,
        words: Vec<(String, Vec<String>)>,
    ) -> Self {
        let (said, mut sent) = mpsc::channel(BACKLOG);
        let (caller, sent) = (caller.clone(), futures_util::stream::poll_fn(move |cx| sent.poll_recv(cx)));
        let opening = runtime.spawn(async move {
            let words: Vec<_> = words.iter().map(|(name, values)| (name.as_str(), values.clone())).collect();
            caller.stream(what, method, &words, sent).await
        });
        Self { runtime, what, heard: Heard::Opening(opening), said }
    }
}

impl Line for Spoken<'_> {
    fn hear(&mut self) -> Result<Option<Packet>> {
        if let Heard::Opening(opening) = &mut self.heard {
            self.heard = Heard::Open(Box::new(self.runtime.block_on(opening).map_err(|_| Error::Gone)??));
        }
        let Heard::Open(heard) = &mut self.heard else { return Err(Error::Gone) };
        let heard = self.runtime.block_on(heard.message());
        heard.map_err(|cause| Error::Refused { what: self.what.to_owned(), cause: Box::new(cause) })
    }

    fn say(&mut self, packet: Packet) -> Result<()> {
        self.runtime.block_on(self.said.send(packet)).map_err(|_| Error::Gone)
    }
}

/// A connection's sending end, in the shape that tonic wants.
#[derive(Clone)]
struct Channel(http2::SendRequest<Body>);

impl tower_service::Service<http::Request<Body>> for Channel {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
