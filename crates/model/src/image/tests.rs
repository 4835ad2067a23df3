//! What real and hostile documents become.

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn descriptor(media_type: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{HEX}","size":7}}"#)
}

fn manifest(extra: &str) -> String {
    let (config, layer) = (descriptor(media::OCI_CONFIG), descriptor(media::OCI_LAYER_GZIP));
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]{extra}}}"#)
}

#[test]
fn a_manifest_keeps_what_it_does_not_know() {
    let text = manifest(r#","subject":{"a":1},"artifactType":"x/y""#);
    let ManifestOrIndex::Manifest(parsed) = ManifestOrIndex::parse(text.as_bytes(), "").unwrap() else { panic!() };
    assert_eq!(parsed.extra["artifactType"], "x/y");
    assert!(parsed.is_image());
    let again: Manifest = serde_json::from_str(&serde_json::to_string(&parsed).unwrap()).unwrap();
    assert_eq!(again, parsed);
}

#[test]
fn hostile_documents_are_refused() {
    let both = manifest(r#","manifests":[]"#);
    let clash = manifest(r#","mediaType":"application/vnd.oci.image.index.v1+json""#);
    let huge = " ".repeat(5 << 20);
    let many =
        format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, vec![descriptor(media::OCI_MANIFEST); 2000].join(","));
    let negative = manifest("").replace("\"size\":7", "\"size\":-7");
    let traversal = manifest("").replace(HEX, &format!("../{}", &HEX[3..]));
    let deep = format!(r#"{{"schemaVersion":2,"x":{}1{},"manifests":[]}}"#, "[".repeat(100_000), "]".repeat(100_000));
    for text in
        [&both, &clash, &huge, &many, &negative, &traversal, &deep, "{}", "[]", r#"{"schemaVersion":1,"fsLayers":[]}"#]
    {
        assert!(ManifestOrIndex::parse(text.as_bytes(), "").is_err(), "{}", &text[..text.len().min(200)]);
    }
    assert!(ManifestOrIndex::parse(manifest("").as_bytes(), media::DOCKER_INDEX).is_err());
}

#[test]
fn a_configuration_keeps_nulls_and_strangers() {
    let text = format!(
        r#"{{"architecture":"arm64","os":"linux","variant":"v8","config":{{"Env":null,"Cmd":["sh"],"Image":"x","Labels":null,
        "ExposedPorts":{{"80/tcp":{{}}}},"Healthcheck":{{"Test":["CMD","x"],"Interval":1000}}}},
        "rootfs":{{"type":"layers","diff_ids":["sha256:{HEX}"]}},"history":[{{"created_by":"RUN x","empty_layer":true}}],"moby.buildkit.x":1}}"#
    );
    let config = ImageConfig::parse(text.as_bytes()).unwrap();
    assert_eq!(config.platform().to_string(), "linux/arm64");
    assert_eq!(config.config.cmd.as_deref(), Some(&["sh".to_owned()][..]));
    assert_eq!(config.config.extra["Image"], "x");
    assert_eq!(config.extra["moby.buildkit.x"], 1);
    assert!(config.history[0].empty_layer);
    assert!(config.config.exposed_ports.unwrap().contains_key("80/tcp"));
}

#[test]
fn too_many_diff_ids_are_refused() {
    let ids = vec![format!("\"sha256:{HEX}\""); 1000].join(",");
    assert!(ImageConfig::parse(format!(r#"{{"rootfs":{{"type":"layers","diff_ids":[{ids}]}}}}"#).as_bytes()).is_err());
}
