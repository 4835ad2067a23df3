//! Results as clients that drive builds themselves name them: one, or one for each platform.

use std::collections::HashMap;

use hako_buildkit::Status;
use hako_buildkit::wire::gateway::{Outcome, Ref, RefMap};
use hako_engine::builds::Made;
use hako_model::platform::Platform;
use serde::{Deserialize, Serialize};

use super::job::Job;

/// Where a result says which platforms it is for.
const PLATFORMS: &str = "refs.platforms";

#[derive(Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Platforms {
    platforms: Vec<Named>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Named {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Platform")]
    platform: Platform,
}

/// Results and their names, for the client.
pub(super) fn told(mut made: Vec<(String, Made)>) -> Outcome {
    if made.len() == 1 {
        let reference = made.pop().map(|(id, _)| Ref { id });
        return Outcome { reference, ..Outcome::default() };
    }
    let (mut refs, mut platforms) = (HashMap::new(), Platforms::default());
    for (id, made) in made {
        let platform = made.platform();
        refs.insert(platform.to_string(), Ref { id });
        platforms.platforms.push(Named { id: platform.to_string(), platform });
    }
    let platforms = serde_json::to_vec(&platforms).unwrap_or_default();
    Outcome {
        refs: Some(RefMap { refs }),
        metadata: HashMap::from([(PLATFORMS.to_owned(), platforms)]),
        ..Outcome::default()
    }
}

/// The results that a client names, in the order of their platforms.
pub(super) fn named(job: &Job, outcome: Outcome) -> Result<Vec<Made>, Status> {
    let known = |id: &str| job.made(id).ok_or_else(|| Status::not_found(format!("no such result {id}")));
    if let Some(reference) = outcome.reference.filter(|reference| !reference.id.is_empty()) {
        return Ok(vec![known(&reference.id)?]);
    }
    let refs = outcome.refs.unwrap_or_default().refs;
    let listed: Platforms =
        outcome.metadata.get(PLATFORMS).and_then(|text| serde_json::from_slice(text).ok()).unwrap_or_default();
    let mut names: Vec<String> = listed.platforms.into_iter().map(|named| named.id).collect();
    if names.is_empty() {
        names = refs.keys().cloned().collect();
        names.sort();
    }
    let named = names.iter().filter_map(|name| refs.get(name)).filter(|reference| !reference.id.is_empty());
    named.map(|reference| known(&reference.id)).collect()
}
