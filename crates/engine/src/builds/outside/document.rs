//! What a build cache outside says of itself, in BuildKit's form (`application/vnd.buildkit.cacheconfig.v0`): layers, and the
//! keys of the steps that made them.

use std::collections::HashMap;

use hako_model::digest::Digest;
use hako_model::image::Descriptor;
use serde::{Deserialize, Serialize};

/// The media type of the document.
pub(super) const CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";

/// The member of an image's configuration that holds the document, base64.
pub(super) const INLINE: &str = "moby.buildkit.cache.v0";

/// The document.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Document {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) layers: Vec<CacheLayer>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) records: Vec<CacheRecord>,
    /// The contents of cache mounts: not BuildKit's, which passes over it.
    #[serde(rename = "io.hako.mounts", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) mounts: Vec<MountRecord>,
}

/// The content of a cache mount.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MountRecord {
    /// What its directory is called: by its id, what it begins with and which part of that.
    pub(super) digest: Digest,
    /// What the Dockerfile calls it, for people.
    #[serde(default)]
    pub(super) id: String,
    pub(super) layer: usize,
}

/// A layer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CacheLayer {
    pub(super) blob: Digest,
    /// The layer below, as far as it is listed; -1 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) parent: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<About>,
}

/// More about a layer.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct About {
    pub(super) media_type: String,
    #[serde(rename = "diffID", skip_serializing_if = "Option::is_none")]
    pub(super) diff_id: Option<Digest>,
    pub(super) size: u64,
}

/// A step.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CacheRecord {
    pub(super) digest: Digest,
    #[serde(default, rename = "layers", skip_serializing_if = "Vec::is_empty")]
    pub(super) results: Vec<CacheResult>,
}

/// What a step made.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CacheResult {
    pub(super) layer: usize,
    #[serde(default)]
    pub(super) created_at: String,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A layer that can be had.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Offer {
    pub(super) blob: Descriptor,
    pub(super) diff_id: Digest,
    pub(super) created: String,
}

/// What a cache has.
#[derive(Debug, Default)]
pub(super) struct Offers {
    /// The layers of steps, by their keys.
    pub(super) steps: HashMap<Digest, Offer>,
    /// The contents of cache mounts, by their names, and what people call them.
    pub(super) mounts: HashMap<Digest, (String, Offer)>,
}

impl Document {
    /// `place` says where a layer's bytes are, and what they are when they are unpacked; what it does not know is left out.
    fn offers(&self, place: impl Fn(usize, &CacheLayer) -> Option<(Descriptor, Digest)>) -> Offers {
        let offer = |layer: usize, created: &str| {
            let (blob, diff_id) = place(layer, self.layers.get(layer)?)?;
            Some(Offer { blob, diff_id, created: created.to_owned() })
        };
        let step = |record: &CacheRecord| {
            let result = record.results.first()?;
            Some((record.digest.clone(), offer(result.layer, &result.created_at)?))
        };
        let mount = |record: &MountRecord| Some((record.digest.clone(), (record.id.clone(), offer(record.layer, "")?)));
        let steps = self.records.iter().filter_map(step).collect();
        Offers { steps, mounts: self.mounts.iter().filter_map(mount).collect() }
    }

    /// What a cache of its own offers, whose layers are among these blobs.
    pub(super) fn own_offers(&self, blobs: &[Descriptor]) -> Offers {
        self.offers(|_, layer| {
            let blob = blobs.iter().find(|blob| blob.digest == layer.blob)?.clone();
            Some((blob, layer.annotations.as_ref()?.diff_id.clone()?))
        })
    }

    /// What an image offers that holds the document: its own layers, by their places; none of them is a cache mount's.
    pub(super) fn inline_offers(&self, blobs: &[Descriptor], diff_ids: &[Digest]) -> Offers {
        let offers = self.offers(|at, _| Some((blobs.get(at)?.clone(), diff_ids.get(at)?.clone())));
        Offers { mounts: HashMap::new(), ..offers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(word: &str) -> Digest {
        hako_store::Hasher::digest(word.as_bytes())
    }

    fn blob(word: &str) -> Descriptor {
        Descriptor::new("application/vnd.oci.image.layer.v1.tar+gzip", digest(word), 3)
    }

    #[test]
    fn buildkits_form_is_written_and_read() {
        let about = About { diff_id: Some(digest("tar")), ..About::default() };
        let layers = vec![
            CacheLayer { blob: digest("a"), parent: -1, annotations: Some(about) },
            CacheLayer { blob: digest("b"), parent: 0, annotations: None },
        ];
        let result = |layer| vec![CacheResult { layer, created_at: "2026-01-01T00:00:00Z".to_owned() }];
        let records = vec![
            CacheRecord { digest: digest("one"), results: result(0) },
            CacheRecord { digest: digest("two"), results: result(1) },
            CacheRecord { digest: digest("none"), results: result(9) },
        ];
        let mounts = vec![MountRecord { digest: digest("mount"), id: "/cache".to_owned(), layer: 0 }];
        let text = serde_json::to_string(&Document { layers, records, mounts }).unwrap();
        assert!(
            text.contains("\"parent\":-1") && text.contains("\"diffID\":") && text.contains("\"layers\":[{\"layer\":0")
        );
        let read: Document = serde_json::from_str(&text).unwrap();
        let own = read.own_offers(&[blob("a"), blob("b")]);
        assert_eq!(own.steps.keys().collect::<Vec<_>>(), [&digest("one")], "a layer must say what it unpacks to");
        let one = &own.steps[&digest("one")];
        assert_eq!((&one.blob, &one.diff_id), (&blob("a"), &digest("tar")));
        let (id, mount) = &own.mounts[&digest("mount")];
        assert_eq!((id.as_str(), &mount.blob, &mount.diff_id), ("/cache", &blob("a"), &digest("tar")));
        let inline = read.inline_offers(&[blob("x"), blob("y")], &[digest("u"), digest("v")]);
        assert_eq!(inline.steps[&digest("two")].diff_id, digest("v"));
        assert!(!inline.steps.contains_key(&digest("none")) && inline.mounts.is_empty());
    }

    #[test]
    fn what_buildkit_writes_is_understood() {
        let text = format!(
            r#"{{"layers":[{{"blob":"{0}","parent":-1}}],"records":[{{"digest":"{0}","layers":[{{"layer":0,"createdAt":"x"}}],
            "inputs":[[{{"link":1}}]],"chains":[]}},{{"digest":"{0}"}}]}}"#,
            digest("z")
        );
        assert!(serde_json::from_str::<Document>(&text).unwrap().own_offers(&[blob("z")]).steps.is_empty());
    }
}
