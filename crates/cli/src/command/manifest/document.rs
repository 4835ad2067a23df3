//! What is known of one image of a list, in the JSON that the docker CLI keeps too, and the list itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hako_model::digest::Digest;
use hako_model::image::media;
use hako_model::platform::Platform;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::failure::Failure;

/// One image of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Its reference, in full.
    #[serde(rename = "Ref")]
    pub(super) reference: String,
    /// What points to it.
    #[serde(rename = "Descriptor")]
    pub(super) descriptor: Pointer,
    /// The manifest's bytes.
    #[serde(rename = "Raw")]
    raw: String,
    #[serde(rename = "SchemaV2Manifest", default, skip_serializing_if = "Option::is_none")]
    docker: Option<Box<RawValue>>,
    #[serde(rename = "OCIManifest", default, skip_serializing_if = "Option::is_none")]
    oci: Option<Box<RawValue>>,
}

/// A descriptor, its members in the order of Docker's files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Pointer {
    pub(super) media_type: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<Platform>,
}

impl Entry {
    /// What is kept of a manifest.
    pub(super) fn new(reference: String, descriptor: Pointer, bytes: &[u8]) -> Result<Self, Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::local(format!("read manifest of {reference}: {error}"));
        let text = String::from_utf8(bytes.to_vec()).map_err(|error| broken(&error))?;
        // Without white space, as it stands inside the entry's own JSON.
        let compact: Box<RawValue> = serde_json::from_str(&text).map_err(|error| broken(&error))?;
        let oci = descriptor.media_type == media::OCI_MANIFEST;
        let (docker, oci) = if oci { (None, Some(compact)) } else { (Some(compact), None) };
        Ok(Self { raw: STANDARD.encode(bytes), reference, descriptor, docker, oci })
    }

    /// The manifest's bytes.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, Failure> {
        let broken = |error| Failure::local(format!("read manifest of {}: {error}", self.reference));
        STANDARD.decode(&self.raw).map_err(broken)
    }

    /// The manifest's text.
    pub(super) fn text(&self) -> Result<String, Failure> {
        Ok(String::from_utf8_lossy(&self.bytes()?).into_owned())
    }
}

/// A list as it is shown and pushed.
pub(super) struct Written {
    pub(super) media_type: &'static str,
    pub(super) text: String,
}

/// The list of these images, byte by byte as Docker writes it, so that its digest is the same.
pub(super) fn index(entries: &[Entry]) -> Result<Written, Failure> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Member<'a> {
        media_type: &'a str,
        size: u64,
        digest: &'a Digest,
        platform: Platform,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct List<'a> {
        schema_version: u32,
        media_type: &'a str,
        manifests: Vec<Member<'a>>,
    }
    let oci = entries.first().is_some_and(|entry| entry.descriptor.media_type == media::OCI_MANIFEST);
    let media_type = if oci { media::OCI_INDEX } else { media::DOCKER_INDEX };
    let member = |entry: &'_ Entry| entry.descriptor.platform.clone().unwrap_or_default();
    let manifests = entries.iter().map(|entry| Member {
        media_type: &entry.descriptor.media_type,
        size: entry.descriptor.size,
        digest: &entry.descriptor.digest,
        platform: member(entry),
    });
    let list = List { schema_version: 2, media_type, manifests: manifests.collect() };
    Ok(Written { media_type, text: crate::render::json::indent(&json(&list)?, "   ") })
}

/// JSON without white space.
pub(super) fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| Failure::local(format!("write JSON: {error}")))
}

/// Whether Go is known to build for it, which Docker asks of entries that are annotated.
pub(super) fn is_known(os: &str, architecture: &str) -> bool {
    let known: &[&str] = match os {
        "linux" => &[
            "386", "amd64", "arm", "arm64", "loong64", "mips", "mipsle", "mips64", "mips64le", "ppc64", "ppc64le",
            "riscv64", "s390x",
        ],
        "darwin" | "windows" => &["386", "amd64", "arm", "arm64"],
        "freebsd" | "netbsd" | "openbsd" => &["386", "amd64", "arm"],
        "plan9" => &["386", "amd64"],
        "dragonfly" | "solaris" => &["amd64"],
        _ => &[],
    };
    known.contains(&architecture)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: &str) -> Entry {
        let platform = Platform { architecture: "arm64".into(), os: "linux".into(), ..Platform::default() };
        let digest = Digest::parse(&format!("sha256:{}", "0".repeat(64))).unwrap();
        let pointer = Pointer { media_type: kind.into(), digest, size: 2, platform: Some(platform) };
        Entry::new("r.example/x:a".into(), pointer, b"{ }").unwrap()
    }

    #[test]
    fn an_entry_is_dockers() {
        let text = json(&entry(media::DOCKER_MANIFEST)).unwrap();
        assert!(
            text.starts_with(r#"{"Ref":"r.example/x:a","Descriptor":{"mediaType":"application/vnd.docker"#),
            "{text}"
        );
        assert!(text.contains(r#""Raw":"eyB9","SchemaV2Manifest":{"#), "{text}");
        let again: Entry = serde_json::from_str(&text).unwrap();
        assert_eq!(again.text().unwrap(), "{ }");
    }

    #[test]
    fn a_list_is_written_as_docker_writes_it() {
        let docker = index(&[entry(media::DOCKER_MANIFEST)]).unwrap();
        assert_eq!(docker.media_type, media::DOCKER_INDEX);
        let start = "{\n   \"schemaVersion\": 2,\n   \"mediaType\": \"application/vnd.docker.distribution.manifest.list.v2+json\",\n   \"manifests\": [\n      {\n         \"mediaType\"";
        assert!(docker.text.starts_with(start), "{}", docker.text);
        assert_eq!(index(&[entry(media::OCI_MANIFEST)]).unwrap().media_type, media::OCI_INDEX);
    }

    #[test]
    fn platforms_that_exist() {
        assert!(is_known("linux", "riscv64") && !is_known("foo", "bar") && !is_known("linux", "bar"));
    }
}
