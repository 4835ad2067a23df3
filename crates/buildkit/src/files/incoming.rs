//! Making a directory hold what a client has. Files that are there already, of the same size, time and mode, are not asked
//! for again. Whatever the client says, nothing outside of the directory is touched.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};
use std::time::{Duration, SystemTime};

use hako_sys::confined::Root;
use rustix::fs::{FileType, Stat as Found, Timespec, Timestamps};

use super::{INCOMING, Line, mode};
use crate::wire::client::{Packet, PacketKind, Stat};
use crate::{Error, Result};

/// The most entries of one transfer.
const ENTRIES: usize = 2_000_000;

/// The deepest nesting of folders.
const DEPTH: usize = 512;

/// How many files are under way at once.
const OPEN: usize = 64;

/// What a transfer moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// How many entries the client has.
    pub entries: usize,
    /// How many files it sent.
    pub files: usize,
    /// How many bytes they have.
    pub bytes: u64,
}

/// Makes a directory hold what the client at the other end has. `tell` hears how many bytes came so far.
///
/// # Errors
/// The client is gone, refuses, or says what nobody should; the kernel refuses.
pub fn receive(root: &Root, line: &mut dyn Line, tell: &mut dyn FnMut(u64)) -> Result<Received> {
    let listed = list(line)?;
    let wanted = Wanted::check(&listed)?;
    let mut found = HashMap::new();
    look(root, "", 0, &mut found)?;
    wanted.clear_away(root, &mut found)?;
    let needed = wanted.lay_out(root, &found)?;
    let mut received = Received { entries: listed.len(), files: needed.len(), bytes: 0 };
    let mut transfer = Transfer { root, open: HashMap::new(), bytes: 0 };
    transfer.fetch(line, &wanted, &needed, tell)?;
    received.bytes = transfer.bytes;
    wanted.finish(root)?;
    Ok(received)
}

fn list(line: &mut dyn Line) -> Result<Vec<Stat>> {
    let mut listed = Vec::new();
    loop {
        let packet = line.hear()?.ok_or(Error::Gone)?;
        match (packet.kind(), packet.stat) {
            (PacketKind::Stat, Some(_)) if listed.len() >= ENTRIES => {
                return Err(Error::broken(INCOMING, format!("it has more than {ENTRIES} files")));
            }
            (PacketKind::Stat, Some(stat)) => listed.push(stat),
            (PacketKind::Stat, None) => return Ok(listed),
            (PacketKind::Err, _) => return Err(refusal(&packet.data)),
            (kind, _) => return Err(Error::broken(INCOMING, format!("a {kind:?} packet came before all names"))),
        }
    }
}

fn refusal(text: &[u8]) -> Error {
    Error::broken(INCOMING, String::from_utf8_lossy(text).into_owned())
}

/// Everything below a directory, links not followed.
fn look(root: &Root, path: &str, depth: usize, found: &mut HashMap<String, Found>) -> Result<()> {
    if depth > DEPTH {
        return Err(Error::broken(INCOMING, format!("{path}: folders are nested more than {DEPTH} deep")));
    }
    let folder = root.open_dir(Path::new(if path.is_empty() { "." } else { path }))?;
    for entry in folder.read_dir(Path::new("."))? {
        let name = entry.name.to_string_lossy();
        let child = if path.is_empty() { name.into_owned() } else { format!("{path}/{name}") };
        let stat = folder.symlink_metadata(Path::new(&entry.name))?;
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        found.insert(child.clone(), stat);
        if is_folder {
            look(root, &child, depth + 1, found)?;
        }
    }
    Ok(())
}

/// What the client has, checked: parents come before children, and are folders.
struct Wanted<'a> {
    listed: &'a [Stat],
    by_path: HashMap<&'a str, usize>,
}

