//! SLSA provenance in BuildKit's form, version 0.2 or 1: from what, by which steps and when an image was made.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hako_builder::solve::{Kept, Material, Product};
use hako_model::attestation::Provenance;
use hako_model::digest::Digest;
use hako_model::platform::Platform;
use serde_json::{Map, Value, json};

use super::Story;
use crate::Result;
use crate::images::Predicate;

const V02: &str = "https://slsa.dev/provenance/v0.2";
const V1: &str = "https://slsa.dev/provenance/v1";
const FRONTEND: &str = "dockerfile.v0";

pub(super) fn statement(wanted: &Provenance, story: &Story, product: &Product) -> Result<Predicate> {
    let id = match story.epoch {
        // Two builds from the same are the same.
        Some(_) => None,
        None => Some(crate::containers::new_id()?.as_str().get(..25).map(str::to_owned).unwrap_or_default()),
    };
    let content = if wanted.v1 { v1(wanted, story, product, id) } else { v02(wanted, story, product, id) };
    Ok(Predicate { kind: if wanted.v1 { V1 } else { V02 }, content })
}

fn v02(wanted: &Provenance, story: &Story, product: &Product, id: Option<String>) -> Value {
    let mut metadata = json!({
        "buildStartedOn": story.started.to_string(),
        "buildFinishedOn": story.finished.to_string(),
        "completeness": {"parameters": wanted.max, "environment": true, "materials": false},
        "reproducible": false,
        "https://mobyproject.org/buildkit@v1#metadata": about(wanted, story, product),
    });
    if let Some(id) = id {
        metadata["buildInvocationID"] = id.into();
    }
    let mut content = json!({
        "builder": {"id": wanted.builder},
        "buildType": "https://mobyproject.org/buildkit@v1",
        "materials": product.materials.iter().map(material).collect::<Vec<_>>(),
        "invocation": {
            "configSource": {"entryPoint": story.name},
            "parameters": parameters(wanted, story),
            "environment": {"platform": Platform::host().to_string()},
        },
        "metadata": metadata,
    });
    if wanted.max {
        content["buildConfig"] = graph(product);
    }
    content
}

fn v1(wanted: &Provenance, story: &Story, product: &Product, id: Option<String>) -> Value {
    let mut internal = json!({"builderPlatform": Platform::host().to_string()});
    if wanted.max {
        internal["buildConfig"] = graph(product);
    }
    let mut metadata = json!({
        "startedOn": story.started.to_string(),
        "finishedOn": story.finished.to_string(),
        "buildkit_completeness": {"request": wanted.max, "resolvedDependencies": false},
        "buildkit_reproducible": false,
        "buildkit_metadata": about(wanted, story, product),
    });
    if let Some(id) = id {
        metadata["invocationId"] = id.into();
    }
    json!({
        "buildDefinition": {
            "buildType": "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
            "externalParameters": {"configSource": {"path": story.name}, "request": parameters(wanted, story)},
            "internalParameters": internal,
            "resolvedDependencies": product.materials.iter().map(material).collect::<Vec<_>>(),
        },
        "runDetails": {"builder": {"id": wanted.builder}, "metadata": metadata},
    })
}

fn material(material: &Material) -> Value {
    json!({"uri": material.uri, "digest": {material.algorithm.as_str(): material.hash}})
}

/// What was asked for. The values of arguments and the ids of secrets are only for who wants everything.
fn parameters(wanted: &Provenance, story: &Story) -> Value {
    let mut args = Map::new();
    if !story.target.is_empty() {
        args.insert("target".to_owned(), story.target.clone().into());
    }
    let mut asked = json!({"frontend": FRONTEND});
    if wanted.max {
        for (prefix, pairs) in [("build-arg", &story.arguments), ("label", &story.labels)] {
            args.extend(pairs.iter().map(|(name, value)| (format!("{prefix}:{name}"), value.clone().into())));
        }
        if !story.secrets.is_empty() {
            asked["secrets"] = story.secrets.iter().map(|id| json!({"id": id})).collect();
        }
    }
    asked["args"] = args.into();
    asked["locals"] = story.contexts.iter().map(|name| json!({"name": name})).collect();
    asked
}

