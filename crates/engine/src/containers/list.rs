//! Listing containers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hako_model::container::PortMap;
use hako_model::filter::Filters;
use hako_model::mount::Origin;
use hako_model::port::Port;
use hako_model::state::Status;

use super::{Containers, ListOptions, PortSummary, Summary, inspect, state_text};
use crate::clock::now;
use crate::container::Container;
use crate::filters::finds;
use crate::house::House;
use crate::record::Record;
use crate::{Error, Result};

const FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];
const STATES: &[&str] = &["created", "restarting", "running", "removing", "paused", "exited", "dead"];

impl Containers {
    /// Lists containers, newest first.
    pub async fn list(&self, options: ListOptions) -> Result<Vec<Summary>> {
        let filters = &options.filters;
        check_filters(filters)?;
        let ancestors = self.ancestors(filters).await?;
        let bounds = self.bounds(filters)?;
        let everything =
            options.all || options.limit.is_some() || filters.contains("status") || filters.contains("exited");
        let mut containers = self.house.index.all();
        containers.sort_by_key(|container| std::cmp::Reverse(container.record().created));
        let tags = self.tags();
        let mut listed = Vec::new();
        for container in containers {
            let (record, status) = (container.record(), container.status());
            let wanted = (everything || status.state.is_running())
                && bounds.admit(&record)
                && (!filters.contains("ancestor") || ancestors.contains(record.image.as_str()))
                && admits(&self.house, filters, &container, &record, &status)?;
            if !wanted {
                continue;
            }
            listed.push(self.summary(&container, options.size, &tags));
            if options.limit.is_some_and(|limit| limit > 0 && listed.len() >= limit) {
                break;
            }
        }
        Ok(listed)
    }

    /// The ids of images that the ancestor filter names, and of images made from them.
    async fn ancestors(&self, filters: &Filters) -> Result<BTreeSet<String>> {
        let mut ids = BTreeSet::new();
        for name in filters.values("ancestor") {
            let Some(images) = self.house.images.get() else { continue };
            let Ok(found) = images.find(name, "").await else { continue };
            let mut pending = vec![found.id];
            while let Some(id) = pending.pop() {
                pending.extend(self.house.store.images().children(&id));
                ids.insert(id.to_string());
            }
        }
        Ok(ids)
    }

    fn bounds(&self, filters: &Filters) -> Result<Bounds> {
        let moment = |name: &str| match filters.values(name).next() {
            Some(of) => self.house.index.find(of).map(|container| Some(container.record().created)),
            None => Ok(None),
        };
        Ok(Bounds { before: moment("before")?, since: moment("since")? })
    }

    /// Which image ids the names of images stand for now.
    fn tags(&self) -> BTreeMap<String, String> {
        let images = self.house.store.images().list().into_iter();
        images.flat_map(|image| image.tags.into_iter().map(move |tag| (tag, image.id.to_string()))).collect()
    }

    fn summary(&self, container: &Arc<Container>, size: bool, tags: &BTreeMap<String, String>) -> Summary {
        let (record, status) = (container.record(), container.status());
        let sizes = size.then(|| inspect::sizes(&self.house, container, &record));
        let mut networks = inspect::networks(&self.house, container, &record);
        networks.retain(|_, _| !record.host_config.network_mode.starts_with("container:"));
        Summary {
            id: container.id.clone(),
            names: vec![format!("/{}", record.name)],
            image: image_name(&record, tags),
            image_id: record.image.to_string(),
            command: command_line(&record.command()),
            created: record.created,
            ports: port_summaries(&inspect::ports(container, &record)),
            size_rw: sizes.map(|(rw, _)| rw),
            size_root_fs: sizes.map(|(_, root)| root),
            labels: record.labels(),
            state: status.state.as_str().to_owned(),
            status: damaged(container).unwrap_or_else(|| state_text::of(&status, now())),
            network_mode: record.host_config.network_mode.clone(),
            annotations: record.host_config.annotations.clone().unwrap_or_default(),
            networks,
            mounts: inspect::mounts(&self.house, &record),
            aside: container.inside().run.aside,
        }
    }
}

/// The command as `ps` shows it: arguments with a blank in them stand in single quotes.
fn command_line(words: &[String]) -> String {
    let (program, arguments) = words.split_first().map_or(("", words), |(program, rest)| (program.as_str(), rest));
    let mut line = program.to_owned();
    for argument in arguments {
        let quote = if argument.contains(' ') { "'" } else { "" };
        line.extend([" ", quote, argument, quote]);
    }
    line
}

fn damaged(container: &Container) -> Option<String> {
    container.damage.as_ref().map(|_| "Dead (damaged)".to_owned())
}

/// The image as it was named; its short id once that name stands for another image.
fn image_name(record: &Record, tags: &BTreeMap<String, String>) -> String {
    let id = record.image.to_string();
    let asked = &record.config.image;
    let Ok(reference) = asked.parse::<hako_model::reference::Reference>() else { return asked.clone() };
    let whole = reference.to_string();
    match tags.get(&whole) {
        Some(now) if *now != id => id,
        _ => asked.clone(),
    }
}

struct Bounds {
    before: Option<hako_model::time::Timestamp>,
    since: Option<hako_model::time::Timestamp>,
}

impl Bounds {
    fn admit(&self, record: &Record) -> bool {
        self.before.is_none_or(|before| record.created < before)
            && self.since.is_none_or(|since| record.created > since)
    }
}

