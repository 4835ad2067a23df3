//! `compose viz`: the services and what they need as a graph for Graphviz.

use std::fmt::Write as _;

use hako_compose::Project;
use hako_compose::yaml::Node;

use super::project::project;
use crate::flags::{Matches, int, switch};
use crate::output;
use crate::session::Session;
use crate::tree::{Command, Group, Outcome, run};

pub(super) static VIZ: Command = Command {
    usage: &["[OPTIONS]"],
    flags: &[&[
        super::DRY_RUN,
        switch("image", "Include service's image name in output graph"),
        int("indentation-size", "Number of tabs or spaces to use for indentation").default("1"),
        switch("networks", "Include service's attached networks in output graph"),
        switch("ports", "Include service's exposed ports in output graph"),
        switch(
            "spaces",
            "If given, space character ' ' will be used to indent,\notherwise tab character '\\t' will be used",
        ),
    ]],
    ..Command::new("Generate a graphviz graph from your compose file", run!(viz))
};

/// Where docker compose has the command.
pub(super) static ALPHA: Group =
    Group { short: "Experimental commands", flags: &[], nodes: &[crate::tree::Node::command("viz", &VIZ)] };

async fn viz(session: &Session, found: &Matches) -> Outcome {
    let project = project(session)?;
    let character = if found.on("spaces") { " " } else { "\t" };
    let indent = character.repeat(usize::try_from(found.int("indentation-size")).unwrap_or(1));
    let mut graph = format!("digraph {:?} {{\n{indent}layout=dot;\n", project.name);
    for (name, service) in &project.services {
        let label = label(&project, name, service, found);
        let _ = writeln!(graph, "{indent}{name:?} [style=\"filled\" label=<{label}>];");
    }
    graph.push('\n');
    for (name, service) in &project.services {
        for (other, _) in service.entries("depends_on") {
            let _ = writeln!(graph, "{indent}{name:?} -> {other:?};");
        }
    }
    output::print(graph + "}\n\n")
}

/// What stands in a service's box.
fn label(project: &Project, name: &str, service: &Node, found: &Matches) -> String {
    let mut label = format!("<font point-size=\"15\">{name}</font>");
    let mut part = |title: &str, lines: &[String]| {
        if !lines.is_empty() {
            let lines = lines.join("<br/>");
            let _ = write!(label, "<font point-size=\"10\"><br/><br/><b>{title}:</b><br/>{lines}</font>");
        }
    };
    if found.on("networks") {
        let mut networks: Vec<String> = service.entries("networks").map(|(name, _)| name.to_string()).collect();
        networks.sort();
        part("Networks", &networks);
    }
    if found.on("ports") {
        let ports: Vec<String> = service.list("ports").iter().map(port).collect();
        part("Ports", &ports);
    }
    if found.on("image") {
        part("Image", &[project.image(name, service)]);
    }
    label
}

/// `127.0.0.1:8080:80 (tcp, ingress)`.
fn port(port: &Node) -> String {
    let address = port.text("host_ip");
    let host = if address.is_empty() { String::new() } else { format!("{address}:") };
    let target = port.int("target").unwrap_or_default();
    format!("{host}{}:{target} ({}, {})", port.text("published"), port.text("protocol"), port.text("mode"))
}
