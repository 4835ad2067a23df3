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

impl Document {
    /// The layers by key. `place` says where a layer's bytes are, and what they are when they are unpacked; what it does not
    /// know is left out.
    pub(super) fn offers(
        &self,
        place: impl Fn(usize, &CacheLayer) -> Option<(Descriptor, Digest)>,
    ) -> HashMap<Digest, Offer> {
        let offer = |record: &CacheRecord| {
            let result = record.results.first()?;
            let (blob, diff_id) = place(result.layer, self.layers.get(result.layer)?)?;
            Some((record.digest.clone(), Offer { blob, diff_id, created: result.created_at.clone() }))
        };
        self.records.iter().filter_map(offer).collect()
    }

    /// What a cache of its own offers, whose layers are among these blobs.
    pub(super) fn own_offers(&self, blobs: &[Descriptor]) -> HashMap<Digest, Offer> {
        self.offers(|_, layer| {
            let blob = blobs.iter().find(|blob| blob.digest == layer.blob)?.clone();
            Some((blob, layer.annotations.as_ref()?.diff_id.clone()?))
        })
    }

    /// What an image offers that holds the document: its own layers, by their places.
    pub(super) fn inline_offers(&self, blobs: &[Descriptor], diff_ids: &[Digest]) -> HashMap<Digest, Offer> {
        self.offers(|at, _| Some((blobs.get(at)?.clone(), diff_ids.get(at)?.clone())))
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
        let text = serde_json::to_string(&Document { layers, records }).unwrap();
        assert!(
            text.contains("\"parent\":-1") && text.contains("\"diffID\":") && text.contains("\"layers\":[{\"layer\":0")
        );
        let read: Document = serde_json::from_str(&text).unwrap();
        let own = read.own_offers(&[blob("a"), blob("b")]);
        assert_eq!(own.keys().collect::<Vec<_>>(), [&digest("one")], "a layer must say what it unpacks to");
        assert_eq!((&own[&digest("one")].blob, &own[&digest("one")].diff_id), (&blob("a"), &digest("tar")));
        let inline = read.inline_offers(&[blob("x"), blob("y")], &[digest("u"), digest("v")]);
        assert_eq!(inline[&digest("two")].diff_id, digest("v"));
        assert!(!inline.contains_key(&digest("none")));
    }

    #[test]
    fn what_buildkit_writes_is_understood() {
        let text = format!(
            r#"{{"layers":[{{"blob":"{0}","parent":-1}}],"records":[{{"digest":"{0}","layers":[{{"layer":0,"createdAt":"x"}}],
            "inputs":[[{{"link":1}}]],"chains":[]}},{{"digest":"{0}"}}]}}"#,
            digest("z")
        );
        assert!(serde_json::from_str::<Document>(&text).unwrap().own_offers(&[blob("z")]).is_empty());
    }
}
