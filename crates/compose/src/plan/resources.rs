//! Networks and volumes: which must be made, which made anew, which should be there and are not.

use std::collections::BTreeSet;

use hako_api::network::Network;
use hako_api::volume::Volume;

use super::Found;
use crate::canonical::{network_hash, volume_hash};
use crate::label;
use crate::project::{Project, is_external};
use crate::yaml::Node;

/// What is done with a network or volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A network is made.
    CreateNetwork {
        /// Its key in the project.
        key: String,
        /// Its name.
        name: String,
    },
    /// A network is made anew, because it is described differently now.
    RecreateNetwork {
        /// Its key in the project.
        key: String,
        /// Its name.
        name: String,
    },
    /// A volume is made.
    CreateVolume {
        /// Its key in the project.
        key: String,
        /// Its name.
        name: String,
    },
    /// Nothing is done, but something is odd.
    Warn(String),
}

impl Resource {
    /// Whether anything is done.
    pub(super) fn acts(&self) -> bool {
        !matches!(self, Self::Warn(_))
    }
}

pub(super) fn plan(project: &Project, found: &Found) -> Result<Vec<Resource>, String> {
    let mut resources = Vec::new();
    for (key, network) in &project.networks {
        let there = found.networks.iter().find(|one| one.name == network.text("name"));
        resources.extend(plan_network(project, key, network, there)?);
    }
    for (key, volume) in &project.volumes {
        let there = found.volumes.iter().find(|one| one.name == volume.text("name"));
        resources.extend(plan_volume(project, key, volume, there)?);
    }
    Ok(resources)
}

fn plan_network(
    project: &Project,
    key: &str,
    network: &Node,
    there: Option<&Network>,
) -> Result<Option<Resource>, String> {
    let name = network.text("name").to_owned();
    let Some(there) = there else {
        if is_external(network) {
            return Err(format!("network {name} declared as external, but could not be found"));
        }
        return Ok(Some(Resource::CreateNetwork { key: key.to_owned(), name }));
    };
    if is_external(network) {
        return Ok(None);
    }
    let told = |wanted: &str| there.labels.as_ref().and_then(|labels| labels.get(wanted)).map(String::as_str);
    if told(label::PROJECT).is_none() && told(label::NETWORK).is_none() {
        let reason = format!(
            "network {name} was found but has incorrect label {} set to \"\" (expected: {key:?}); \
             say `external: true` to use a network that others made",
            label::NETWORK
        );
        return Err(reason);
    }
    if told(label::PROJECT).is_some_and(|owner| owner != project.name) {
        let warning = format!(
            "a network with name {name} exists but was not created for project {:?}.\nSet `external: true` to use an \
             existing network",
            project.name
        );
        return Ok(Some(Resource::Warn(warning)));
    }
    let same = told(label::HASH).is_none_or(|hash| hash == network_hash(network));
    Ok((!same).then(|| Resource::RecreateNetwork { key: key.to_owned(), name }))
}

fn plan_volume(
    project: &Project,
    key: &str,
    volume: &Node,
    there: Option<&Volume>,
) -> Result<Option<Resource>, String> {
    let name = volume.text("name").to_owned();
    let Some(there) = there else {
        if is_external(volume) {
            return Err(format!("external volume {name:?} not found"));
        }
        return Ok(Some(Resource::CreateVolume { key: key.to_owned(), name }));
    };
    if is_external(volume) {
        return Ok(None);
    }
    let told = |wanted: &str| there.labels.as_ref().and_then(|labels| labels.get(wanted)).map(String::as_str);
    let warning = match (told(label::PROJECT), told(label::HASH)) {
        (None, _) => format!(
            "volume {name:?} already exists but was not created by Docker Compose. Use `external: true` to use an \
             existing volume"
        ),
        (Some(owner), _) if owner != project.name => format!(
            "volume {name:?} already exists but was created for project {owner:?} (expected {:?}). Use `external: true` \
             to use an existing volume",
            project.name
        ),
        (_, Some(hash)) if hash != volume_hash(volume) => format!(
            "volume {name:?} exists but doesn't match configuration in compose file; it is kept as it is. Remove it \
             (`down -v`) to have it made anew; its data is lost then"
        ),
        _ => return Ok(None),
    };
    Ok(Some(Resource::Warn(warning)))
}

/// Names of networks that are made anew.
pub(super) fn remade(resources: &[Resource]) -> BTreeSet<String> {
    let name = |resource: &Resource| match resource {
        Resource::RecreateNetwork { name, .. } => Some(name.clone()),
        _ => None,
    };
    resources.iter().filter_map(name).collect()
}
