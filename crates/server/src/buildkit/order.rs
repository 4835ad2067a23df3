//! What BuildKit's clients say of a build, word by word, as a request of the engine's.

use std::collections::{BTreeMap, HashMap};

use hako_buildkit::Status;
use hako_engine::builds::request::{Context, Request, Reuse, Sandbox};
use hako_engine::builds::{Attestations, Outside};
use hako_model::container::{Resources, Ulimit};
use hako_model::digest::Digest;
use hako_model::platform::Platform;

/// The words of an order.
pub(super) struct Order<'a>(pub(super) &'a HashMap<String, String>);

impl<'a> Order<'a> {
    /// A word's value.
    pub(super) fn word(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Values of words that begin alike, by what follows.
    fn words(&self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    /// The Dockerfile's name.
    pub(super) fn file(&self) -> &'a str {
        self.word("filename").unwrap_or("Dockerfile")
    }

    /// Named contexts and where they are; what a platform adds to their names is left out.
    pub(super) fn contexts(&self) -> BTreeMap<String, &'a str> {
        let plain = |name: &str| name.split_once("::").map_or(name, |(name, _)| name).to_owned();
        self.words("context:").map(|(name, place)| (plain(name), place)).collect()
    }

    /// The caches outside that are to be used, and the names of those that cannot be.
    pub(super) fn caches(&self) -> (Vec<Outside>, Vec<String>) {
        let listed =
            self.word("cache-imports").and_then(|text| serde_json::from_str::<Vec<serde_json::Value>>(text).ok());
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for cache in listed.into_iter().flatten() {
            let attrs = &cache["Attrs"];
            match (cache["Type"].as_str(), attrs["ref"].as_str()) {
                (Some("registry"), Some(name)) => known.push(Outside::Registry(name.to_owned())),
                (Some("local"), _) if attrs["src"].is_string() => {
                    let place = format!("local:{}", attrs["src"].as_str().unwrap_or_default());
                    let manifest = attrs["digest"].as_str().and_then(|text| Digest::parse(text).ok());
                    known.push(Outside::Client { place, manifest });
                }
                (kind, name) => unknown.push(name.or(attrs["src"].as_str()).or(kind).unwrap_or("somewhere").to_owned()),
            }
        }
        let old = self.word("cache-from").into_iter().flat_map(|names| names.split(','));
        known.extend(old.map(|name| Outside::Registry(name.to_owned())));
        (known, unknown)
    }

    /// What is to be attested. What is not done is refused, not passed over.
    pub(super) fn attestations(&self) -> Result<Attestations, Status> {
        let mut wanted = Attestations::default();
        for (kind, text) in self.words("attest:") {
            wanted.set(kind, text).map_err(Status::unimplemented)?;
        }
        Ok(wanted)
    }