fn name(number: usize) -> String {
    format!("step{number}")
}

/// The steps that made layers, in an order that does not depend on which was done first.
fn sorted(product: &Product) -> Vec<&Kept> {
    let mut steps: Vec<&Kept> = product.steps.iter().collect();
    steps.sort_by(|one, other| (one.lines.first, &one.key).cmp(&(other.lines.first, &other.key)));
    steps
}

/// The steps as a graph: what each did, and on which it stands.
fn graph(product: &Product) -> Value {
    let steps = sorted(product);
    let numbers: HashMap<&Digest, usize> = steps.iter().enumerate().map(|(number, step)| (&step.key, number)).collect();
    let step = |(number, step): (usize, &&Kept)| {
        let below = step.below.as_ref().and_then(|key| numbers.get(key));
        let inputs: Vec<String> = below.map(|below| format!("{}:0", name(*below))).into_iter().collect();
        json!({"id": name(number), "op": {"Op": {"instruction": step.text}}, "inputs": inputs})
    };
    let digests = steps.iter().enumerate().map(|(number, step)| (step.key.to_string(), name(number).into()));
    json!({
        "llbDefinition": steps.iter().enumerate().map(step).collect::<Vec<_>>(),
        "digestMapping": digests.collect::<Map<_, _>>(),
    })
}

/// Where each step stands in the Dockerfile, and the Dockerfile.
fn about(wanted: &Provenance, story: &Story, product: &Product) -> Value {
    if !wanted.max {
        return json!({});
    }
    let steps = sorted(product);
    let place = |(number, step): (usize, &&Kept)| {
        let (first, last) = (step.lines.first, step.lines.last);
        let range = json!({"start": {"line": first}, "end": {"line": last}});
        (name(number), json!({"locations": [{"ranges": [range]}]}))
    };
    let layers = steps.iter().enumerate().map(|(number, step)| {
        (format!("{}:0", name(number)), json!([[{"chainID": step.layer, "created": step.created}]]))
    });
    json!({
        "source": {
            "locations": steps.iter().enumerate().map(place).collect::<Map<_, _>>(),
            "infos": [{
                "filename": story.name,
                "language": "Dockerfile",
                "data": STANDARD.encode(&story.dockerfile),
            }],
        },
        "layers": layers.collect::<Map<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(max: bool, v1: bool) -> Value {
        let story = Story {
            epoch: Some(1),
            name: "Dockerfile".to_owned(),
            arguments: vec![("MODE".to_owned(), "fast".to_owned())],
            secrets: vec!["token".to_owned()],
            ..Story::default()
        };
        let material = Material {
            uri: "pkg:docker/busybox@latest?platform=linux%2Famd64".to_owned(),
            algorithm: "sha256".to_owned(),
            hash: "ab".to_owned(),
        };
        let product = Product {
            config: Default::default(),
            state: Default::default(),
            steps: Vec::new(),
            mounts: Vec::new(),
            materials: [material].into(),
        };
        let wanted = Provenance { max, v1, builder: "me".to_owned() };
        statement(&wanted, &story, &product).unwrap().content
    }

    #[test]
    fn little_is_said_unless_everything_is_wanted() {
        let little = said(false, false);
        assert_eq!(little["materials"][0]["digest"]["sha256"], "ab");
        assert_eq!(little["invocation"]["configSource"]["entryPoint"], "Dockerfile");
        assert!(!little.to_string().contains("fast") && !little.to_string().contains("token"), "{little}");
        let all = said(true, false);
        assert_eq!(all["invocation"]["parameters"]["args"]["build-arg:MODE"], "fast");
        assert_eq!(all["invocation"]["parameters"]["secrets"][0]["id"], "token");
        assert!(all["buildConfig"]["llbDefinition"].is_array());
    }

    #[test]
    fn version_1_has_other_words_for_the_same() {
        let said = said(true, true);
        let request = &said["buildDefinition"]["externalParameters"]["request"];
        assert_eq!(request["args"]["build-arg:MODE"], "fast");
        assert_eq!(said["buildDefinition"]["resolvedDependencies"][0]["digest"]["sha256"], "ab");
        assert_eq!(said["runDetails"]["builder"]["id"], "me");
    }
}
