//! Platforms: parsing, normalising, and which of an index's manifests serves a wanted platform best.
//! Leaves out probing the host's CPU variant (the architecture this binary was built for is what counts).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::image::Descriptor;

/// An operating system and a CPU, in Go's and OCI's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// GOARCH: `amd64`, `arm64`, …
    pub architecture: String,
    /// GOOS: `linux`.
    pub os: String,
    /// Windows' build number.
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// Required features of the operating system.
    #[serde(
        rename = "os.features",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::image::nullable"
    )]
    pub os_features: Vec<String>,
    /// The CPU's variant: `v7`, `v8`, `v3`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// A text was no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parse platform {text:?}: {reason}")]
pub struct InvalidPlatform {
    /// The text refused.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

const SYSTEMS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "illumos",
    "ios",
    "js",
    "linux",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "windows",
];

impl Platform {
    /// A platform of its parts, normalised.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let os = normal_os(os);
        let (architecture, variant) = normal_architecture(architecture, variant);
        Self { architecture, os, variant, ..Self::default() }
    }

    /// The platform this binary runs on.
    pub fn host() -> Self {
        Self::new("linux", std::env::consts::ARCH, "")
    }

    /// Parses what `--platform` takes: `OS`, `ARCH`, `OS/ARCH` or `OS/ARCH/VARIANT`, in any of the usual spellings.
    pub fn parse(text: &str) -> Result<Self, InvalidPlatform> {
        let refused = |reason| InvalidPlatform { text: text.to_owned(), reason };
        let parts: Vec<&str> = text.split('/').collect();
        // A system's name has no dots, other than the rest.
        if parts.iter().any(|part| part.is_empty() || !part.bytes().all(is_word)) || parts[0].contains('.') {
            return Err(refused("want OS/ARCH[/VARIANT], such as linux/amd64 or linux/arm64/v8"));
        }
        match parts[..] {
            [os] if SYSTEMS.contains(&normal_os(os).as_str()) => Ok(Self { os: normal_os(os), ..Self::host() }),
            [architecture] if is_architecture(architecture) => Ok(Self::new("linux", architecture, "")),
            [_] => Err(refused("unknown operating system or architecture")),
            [os, architecture] => Ok(Self::new(os, architecture, "")),
            [os, architecture, variant] => Ok(Self::new(os, architecture, variant)),
            _ => Err(refused("want OS/ARCH[/VARIANT], such as linux/amd64 or linux/arm64/v8")),
        }
    }

    /// The same platform in its normal spelling; what manifests say is not always that.
    pub fn normalised(&self) -> Self {
        let (architecture, variant) = normal_architecture(&self.architecture, &self.variant);
        Self { architecture, variant, os: normal_os(&self.os), ..self.clone() }
    }

    /// How well content for `offered` serves this platform: `None` not at all, otherwise 0 is perfect and more is worse.
    pub fn rank(&self, offered: &Self) -> Option<usize> {
        let (wanted, offered) = (self.normalised(), offered.normalised());
        if wanted.os != offered.os {
            return None;
        }
        runnable(&wanted)
            .iter()
            .position(|(architecture, variant)| *architecture == offered.architecture && *variant == offered.variant)
    }

    /// Whether content for `offered` can serve this platform.
    pub fn accepts(&self, offered: &Self) -> bool {
        self.rank(offered).is_some()
    }

    /// The descriptor of an index that serves this platform best. Attestations (`unknown/unknown`) never do; a
    /// descriptor without a platform is a last resort, as in containerd.
    pub fn choose<'a>(&self, offered: &'a [Descriptor]) -> Option<&'a Descriptor> {
        let ranked = offered.iter().filter_map(|descriptor| {
            let rank = match &descriptor.platform {
                Some(platform) => self.rank(platform)?,
                None => usize::MAX,
            };
            Some((rank, descriptor))
        });
        ranked.min_by_key(|(rank, _)| *rank).map(|(_, descriptor)| descriptor)
    }
}

impl fmt::Display for Platform {
    /// `linux/amd64`, `linux/arm/v7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

fn is_architecture(word: &str) -> bool {
    let (architecture, _) = normal_architecture(word, "");
    matches!(
        architecture.as_str(),
        "386"
            | "amd64"
            | "arm"
            | "arm64"
            | "loong64"
            | "mips"
            | "mips64"
            | "mips64le"
            | "mipsle"
            | "ppc64"
            | "ppc64le"
            | "riscv64"
            | "s390x"
            | "wasm"
    )
}

fn normal_os(os: &str) -> String {
    match os.to_ascii_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        other => other.to_owned(),
    }
}

