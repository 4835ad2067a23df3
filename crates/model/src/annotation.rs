//! Annotations of an image that is built, as `--annotation` says them and as BuildKit's clients send them: what stands in its
//! manifest, in its index, and in the descriptors that lead to these.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::platform::Platform;

/// How attributes that BuildKit's clients send begin.
const ATTRIBUTE: &str = "annotation";

/// What an annotation stands in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The manifest of each image.
    #[default]
    Manifest,
    /// The descriptor that leads to the manifest.
    ManifestDescriptor,
    /// The index of all images.
    Index,
    /// The descriptor that leads to the index.
    IndexDescriptor,
}

impl Place {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "manifest" => Self::Manifest,
            "manifest-descriptor" => Self::ManifestDescriptor,
            "index" => Self::Index,
            "index-descriptor" => Self::IndexDescriptor,
            _ => return None,
        })
    }

    /// Whether it exists only where there is an index.
    fn is_of_index(self) -> bool {
        matches!(self, Self::Index | Self::IndexDescriptor)
    }
}

/// One annotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// What it stands in.
    pub place: Place,
    /// The platform whose image it is about; none for every image.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// Its name.
    pub key: String,
    /// What it says.
    pub value: String,
}

/// All annotations that are wanted. Of two with one name in one place the later counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Annotations(Vec<Annotation>);

impl Annotations {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes in what `--annotation` says: `[PLACE[[PLATFORM]],…:]KEY=VALUE`.
    pub fn take(&mut self, text: &str) -> Result<(), String> {
        let wrong = || format!("invalid annotation {text:?}, expected key=value");
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        let Some((places, key)) = name.split_once(':') else {
            self.add(Place::default(), None, name, value);
            return Ok(());
        };
        for word in places.split(',') {
            let (place, platform) = placed(word)?;
            self.add(place, platform, key, value);
        }
        Ok(())
    }

    /// Takes in an attribute of an output, if it is an annotation: `annotation[-PLACE][[PLATFORM]].KEY`.
    pub fn take_attribute(&mut self, name: &str, value: &str) -> Result<bool, String> {
        let Some(rest) = name.strip_prefix(ATTRIBUTE) else { return Ok(false) };
        let (head, key) = match rest.find(']') {
            // A platform may have a dot in it.
            Some(end) if rest.find('[').is_some_and(|begin| begin < rest.find('.').unwrap_or(end)) => {
                (&rest[..=end], rest[end + 1..].strip_prefix('.'))
            }
            _ => rest.split_once('.').map_or((rest, None), |(head, key)| (head, Some(key))),
        };
        let Some(key) = key else { return Ok(false) };
        let word = match head.strip_prefix('-') {
            Some(word) => word.to_owned(),
            None if head.is_empty() || head.starts_with('[') => format!("manifest{head}"),
            None => return Ok(false),
        };
        let (place, platform) = placed(&word)?;
        self.add(place, platform, key, value);
        Ok(true)
    }

    fn add(&mut self, place: Place, platform: Option<Platform>, key: &str, value: &str) {
        self.0.push(Annotation { place, platform, key: key.to_owned(), value: value.to_owned() });
    }

    /// What stands in the manifest of the image for a platform, or in the descriptor that leads to it: what is said of this
    /// platform wins over what is said of all.
    #[must_use]
    pub fn of_manifest(&self, place: Place, platform: &Platform) -> BTreeMap<String, String> {
        let own = platform.normalised();
        let here = || self.0.iter().filter(|it| it.place == place);
        let of_all = here().filter(|it| it.platform.is_none());
        let of_own = here().filter(|it| it.platform.as_ref() == Some(&own));
        of_all.chain(of_own).map(|it| (it.key.clone(), it.value.clone())).collect()
    }

    /// What stands in the index, or in the descriptor that leads to it. An index is for all platforms.
    #[must_use]
    pub fn of_index(&self, place: Place) -> BTreeMap<String, String> {
        let here = self.0.iter().filter(|it| it.place == place);
        here.map(|it| (it.key.clone(), it.value.clone())).collect()
    }

    /// Whether all of them have a place in the index of images for these platforms, in BuildKit's words if not.
    pub fn check_index(&self, platforms: &[Platform]) -> Result<(), String> {
        let known: Vec<Platform> = platforms.iter().map(Platform::normalised).collect();
        let named = self.0.iter().filter(|it| !it.place.is_of_index()).filter_map(|it| it.platform.as_ref());
        match named.into_iter().find(|platform| !known.contains(platform)) {
            Some(platform) => Err(format!("invalid annotation: no platform {platform} found in source")),
            None => Ok(()),
        }
    }

