//! Hearing of what is written to logs: one inotify(7) instance for any number of them, as a user may have 128 at most.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use super::config::LogConfig;
use crate::{Error, Result};

/// Which log something was heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place(i32);

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// This log may have grown.
    More(Place),
    /// The log's directory is gone, and nothing more will be heard of it.
    Gone(Place),
    /// Any log may have grown: more happened than the kernel keeps.
    Anything,
}

/// Watches logs. Its descriptor is readable when there is something to hear.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// Watches none yet.
    ///
    /// # Errors
    /// When the user has as many instances as the kernel allows (`fs.inotify.max_user_instances`).
    pub fn new() -> Result<Self> {
        let instance = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        instance.map(Self).map_err(hako_sys::Error::os("make", "inotify instance")).map_err(Error::from)
    }

    /// Watches a log too. Asked twice for the same one it gives the same place, and the kernel watches once.
    ///
    /// # Errors
    /// When its directory does not exist.
    pub fn add(&self, config: &LogConfig) -> Result<Place> {
        // The directory, not the file: files are turned over.
        let directory = config.path.parent().unwrap_or(&config.path);
        let flags = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        let added = inotify::add_watch(&self.0, directory, flags).map_err(std::io::Error::from);
        added.map(Place).map_err(Error::file("watch", &config.path))
    }

    /// Watches a log no longer.
    pub fn remove(&self, place: Place) {
        // Its directory may have gone, and the kernel's watch with it.
        let _ = inotify::remove_watch(&self.0, place.0);
    }

    /// Takes everything there is to hear.
    pub fn hear(&self, mut tell: impl FnMut(Heard)) {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut space);
        // Ends with "try again": there is no more.
        while let Ok(event) = reader.next() {
            let (place, flags) = (Place(event.wd()), event.events());
            tell(if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                Heard::Anything
            } else if flags.contains(ReadFlags::IGNORED) {
                Heard::Gone(place)
            } else {
                Heard::More(place)
            });
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(watch: &Watch) -> Vec<Heard> {
        let mut all = Vec::new();
        watch.hear(|heard| all.push(heard));
        all.dedup();
        all
    }

    #[test]
    fn each_log_is_heard_of_by_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let watch = Watch::new().unwrap();
        let config = |name: &str| {
            std::fs::create_dir_all(directory.path().join(name)).unwrap();
            LogConfig::json_file(directory.path().join(name).join("log"))
        };
        let (one, other) = (config("one"), config("other"));
        let (a, b) = (watch.add(&one).unwrap(), watch.add(&other).unwrap());
        assert!(a != b && watch.add(&one).unwrap() == a && heard(&watch).is_empty());
        std::fs::write(&one.path, "x").unwrap();
        assert_eq!(heard(&watch), [Heard::More(a)]);
        std::fs::write(&other.path, "x").unwrap();
        assert_eq!(heard(&watch), [Heard::More(b)]);
        watch.remove(a);
        std::fs::write(&one.path, "y").unwrap();
        assert_eq!(heard(&watch), [Heard::Gone(a)]);
        std::fs::remove_dir_all(directory.path().join("other")).unwrap();
        assert!(heard(&watch).contains(&Heard::Gone(b)));
        assert!(watch.add(&other).is_err());
    }
}
