//! `pre_start`: steps that must have succeeded before a service's containers start, each in a container of its own that
//! sees the service's variables, networks and mounts. As Docker Compose does since 5.3.

use hako_api::query;

use super::ready::illness;
use super::{Member, Work};
use crate::creation::Instance;
use crate::project::Project;
use crate::world::{Outcome, Trouble};
use crate::yaml::{Map, Node, Value};

/// What of a service its steps have, too.
const SHARED: &[&str] =
    &["networks", "network_mode", "extra_hosts", "dns", "dns_search", "configs", "secrets", "platform"];

/// What of a place in a network is one container's alone.
const OWN: &[&str] = &["ipv4_address", "ipv6_address", "link_local_ips", "mac_address", "aliases"];

impl Work<'_> {
    /// Runs the steps that a container waits for: those of each replica, and those of the service unless they ran already
    /// (`is_first`).
    pub(super) async fn first_steps(&self, node: &Node, member: &Member, is_first: bool) -> Outcome {
        for (number, step) in (1..).zip(node.list("pre_start")) {
            if is_first || step.on("per_replica") {
                self.first_step(node, step, number, member).await?;
            }
        }
        Ok(())
    }

    async fn first_step(&self, node: &Node, step: &Node, number: usize, member: &Member) -> Outcome {
        let name = format!("{}-pre-start-{number}", member.name);
        let ran = async {
            // An interrupted run may have left one.
            self.dismiss(&name).await?;
            let project = self.with_step(node, step, member);
            let image = project.service(&member.service).map(|node| project.image(&member.service, node));
            let image = image.and_then(|image| self.images.get(&image).cloned()).unwrap_or_default();
            let instance = Instance { image, name: name.clone(), ..Instance::default() };
            let id = self.container(&project, &member.service, &instance, &name).await?;
            let succeeded = self.succeeds(&id, step, number, &member.service).await;
            self.dismiss(&id).await?;
            succeeded
        };
        self.world.act(&format!("Container {name}"), ["Running", "Completed"], ran).await
    }

    /// The project in which the service is one of its own steps.
    fn with_step(&self, node: &Node, step: &Node, member: &Member) -> Project {
        let mut own: Map = SHARED.iter().filter_map(|key| Some(((*key).to_owned(), node.get(key)?.clone()))).collect();
        let networks = own.get_mut("networks").and_then(Node::map_mut);
        for place in networks.into_iter().flat_map(Map::values_mut).filter_map(Node::map_mut) {
            place.retain(|key, _| !OWN.contains(&key.as_str()));
        }
        for key in ["command", "user", "working_dir", "privileged"] {
            if let Some(value) = step.get(key) {
                own.insert(key, value.clone());
            }
        }
        let mut variables: Map =
            node.entries("environment").map(|(name, value)| (name.clone(), value.clone())).collect();
        variables.extend(step.entries("environment").map(|(name, value)| (name.clone(), value.clone())));
        own.insert("environment", Node::made(Value::Map(variables)));
        let image = match step.text("image") {
            "" => self.project.image(&member.service, node),
            image => image.to_owned(),
        };
        own.insert("image", Node::made(Value::Text(image.into())));
        let from = format!("container:{}", member.id);
        own.insert("volumes_from", Node::made(Value::List(vec![Node::made(Value::Text(from.into()))])));
        let mut project = self.project.clone();
        project.services.insert(member.service.as_str(), Node::made(Value::Map(own)));
        project
    }

    /// Starts a step's container and waits for its end.
    async fn succeeds(&self, id: &str, step: &Node, number: usize, service: &str) -> Outcome {
        let containers = self.world.client.containers();
        let waiting = containers.wait(id, "next-exit").await?;
        containers.start(id, &query::Start::default()).await?;
        let code = waiting.exit().await?.status_code;
        if code == 0 {
            return Ok(());
        }
        let command = step.texts("command").join(" ");
        let reason = format!("pre_start step {number} ({command:?}) of service {service:?} exited with status {code}");
        Err(illness(self.world.client, &containers.inspect(id, false).await?, reason).await)
    }

    async fn dismiss(&self, container: &str) -> Outcome {
        let options = query::RemoveContainer { force: true, volumes: true, ..query::RemoveContainer::default() };
        match self.world.client.containers().remove(container, &options).await {
            Err(error) if !error.is_not_found() => Err(Trouble::from(error)),
            _ => Ok(()),
        }
    }
}