    /// The engine's request.
    pub(super) fn request(&self, dockerfile: Vec<u8>, contexts: BTreeMap<String, Context>) -> Result<Request, Status> {
        let all = |prefix| self.words(prefix).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let arguments: BTreeMap<String, String> = all("build-arg:").collect();
        let epoch = arguments.get("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty());
        let epoch = epoch.map(|text| text.parse()).transpose();
        let epoch = epoch.map_err(|_| Status::invalid_argument("invalid SOURCE_DATE_EPOCH: it is no number"))?;
        Ok(Request {
            dockerfile,
            name: self.file().to_owned(),
            target: self.word("target").unwrap_or_default().to_owned(),
            labels: all("label:").collect(),
            platform: self.platform()?,
            reuse: self.reuse(),
            pull: matches!(self.word("image-resolve-mode"), Some("pull" | "forcepull")),
            contexts,
            epoch,
            sandbox: self.sandbox()?,
            arguments,
            ..Request::default()
        })
    }

    /// The platform, if it is one.
    pub(super) fn platform(&self) -> Result<Option<Platform>, Status> {
        let mut all = self.platforms()?;
        Ok(if all.len() == 1 { all.pop() } else { None })
    }

    /// The platforms to build for.
    pub(super) fn platforms(&self) -> Result<Vec<Platform>, Status> {
        let named = self.word("platform").into_iter().flat_map(|text| text.split(','));
        let parsed = named.map(Platform::parse).collect::<Result<_, _>>();
        parsed.map_err(|error| Status::invalid_argument(error.to_string()))
    }

    fn reuse(&self) -> Reuse {
        match self.0.get("no-cache").map(String::as_str) {
            None => Reuse::All,
            Some("") => Reuse::Nothing,
            Some(stages) => Reuse::Except(stages.split(',').map(str::to_owned).collect()),
        }
    }

    fn sandbox(&self) -> Result<Sandbox, Status> {
        let hosts = self.word("add-hosts").into_iter().flat_map(|hosts| hosts.split(','));
        let shm_size = self.word("shm-size").map_or(Ok(0), str::parse);
        let ulimits: Vec<Ulimit> = self
            .word("ulimit")
            .into_iter()
            .flat_map(|limits| limits.split(','))
            .map(ulimit)
            .collect::<Result<_, _>>()?;
        Ok(Sandbox {
            network: self.word("force-network-mode").unwrap_or_default().to_owned(),
            host_network: false,
            hosts: hosts.map(|host| host.replacen('=', ":", 1)).collect(),
            shm_size: shm_size.map_err(|_| Status::invalid_argument("invalid shm-size: it is no number"))?,
            resources: Resources {
                ulimits: Some(ulimits).filter(|limits| !limits.is_empty()),
                cgroup_parent: self.word("cgroup-parent").unwrap_or_default().to_owned(),
                ..Resources::default()
            },
        })
    }
}

fn ulimit(text: &str) -> Result<Ulimit, Status> {
    let wrong = || Status::invalid_argument(format!("invalid ulimit {text}: want name=soft[:hard]"));
    let (name, limits) = text.split_once('=').ok_or_else(wrong)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |side: &str| side.parse().map_err(|_| wrong());
    Ok(Ulimit { name: name.to_owned(), soft: number(soft)?, hard: number(hard)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(words: &[(&str, &str)]) -> HashMap<String, String> {
        words.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn words_become_a_request() {
        let words = order(&[
            ("filename", "a/Dockerfile.x"),
            ("target", "final"),
            ("build-arg:MODE", "fast"),
            ("build-arg:SOURCE_DATE_EPOCH", "17"),
            ("label:a.b", "c"),
            ("platform", "linux/arm64"),
            ("no-cache", "one,two"),
            ("image-resolve-mode", "pull"),
            ("add-hosts", "one=10.0.0.1,two=::1"),
            ("shm-size", "1024"),
            ("ulimit", "nofile=1:2,core=0"),
            ("force-network-mode", "none"),
            ("context:lib::linux/amd64", "local:lib"),
        ]);
        let order = Order(&words);
        let request = order.request(b"FROM scratch".to_vec(), BTreeMap::new()).unwrap();
        assert_eq!((request.name.as_str(), request.target.as_str()), ("a/Dockerfile.x", "final"));
        assert_eq!(request.arguments["MODE"], "fast");
        assert_eq!((request.epoch, request.pull), (Some(17), true));
        assert_eq!(request.reuse, Reuse::Except(vec!["one".to_owned(), "two".to_owned()]));
        assert_eq!(request.sandbox.hosts, ["one:10.0.0.1", "two:::1"]);
        assert_eq!((request.sandbox.network.as_str(), request.sandbox.shm_size), ("none", 1024));
        let limits = request.sandbox.resources.ulimits.unwrap();
        let limits: Vec<_> = limits.iter().map(|limit| (limit.name.as_str(), limit.soft, limit.hard)).collect();
        assert_eq!(limits, [("nofile", 1, 2), ("core", 0, 0)]);
        assert_eq!(order.contexts(), BTreeMap::from([("lib".to_owned(), "local:lib")]));
    }

    #[test]
    fn an_empty_no_cache_means_all_stages() {
        let words = order(&[("no-cache", "")]);
        assert_eq!(Order(&words).request(Vec::new(), BTreeMap::new()).unwrap().reuse, Reuse::Nothing);
    }

    #[test]
    fn caches_are_named() {
        let names = |name, value| {
            let words = order(&[(name, value)]);
            let (known, unknown) = Order(&words).caches();
            (known.iter().map(ToString::to_string).collect::<Vec<_>>(), unknown)
        };
        let listed =
            r#"[{"Type":"registry","Attrs":{"ref":"a/b:c"}},{"Type":"local","Attrs":{"src":"/d"}},{"Type":"gha"}]"#;
        let expected = (vec!["a/b:c".to_owned(), "/d".to_owned()], vec!["gha".to_owned()]);
        assert_eq!(names("cache-imports", listed), expected);
        assert_eq!(names("cache-from", "x,y").0, ["x", "y"]);
        assert_eq!(names("cache-imports", "rubbish"), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_is_not_done_is_refused() {
        let attested = |name, value| Order(&order(&[(name, value)])).attestations();
        assert!(attested("attest:sbom", "").unwrap().packages);
        assert!(attested("attest:sbom", "generator=a/b").is_err());
        assert!(attested("attest:provenance", "mode=max").unwrap().provenance.unwrap().max);
        // Those that buildx asks for by itself are not made.
        assert!(attested("attest:provenance", "mode=min,inline-only=true").unwrap().is_empty());
        let words = order(&[("platform", "linux/amd64,linux/arm64")]);
        assert_eq!(Order(&words).platforms().unwrap().len(), 2);
        let request = |name, value| Order(&order(&[(name, value)])).request(Vec::new(), BTreeMap::new()).map(drop);
        assert!(request("shm-size", "much").is_err());
        assert!(request("ulimit", "nofile").is_err());
        assert!(request("platform", "no/such/plat/form").is_err());
    }
}
