//! Which packages are in an image, as an SPDX 2.3 document: those that the databases of dpkg and apk in its files name. No
//! program of the image runs for that, and no scanner.

use std::os::fd::OwnedFd;
use std::path::Path;

use hako_builder::solve::Product;
use hako_store::Hasher;
use hako_sys::confined::Root;
use serde_json::{Value, json};

use crate::images::Predicate;
use crate::{Error, Result};

const KIND: &str = "https://spdx.dev/Document";

/// The longest database that is read, and the most packages that are told of.
const DATABASE: u64 = 64 << 20;
const PACKAGES: usize = 50_000;

const DPKG: [&str; 2] = ["var/lib/dpkg/status", "usr/lib/sysimage/dpkg/status"];
/// Where images without a package manager keep one file for each package.
const DPKG_PARTS: &str = "var/lib/dpkg/status.d";
const APK: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];
const RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// A package that is installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    kind: &'static str,
    name: String,
    version: String,
    architecture: String,
    license: String,
    supplier: String,
}

pub(super) fn statement(product: &Product, files: OwnedFd) -> Result<Predicate> {
    let root = Root::from_fd(files);
    let read = |path: &str| root.read_limited(Path::new(path), DATABASE).ok();
    let text = |path: &&str| read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let mut packages: Vec<Package> = DPKG.iter().filter_map(text).flat_map(|text| dpkg(&text)).collect();
    for entry in root.read_dir(Path::new(DPKG_PARTS)).unwrap_or_default() {
        let path = Path::new(DPKG_PARTS).join(&entry.name);
        if path.extension().is_none_or(|extension| extension != "md5sums")
            && let Ok(bytes) = root.read_limited(&path, DATABASE)
        {
            packages.extend(dpkg(&String::from_utf8_lossy(&bytes)));
        }
    }
    packages.extend(APK.iter().filter_map(text).flat_map(|text| apk(&text)));
    packages.sort();
    packages.dedup();
    packages.truncate(PACKAGES);
    let release = RELEASE.iter().find_map(text).unwrap_or_default();
    let config = serde_json::to_vec(&product.config).map_err(|error| Error::io("describe image", error))?;
    let created = product.config.created.as_deref().unwrap_or("1970-01-01T00:00:00Z");
    // Documents of different images have different names, and those of the same image the same.
    let name = Hasher::digest(&config);
    Ok(Predicate { kind: KIND, content: document(&packages, &release, created, name.hex()) })
}

/// Paragraphs of `Name: value` lines; a line that begins with a blank goes on with the one before.
fn dpkg(text: &str) -> Vec<Package> {
    let mut found = Vec::new();
    for paragraph in text.split("\n\n") {
        let field = |name: &str| {
            let value = paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.map(str::trim).unwrap_or_default().to_owned()
        };
        let package = Package {
            kind: "deb",
            name: field("Package"),
            version: field("Version"),
            architecture: field("Architecture"),
            supplier: field("Maintainer"),
            license: String::new(),
        };
        let status = field("Status");
        let installed = status.is_empty() || status.ends_with(" installed");
        if installed && !package.name.is_empty() && !package.version.is_empty() {
            found.push(package);
        }
    }
    found
}

/// Paragraphs of lines that begin with a letter and a colon.
fn apk(text: &str) -> Vec<Package> {
    let mut found = Vec::new();
    for paragraph in text.split("\n\n") {
        let field = |letter: char| {
            let value = paragraph.lines().find_map(|line| line.strip_prefix(letter)?.strip_prefix(':'));
            value.unwrap_or_default().trim().to_owned()
        };
        let package = Package {
            kind: "apk",
            name: field('P'),
            version: field('V'),
            architecture: field('A'),
            license: field('L'),
            supplier: field('m'),
        };
        if !package.name.is_empty() && !package.version.is_empty() {
            found.push(package);
        }
    }
    found
}

/// A value of `os-release`.
fn value<'a>(release: &'a str, name: &str) -> &'a str {
    let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_default().trim_matches(['"', '\''])
}

fn document(packages: &[Package], release: &str, created: &str, name: &str) -> Value {
    let distribution = match value(release, "ID") {
        "" => "unknown",
        id => id,
    };
    let tag = [distribution, value(release, "VERSION_ID")].join("-");
    let described = packages.iter().enumerate().map(|(number, it)| package(number, it, distribution, &tag));
    let relations = (0..packages.len()).map(|number| {
        json!({
            "spdxElementId": "SPDXRef-DOCUMENT",
            "relationshipType": "DESCRIBES",
            "relatedSpdxElement": id(number),
        })
    });
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "sbom",
        "documentNamespace": format!("https://hako.invalid/spdx/{name}"),
        "creationInfo": {
            "created": seconds(created),
            "creators": [concat!("Tool: hako-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": described.collect::<Vec<_>>(),
        "relationships": relations.collect::<Vec<_>>(),
    })
}

/// SPDX knows no fractions of seconds.
fn seconds(moment: &str) -> String {
    moment.split_once('.').map_or_else(|| moment.to_owned(), |(whole, _)| format!("{whole}Z"))
}

fn id(number: usize) -> String {
    format!("SPDXRef-Package-{number}")
}

fn package(number: usize, package: &Package, distribution: &str, tag: &str) -> Value {
    let supplier = match package.supplier.is_empty() {
        true => "NOASSERTION".to_owned(),
        false => format!("Organization: {}", package.supplier),
    };
    let escaped = package.version.replace('+', "%2B").replace(':', "%3A");
    let address = format!(
        "pkg:{}/{distribution}/{}@{escaped}?arch={}&distro={tag}",
        package.kind, package.name, package.architecture
    );
    json!({
        "SPDXID": id(number),
        "name": package.name,
        "versionInfo": package.version,
        "supplier": supplier,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "licenseComments": package.license,
        "copyrightText": "NOASSERTION",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": address,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_read() {
        let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMaintainer: G <g@x>\nVersion: 2.41-1\n\
                      Description: C\n more\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n";
        let found = dpkg(status);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].version.as_str()), ("libc6", "2.41-1"));
        let found = apk("C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\n\nP:busybox\nV:1.37\nA:x86_64\n\n");
        let found: Vec<_> = found.iter().map(|it| (it.name.as_str(), it.license.as_str())).collect();
        assert_eq!(found, [("musl", "MIT"), ("busybox", "")]);
        assert!(dpkg("").is_empty() && apk("rubbish\n\n:\n").is_empty());
    }

    #[test]
    fn a_document_names_every_package_once() {
        let packages = dpkg("Package: a\nVersion: 1:2+b\nArchitecture: amd64\n");
        let document = document(&packages, "ID=debian\nVERSION_ID=\"13\"\n", "2024-01-02T03:04:05.6Z", "ab");
        assert_eq!(document["creationInfo"]["created"], "2024-01-02T03:04:05Z");
        let reference = &document["packages"][0]["externalRefs"][0]["referenceLocator"];
        assert_eq!(reference, "pkg:deb/debian/a@1%3A2%2Bb?arch=amd64&distro=debian-13");
        assert_eq!(document["relationships"][0]["relatedSpdxElement"], document["packages"][0]["SPDXID"]);
    }
}