/// containerd's normal form: `arm64` has no `v8`, `arm` always has a variant, `amd64` has no `v1`.
fn normal_architecture(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = (architecture.to_ascii_lowercase(), variant.to_ascii_lowercase());
    let pair = match (architecture.as_str(), variant.as_str()) {
        ("i386" | "i686" | "x86", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        ("loongarch64", variant) => ("loong64", variant),
        ("powerpc64", variant) => ("ppc64", variant),
        ("powerpc64le", variant) => ("ppc64le", variant),
        pair => pair,
    };
    (pair.0.to_owned(), pair.1.to_owned())
}

/// What a platform can run, best first. 64-bit ARM runs 32-bit ARM; newer variants run older ones.
fn runnable(wanted: &Platform) -> Vec<(String, String)> {
    let pair = |architecture: &str, variant: &str| (architecture.to_owned(), variant.to_owned());
    let older = |architecture: &str, newest: u32, oldest: u32| -> Vec<(String, String)> {
        (oldest..=newest).rev().map(|n| (architecture.to_owned(), format!("v{n}"))).collect()
    };
    let number = wanted.variant.trim_start_matches('v').parse::<u32>().unwrap_or(0);
    match wanted.architecture.as_str() {
        "arm" if (5..=8).contains(&number) => older("arm", number, 5),
        "arm64" => {
            let mut list = if number == 9 { vec![pair("arm64", "v9")] } else { Vec::new() };
            list.push(pair("arm64", ""));
            list.extend(older("arm", 8, 5));
            list
        }
        "amd64" => {
            let mut list = if (2..=4).contains(&number) { older("amd64", number, 2) } else { Vec::new() };
            list.extend([pair("amd64", ""), pair("386", "")]);
            list
        }
        other => vec![pair(other, &wanted.variant)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_become_normal() {
        for (text, want) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/AMD64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm/6", "linux/arm/v6"),
            ("amd64", "linux/amd64"),
            ("riscv64", "linux/riscv64"),
            ("windows/amd64", "windows/amd64"),
            ("macos/arm64", "darwin/arm64"),
        ] {
            assert_eq!(Platform::parse(text).unwrap().to_string(), want, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "/", "linux/", "linux//v8", "linux/amd64/v1/x", "toaster", "linux/a b", "linux/ä"] {
            assert!(Platform::parse(text).is_err(), "{text:?}");
        }
    }

    fn offer(text: &str) -> Descriptor {
        Descriptor { platform: Some(Platform::parse(text).unwrap()), ..Descriptor::default() }
    }

    fn check(wanted: &str, offered: &[&str], expect: Option<&str>) {
        let list: Vec<Descriptor> = offered.iter().map(|text| offer(text)).collect();
        let chosen = Platform::parse(wanted).unwrap();
        let chosen = chosen.choose(&list).and_then(|descriptor| descriptor.platform.as_ref()).map(Platform::to_string);
        assert_eq!(chosen.as_deref(), expect, "{wanted} of {offered:?}");
    }

    #[test]
    fn the_best_manifest_is_chosen() {
        check("linux/amd64", &["linux/arm64", "linux/amd64"], Some("linux/amd64"));
        check("linux/amd64", &["linux/386"], Some("linux/386"));
        check("linux/amd64", &["linux/amd64/v3", "windows/amd64"], None);
        check("linux/amd64/v3", &["linux/amd64", "linux/amd64/v2"], Some("linux/amd64/v2"));
        check("linux/arm64/v8", &["linux/arm/v7", "linux/arm64"], Some("linux/arm64"));
        check("linux/arm/v6", &["linux/arm/v7", "linux/arm/v5"], Some("linux/arm/v5"));
        check("linux/s390x", &["linux/amd64"], None);
    }

    #[test]
    fn a_manifest_without_platform_is_the_last_resort() {
        let list = [Descriptor::default(), offer("linux/amd64")];
        assert_eq!(Platform::parse("linux/amd64").unwrap().choose(&list), Some(&list[1]));
        assert_eq!(Platform::parse("linux/s390x").unwrap().choose(&list), Some(&list[0]));
    }

    #[test]
    fn json_is_oci() {
        let text = r#"{"architecture":"amd64","os":"windows","os.version":"10.0.1","os.features":["win32k"]}"#;
        let platform: Platform = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&platform).unwrap(), text);
    }
}
