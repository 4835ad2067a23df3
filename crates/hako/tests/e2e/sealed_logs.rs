//! Logs that travel in TLS, to a server that shows a certificate and, where it is told to, wants to see one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::house::{House, await_that, run_tool};

/// `openssl s_server`, which writes what it hears into a file.
struct Server {
    process: Child,
    heard: PathBuf,
}

impl Server {
    fn start(dir: &Path, port: u16, cert: &Path, key: &Path, extra: &[&str]) -> Server {
        let heard = dir.join(format!("heard-{port}"));
        let process = Command::new("openssl")
            .args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-cert"])
            .arg(cert)
            .arg("-key")
            .arg(key)
            .args(extra)
            .stdin(Stdio::piped())
            .stdout(File::create(&heard).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let server = Server { process, heard };
        let listening = format!("0100007F:{port:04X} 00000000:0000 0A");
        await_that("the server to listen", || {
            std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap().contains(&listening)
        });
        server
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.heard).unwrap()).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A certificate for 127.0.0.1 that vouches for itself, and its key.
fn certificate(dir: &Path, name: &str) -> [PathBuf; 2] {
    let paths = ["crt", "key"].map(|extension| dir.join(format!("{name}.{extension}")));
    let [cert, key] = [&paths[0], &paths[1]].map(|path| path.to_str().unwrap());
    let made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let named = ["-subj", "/CN=log", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert];
    run_tool("openssl", made.into_iter().chain(named));
    paths
}

/// A certificate for 127.0.0.1 that another one vouches for, and its key.
fn signed(dir: &Path, name: &str, [authority, authority_key]: [&Path; 2]) -> [PathBuf; 2] {
    let paths = ["crt", "key", "request", "extensions"].map(|extension| dir.join(format!("{name}.{extension}")));
    let [cert, key, request, extensions] = paths.each_ref().map(|path| path.to_str().unwrap());
    std::fs::write(extensions, "subjectAltName=IP:127.0.0.1").unwrap();
    let asked = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=one"];
    run_tool("openssl", asked.into_iter().chain(["-keyout", key, "-out", request]));
    let [authority, authority_key] = [authority, authority_key].map(|path| path.to_str().unwrap());
    let done = ["x509", "-req", "-days", "2", "-CAcreateserial", "-in", request, "-extfile", extensions];
    run_tool("openssl", done.into_iter().chain(["-CA", authority, "-CAkey", authority_key, "-out", cert]));
    let [cert, key, ..] = paths;
    [cert, key]
}

/// Runs a container that says a word to a server.
fn say(house: &House, name: &str, word: &str, options: &[String]) {
    let options = options.iter().flat_map(|option| ["--log-opt", option]);
    let run = ["run", "-d", "--name", name, "--log-driver", "syslog", "--log-opt", "tag=box"].into_iter();
    house.ok(run.chain(options).chain(["busybox", "sh", "-c", &format!("echo {word}; exec sleep 600")]));
}

#[test]
fn syslog_in_tls_trusts_who_is_to_be_trusted() {
    let house = House::new();
    let dir = house.path();
    let [cert, key] = certificate(dir, "server");
    let [own, own_key] = certificate(dir, "client");
    let plain = Server::start(dir, 6514, &cert, &key, &[]);
    let [vouched, vouched_key] = signed(dir, "vouched", [&cert, &key]);
    let asks = ["-Verify", "1", "-verify_return_error", "-CAfile", own.to_str().unwrap()];
    let strict = Server::start(dir, 6515, &vouched, &vouched_key, &asks);
    let address = |port: u16| format!("syslog-address=tcp+tls://127.0.0.1:{port}");
    let option = |name: &str, path: &Path| format!("syslog-tls-{name}={}", path.display());

    say(&house, "stranger", "whisper", &[address(6514), option("ca-cert", &own)]);
    let formatted = "syslog-format=rfc5424".to_owned();
    say(&house, "friend", "hello", &[address(6514), option("ca-cert", &cert), formatted]);
    await_that("the trusting one's word", || plain.heard().contains("hello\n"));
    let text = plain.heard();
    let (length, line) = text.split_once(' ').expect("RFC 5425's length");
    assert!(length.parse() == Ok(line.len()) && line.starts_with("<30>1 "), "{text}");
    assert_eq!(house.ok(["logs", "stranger"]), "whisper", "it runs, and its log is here");
    house.ok(["rm", "-f", "friend", "stranger"]);
    assert!(!plain.heard().contains("whisper"), "nobody sends to a server that it does not trust");

    let both = [option("ca-cert", &cert), option("cert", &own), option("key", &own_key)];
    let options: Vec<String> = std::iter::once(address(6515)).chain(both).collect();
    say(&house, "known", "password", &options);
    await_that("the word of who shows a certificate", || strict.heard().contains("password\n"));
    house.ok(["rm", "-f", "known"]);
    drop(strict);
    drop(plain);
    let anybody = Server::start(dir, 6516, &own, &own_key, &[]);
    say(&house, "careless", "anything", &[address(6516), "syslog-tls-skip-verify=true".to_owned()]);
    await_that("the careless one's word", || anybody.heard().contains("anything\n"));
    house.ok(["rm", "-f", "careless"]);
}

#[test]
fn fluentd_in_tls_is_known_by_this_machines_authorities() {
    let house = House::new();
    let dir = house.path();
    let [authority, authority_key] = certificate(dir, "authority");
    let [cert, key] = signed(dir, "fluentd", [&authority, &authority_key]);
    let server = Server::start(dir, 24224, &cert, &key, &[]);
    let address = "fluentd-address=tls://127.0.0.1:24224";
    let run = |name: &str, word: &str| {
        let options = ["--log-driver", "fluentd", "--log-opt", address, "--log-opt", "tag=box.{{.Name}}"];
        let begin = ["run", "-d", "--name", name].into_iter().chain(options);
        house.ok(begin.chain(["busybox", "sh", "-c", &format!("echo {word}; exec sleep 600")]));
    };
    // The daemon that a command starts has nothing of that person's environment: to it the server is a stranger.
    run("stranger", "whisper");
    assert_eq!(house.ok(["logs", "stranger"]), "whisper");
    house.kill_daemon();
    let mut daemon = house.command(["daemon"]).env("SSL_CERT_FILE", &authority).spawn().unwrap();
    await_that("the daemon", || std::os::unix::net::UnixStream::connect(house.socket()).is_ok());
    run("friend", "hello");
    await_that("the trusting one's word", || server.heard().contains("hello"));
    let text = server.heard();
    // Fluentd's forward protocol: the tag, the time, and a map of what is known.
    for part in ["box.friend", "container_id", "container_name", "/friend", "source", "stdout", "log"] {
        assert!(text.contains(part), "{part} in {text:?}");
    }
    assert_eq!(house.ok(["logs", "friend"]), "hello");
    house.ok(["rm", "-f", "friend", "stranger"]);
    assert!(!server.heard().contains("whisper"), "nobody sends to a server that it does not trust");
    crate::house::signal(i32::try_from(daemon.id()).unwrap(), "TERM");
    daemon.wait().unwrap();
}

#[test]
fn a_log_outlives_what_its_server_was_known_by() {
    let house = House::new();
    let authority = house.path().join("ca.pem").display().to_string();
    let options = ["--log-driver", "syslog", "--log-opt", "syslog-address=tcp+tls://127.0.0.1:9", "--log-opt"];
    let option = format!("syslog-tls-ca-cert={authority}");
    let run = ["run", "--name", "box"].into_iter().chain(options).chain([option.as_str(), "busybox", "echo", "words"]);
    let said = house.fails(127, run);
    let wanted = format!(
        "failed to create task for container: failed to initialize logging driver: could not read CA certificate \
         \"{authority}\": open {authority}: no such file or directory"
    );
    assert!(said.contains(&wanted), "{said}");
    std::fs::write(&authority, "").unwrap();
    house.ok(["start", "-a", "box"]);
    std::fs::remove_file(&authority).unwrap();
    assert_eq!(house.ok(["logs", "box"]), "words");
}
