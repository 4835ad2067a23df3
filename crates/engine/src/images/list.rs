//! The list of images, its filters, and sizes that images share.

use std::collections::HashMap;

use hako_model::filter::Filters;
use hako_model::reference::Reference;
use hako_model::time::Timestamp;
use hako_store::{ChainId, Image};

use super::answer::{ListRequest, Summary};
use super::{Images, resolve};
use crate::Result;
use crate::filters::until;

const FILTERS: [&str; 7] = ["dangling", "label", "label!", "before", "since", "reference", "until"];

impl Images {
    pub(super) fn run_list(&self, request: &ListRequest) -> Result<Vec<Summary>> {
        let chosen = Chosen::new(self, &request.filters)?;
        let images = self.room.store.images().list();
        let uses = if request.shared_size { layer_uses(&images) } else { HashMap::new() };
        let shown = images.iter().filter(|image| chosen.shows(image));
        let shown = shown.filter(|image| request.all || self.is_top(image));
        Ok(shown
            .filter_map(|image| {
                let mut summary = chosen.summary(image)?;
                summary.manifests = request.manifests.then(|| self.parts(image));
                summary.containers = i64::try_from(self.room.around.users(&image.id).len()).unwrap_or(i64::MAX);
                if request.shared_size {
                    summary.shared_size = self.shared_size(image, &uses);
                }
                Some(summary)
            })
            .collect())
    }

    /// Whether an image has a name, or nothing stands on it and it is no part of another one: steps of a build are shown
    /// only on demand.
    fn is_top(&self, image: &Image) -> bool {
        let named = !(image.tags.is_empty() && image.digests.is_empty());
        named || !image.member && self.room.store.images().children(&image.id).is_empty()
    }

    fn shared_size(&self, image: &Image, uses: &HashMap<ChainId, usize>) -> i64 {
        let layers = self.room.store.layers();
        let shared = image.layers.iter().filter(|layer| uses.get(*layer).is_some_and(|uses| *uses > 1));
        signed(shared.filter_map(|layer| layers.get(layer)).map(|layer| layer.size).sum())
    }
}

fn layer_uses(images: &[Image]) -> HashMap<ChainId, usize> {
    let mut uses = HashMap::new();
    for layer in images.iter().flat_map(|image| &image.layers) {
        *uses.entry(layer.clone()).or_default() += 1;
    }
    uses
}

pub(super) fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Whether an image has no tag, and stands in no index of another one; digests alone do not keep it.
pub(super) fn is_dangling(image: &Image) -> bool {
    image.tags.is_empty() && !image.member
}

/// Filters, understood.
struct Chosen<'a> {
    filters: &'a Filters,
    dangling: Option<bool>,
    before: Option<Timestamp>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl<'a> Chosen<'a> {
    fn new(images: &Images, filters: &'a Filters) -> Result<Self> {
        filters.only(&FILTERS)?;
        let earliest = |times: Vec<Timestamp>| times.into_iter().min();
        let latest = |times: Vec<Timestamp>| times.into_iter().max();
        Ok(Self {
            dangling: filters.flag("dangling")?,
            before: earliest(images.created(filters, "before")?),
            since: latest(images.created(filters, "since")?),
            until: until(filters)?,
            filters,
        })
    }

    fn shows(&self, image: &Image) -> bool {
        let created = image.created;
        self.dangling.is_none_or(|wanted| wanted == is_dangling(image))
            && self.before.is_none_or(|before| created < before)
            && self.since.is_none_or(|since| created > since)
            && self.until.is_none_or(|until| created < until)
            && has_labels(self.filters, image)
    }

    /// The row; `None` when the reference filter leaves no name of it.
    fn summary(&self, image: &Image) -> Option<Summary> {
        let familiar = |stored: &Vec<String>| -> Vec<String> {
            stored.iter().map(|stored| resolve::familiar(stored)).filter(|name| self.names(name)).collect()
        };
        let (repo_tags, repo_digests) = (familiar(&image.tags), familiar(&image.digests));
        if self.filters.contains("reference") && repo_tags.is_empty() && repo_digests.is_empty() {
            return None;
        }
        Some(Summary {
            id: image.id.clone(),
            parent: image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
            repo_tags,
            repo_digests,
            created: image.created,
            size: signed(image.size),
            shared_size: -1,
            labels: image.config.config.labels.clone(),
            containers: 0,
            index: image.bundle.as_ref().map(|bundle| bundle.index.clone()),
            manifests: None,
        })
    }

    fn names(&self, familiar: &str) -> bool {
        let mut patterns = self.filters.values("reference").peekable();
        patterns.peek().is_none() || patterns.any(|pattern| matches_reference(pattern, familiar))
    }
}

