//! What is to be attested of an image that is built, as `--attest`, `--provenance` and `--sbom` say it.

use serde::{Deserialize, Serialize};

/// The attribute by which buildx marks what nobody asked for.
const DEFAULTED: &str = "inline-only";

/// What is to be attested.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attestations {
    /// How the image was made.
    pub provenance: Option<Provenance>,
    /// Which packages are in it.
    pub packages: bool,
}

/// How much is said of an image's making.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// Arguments, the Dockerfile and every step, too.
    pub max: bool,
    /// By version 1 of the predicate, and not 0.2.
    pub v1: bool,
    /// Who builds.
    pub builder: String,
}

impl Attestations {
    /// Whether there is anything to attest.
    pub fn is_empty(&self) -> bool {
        self.provenance.is_none() && !self.packages
    }

    /// Takes in what `--attest` says: `type=KIND,key=value,…`.
    pub fn take(&mut self, text: &str) -> Result<(), String> {
        let (mut kind, mut rest) = ("", Vec::new());
        for field in text.split(',').filter(|field| !field.is_empty()) {
            match field.strip_prefix("type=") {
                Some(found) => kind = found,
                None => rest.push(field),
            }
        }
        if kind.is_empty() {
            return Err(format!("attestation {text:?} has no type: want type=provenance or type=sbom"));
        }
        self.set(kind, &rest.join(","))
    }

    /// Takes in what is said of one kind: `true`, `false`, or `key=value,…`.
    pub fn set(&mut self, kind: &str, text: &str) -> Result<(), String> {
        if !matches!(kind, "provenance" | "sbom") {
            return Err(format!("unknown attestation type {kind:?}: want provenance or sbom"));
        }
        let (mut wanted, mut provenance) = (true, Provenance::default());
        for field in text.split(',').filter(|field| !field.is_empty()) {
            match field.split_once('=').unwrap_or((field, "")) {
                ("true" | "1", "") | ("disabled", "false" | "0") => {}
                // Some buildx say it again.
                ("type", named) if named == kind => {}
                ("false" | "0", "") | ("disabled", "true" | "1" | "") | (DEFAULTED, "true" | "1") => wanted = false,
                ("mode", "min" | "") if kind == "provenance" => provenance.max = false,
                ("mode", "max") if kind == "provenance" => provenance.max = true,
                ("version", "v0.2" | "") if kind == "provenance" => provenance.v1 = false,
                ("version", "v1") if kind == "provenance" => provenance.v1 = true,
                ("builder-id", id) if kind == "provenance" => id.clone_into(&mut provenance.builder),
                ("generator", _) if kind == "sbom" => {
                    return Err(
                        "attestation sbom: no generator images are run: hako reads the image's own package databases"
                            .to_owned(),
                    );
                }
                _ => return Err(format!("attestation {kind}: {field} is not supported")),
            }
        }
        match kind {
            "provenance" => self.provenance = wanted.then_some(provenance),
            _ => self.packages = wanted,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: &[&str]) -> Result<Attestations, String> {
        let mut all = Attestations::default();
        texts.iter().try_for_each(|text| all.take(text))?;
        Ok(all)
    }

    #[test]
    fn attestations_are_named_as_buildx_has_it() {
        let provenance = |max, v1| Some(Provenance { max, v1, builder: String::new() });
        assert_eq!(read(&["type=provenance"]).unwrap().provenance, provenance(false, false));
        assert_eq!(read(&["type=provenance,mode=max,version=v1"]).unwrap().provenance, provenance(true, true));
        assert_eq!(read(&["type=provenance,disabled=true"]), Ok(Attestations::default()));
        assert!(read(&["type=sbom"]).unwrap().packages);
        let mut said_twice = Attestations::default();
        said_twice.set("sbom", "type=sbom").unwrap();
        assert!(said_twice.packages && said_twice.set("sbom", "type=provenance").is_err());
        for wrong in
            ["mode=max", "type=vex", "type=provenance,mode=mid", "type=sbom,generator=a/b", "type=sbom,mode=max"]
        {
            assert!(read(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_nobody_asked_for_is_not_made() {
        let mut all = Attestations::default();
        all.set("provenance", "mode=min,inline-only=true").unwrap();
        assert!(all.is_empty());
        all.set("provenance", "true").unwrap();
        assert!(!all.is_empty());
        all.set("provenance", "false").unwrap();
        assert!(all.is_empty());
    }
}
