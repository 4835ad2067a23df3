//! HTTP over a pair of sockets, with a real engine on an empty root behind it.

use std::time::Duration;

use hako_engine::{Engine, Settings};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::*;

/// A daemon without a door.
struct Daemon {
    house: House,
    leave: watch::Sender<Leaving>,
    _root: tempfile::TempDir,
}

impl Daemon {
    async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(root.path().join("data"), root.path().join("run"));
        // No container is started here.
        settings.spares = 0;
        let engine = Engine::open(settings).await.unwrap();
        let (leave, leaving) = watch::channel(Leaving::No);
        Self {
            house: House {
                engine,
                activity: Activity::default(),
                bench: Bench::default(),
                tally: Tally::default(),
                spans: crate::spans::Spans::default(),
                leaving,
            },
            leave,
            _root: root,
        }
    }

    fn connect(&self) -> UnixStream {
        let (client, server) = UnixStream::pair().unwrap();
        welcome(Connection::Unix(server).into(), &self.house);
        client
    }

    /// Sends bytes and reads until the daemon closes the connection.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut client = self.connect();
        client.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let reading = client.read_to_end(&mut answer);
        let outcome = tokio::time::timeout(Duration::from_secs(20), reading).await.expect("an answer in time");
        // A daemon that answers before it has read everything resets the connection after its answer.
        assert!(outcome.is_ok() || outcome.is_err_and(|cause| cause.kind() == std::io::ErrorKind::ConnectionReset));
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// One request; gives status and body.
    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, String) {
        let text = body.map(|body| body.to_string()).unwrap_or_default();
        let kind = if text.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{kind}");
        let length = text.len();
        let answer = self.exchange(format!("{head}Content-Length: {length}\r\n\r\n{text}").as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        (status, body.trim().to_owned())
    }
}

async fn check(daemon: &Daemon, method: &str, path: &str, body: Option<Value>, status: u16, message: &str) {
    let expect = if message.is_empty() { String::new() } else { json!({ "message": message }).to_string() };
    assert_eq!(daemon.ask(method, path, body).await, (status, expect), "{method} {path}");
}

#[tokio::test]
async fn refusals_have_dockers_status_and_message() {
    let daemon = Daemon::start().await;
    let no_config = "config cannot be empty in order to create a container";
    check(&daemon, "GET", "/nope", None, 404, "page not found").await;
    check(&daemon, "POST", "/info", None, 404, "page not found").await;
    check(&daemon, "GET", "/containers/nope/json", None, 404, "No such container: nope").await;
    check(&daemon, "POST", "/v1.24/containers/nope/start", None, 404, "No such container: nope").await;
    check(&daemon, "POST", "/containers/create", Some(json!({})), 400, no_config).await;
    let image = Some(json!({"Image": "nope"}));
    check(&daemon, "POST", "/containers/create", image, 404, "No such image: nope:latest").await;
    check(&daemon, "GET", "/containers/nope/logs", None, 400, "Bad parameters: you must choose at least one stream")
        .await;
    check(&daemon, "POST", "/containers/x/wait?condition=y", None, 400, "invalid condition: \"y\"").await;
    check(&daemon, "GET", "/system/df?type=x", None, 400, "unknown object type: x").await;
    // Docker says 500, though the fault is the client's.
    check(&daemon, "POST", "/build", None, 400, "Cannot locate specified Dockerfile: Dockerfile").await;
    check(&daemon, "GET", "/volumes/nope", None, 404, "get nope: no such volume").await;
}

