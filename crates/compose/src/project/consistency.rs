//! What a project refers to must be there, and what it says must not contradict itself.

use std::collections::HashMap;

use super::{Project, order};
use crate::error::{Fault, Refusal};
use crate::yaml::{Map, Mark, Node};

type Checked = Result<(), Refusal>;

fn inconsistent(mark: Mark, reason: String) -> Checked {
    Err(mark.refuse(Fault::Inconsistent { reason }))
}

fn unusable(mark: Mark, reason: String) -> Checked {
    Err(mark.refuse(Fault::Unusable { reason }))
}

impl Project {
    /// Checks the services that take part, and what they share.
    pub(crate) fn check(&self) -> Checked {
        for (name, service) in &self.services {
            self.check_service(name, service)?;
            self.check_references(name, service)?;
            self.check_dependencies(name, service)?;
            check_ports(name, service)?;
            check_mounts(name, service)?;
            check_watches(name, service)?;
            check_platform(service)?;
            check_resources(name, service)?;
            check_scale(name, service)?;
        }
        self.check_container_names()?;
        for (kind, section) in [("secrets", &self.secrets), ("configs", &self.configs)] {
            section.iter().try_for_each(|(name, member)| check_stored(kind, name, member))?;
        }
        self.volumes.iter().try_for_each(|(name, member)| check_external(name, member))?;
        for (kind, section) in [("networks", &self.networks), ("volumes", &self.volumes)] {
            section.iter().try_for_each(|(name, member)| check_name(kind, name, member))?;
        }
        order::check(&self.services)
    }

    fn check_service(&self, name: &str, service: &Node) -> Checked {
        let made = ["image", "build", "provider"].iter().any(|key| service.get(key).is_some());
        if !made
            || (service.get("image").is_some() && service.text("image").is_empty() && service.get("build").is_none())
        {
            let reason = format!("service {name:?} has neither an image nor a build context specified");
            return inconsistent(service.mark, reason);
        }
        if let Some(build) = service.get("build")
            && !build.text("dockerfile").is_empty()
            && !build.text("dockerfile_inline").is_empty()
        {
            let reason = format!("service {name:?} declares mutually exclusive dockerfile and dockerfile_inline");
            return inconsistent(build.mark, reason);
        }
        if let Err(reason) = crate::schedule::of(service) {
            return inconsistent(service.mark, format!("services.{name}: {reason}"));
        }
        let container = service.text("container_name");
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let begins = container.starts_with(|c: char| c.is_ascii_alphanumeric());
        if service.get("container_name").is_some() && (container.len() < 2 || !begins || !container.chars().all(fits)) {
            let reason = format!(
                "services.{name}.container_name '{container}' does not match pattern '[a-zA-Z0-9][a-zA-Z0-9_.-]+'"
            );
            return unusable(service.get("container_name").map_or(service.mark, |node| node.mark), reason);
        }
        Ok(())
    }

    fn check_references(&self, name: &str, service: &Node) -> Checked {
        let mode = service.get("network_mode").filter(|mode| mode.as_text() != Some(""));
        if let (Some(mode), Some(_)) = (mode, service.get("networks")) {
            let reason = format!("service {name} declares mutually exclusive `network_mode` and `networks`");
            return inconsistent(mode.mark, reason);
        }
        for key in ["network_mode", "ipc", "pid"] {
            let Some(other) = service.text(key).strip_prefix("service:") else { continue };
            if !self.services.contains_key(other) {
                let mark = service.get(key).map_or(service.mark, |node| node.mark);
                return inconsistent(mark, format!("service {other:?} not found for {key} 'service:{other}'"));
            }
        }
        let undefined = |kind: &str, what: &str, mark| {
            inconsistent(mark, format!("service {name:?} refers to undefined {kind} {what}"))
        };
        for (network, node) in service.entries("networks") {
            if !self.networks.contains_key(network) {
                return undefined("network", network, node.mark);
            }
        }
        for mount in service.list("volumes").iter().filter(|mount| mount.text("type") == "volume") {
            let source = mount.text("source");
            if !source.is_empty() && !self.volumes.contains_key(source) {
                return undefined("volume", source, mount.mark);
            }
        }
        for (model, node) in service.entries("models") {
            if !self.models.contains_key(model) {
                return undefined("model", model, node.mark);
            }
        }
        let build = service.get("build").map(|build| build.list("secrets")).unwrap_or_default();
        let grants = [
            ("config", service.list("configs"), &self.configs),
            ("secret", service.list("secrets"), &self.secrets),
            ("build secret", build, &self.secrets),
        ];
        for (kind, grants, there) in grants {
            if let Some(grant) = grants.iter().find(|grant| !there.contains_key(grant.text("source"))) {
                return undefined(kind, grant.text("source"), grant.mark);
            }
        }
        Ok(())
    }