impl Images {
    /// When the images named by a filter were made.
    fn created(&self, filters: &Filters, name: &str) -> Result<Vec<Timestamp>> {
        filters.values(name).map(|text| Ok(self.resolve(text, "")?.created)).collect()
    }
}

/// Whether all `label` and no `label!` filters hold.
pub(super) fn has_labels(filters: &Filters, image: &Image) -> bool {
    let labels = image.config.config.labels.as_ref();
    let value = |name: &str| labels.and_then(|labels| labels.get(name)).map(String::as_str);
    filters.admits_labels("label", value) && filters.lacks_labels("label!", value)
}

/// Docker's `reference` filter: a shell pattern against the familiar name, with or without tag.
fn matches_reference(pattern: &str, familiar: &str) -> bool {
    let name = Reference::parse(familiar).map(|reference| reference.familiar_name()).unwrap_or_default();
    glob(pattern.as_bytes(), familiar.as_bytes()) || glob(pattern.as_bytes(), name.as_bytes())
}

/// Go's `path.Match`: `*` and `?` stop at slashes; `[a-z]`, `[^a-z]` and `\x`.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => {
            let end = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
            (0..=end).any(|skip| glob(rest, &text[skip..]))
        }
        [b'?', rest @ ..] => text.first().is_some_and(|byte| *byte != b'/') && glob(rest, &text[1..]),
        [b'[', rest @ ..] => match (class(rest, text.first()), text) {
            (Some((true, after)), [_, text @ ..]) => glob(after, text),
            _ => false,
        },
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => text.first() == Some(byte) && glob(rest, &text[1..]),
    }
}

/// Whether a byte is in the class a pattern goes on with, and what follows the class.
fn class<'a>(pattern: &'a [u8], byte: Option<&u8>) -> Option<(bool, &'a [u8])> {
    let end = pattern.iter().skip(1).position(|byte| *byte == b']')? + 1;
    let (inside, after) = (&pattern[..end], &pattern[end + 1..]);
    let (negated, mut inside) = match inside {
        [b'^', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let byte = *byte?;
    let mut found = false;
    while let [low, rest @ ..] = inside {
        match rest {
            [b'-', high, rest @ ..] => {
                found |= (*low..=*high).contains(&byte);
                inside = rest;
            }
            _ => {
                found |= *low == byte;
                inside = rest;
            }
        }
    }
    Some((found != negated && byte != b'/', after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_patterns_are_gos() {
        for (pattern, familiar, expect) in [
            ("nginx", "nginx:latest", true),
            ("nginx:*", "nginx:latest", true),
            ("nginx:1.*", "nginx:1.27", true),
            ("ng*", "nginx:latest", true),
            ("*", "nginx:latest", true),
            ("*", "user/app:latest", false),
            ("*/*", "user/app:latest", true),
            ("user/app:?", "user/app:1", true),
            ("user/app:[0-3]", "user/app:2", true),
            ("user/app:[^0-3]", "user/app:2", false),
            ("user/app:[", "user/app:2", false),
            ("ngin", "nginx:latest", false),
            ("h:1/a/*:x", "h:1/a/b:x", true),
        ] {
            assert_eq!(matches_reference(pattern, familiar), expect, "{pattern} on {familiar}");
        }
    }
}