impl<'a> Wanted<'a> {
    fn check(listed: &'a [Stat]) -> Result<Self> {
        let mut by_path = HashMap::with_capacity(listed.len());
        let mut folders: HashSet<&str> = HashSet::from([""]);
        for (number, stat) in listed.iter().enumerate() {
            let path = stat.path.as_str();
            let strange = |why: &str| Err(Error::broken(INCOMING, format!("{path:?}: {why}")));
            let normal = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
            if !normal || path.is_empty() || path.contains("//") || path.ends_with('/') || path.contains('\0') {
                return strange("this is no path inside of a context");
            }
            if path.matches('/').count() > DEPTH {
                return strange("it is nested too deep");
            }
            if !folders.contains(path.rsplit_once('/').map_or("", |(parent, _)| parent)) {
                return strange("it lies in something that is no folder");
            }
            match mode::kind(stat.mode) {
                FileType::Directory => _ = folders.insert(path),
                FileType::Unknown => return strange("it is of no known type"),
                _ => {}
            }
            if by_path.insert(path, number).is_some() {
                return strange("it is listed twice");
            }
        }
        Ok(Self { listed, by_path })
    }

    /// Removes what the client does not have, or has as something else.
    fn clear_away(&self, root: &Root, found: &mut HashMap<String, Found>) -> Result<()> {
        let is_wanted = |path: &str, stat: &Found| {
            let wanted = self.by_path.get(path).map(|number| &self.listed[*number]);
            wanted.is_some_and(|wanted| mode::kind(wanted.mode) == FileType::from_raw_mode(stat.st_mode))
        };
        let mut gone: Vec<String> =
            found.iter().filter(|(path, stat)| !is_wanted(path, stat)).map(|(path, _)| path.clone()).collect();
        gone.sort_unstable();
        for path in gone {
            found.remove(&path);
            root.remove_all(Path::new(&path))?;
        }
        Ok(())
    }

    /// Makes folders, links and nodes; gives the numbers of files whose bytes are needed.
    fn lay_out(&self, root: &Root, found: &HashMap<String, Found>) -> Result<Vec<usize>> {
        let mut needed = Vec::new();
        for (number, stat) in self.listed.iter().enumerate() {
            let (path, there) = (Path::new(&stat.path), found.get(&stat.path));
            match mode::kind(stat.mode) {
                FileType::Directory if there.is_none() => root.mkdir(path, 0o755)?,
                FileType::RegularFile if !stat.linkname.is_empty() => {}
                FileType::RegularFile if there.is_none_or(|there| !is_same(stat, there)) => {
                    root.remove_all(path)?;
                    needed.push(number);
                }
                FileType::Symlink if !is_same_link(root, stat, there.is_some()) => {
                    root.remove_all(path)?;
                    root.symlink(OsStr::new(&stat.linkname), path)?;
                    root.set_times(path, &times(stat))?;
                }
                FileType::Fifo if there.is_none() => root.mknod(path, FileType::Fifo, 0o600, (0, 0))?,
                FileType::BlockDevice | FileType::CharacterDevice => {
                    return Err(Error::broken(INCOMING, format!("{}: devices are not taken from clients", stat.path)));
                }
                // Nobody can listen on a socket that was copied.
                _ => {}
            }
        }
        Ok(needed)
    }

    /// Makes further names of files, and gives folders their modes and times, innermost first.
    fn finish(&self, root: &Root) -> Result<()> {
        for stat in self.listed.iter().filter(|stat| is_further_name(stat)) {
            let first = self.by_path.get(stat.linkname.as_str()).map(|number| &self.listed[*number]);
            let first =
                first.filter(|first| mode::kind(first.mode) == FileType::RegularFile && !is_further_name(first));
            let Some(first) = first else {
                return Err(Error::broken(INCOMING, format!("{}: is another name of nothing", stat.path)));
            };
            let (from, to) = (Path::new(&first.path), Path::new(&stat.path));
            let same = root.symlink_metadata(to).is_ok_and(|there| {
                root.symlink_metadata(from)
                    .is_ok_and(|first| (first.st_dev, first.st_ino) == (there.st_dev, there.st_ino))
            });
            if !same {
                root.remove_all(to)?;
                root.hard_link(from, to)?;
            }
        }
        for stat in self.listed.iter().rev().filter(|stat| mode::kind(stat.mode) == FileType::Directory) {
            let path = Path::new(&stat.path);
            let there = root.symlink_metadata(path)?;
            if there.st_mode & 0o7777 != mode::permissions(stat.mode) {
                root.chmod(path, mode::permissions(stat.mode))?;
            }
            if moment(&there) != stat.mod_time {
                root.set_times(path, &times(stat))?;
            }
        }
        Ok(())
    }
}