    fn check_dependencies(&self, name: &str, service: &Node) -> Checked {
        for (dependency, node) in service.entries("depends_on") {
            let left_out = self.disabled.contains_key(dependency) && node.switch("required") == Some(false);
            if !self.services.contains_key(dependency) && !left_out {
                let reason = format!("service {name:?} depends on undefined service {dependency:?}");
                return inconsistent(node.mark, reason);
            }
        }
        Ok(())
    }

    fn check_container_names(&self) -> Checked {
        let mut seen: HashMap<&str, &str> = HashMap::new();
        for (name, service) in &self.services {
            let container = service.text("container_name");
            if container.is_empty() {
                continue;
            }
            if let Some(other) = seen.insert(container, name) {
                let reason =
                    format!("services.{name}: container name {container:?} is already in use by services.{other}");
                return unusable(service.mark, reason);
            }
        }
        Ok(())
    }
}

fn check_ports(name: &str, service: &Node) -> Checked {
    for (place, port) in service.list("ports").iter().enumerate() {
        if port.int("target").unwrap_or(0) == 0 {
            let reason = format!("services.{name}.ports.{place} is missing a target port");
            return unusable(port.mark, reason);
        }
        let address = port.text("host_ip");
        if port.get("host_ip").is_some() && address.parse::<std::net::IpAddr>().is_err() {
            return unusable(port.mark, format!("services.{name}.ports.{place}: invalid ip address: {address}"));
        }
    }
    Ok(())
}

fn check_mounts(name: &str, service: &Node) -> Checked {
    for (place, mount) in service.list("volumes").iter().enumerate() {
        if mount.text("target").is_empty() {
            return unusable(mount.mark, format!("services.{name}.volumes.{place} is missing a mount target"));
        }
        if mount.text("type") == "bind" && mount.text("source").is_empty() {
            let reason = format!(
                "services.{name}.volumes.{place}: invalid mount config for type \"bind\": field Source must not be empty"
            );
            return unusable(mount.mark, reason);
        }
    }
    Ok(())
}

fn check_watches(name: &str, service: &Node) -> Checked {
    let watches = service.get("develop").map(|develop| develop.list("watch")).unwrap_or_default();
    for watch in watches {
        if watch.text("path").is_empty() {
            return inconsistent(watch.mark, format!("services.{name}.develop.watch: path can't be blank"));
        }
        let syncs = watch.text("action").starts_with("sync");
        if syncs && watch.text("target").is_empty() {
            let reason =
                format!("services.{name}.develop.watch: target is required for action {}", watch.text("action"));
            return inconsistent(watch.mark, reason);
        }
    }
    Ok(())
}

fn check_platform(service: &Node) -> Checked {
    let Some(build) = service.get("build") else { return Ok(()) };
    let (platforms, platform) = (build.texts("platforms"), service.text("platform"));
    if !platforms.is_empty() && !platform.is_empty() && !platforms.iter().any(|one| one == platform) {
        let reason = format!("service.build.platforms MUST include service.platform {platform:?}");
        return inconsistent(build.mark, reason);
    }
    Ok(())
}

