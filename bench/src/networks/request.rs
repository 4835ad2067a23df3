//! Small HTTP requests through a published port, by wrk and nginx: at loopback's address, at the host's, and with the server
//! on the host itself.

use std::process::Command;

use super::HOST;
use super::place::Place;
use crate::engine::Engines;
use crate::measures::own;
use crate::sample::{Plan, Row};

const PORT: u16 = 8080;

pub(super) fn take(plan: &Plan, engines: &Engines) -> Vec<Row> {
    if Command::new("wrk").arg("--version").output().is_err() || Command::new("nginx").arg("-v").output().is_err() {
        eprintln!("no wrk or no nginx: nothing is known of requests");
        return Vec::new();
    }
    let addresses = ["127.0.0.1", HOST];
    let mut rows =
        addresses.map(|address| Row::new(format!("small HTTP requests to a port on {address}"), "requests/s"));
    let configuration = configured(plan);
    let one_each: Vec<_> = engines.all.iter().filter(|engine| engine.name != "docker+crun").collect();
    let mut parties = vec![("floor", PORT)];
    let mut servers = vec![Place::Host.serve("nginx", &["-c", &configuration], PORT)];
    for (engine, port) in one_each.iter().zip(18_080..) {
        let name = own("web", engine);
        let publish = format!("{port}:{PORT}");
        engine.run(&["run", "-d", "--name", &name, "-p", &publish, "busybox", "sleep", "3600"]);
        servers.push(Place::container(engine, &name).serve("nginx", &["-c", &configuration], PORT));
        parties.push((engine.name, port));
    }
    for round in 0..plan.rounds {
        for (row, address) in rows.iter_mut().zip(addresses) {
            for turn in 0..parties.len() {
                let (name, port) = parties[(turn + round) % parties.len()];
                if let Some(rate) = measured(address, port) {
                    row.add(name, rate);
                }
            }
        }
    }
    drop(servers);
    one_each.iter().for_each(|engine| engine.run(&["rm", "-f", &own("web", engine)]));
    rows.into()
}

/// The server's configuration: as many workers as processors, no log, an answer from memory.
fn configured(plan: &Plan) -> String {
    let file = plan.data.join("nginx.conf");
    // A file of its own: nginx removes it.
    let pid = plan.data.join("nginx.pid").display().to_string();
    let text = format!(
        "worker_processes auto; daemon off; pid {pid}; error_log stderr;\n\
         events {{ worker_connections 256; }}\n\
         http {{ access_log off; keepalive_requests 1000000000;\n\
         server {{ listen {PORT} reuseport; location / {{ return 200 'hello'; }} }} }}\n"
    );
    let _ = std::fs::write(&file, text);
    file.display().to_string()
}

/// A second of it: requests a second of 32 connections.
fn measured(address: &str, port: u16) -> Option<f64> {
    let told = Place::Host.read("wrk", &["-t2", "-c32", "-d1s", &format!("http://{address}:{port}/")]);
    told.lines().find_map(|line| line.strip_prefix("Requests/sec:"))?.trim().parse().ok()
}