fn is_further_name(stat: &Stat) -> bool {
    mode::kind(stat.mode) == FileType::RegularFile && !stat.linkname.is_empty()
}

fn is_same(stat: &Stat, there: &Found) -> bool {
    there.st_size == stat.size
        && moment(there) == stat.mod_time
        && there.st_mode & 0o7777 == mode::permissions(stat.mode)
        && there.st_nlink == 1
}

fn is_same_link(root: &Root, stat: &Stat, there: bool) -> bool {
    there && root.read_link(Path::new(&stat.path)).is_ok_and(|text| text == OsStr::new(&stat.linkname))
}

/// When a file was changed, in nanoseconds since the epoch.
fn moment(there: &Found) -> i64 {
    let nanos = i64::try_from(there.st_mtime_nsec).unwrap_or(0);
    there.st_mtime.saturating_mul(1_000_000_000).saturating_add(nanos)
}

fn times(stat: &Stat) -> Timestamps {
    let time =
        Timespec { tv_sec: stat.mod_time.div_euclid(1_000_000_000), tv_nsec: stat.mod_time.rem_euclid(1_000_000_000) };
    Timestamps { last_access: time, last_modification: time }
}

/// Files under way.
struct Transfer<'a> {
    root: &'a Root,
    open: HashMap<usize, File>,
    bytes: u64,
}

impl Transfer<'_> {
    fn fetch(
        &mut self,
        line: &mut dyn Line,
        wanted: &Wanted<'_>,
        needed: &[usize],
        tell: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let mut waiting = needed.iter().copied();
        for number in waiting.by_ref().take(OPEN) {
            self.ask(line, wanted, number)?;
        }
        while !self.open.is_empty() {
            let packet = line.hear()?.ok_or(Error::Gone)?;
            match packet.kind() {
                PacketKind::Data => {
                    if !self.take(&packet, wanted)? {
                        tell(self.bytes);
                        continue;
                    }
                    if let Some(next) = waiting.next() {
                        self.ask(line, wanted, next)?;
                    }
                }
                PacketKind::Err => return Err(refusal(&packet.data)),
                kind => return Err(Error::broken(INCOMING, format!("a {kind:?} packet came among the files"))),
            }
        }
        line.say(Packet { kind: PacketKind::Fin.into(), ..Packet::default() })?;
        loop {
            match line.hear()? {
                None => return Ok(()),
                Some(packet) if packet.kind() == PacketKind::Fin => return Ok(()),
                Some(packet) if packet.kind() == PacketKind::Err => return Err(refusal(&packet.data)),
                Some(_) => {}
            }
        }
    }

    fn ask(&mut self, line: &mut dyn Line, wanted: &Wanted<'_>, number: usize) -> Result<()> {
        let file = self.root.create(Path::new(&wanted.listed[number].path), 0o600)?;
        self.open.insert(number, file);
        let id = u32::try_from(number).map_err(|_| Error::broken(INCOMING, "too many files"))?;
        line.say(Packet { kind: PacketKind::Req.into(), id, ..Packet::default() })
    }

    /// Takes bytes of a file; says whether it is whole now.
    fn take(&mut self, packet: &Packet, wanted: &Wanted<'_>) -> Result<bool> {
        let number = packet.id as usize;
        let Some(file) = self.open.get_mut(&number) else {
            return Err(Error::broken(INCOMING, format!("bytes came for file {number}, which nobody asked for")));
        };
        let stat = &wanted.listed[number];
        let failed = |cause| Error::io(format!("write {}", stat.path), cause);
        if !packet.data.is_empty() {
            self.bytes += packet.data.len() as u64;
            file.write_all(&packet.data).map_err(failed)?;
            return Ok(false);
        }
        file.set_permissions(PermissionsExt::from_mode(mode::permissions(stat.mode))).map_err(failed)?;
        file.set_modified(modified(stat.mod_time)).map_err(failed)?;
        self.open.remove(&number);
        Ok(true)
    }
}

fn modified(nanos: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanos.unsigned_abs());
    if nanos < 0 { SystemTime::UNIX_EPOCH - distance } else { SystemTime::UNIX_EPOCH + distance }
}