    /// Whether all of them have a place where there is no index.
    pub fn check_alone(&self) -> Result<(), String> {
        match self.0.iter().any(|it| it.place.is_of_index()) {
            true => Err("index annotations not supported for single platform export".to_owned()),
            false => Ok(()),
        }
    }
}

/// A place, and the platform that may follow it in brackets.
fn placed(text: &str) -> Result<(Place, Option<Platform>), String> {
    let wrong = || format!("invalid annotation type {text:?}, expected type and optional platform in square brackets");
    let (word, platform) = match text.split_once('[') {
        Some((word, rest)) => (word, Some(rest.strip_suffix(']').ok_or_else(wrong)?)),
        None => (text, None),
    };
    let letters = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if !letters(word) {
        return Err(wrong());
    }
    let place = Place::parse(word).ok_or_else(|| format!("unknown annotation type {word:?}"))?;
    let platform = platform.map(Platform::parse).transpose();
    let platform = platform.map_err(|error| format!("annotation {text:?}: {error}"))?;
    Ok((place, platform.map(|platform| platform.normalised())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(texts: &[&str]) -> Annotations {
        let mut all = Annotations::default();
        texts.iter().for_each(|text| all.take(text).unwrap());
        all
    }

    fn said(map: &BTreeMap<String, String>) -> String {
        map.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn flags_say_where_they_stand() {
        let all = taken(&[
            "a=b=c",
            "index,manifest:both=1",
            "manifest[linux/arm64]:only=arm",
            "manifest[linux/arm64]:a=arm",
            "a=d",
            "manifest-descriptor[linux/arm64/v8]:m=n",
            "index-descriptor:k=l",
            "x:y=not a place".strip_prefix("x:").unwrap(),
        ]);
        let (amd, arm) = (Platform::parse("linux/amd64").unwrap(), Platform::parse("linux/arm64").unwrap());
        assert_eq!(said(&all.of_manifest(Place::Manifest, &amd)), "a=d both=1 y=not a place");
        assert_eq!(said(&all.of_manifest(Place::Manifest, &arm)), "a=arm both=1 only=arm y=not a place");
        assert_eq!(said(&all.of_manifest(Place::ManifestDescriptor, &arm)), "m=n");
        assert_eq!(said(&all.of_index(Place::Index)), "both=1");
        assert_eq!(said(&all.of_index(Place::IndexDescriptor)), "k=l");
        assert!(all.check_index(&[amd.clone(), arm]).is_ok() && all.check_index(&[amd]).is_err());
        assert!(all.check_alone().is_err() && taken(&["a=b", "manifest-descriptor:c="]).check_alone().is_ok());
    }

    #[test]
    fn bad_flags_are_refused_in_buildx_words() {
        let refused = |text: &str| Annotations::default().take(text).unwrap_err();
        assert_eq!(refused("novalue"), "invalid annotation \"novalue\", expected key=value");
        assert_eq!(refused("foo:a=b"), "unknown annotation type \"foo\"");
        for text in [":a=b", "a.b:c=d", "Manifest:a=b", "manifest[bad/:a=b", "manifest]:a=b", "[linux/amd64]:a=b"] {
            assert!(refused(text).starts_with("invalid annotation type "), "{text}: {}", refused(text));
        }
        assert!(refused("manifest[x/y/z/w]:a=b").contains("x/y/z/w"));
    }

    #[test]
    fn attributes_say_the_same() {
        let mut all = Annotations::default();
        for (name, taken) in [
            ("annotation.org.a.b", true),
            ("annotation[linux/amd64].c.d", true),
            ("annotation-manifest[linux/amd64].e", true),
            ("annotation-index.f[0]", true),
            ("annotation-manifest-descriptor.g", true),
            ("annotation-index-descriptor.h", true),
            ("annotations", false),
            ("annotationx.y", false),
            ("name", false),
        ] {
            assert_eq!(all.take_attribute(name, "1"), Ok(taken), "{name}");
        }
        assert!(all.take_attribute("annotation-layer.x", "1").is_err());
        let amd = Platform::parse("linux/amd64").unwrap();
        assert_eq!(said(&all.of_manifest(Place::Manifest, &amd)), "c.d=1 e=1 org.a.b=1");
        assert_eq!(said(&all.of_index(Place::Index)), "f[0]=1");
        let back: Annotations = serde_json::from_str(&serde_json::to_string(&all).unwrap()).unwrap();
        assert_eq!(back, all);
    }
}
