//! Many containers: the first answer of a daemon that does not run, a thousand idle containers, and many who watch.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::engine::{Engine, Engines, field};
use crate::measures::{engine_pss, remove_all, start_many};
use crate::sample::{Plan, Row, timed};

/// Clients that follow, and the containers they follow.
const CLIENTS: usize = 20;
const FOLLOWED: usize = 200;
/// How long nothing happens while they do.
const QUIET: Duration = Duration::from_secs(30);

/// From nothing to the list: a thousand containers and two hundred images lie on the disk, and the daemon does not run.
pub(crate) fn cold(plan: &Plan, engines: &Engines) -> Vec<Row> {
    let hako = engines.hako();
    let mut row = Row::new("ps -a with 1,000 containers and 200 images, daemon not running", "ms");
    for number in 0..200 {
        let label = format!("LABEL number={number}");
        import(hako, &plan.data.join("few.tar"), &label, &format!("few:{number}"));
    }
    create_many(hako, 1000);
    for _ in 0..plan.rounds {
        end_daemon(hako);
        row.add(hako.name, timed(|| hako.run(&["ps", "-a"])));
    }
    remove_all(hako);
    let names: Vec<String> = (0..200).map(|number| format!("few:{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    hako.run(&[&["rmi"][..], &names].concat());
    vec![row]
}

/// Imports a tar of one file, made if it is not there yet.
fn import(hako: &Engine, tar: &PathBuf, change: &str, name: &str) {
    if !tar.exists() {
        let _ = Command::new("tar").args(["-C", "/etc", "-cf"]).arg(tar).arg("hostname").status();
    }
    hako.run(&["import", "--change", change, &tar.display().to_string(), name]);
}

fn create_many(hako: &Engine, count: usize) {
    std::thread::scope(|scope| {
        for client in 0..8 {
            scope.spawn(move || {
                for number in (client..count).step_by(8) {
                    hako.run(&["create", "--name", &format!("cold-{number}"), "busybox", "sleep", "3600"]);
                }
            });
        }
    });
}

/// Ends the daemon, and waits until it is gone.
fn end_daemon(hako: &Engine) {
    let Some(pid) = hako.daemon_pid() else { return };
    let _ = Command::new("kill").arg(pid.to_string()).status();
    // A process that has ended, but whom nobody has waited for, has no program any more.
    let program = PathBuf::from(format!("/proc/{pid}/exe"));
    while program.read_link().is_ok() {
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// A thousand containers that sleep.
pub(crate) fn thousand(_: &Plan, engines: &Engines) -> Vec<Row> {
    let hako = engines.hako();
    let mut daemon = Row::new("daemon with 1,000 idle containers, resident", "MiB");
    let mut each = Row::new("engine's processes per idle container at 1,000, PSS", "MiB");
    let mut whole = Row::new("the machine's memory per idle container at 1,000", "MiB");
    for flags in [&["--network", "none"][..], &[]] {
        let (before, available) = (engine_pss(), memory_available());
        start_many(hako, 1000, flags);
        // Idle is who has had nothing to do for a while.
        std::thread::park_timeout(Duration::from_secs(20));
        each.add(hako.name, (engine_pss() - before) / 1000.0 / 1024.0);
        whole.add(hako.name, (available - memory_available()) / 1000.0 / 1024.0);
        if let Some(rss) = hako.daemon_rss() {
            daemon.add(hako.name, rss);
        }
        remove_all(hako);
    }
    vec![daemon, each, whole]
}

/// KiB that programs could still have.
fn memory_available() -> f64 {
    field("/proc/meminfo", "MemAvailable:").unwrap_or_default()
}

/// Two hundred containers, twenty clients: each follows the events, and the logs and the use of ten containers.
pub(crate) fn followers(_: &Plan, engines: &Engines) -> Vec<Row> {
    let hako = engines.hako();
    start_many(hako, FOLLOWED, &["--network", "none"]);
    let ids: Vec<String> = hako.read(&["ps", "-q", "--no-trunc"]).split_whitespace().map(str::to_owned).collect();
    let mut streams = Vec::new();
    for (number, id) in ids.iter().enumerate() {
        streams.extend(ask(hako, &format!("/containers/{id}/logs?follow=1&stdout=1&stderr=1")));
        streams.extend(ask(hako, &format!("/containers/{id}/stats")));
        if number % (FOLLOWED / CLIENTS) == 0 {
            streams.extend(ask(hako, "/events"));
        }
    }
    let mut share =
        Row::new("processor while 20 clients follow 200 quiet containers (events, stats, logs -f)", "% of a core");
    let mut size = Row::new("daemon meanwhile, resident", "MiB");
    let mut growth = Row::new("its growth in half a minute", "MiB");
    let readers: Vec<_> = streams.into_iter().map(swallow).collect();
    std::thread::park_timeout(Duration::from_secs(5));
    let (before, small) = (processor_time(hako), hako.daemon_rss().unwrap_or_default());
    std::thread::park_timeout(QUIET);
    let (after, large) = (processor_time(hako), hako.daemon_rss().unwrap_or_default());
    share.add(hako.name, (after - before) / QUIET.as_secs_f64() * 100.0);
    size.add(hako.name, large);
    growth.add(hako.name, large - small);
    remove_all(hako);
    for (stream, reader) in readers {
        let _ = stream.shutdown(std::net::Shutdown::Both);
        let _ = reader.join();
    }
    vec![share, size, growth]
}

/// An open request.
fn ask(hako: &Engine, path: &str) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(hako.hako_root()?.join("run/hako.sock")).ok()?;
    write!(stream, "GET /v1.51{path} HTTP/1.1\r\nHost: hako\r\n\r\n").ok()?;
    Some(stream)
}

/// Reads whatever comes, to no purpose.
fn swallow(stream: UnixStream) -> (UnixStream, std::thread::JoinHandle<()>) {
    let mut reading = stream.try_clone().expect("a descriptor");
    let reader = std::thread::Builder::new().stack_size(64 << 10).spawn(move || {
        let mut buffer = [0; 16 << 10];
        while reading.read(&mut buffer).is_ok_and(|length| length > 0) {}
    });
    (stream, reader.expect("a thread"))
}

/// Seconds the daemon has worked.
fn processor_time(hako: &Engine) -> f64 {
    let stat =
        hako.daemon_pid().and_then(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok()).unwrap_or_default();
    let fields: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    // utime and stime are the eleventh and twelfth after the state, in hundredths of a second.
    (fields.get(10).unwrap_or(&0.0) + fields.get(11).unwrap_or(&0.0)) / 100.0
}

/// A daemon that is killed a hundred times under load.
pub(crate) fn invisible(_: &Plan, engines: &Engines) -> Vec<Row> {
    let hako = engines.hako();
    let mut failed = Row::new("100 kills of the daemon under load: failed requests to a container", "of all");
    let mut asked = Row::new("the same: requests answered", "requests");
    let mut lines = Row::new("the same: lines that `logs -f` missed, or had twice", "lines");
    let program =
        "mkdir /w; echo ok >/w/index.html; httpd -p 80 -h /w; i=0; while :; do i=$((i+1)); echo $i; usleep 10000; done";
    hako.run(&["run", "-d", "--name", "seen", "-p", "127.0.0.1:18080:80", "busybox", "sh", "-c", program]);
    let follower = hako.command(&["logs", "-f", "seen"]).stdout(Stdio::piped()).spawn().expect("a client");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (answered, refused) = std::thread::scope(|scope| {
        let load = scope.spawn(|| request_until(&stop));
        for _ in 0..100 {
            if let Some(pid) = hako.daemon_pid() {
                let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
            }
            hako.run(&["ps"]);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        load.join().expect("the load")
    });
    hako.run(&["kill", "seen"]);
    let told = follower.wait_with_output().map(|output| output.stdout).unwrap_or_default();
    let numbers: Vec<u64> = String::from_utf8_lossy(&told).lines().filter_map(|line| line.parse().ok()).collect();
    let wrong = numbers.windows(2).map(|pair| pair[1].abs_diff(pair[0] + 1)).sum::<u64>();
    failed.add(hako.name, refused as f64);
    asked.add(hako.name, answered as f64);
    lines.add(hako.name, wrong as f64);
    remove_all(hako);
    vec![failed, asked, lines]
}

/// Asks the container for its page again and again; how often it answered, and how often not.
fn request_until(stop: &std::sync::atomic::AtomicBool) -> (u64, u64) {
    let (mut answered, mut refused) = (0, 0);
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let mut page = String::new();
        let asked = std::net::TcpStream::connect(("127.0.0.1", 18080)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            stream.read_to_string(&mut page)
        });
        match asked {
            Ok(_) if page.ends_with("ok\n") => answered += 1,
            _ => refused += 1,
        }
    }
    (answered, refused)
}
