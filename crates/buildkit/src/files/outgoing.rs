//! Sending a directory to a client, which asks for the bytes of what it does not have.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use hako_sys::confined::Root;
use rustix::fs::{FileType, Stat as Found};

use super::{Line, OUTGOING, mode};
use crate::wire::client::{Packet, PacketKind, Stat};
use crate::{Error, Result};

/// How many bytes are sent at once.
const PIECE: usize = 32 << 10;

/// The deepest nesting of folders.
const DEPTH: usize = 512;

/// Sends everything below a directory; in a folder, if that has a name.
///
/// # Errors
/// The client is gone or refuses; the kernel refuses.
pub fn send(root: &Root, folder: &str, line: &mut dyn Line) -> Result<()> {
    let mut sender = Sender { root, folder, files: Vec::new(), first: HashMap::new() };
    sender.open(line)?;
    sender.list("", 0, line)?;
    line.say(Packet { kind: PacketKind::Stat.into(), ..Packet::default() })?;
    while let Some(packet) = line.hear()? {
        match packet.kind() {
            PacketKind::Req => sender.answer(packet.id, line)?,
            PacketKind::Fin => return line.say(Packet { kind: PacketKind::Fin.into(), ..Packet::default() }),
            PacketKind::Err => return Err(Error::broken(OUTGOING, String::from_utf8_lossy(&packet.data).into_owned())),
            kind => return Err(Error::broken(OUTGOING, format!("it answered with a {kind:?} packet"))),
        }
    }
    Err(Error::Gone)
}

struct Sender<'a> {
    root: &'a Root,
    /// What the client has everything in; empty for nothing.
    folder: &'a str,
    /// The path of every entry that was listed, below the root; the folder's is empty.
    files: Vec<String>,
    /// The first names of files with several.
    first: HashMap<(u64, u64), String>,
}

impl Sender<'_> {
    /// Lists the folder that everything is in.
    fn open(&mut self, line: &mut dyn Line) -> Result<()> {
        if self.folder.is_empty() {
            return Ok(());
        }
        let mode = mode::of(FileType::Directory.as_raw_mode() | 0o755);
        let stat = Stat { path: self.folder.to_owned(), mode, ..Stat::default() };
        self.files.push(String::new());
        line.say(Packet { kind: PacketKind::Stat.into(), stat: Some(stat), ..Packet::default() })
    }

    /// A path as the client has it.
    fn shown(&self, path: &str) -> String {
        if self.folder.is_empty() { path.to_owned() } else { format!("{}/{path}", self.folder) }
    }

    /// Lists a folder, names sorted, what is in a folder right behind it.
    fn list(&mut self, path: &str, depth: usize, line: &mut dyn Line) -> Result<()> {
        if depth > DEPTH {
            return Err(Error::broken(OUTGOING, format!("{path}: folders are nested more than {DEPTH} deep")));
        }
        let folder = self.root.open_dir(Path::new(if path.is_empty() { "." } else { path }))?;
        let mut entries = folder.read_dir(Path::new("."))?;
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        for entry in entries {
            let Some(name) = entry.name.to_str() else {
                let shown = entry.name.to_string_lossy();
                return Err(Error::broken(OUTGOING, format!("{path}/{shown}: the file's name is not UTF-8")));
            };
            let child = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            let found = folder.symlink_metadata(Path::new(name))?;
            let kind = FileType::from_raw_mode(found.st_mode);
            if kind == FileType::Socket {
                continue;
            }
            let stat = self.describe(&folder, name, &child, &found)?;
            line.say(Packet { kind: PacketKind::Stat.into(), stat: Some(stat), ..Packet::default() })?;
            self.files.push(child.clone());
            if kind == FileType::Directory {
                self.list(&child, depth + 1, line)?;
            }
        }
        Ok(())
    }

    fn describe(&mut self, folder: &Root, name: &str, path: &str, found: &Found) -> Result<Stat> {
        let kind = FileType::from_raw_mode(found.st_mode);
        let mut linkname = String::new();
        if kind == FileType::Symlink {
            linkname = folder.read_link(Path::new(name))?.to_string_lossy().into_owned();
        } else if kind == FileType::RegularFile && found.st_nlink > 1 {
            let identity = (found.st_dev, found.st_ino);
            match self.first.get(&identity) {
                Some(first) => linkname.clone_from(first),
                None => _ = self.first.insert(identity, self.shown(path)),
            }
        }
        let is_device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
        let device = if is_device { found.st_rdev } else { 0 };
        let nanos = i64::try_from(found.st_mtime_nsec).unwrap_or(0);
        Ok(Stat {
            path: self.shown(path),
            mode: mode::of(found.st_mode),
            uid: found.st_uid,
            gid: found.st_gid,
            size: if kind == FileType::RegularFile { found.st_size } else { 0 },
            mod_time: found.st_mtime.saturating_mul(1_000_000_000).saturating_add(nanos),
            linkname,
            devmajor: i64::from(rustix::fs::major(device)),
            devminor: i64::from(rustix::fs::minor(device)),
        })
    }

    fn answer(&self, id: u32, line: &mut dyn Line) -> Result<()> {
        let path = self.files.get(id as usize);
        let path =
            path.ok_or_else(|| Error::broken(OUTGOING, format!("it asked for file {id}, which is not there")))?;
        let mut file = self.root.open_regular(Path::new(path))?;
        let mut buffer = vec![0; PIECE];
        loop {
            let count = file.read(&mut buffer).map_err(|cause| Error::io(format!("read {path}"), cause))?;
            line.say(Packet {
                kind: PacketKind::Data.into(),
                id,
                data: buffer[..count].to_vec(),
                ..Packet::default()
            })?;
            if count == 0 {
                return Ok(());
            }
        }
    }
}