fn check_filters(filters: &Filters) -> Result<()> {
    filters.only(FILTERS)?;
    let invalid = |name: &str, value: &str| Error::invalid(format!("invalid filter '{name}={value}'"));
    if let Some(bad) = filters.values("status").find(|value| !STATES.contains(value)) {
        let states = "created, running, paused, restarting, removing, exited, dead";
        return Err(Error::invalid(format!(
            "invalid filter 'status={bad}': invalid value for state ({bad}): must be one of {states}"
        )));
    }
    if let Some(bad) = filters.values("exited").find(|value| value.parse::<i32>().is_err()) {
        return Err(invalid("exited", bad));
    }
    if let Some(bad) =
        filters.values("health").find(|value| !["none", "starting", "healthy", "unhealthy"].contains(value))
    {
        return Err(invalid("health", bad));
    }
    filters.flag("is-task")?;
    for name in ["publish", "expose"] {
        filters.values(name).try_for_each(|value| port_range(value).map(drop).ok_or_else(|| invalid(name, value)))?;
    }
    Ok(())
}

fn admits(house: &House, filters: &Filters, container: &Container, record: &Record, status: &Status) -> Result<bool> {
    let labels = record.labels();
    let label = |key: &str| labels.get(key).map(String::as_str);
    let health = status.health.as_ref().map_or("none", |health| health.status.as_str());
    let ended = !status.state.is_running() && status.state.as_str() != "created";
    let ports = inspect::ports(container, record);
    Ok(filters.admits("id", |id| container.id.as_str().starts_with(id))
        && filters.admits("name", |name| name_matches(&record.name, name))
        && filters.admits_labels("label", label)
        && filters.admits("exited", |code| ended && code.parse() == Ok(status.exit_code))
        && filters.admits_exactly("status", status.state.as_str())
        && filters.admits_exactly("health", health)
        && filters.flag("is-task")? != Some(true)
        && filters.admits("isolation", |value| value == "default" || value.is_empty())
        && filters.admits("network", |wanted| on_network(house, record, wanted))
        && filters.admits("volume", |wanted| mounts_volume(record, wanted))
        && filters.admits("publish", |wanted| has_port(&ports, wanted, true))
        && filters.admits("expose", |wanted| has_port(&ports, wanted, false)))
}

/// A pattern for names may begin with the slash that names have in Docker's records.
fn name_matches(name: &str, pattern: &str) -> bool {
    finds(pattern, name) || finds(pattern, &format!("/{name}"))
}

fn on_network(house: &House, record: &Record, wanted: &str) -> bool {
    record.endpoints.keys().any(|name| {
        let is_id = |id: &str| wanted.len() >= 4 && id.starts_with(wanted);
        name == wanted || house.networks.named(name).is_ok_and(|segment| is_id(segment.id.as_str()))
    })
}

fn mounts_volume(record: &Record, wanted: &str) -> bool {
    record.mounts.iter().any(|plan| {
        let source = match &plan.origin {
            Origin::Volume(volume) => volume.name.as_str(),
            Origin::Bind(bind) => bind.source.as_str(),
            Origin::Image(files) => files.name.as_str(),
            Origin::Tmpfs(_) => "",
        };
        plan.target == wanted || (!source.is_empty() && source == wanted)
    })
}

/// `80`, `80/udp`, `80-90/tcp`.
fn port_range(text: &str) -> Option<(std::ops::RangeInclusive<u16>, String)> {
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (low, high) = range.split_once('-').unwrap_or((range, range));
    let known = matches!(protocol, "tcp" | "udp" | "sctp");
    known.then_some((low.parse().ok()?..=high.parse().ok()?, protocol.to_owned()))
}

fn has_port(ports: &PortMap, wanted: &str, published: bool) -> bool {
    let Some((range, protocol)) = port_range(wanted) else { return false };
    ports.iter().any(|(key, bindings)| {
        let Ok(port) = key.parse::<Port>() else { return false };
        let bound = || bindings.iter().flatten().any(|b| b.host_port.parse().is_ok_and(|p: u16| range.contains(&p)));
        port.protocol.name() == protocol
            && ((!published || bindings.is_some()) && range.contains(&port.number) || published && bound())
    })
}

fn port_summaries(ports: &PortMap) -> Vec<PortSummary> {
    let mut summaries = Vec::new();
    for (key, bindings) in ports {
        let Ok(port) = key.parse::<Port>() else { continue };
        let summary = |ip: &str, public_port: Option<u16>| PortSummary {
            ip: ip.to_owned(),
            private_port: port.number,
            public_port,
            protocol: port.protocol.name().to_owned(),
        };
        match bindings {
            None => summaries.push(summary("", None)),
            Some(bindings) => summaries.extend(bindings.iter().map(|b| summary(&b.host_ip, b.host_port.parse().ok()))),
        }
    }
    summaries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (pattern, expect) in
            [("we", true), ("^web$", true), ("^/web$", true), ("^eb", false), ("b$", true), ("x", false)]
        {
            assert_eq!(name_matches("web", pattern), expect, "{pattern}");
        }
    }

    #[test]
    fn commands_are_quoted_as_docker_does() {
        for (words, line) in [
            (&["sh", "-c", "echo hi"][..], "sh -c 'echo hi'"),
            (&["echo", "it's", "a \"b\"", "", "c"], "echo it's 'a \"b\"'  c"),
            (&["a program"], "a program"),
            (&[], ""),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(command_line(&words), line);
        }
    }

    #[test]
    fn ports() {
        assert_eq!(port_range("80-82/udp"), Some((80..=82, "udp".to_owned())));
        assert!(port_range("x").is_none() && port_range("80/foo").is_none());
    }
}
