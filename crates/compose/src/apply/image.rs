//! Images are there before containers are made of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use futures_util::future::try_join_all;
use hako_api::query;
use hako_model::time::Timestamp;

use crate::plan::Found;
use crate::policy::age_of as age;
use crate::project::{Project, step_images};
use crate::world::{Mood, Outcome, Trouble, World};
use crate::yaml::Node;

/// When images are pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// As each service says.
    #[default]
    AsSaid,
    /// Always.
    Always,
    /// When they are missing.
    Missing,
    /// Never.
    Never,
}

/// Pulls what must be pulled; `found` knows the images' ids afterwards.
///
/// # Errors
/// An image that cannot be had.
pub async fn ensure_images(world: &World<'_>, project: &Project, found: &mut Found, policy: PullPolicy) -> Outcome {
    let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, service) in &project.services {
        let image = project.image(name, service);
        if service.get("provider").is_some() {
            continue;
        }
        let own = step_images(service).filter(|step| *step != image && policy != PullPolicy::Never);
        for step in own.filter(|step| policy == PullPolicy::Always || !found.images.contains_key(*step)) {
            wanted.entry(step.to_owned()).or_default().insert(name.to_string());
        }
        let there = found.images.contains_key(&image);
        let overdue = there && policy == PullPolicy::AsSaid && is_overdue(world, service, &image).await?;
        if !must_pull(name, service, there, policy)? && !overdue {
            continue;
        }
        wanted.entry(image).or_default().insert(name.to_string());
    }
    let each = async |(image, services): (&String, &BTreeSet<String>)| {
        let subject = services.first().cloned().unwrap_or_default();
        pull(world, &subject, image).await?;
        Ok::<_, Trouble>((image.clone(), id_of(world, image).await?))
    };
    found.images.extend(try_join_all(wanted.iter().map(each)).await?);
    Ok(())
}

/// Whether an image that is here is older than its service wants it.
async fn is_overdue(world: &World<'_>, service: &Node, image: &str) -> Outcome<bool> {
    let Some(age) = age(service).filter(|_| service.get("build").is_none()) else {
        return Ok(false);
    };
    let here = world.client.images().inspect(image, &query::InspectImage::default()).await?;
    let now = Timestamp::from(SystemTime::now());
    // An image that nobody knows the age of counts as old.
    Ok(Timestamp::parse(&here.metadata.last_tag_time)
        .map_or(true, |tagged| tagged.is_zero() || now.since(tagged) >= age))
}

fn must_pull(name: &str, service: &Node, there: bool, policy: PullPolicy) -> Outcome<bool> {
    let said = service.text("pull_policy");
    let builds = service.get("build").is_some();
    if builds && !there {
        let reason = format!(
            "service {name:?}: its image is not there and was not to be built; `hako compose build {name}` builds it"
        );
        return Err(Trouble::Impossible(reason));
    }
    Ok(match (policy, said) {
        _ if builds => false,
        (PullPolicy::Always, _) | (PullPolicy::AsSaid, "always") => true,
        (PullPolicy::Never, _) | (PullPolicy::AsSaid, "never") => {
            if !there {
                let image = service.text("image");
                let reason = format!(
                    "service {name:?}: image {image:?} is not there, and may not be pulled (pull policy never)"
                );
                return Err(Trouble::Impossible(reason));
            }
            false
        }
        _ => !there,
    })
}

async fn id_of(world: &World<'_>, image: &str) -> Outcome<String> {
    if world.dry {
        return Ok(String::new());
    }
    Ok(world.client.images().inspect(image, &query::InspectImage::default()).await?.id)
}

/// Pulls an image.
///
/// # Errors
/// [`Trouble::Daemon`], or what the registry says.
pub async fn pull(world: &World<'_>, subject: &str, image: &str) -> Outcome {
    let pulled = async {
        let options =
            query::CreateImage { from_image: image.to_owned(), tag: default_tag(image), ..Default::default() };
        let credentials = (world.credentials)(image);
        let mut messages = world.client.images().pull(&options, credentials.as_deref()).await?;
        while let Some(message) = messages.next().await? {
            if let Some(error) = message.error_detail.map(|detail| detail.message).filter(|text| !text.is_empty()) {
                return Err(Trouble::Impossible(error));
            }
        }
        Ok(())
    };
    let outcome = world.act(subject, ["Pulling", "Pulled"], pulled).await;
    if outcome.is_err() {
        world.report.tell(subject, "Error", Mood::Failed);
    }
    outcome
}

/// Without a tag or a digest only the latest one is meant, not all.
fn default_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains([':', '@']) { String::new() } else { "latest".to_owned() }
}
