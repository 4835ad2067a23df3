//! Who is called what on a network: a directory per network, a file per container, written by the container's own
//! supervisor and read by those of its neighbours. No daemon is needed, and nobody tells anybody: a name that is asked
//! for is looked up in what is there.
//!
//! A file's name is the container's id and a number that is never used again, so a file once read need not be read
//! again; the directory's time tells whether there is anything new.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A directory that changed so short ago may change again within the same tick of the file system's clock.
const TICK: Duration = Duration::from_millis(50);
/// No file is longer.
const LIMIT: u64 = 256 * 1024;

/// What one container is called on one network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its IPv4 address.
    pub v4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// All its names, its own first.
    pub names: Vec<String>,
}

impl Entry {
    fn write(&self) -> String {
        let addresses = [self.v4.map(|v4| v4.to_string()), self.v6.map(|v6| v6.to_string())];
        let addresses: Vec<String> = addresses.into_iter().flatten().collect();
        format!("{}\n{}\n", addresses.join(" "), self.names.join("\n"))
    }

    fn read(text: &str) -> Self {
        let mut lines = text.lines();
        let mut entry = Self::default();
        for address in lines.next().unwrap_or_default().split_whitespace() {
            match address.parse() {
                Ok(IpAddr::V4(v4)) => entry.v4 = Some(v4),
                Ok(IpAddr::V6(v6)) => entry.v6 = Some(v6),
                Err(_) => {}
            }
        }
        entry.names = lines.filter(|line| !line.is_empty()).map(str::to_ascii_lowercase).collect();
        entry
    }
}

/// Makes a container's names known on the network of this directory, instead of those it had.
pub fn publish(dir: &Path, container: &str, entry: &Entry) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let old = files_of(dir, container);
    let stamp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let draft = dir.join(format!(".{container}"));
    std::fs::write(&draft, entry.write())?;
    std::fs::rename(&draft, dir.join(format!("{container}.{stamp}")))?;
    old.into_iter().try_for_each(std::fs::remove_file)
}

/// Takes a container's names back; one that has none is fine.
pub fn withdraw(dir: &Path, container: &str) -> io::Result<()> {
    files_of(dir, container).into_iter().try_for_each(std::fs::remove_file)
}

fn files_of(dir: &Path, container: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let is_its = |name: &str| name.split('.').next() == Some(container);
    entries.filter(|entry| entry.file_name().to_str().is_some_and(is_its)).map(|entry| entry.path()).collect()
}

/// One network's directory, as it was last read.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    read: Option<SystemTime>,
    /// By file name.
    entries: BTreeMap<String, Entry>,
    by_name: HashMap<String, Vec<String>>,
    by_address: HashMap<IpAddr, String>,
}

impl Directory {
    pub(super) fn new(path: PathBuf) -> Self {
        let (entries, by_name, by_address) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        Self { path, read: None, entries, by_name, by_address }
    }

    /// Whoever answers to a name.
    pub(super) fn find(&mut self, name: &str) -> Vec<&Entry> {
        self.refresh();
        self.by_name.get(name).into_iter().flatten().filter_map(|file| self.entries.get(file)).collect()
    }

    /// The name of whoever has an address.
    pub(super) fn name_of(&mut self, address: IpAddr) -> Option<String> {
        self.refresh();
        self.entries.get(self.by_address.get(&address)?)?.names.first().cloned()
    }

    fn refresh(&mut self) {
        // A network without any names has no directory.
        let changed = std::fs::metadata(&self.path).and_then(|metadata| metadata.modified()).ok();
        if changed.is_some() && changed == self.read {
            return;
        }
        let settled = changed.is_some_and(|time| time.elapsed().is_ok_and(|age| age > TICK));
        self.reread();
        self.read = changed.filter(|_| settled);
    }

    fn reread(&mut self) {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten().flatten();
        let names =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| !name.starts_with('.'));
        let mut found = BTreeMap::new();
        for name in names {
            let known = self.entries.remove(&name).or_else(|| {
                let bytes = hako_sys::file::read_limited(&self.path.join(&name), LIMIT).ok()?;
                Some(Entry::read(&String::from_utf8_lossy(&bytes)))
            });
            // One that is gone meanwhile was replaced: the next question finds the new one.
            found.extend(known.map(|entry| (name, entry)));
        }
        drop_replaced(&mut found);
        self.entries = found;
        self.index();
    }

    fn index(&mut self) {
        self.by_name.clear();
        self.by_address.clear();
        for (file, entry) in &self.entries {
            for name in &entry.names {
                let files = self.by_name.entry(name.clone()).or_default();
                if files.last() != Some(file) {
                    files.push(file.clone());
                }
            }
            let addresses = entry.v4.map(IpAddr::V4).into_iter().chain(entry.v6.map(IpAddr::V6));
            self.by_address.extend(addresses.map(|address| (address, file.clone())));
        }
    }
}

/// Of two files of one container, met while it is being replaced, the later counts.
fn drop_replaced(found: &mut BTreeMap<String, Entry>) {
    let container = |file: &str| file.split('.').next().unwrap_or_default().to_owned();
    let files: Vec<String> = found.keys().cloned().collect();
    for pair in files.windows(2).filter(|pair| container(&pair[0]) == container(&pair[1])) {
        found.remove(&pair[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_and_go() {
        let root = std::env::temp_dir().join(format!("hako-names-{}", std::process::id()));
        let dir = root.join("net");
        let mut directory = Directory::new(dir.clone());
        assert!(directory.find("web").is_empty());
        let entry = |last: u8, names: &[&str]| Entry {
            v4: Some(Ipv4Addr::new(10, 0, 0, last)),
            v6: None,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        publish(&dir, "aa", &entry(1, &["web", "Shop"])).unwrap();
        publish(&dir, "bb", &entry(2, &["db", "shop"])).unwrap();
        assert_eq!(directory.find("web")[0].v4, Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(directory.find("shop").len(), 2);
        assert_eq!(directory.name_of(IpAddr::from([10, 0, 0, 2])), Some("db".to_owned()));
        publish(&dir, "aa", &entry(3, &["web"])).unwrap();
        assert_eq!(directory.find("web")[0].v4, Some(Ipv4Addr::new(10, 0, 0, 3)));
        assert_eq!(directory.find("shop").len(), 1);
        withdraw(&dir, "aa").unwrap();
        withdraw(&dir, "aa").unwrap();
        assert!(directory.find("web").is_empty());
        std::fs::remove_dir_all(&root).unwrap();
    }
}
