//! Which services take part: by profile, by name with what they need, and what of the rest is then of no use.

use std::collections::HashSet;

use super::{Project, dependencies};
use crate::error::{Error, Fault};
use crate::yaml::{Map, Node, Text};

impl Project {
    /// Takes services whose profiles are not active out.
    pub(super) fn disable_unwanted(&mut self) {
        let active = self.profiles.clone();
        let wanted = |service: &Node| {
            let profiles = service.texts("profiles");
            // A profile without a name is always active.
            let is_active =
                |profile: &String| profile.is_empty() || active.iter().any(|one| one == profile || one == "*");
            profiles.is_empty() || profiles.iter().any(is_active)
        };
        let names: Vec<String> =
            self.services.iter().filter(|(_, it)| !wanted(it)).map(|(name, _)| name.to_string()).collect();
        for name in names {
            if let Some(service) = self.services.remove(&name) {
                self.disabled.insert(name, service);
            }
        }
    }

    /// Lets named services take part whatever their profiles, and what they need of the same profiles too.
    ///
    /// # Errors
    /// A name no service has.
    pub fn enable(&mut self, names: &[String]) -> Result<(), Error> {
        let mut todo: Vec<String> = names.to_vec();
        while let Some(name) = todo.pop() {
            if self.services.contains_key(&name) {
                continue;
            }
            let Some(service) = self.disabled.remove(&name) else { return Err(self.no_such_service(&name)) };
            let profiles = service.texts("profiles");
            let needed = service.entries("depends_on").map(|(name, _)| name.to_string());
            let kin = |name: &String| {
                let other = self.disabled.get(name);
                other.is_some_and(|other| other.texts("profiles").iter().any(|profile| profiles.contains(profile)))
            };
            todo.extend(needed.filter(kin).collect::<Vec<_>>());
            self.services.insert(name, service);
        }
        Ok(())
    }

    /// The error for a name no service has.
    #[must_use]
    pub fn no_such_service(&self, name: &str) -> Error {
        let names = self.services.keys().chain(self.disabled.keys()).map(Text::as_str);
        let near = crate::conform::nearest(name, names);
        let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        Error::Invalid { place: None, fault: Fault::Unusable { reason: format!("no such service: {name}{hint}") } }
    }

    /// Leaves only the named services and, if asked for, what they need. No names mean all.
    ///
    /// # Errors
    /// A name no service has.
    pub fn select(&mut self, names: &[String], with_dependencies: bool) -> Result<(), Error> {
        if names.is_empty() {
            return Ok(());
        }
        self.enable(names)?;
        let mut wanted: HashSet<String> = HashSet::new();
        let mut todo: Vec<String> = names.to_vec();
        while let Some(name) = todo.pop() {
            if wanted.insert(name.clone()) && with_dependencies {
                todo.extend(dependencies(&self.services, &name).map(|(name, _)| name.to_owned()));
            }
        }
        let all: Vec<Text> = self.services.keys().cloned().collect();
        for name in all.into_iter().filter(|name| !wanted.contains(name.as_str())) {
            if let Some(service) = self.services.remove(&name) {
                self.disabled.insert(name, service);
            }
        }
        if !with_dependencies {
            for service in self.services.values_mut() {
                if let Some(map) = service.map_mut().and_then(|map| map.get_mut("depends_on")?.map_mut()) {
                    map.retain(|name, _| wanted.contains(name.as_str()));
                }
            }
        }
        Ok(())
    }

    /// Drops networks, volumes, secrets, configs and models no service uses.
    pub fn drop_unused(&mut self) {
        let used = |section: &str| -> HashSet<String> {
            let services = self.services.values();
            match section {
                "networks" | "models" => {
                    services.flat_map(|service| service.entries(section).map(|(name, _)| name.to_string())).collect()
                }
                "volumes" => {
                    let mounts = services.flat_map(|service| service.list("volumes"));
                    let named = mounts.filter(|mount| mount.text("type") == "volume");
                    named.map(|mount| mount.text("source").to_owned()).collect()
                }
                _ => {
                    let of = |service: &Node| -> Vec<String> {
                        let build = service.get("build").map(|build| build.list(section)).unwrap_or_default();
                        service.list(section).iter().chain(build).map(|grant| grant.text("source").to_owned()).collect()
                    };
                    services.flat_map(of).collect()
                }
            }
        };
        let [networks, volumes, secrets, configs, models] =
            ["networks", "volumes", "secrets", "configs", "models"].map(used);
        let keep = |section: &mut Map, used: &HashSet<String>| section.retain(|name, _| used.contains(name.as_str()));
        keep(&mut self.networks, &networks);
        keep(&mut self.volumes, &volumes);
        keep(&mut self.secrets, &secrets);
        keep(&mut self.configs, &configs);
        keep(&mut self.models, &models);
    }
}