/// What can be said in two places must be the same in both, and nothing may be less than nothing.
fn check_resources(name: &str, service: &Node) -> Checked {
    const TWICE: [(&str, [&str; 4]); 4] = [
        ("cpus", ["deploy", "resources", "limits", "cpus"]),
        ("mem_limit", ["deploy", "resources", "limits", "memory"]),
        ("pids_limit", ["deploy", "resources", "limits", "pids"]),
        ("mem_reservation", ["deploy", "resources", "reservations", "memory"]),
    ];
    for (key, path) in TWICE {
        if let (Some(one), Some(other)) = (service.get(key), service.at_path(&path))
            && one.scalar() != other.scalar()
        {
            let reason = format!("services.{name}: can't set distinct values on '{key}' and '{}'", path.join("."));
            return inconsistent(one.mark, reason);
        }
    }
    for path in [&["scale"][..], &["deploy", "replicas"], &["healthcheck", "retries"]] {
        let Some(node) = service.at_path(path) else { continue };
        if matches!(node.value, crate::yaml::Value::Int(number) if number < 0) {
            let reason = format!("services.{name}.{}: must be greater than or equal to 0", path.join("."));
            return unusable(node.mark, reason);
        }
    }
    let devices = service.at_path(&["deploy", "resources", "reservations"]);
    let reserved = devices.map(|devices| devices.list("devices")).unwrap_or_default();
    for device in reserved.iter().chain(service.list("gpus")) {
        if device.get("count").is_some() && !device.list("device_ids").is_empty() {
            let reason = format!("services.{name}: a device's \"count\" and \"device_ids\" exclude each other");
            return unusable(device.mark, reason);
        }
    }
    Ok(())
}

fn check_scale(name: &str, service: &Node) -> Checked {
    let replicas = service.get("deploy").and_then(|deploy| deploy.int("replicas"));
    if let (Some(scale), Some(replicas)) = (service.int("scale"), replicas)
        && scale != replicas
    {
        let reason = format!("services.{name}: can't set distinct values on 'scale' and 'deploy.replicas'");
        return inconsistent(service.mark, reason);
    }
    if Project::scale(service) > 1 && !service.text("container_name").is_empty() {
        let key = if service.get("scale").is_some() { "scale" } else { "deploy.replicas" };
        let reason = format!("services.{name}: can't set container_name and {key} as container name must be unique");
        return inconsistent(service.mark, reason);
    }
    Ok(())
}

fn check_stored(kind: &str, name: &str, member: &Node) -> Checked {
    let sources: Vec<&str> =
        ["file", "environment", "content"].into_iter().filter(|key| !member.text(key).is_empty()).collect();
    let external = is_external(member);
    if sources.len() > 1 {
        let reason = format!("{kind}.{name}: file|environment|content attributes are mutually exclusive");
        return unusable(member.mark, reason);
    }
    if !external && sources.is_empty() && member.get("content").is_none() {
        let reason = format!("{kind}.{name}: one of file, environment or content must be set");
        return unusable(member.mark, reason);
    }
    Ok(())
}

/// Older files have the name inside of `external`; it cannot be told twice.
fn check_name(kind: &str, name: &str, member: &Node) -> Checked {
    let outer = member.text("name");
    let inner = member.at_path(&["external", "name"]).and_then(Node::as_text);
    if !outer.is_empty() && inner.is_some_and(|inner| inner != outer) {
        return unusable(member.mark, format!("{kind}.{name}: name and external.name conflict; only use name"));
    }
    Ok(())
}

fn check_external(name: &str, member: &Node) -> Checked {
    if !is_external(member) {
        return Ok(());
    }
    let harmless = |key: &str| matches!(key, "name" | "external") || key.starts_with("x-");
    let other = member.map().into_iter().flat_map(Map::keys).find(|key| !harmless(key));
    match other {
        Some(key) => {
            let reason = format!("volumes.{name}: conflicting parameters \"external\" and {key:?} specified");
            unusable(member.mark, reason)
        }
        None => Ok(()),
    }
}

/// Whether something is made by others.
pub(crate) fn is_external(member: &Node) -> bool {
    member.on("external") || member.get("external").is_some_and(|external| external.map().is_some())
}
