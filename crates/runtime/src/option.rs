//! Mount options, in the words of mount(8), sorted by what they mean to the kernel.

use hako_sys::mount::{Attributes, Propagation};

/// Options of one mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MountOptions {
    /// A bind mount, and whether with what is mounted below.
    pub(crate) bind: Option<Recursion>,
    /// Whether any word concerns attributes of the one mount.
    pub(crate) named: bool,
    /// Attributes of the one mount.
    pub(crate) set: Attributes,
    /// Attributes taken from it.
    pub(crate) clear: Attributes,
    /// Attributes of the mount and those below.
    pub(crate) set_below: Attributes,
    /// Attributes taken from them.
    pub(crate) clear_below: Attributes,
    /// Whether ids are mapped, as the mount's mappings say or as the container's user namespace does.
    pub(crate) mapped: Option<Recursion>,
    /// Changes of propagation, in order.
    pub(crate) propagation: Vec<(Propagation, Recursion)>,
    /// What the file system itself understands.
    pub(crate) data: Vec<(String, Option<String>)>,
}

/// Whether mounts below are meant, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recursion {
    /// Only the one.
    Single,
    /// All.
    Below,
}

impl Recursion {
    pub(crate) fn is_below(self) -> bool {
        self == Self::Below
    }
}

impl MountOptions {
    /// Sorts options; what is not a word of mount(8) is left to the file system.
    pub(crate) fn parse<S: AsRef<str>>(options: &[S]) -> Self {
        let mut parsed = Self::default();
        for option in options {
            let option = option.as_ref();
            if !(option.is_empty() || parsed.structure(option) || parsed.attribute(option)) {
                let (key, value) = option.split_once('=').map_or((option, None), |(key, value)| (key, Some(value)));
                parsed.data.push((key.to_owned(), value.map(str::to_owned)));
            }
        }
        parsed
    }

    fn structure(&mut self, option: &str) -> bool {
        let propagation = match option.strip_prefix('r').unwrap_or(option) {
            "private" => Some(Propagation::Private),
            "slave" => Some(Propagation::Slave),
            "shared" => Some(Propagation::Shared),
            "unbindable" => Some(Propagation::Unbindable),
            _ => None,
        };
        if let Some(propagation) = propagation {
            let below = if option.starts_with('r') { Recursion::Below } else { Recursion::Single };
            self.propagation.push((propagation, below));
            return true;
        }
        match option {
            "bind" => self.bind = Some(Recursion::Single),
            "rbind" => self.bind = Some(Recursion::Below),
            "idmap" => self.mapped = Some(Recursion::Single),
            "ridmap" => self.mapped = Some(Recursion::Below),
            "defaults" => {}
            _ => return false,
        }
        true
    }

    fn attribute(&mut self, option: &str) -> bool {
        if let Some((attribute, on)) = known_attribute(option) {
            self.named = true;
            turn(&mut self.set, &mut self.clear, attribute, on);
            return true;
        }
        if let Some(attribute) = taken_back(option) {
            self.named = true;
            self.set = self.set.without(attribute);
            return true;
        }
        // `rro`, `rnosuid` and so on: the same for the mounts below.
        let below = option.strip_prefix('r').unwrap_or_default();
        let cleared = || taken_back(below).map(|attribute| (attribute, false));
        if let Some((attribute, on)) = known_attribute(below).or_else(cleared) {
            turn(&mut self.set_below, &mut self.clear_below, attribute, on);
            return true;
        }
        false
    }
}

fn turn(set: &mut Attributes, clear: &mut Attributes, attribute: Attributes, on: bool) {
    let (to, from) = if on { (set, clear) } else { (clear, set) };
    if !attribute.is_empty() && attribute.common(Attributes::ATIME_FIELD) == attribute {
        // One value of three: what was said of it before does not count.
        *to = to.without(Attributes::ATIME_FIELD);
        *from = from.without(Attributes::ATIME_FIELD);
    }
    *to = to.with(attribute);
    *from = from.without(attribute);
}

/// The access time words name one field of three values, of which "relative" is the kernel's zero.
fn known_attribute(option: &str) -> Option<(Attributes, bool)> {
    Some(match option {
        "ro" => (Attributes::READ_ONLY, true),
        "rw" => (Attributes::READ_ONLY, false),
        "nosuid" => (Attributes::NO_SUID, true),
        "suid" => (Attributes::NO_SUID, false),
        "nodev" => (Attributes::NO_DEV, true),
        "dev" => (Attributes::NO_DEV, false),
        "noexec" => (Attributes::NO_EXEC, true),
        "exec" => (Attributes::NO_EXEC, false),
        "noatime" => (Attributes::NO_ATIME, true),
        "strictatime" => (Attributes::STRICT_ATIME, true),
        "relatime" => (Attributes::ATIME_FIELD, false),
        "nodiratime" => (Attributes::NO_DIR_ATIME, true),
        "nosymfollow" => (Attributes::NO_SYMLINKS, true),
        "symfollow" => (Attributes::NO_SYMLINKS, false),
        _ => return None,
    })
}

/// Words that only take another word back: a mount keeps its own way of treating access times unless it is given one.
fn taken_back(option: &str) -> Option<Attributes> {
    Some(match option {
        "atime" => Attributes::NO_ATIME,
        "nostrictatime" => Attributes::STRICT_ATIME,
        "norelatime" => Attributes::NONE,
        "diratime" => Attributes::NO_DIR_ATIME,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_by_meaning() {
        let options = MountOptions::parse(&["rbind", "ro", "nosuid", "rslave", "size=64k", "mode=755", "exec"]);
        assert_eq!(options.bind, Some(Recursion::Below));
        assert_eq!(options.set, Attributes::READ_ONLY.with(Attributes::NO_SUID));
        assert_eq!(options.clear, Attributes::NO_EXEC);
        assert_eq!(options.propagation, [(Propagation::Slave, Recursion::Below)]);
        assert_eq!(options.data, [("size".into(), Some("64k".into())), ("mode".into(), Some("755".into()))]);
    }

    #[test]
    fn the_last_word_counts() {
        let options = MountOptions::parse(&["ro", "rw", "noexec", "exec"]);
        assert_eq!(options.set, Attributes::NONE);
        assert_eq!(options.clear, Attributes::READ_ONLY.with(Attributes::NO_EXEC));
    }

    #[test]
    fn words_that_take_back_touch_only_what_they_name() {
        let options = MountOptions::parse(&["noatime", "norelatime", "nodiratime", "diratime", "strictatime", "atime"]);
        assert_eq!((options.set, options.clear, options.named), (Attributes::STRICT_ATIME, Attributes::NONE, true));
        let options = MountOptions::parse(&["rnoatime", "rnorelatime"]);
        assert_eq!((options.set_below, options.named), (Attributes::NO_ATIME, false));
    }

    #[test]
    fn recursive_words_concern_what_is_below() {
        let options = MountOptions::parse(&["rbind", "rro", "relatime"]);
        assert_eq!(options.set_below, Attributes::READ_ONLY);
        assert_eq!(options.set, Attributes::NONE);
        assert_eq!(options.clear, Attributes::ATIME_FIELD);
        assert!(options.data.is_empty());
    }
}
