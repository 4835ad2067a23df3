//! Serving BuildKit's API on a connection: which method of the service a path means.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use http::{Request as HttpRequest, Response as HttpResponse};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prost::Message;
use tonic::body::Body;
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::wire::control::{
    DiskUsageRequest, DiskUsageResponse, InfoRequest, InfoResponse, ListWorkersRequest, ListWorkersResponse,
    PruneRequest, SolveRequest, SolveResponse, StatusRequest, StatusResponse, UsageRecord,
};
use crate::wire::gateway;

/// The most bytes of one message, as of BuildKit.
const MESSAGE: usize = 16 << 20;

/// How often a silent client is asked whether it is there.
const ALIVE: std::time::Duration = std::time::Duration::from_secs(30);

/// The header that says which build a call of the bridge belongs to.
const BUILD: &str = "buildkit-controlapi-buildid";

/// Answers that come one by one.
pub struct Answers<T>(Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>);

impl<T> Answers<T> {
    /// The answers of a stream.
    pub fn new(answers: impl Stream<Item = Result<T, Status>> + Send + 'static) -> Self {
        Self(Box::pin(answers))
    }
}

impl<T> Stream for Answers<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

/// What BuildKit's clients ask. The bridge's methods are told which build they belong to.
pub trait Service: Send + Sync + 'static {
    /// Builds, and waits for the end.
    fn solve(&self, asked: SolveRequest) -> impl Future<Output = Result<SolveResponse, Status>> + Send;
    /// The progress of a build.
    fn status(&self, asked: StatusRequest) -> impl Future<Output = Result<Answers<StatusResponse>, Status>> + Send;
    /// Who builds.
    fn workers(&self) -> ListWorkersResponse;
    /// The version.
    fn info(&self) -> InfoResponse;
    /// What the cache holds.
    fn usage(&self, asked: DiskUsageRequest) -> impl Future<Output = Result<DiskUsageResponse, Status>> + Send;
    /// Makes the cache smaller.
    fn prune(&self, asked: PruneRequest) -> impl Future<Output = Result<Answers<UsageRecord>, Status>> + Send;
    /// What the bridge can.
    fn ping(&self) -> gateway::PongResponse;
    /// A step of a build that its client drives.
    fn bridge_solve(
        &self,
        build: String,
        asked: gateway::SolveRequest,
    ) -> impl Future<Output = Result<gateway::SolveResponse, Status>> + Send;
    /// A result is to be there.
    fn evaluate(
        &self,
        build: String,
        asked: gateway::EvaluateRequest,
    ) -> impl Future<Output = Result<gateway::EvaluateResponse, Status>> + Send;
    /// The client is done.
    fn finish(
        &self,
        build: String,
        asked: gateway::ReturnRequest,
    ) -> impl Future<Output = Result<gateway::ReturnResponse, Status>> + Send;
}

/// Serves a connection until the client closes it. Calls that are on their way then are dropped.
///
/// # Errors
/// The connection breaks.
pub async fn serve<S: Service>(io: impl Read + Write + Unpin + Send + 'static, service: Arc<S>) -> hyper::Result<()> {
    let answering = service_fn(move |request: HttpRequest<Incoming>| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(answer(service, request).await) }
    });
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(ALIVE)
        .serve_connection(io, answering)
        .await
}

async fn answer<S: Service>(own: Arc<S>, request: HttpRequest<Incoming>) -> HttpResponse<Body> {
    let path = request.uri().path().to_owned();
    if let Some(method) = path.strip_prefix("/moby.buildkit.v1.frontend.LLBBridge/") {
        return bridge(own, method, request).await;
    }
    match path.strip_prefix("/moby.buildkit.v1.Control/").unwrap_or_default() {
        "Solve" => one(request, |asked| async move { own.solve(asked).await }).await,
        "Status" => many(request, |asked| async move { own.status(asked).await }).await,
        "ListWorkers" => one(request, |_: ListWorkersRequest| async move { Ok(own.workers()) }).await,
        "Info" => one(request, |_: InfoRequest| async move { Ok(own.info()) }).await,
        "DiskUsage" => one(request, |asked| async move { own.usage(asked).await }).await,
        "Prune" => many(request, |asked| async move { own.prune(asked).await }).await,
        _ => unknown(&path),
    }
}

async fn bridge<S: Service>(own: Arc<S>, method: &str, request: HttpRequest<Incoming>) -> HttpResponse<Body> {
    let build = request.headers().get(BUILD).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    match method {
        "Ping" => one(request, |_: gateway::PingRequest| async move { Ok(own.ping()) }).await,
        "Solve" => one(request, |asked| async move { own.bridge_solve(build, asked).await }).await,
        "Evaluate" => one(request, |asked| async move { own.evaluate(build, asked).await }).await,
        "Return" => one(request, |asked| async move { own.finish(build, asked).await }).await,
        _ => unknown(&format!("moby.buildkit.v1.frontend.LLBBridge/{method}")),
    }
}

fn unknown(path: &str) -> HttpResponse<Body> {
    Status::unimplemented(format!("hako does not serve {path}")).into_http()
}

/// A call with one answer.
async fn one<A, B, F, R>(request: HttpRequest<Incoming>, call: F) -> HttpResponse<Body>
where
    A: Message + Default + 'static,
    B: Message + 'static,
    F: FnOnce(A) -> R + Send + 'static,
    R: Future<Output = Result<B, Status>> + Send + 'static,
{
    let codec = ProstCodec::<B, A>::default();
    Grpc::new(codec).max_decoding_message_size(MESSAGE).unary(One(Some(call)), request).await
}

/// A call with many answers.
async fn many<A, B, F, R>(request: HttpRequest<Incoming>, call: F) -> HttpResponse<Body>
where
    A: Message + Default + 'static,
    B: Message + 'static,
    F: FnOnce(A) -> R + Send + 'static,
    R: Future<Output = Result<Answers<B>, Status>> + Send + 'static,
{
    let codec = ProstCodec::<B, A>::default();
    Grpc::new(codec).max_decoding_message_size(MESSAGE).server_streaming(Many(Some(call)), request).await
}

type Answering<B> = Pin<Box<dyn Future<Output = Result<Response<B>, Status>> + Send>>;

/// A function that is called once; tonic would allow more.
struct One<F>(Option<F>);

impl<A, B, F, R> UnaryService<A> for One<F>
where
    F: FnOnce(A) -> R,
    R: Future<Output = Result<B, Status>> + Send + 'static,
{
    type Response = B;
    type Future = Answering<B>;

    fn call(&mut self, request: Request<A>) -> Self::Future {
        match self.0.take() {
            Some(call) => {
                let answer = call(request.into_inner());
                Box::pin(async move { answer.await.map(Response::new) })
            }
            None => Box::pin(async { Err(Status::internal("a call was made twice")) }),
        }
    }
}

/// The same for many answers.
struct Many<F>(Option<F>);

impl<A, B, F, R> ServerStreamingService<A> for Many<F>
where
    F: FnOnce(A) -> R,
    R: Future<Output = Result<Answers<B>, Status>> + Send + 'static,
    B: 'static,
{
    type Response = B;
    type ResponseStream = Answers<B>;
    type Future = Answering<Answers<B>>;

    fn call(&mut self, request: Request<A>) -> Self::Future {
        match self.0.take() {
            Some(call) => {
                let answer = call(request.into_inner());
                Box::pin(async move { answer.await.map(Response::new) })
            }
            None => Box::pin(async { Err(Status::internal("a call was made twice")) }),
        }
    }
}
