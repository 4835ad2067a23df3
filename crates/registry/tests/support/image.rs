//! Small images, made by hand.

use hako_model::digest::Digest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The digest of some bytes.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

/// A tar of regular files.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, content) in files {
        let mut block = [0_u8; 512];
        let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, "0000644\x000000000\x000000000\0");
        put(124, &format!("{:011o}\0{:011o}\0        0", content.len(), 1_700_000_000));
        put(257, "ustar\x0000");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar.extend_from_slice(&block);
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// An image of plain tar layers.
pub(crate) struct Image {
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
}

impl Image {
    /// An image with these layers for the machine's own platform.
    pub(crate) fn new(layers: Vec<Vec<u8>>) -> Self {
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        Self::of_platform(layers, architecture)
    }

    /// An image with these layers.
    pub(crate) fn of_platform(layers: Vec<Vec<u8>>, architecture: &str) -> Self {
        let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer).to_string()).collect();
        let steps: Vec<Value> = (0..layers.len())
            .map(|n| json!({"created": "2026-01-02T03:04:05Z", "created_by": format!("step {n}")}))
            .collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "created": "2026-01-02T03:04:05Z",
            "config": {"Cmd": ["/a"], "Labels": {"kind": "test"}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": steps,
        });
        let config = serde_json::to_vec(&config).unwrap();
        let described: Vec<Value> = layers.iter().map(|layer| descriptor(LAYER, layer)).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, &config), "layers": described});
        Self { layers, config, manifest: serde_json::to_vec(&manifest).unwrap() }
    }

    /// All blobs of the image.
    pub(crate) fn blobs(&self) -> Vec<&[u8]> {
        self.layers.iter().chain([&self.config]).map(Vec::as_slice).collect()
    }
}

/// A descriptor of some bytes.
pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes).to_string(), "size": bytes.len()})
}

/// An index of manifests, each with its architecture.
pub(crate) fn index(entries: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let manifests: Vec<Value> = entries
        .iter()
        .map(|(media_type, architecture, bytes)| {
            let mut entry = descriptor(media_type, bytes);
            entry["platform"] = json!({"os": "linux", "architecture": architecture});
            entry
        })
        .collect();
    serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})).unwrap()
}