#[tokio::test]
async fn every_answer_says_who_answers() {
    let daemon = Daemon::start().await;
    let answer =
        daemon.exchange(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 200 ok\r\n"), "{answer}");
    for header in ["api-version: 1.51", "ostype: linux", "docker-experimental: false", "server: hako/"] {
        assert!(answer.contains(&format!("\r\n{header}")), "{header} in {answer}");
    }
    assert!(answer.ends_with("\r\n\r\nok"));
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let daemon = Daemon::start().await;
    let twice = b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\nHEAD /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(daemon.exchange(twice).await.matches("HTTP/1.1 200 OK").count(), 2);
}

#[tokio::test]
async fn bodies_and_heads_have_limits() {
    let daemon = Daemon::start().await;
    let head = "POST /volumes/create HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let unknown = format!("{head}Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{}}");
    assert!(daemon.exchange(unknown.as_bytes()).await.contains("must be 'application/json'"));
    let cut = format!("{head}Content-Type: application/json\r\nContent-Length: 1\r\n\r\n{{");
    assert!(daemon.exchange(cut.as_bytes()).await.contains("invalid JSON: unexpected EOF"));
    let deep = "[".repeat(100_000);
    let deep = format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{deep}", deep.len());
    assert!(daemon.exchange(deep.as_bytes()).await.contains("invalid JSON"));
    let long = format!("GET /_ping HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(HEAD_LIMIT * 2));
    assert!(daemon.exchange(long.as_bytes()).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let daemon = Daemon::start().await;
    let mut client = daemon.connect();
    let head = "POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    // The daemon stops reading at its limit, so that writing fails or blocks; either way it has answered by then.
    let writing = async {
        for _ in 0..200 {
            if client.write_all(chunk.as_bytes()).await.is_err() {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(5), writing).await;
    let mut answer = vec![0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn volumes_travel_in_dockers_words() {
    let daemon = Daemon::start().await;
    let body = json!({"Name": "vol", "Labels": {"a": "b"}});
    let (status, made) = daemon.ask("POST", "/volumes/create", Some(body)).await;
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(
        (status, &made["Name"], &made["Driver"], &made["Options"]),
        (201, &json!("vol"), &json!("local"), &json!(null))
    );
    let (_, list) = daemon.ask("GET", "/volumes", None).await;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list, json!({"Volumes": [made], "Warnings": null}));
    assert_eq!(daemon.ask("DELETE", "/volumes/vol", None).await.0, 204);
}

#[tokio::test]
async fn what_exists_without_any_container() {
    let daemon = Daemon::start().await;
    let (_, version) = daemon.ask("GET", "/version", None).await;
    let version: Value = serde_json::from_str(&version).unwrap();
    assert_eq!((&version["ApiVersion"], &version["MinAPIVersion"]), (&json!("1.51"), &json!("1.24")));
    assert_eq!(daemon.ask("GET", "/containers/json?all=1", None).await, (200, "[]".to_owned()));
    assert_eq!(daemon.ask("GET", "/images/json", None).await, (200, "[]".to_owned()));
    let pruned = (200, r#"{"ContainersDeleted":null,"SpaceReclaimed":0}"#.to_owned());
    assert_eq!(daemon.ask("POST", "/containers/prune", None).await, pruned);
    let (_, networks) = daemon.ask("GET", "/networks", None).await;
    let networks: Vec<Value> = serde_json::from_str(&networks).unwrap();
    assert_eq!(networks.len(), 3);
}

#[tokio::test]
async fn a_client_that_says_no_more_is_answered() {
    let daemon = Daemon::start().await;
    let body = r#"{"Name":"vol"}"#;
    let head = "POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let requests = [
        "GET /info HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()),
    ];
    for request in requests {
        let mut client = daemon.connect();
        client.write_all(request.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 20") && answer.ends_with("}\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_nothing_behind() {
    let daemon = Daemon::start().await;
    let mut client = daemon.connect();
    client.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 15];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(daemon.house.activity.count(), 1);
    drop(client);
    tokio::time::timeout(Duration::from_secs(20), daemon.house.activity.idle_for(Duration::ZERO)).await.unwrap();
}

#[tokio::test]
async fn a_leaving_daemon_ends_idle_connections() {
    let daemon = Daemon::start().await;
    let mut client = daemon.connect();
    client.write_all(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 15];
    client.read_exact(&mut answer).await.unwrap();
    daemon.leave.send(Leaving::Soon).unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    daemon.house.activity.idle_for(Duration::ZERO).await;
}

#[tokio::test]
async fn a_stream_that_is_cut_off_does_not_look_complete() {
    let daemon = Daemon::start().await;
    let mut client = daemon.connect();
    client.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 15];
    client.read_exact(&mut answer).await.unwrap();
    daemon.leave.send(Leaving::Soon).unwrap();
    daemon.leave.send(Leaving::Now).unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
    daemon.house.activity.idle_for(Duration::ZERO).await;
}

#[test]
fn no_bytes_harm_the_daemon() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let daemon = runtime.block_on(Daemon::start());
    let methods = prop_oneof![Just("GET"), Just("POST"), Just("PUT"), Just("DELETE"), Just("HEAD")];
    let names = "(containers|images|volumes|exec|networks|distribution)/[a-z%/:.]{0,12}(/(json|logs|top|start|archive|tag|exec))?";
    let requests = (methods, names, "[a-z=&%{}\":\\[\\]0-9]{0,30}", proptest::collection::vec(any::<u8>(), 0..200));
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = proptest::test_runner::TestRunner::new(config).run(&requests, |(method, path, query, body)| {
        let head = format!(
            "{method} /{path}?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), &body].concat();
        let answer = runtime.block_on(daemon.exchange(&request));
        prop_assert!(answer.starts_with("HTTP/1.1 "), "{}", answer);
        prop_assert!(!answer.contains("see its log"), "{method} /{path}?{query}: {answer}");
        Ok(())
    });
    outcome.unwrap();
    let garbage = proptest::collection::vec(any::<u8>(), 1..300);
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = proptest::test_runner::TestRunner::new(config).run(&garbage, |bytes| {
        runtime.block_on(async {
            let mut client = daemon.connect();
            client.write_all(&bytes).await.unwrap();
            client.shutdown().await.unwrap();
            let mut answer = Vec::new();
            let _ = client.read_to_end(&mut answer).await;
        });
        Ok(())
    });
    outcome.unwrap();
    assert_eq!(runtime.block_on(daemon.ask("GET", "/_ping", None)), (200, "OK".to_owned()));
}
