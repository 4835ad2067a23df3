//! File modes as Go writes them, which is not as the kernel does.

use rustix::fs::FileType;

const DIRECTORY: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const FIFO: u32 = 1 << 25;
const SOCKET: u32 = 1 << 24;
const CHARACTER: u32 = 1 << 21;
const TYPES: u32 = DIRECTORY | SYMLINK | DEVICE | FIFO | SOCKET | CHARACTER | 1 << 19;

/// Set-user-id, set-group-id and sticky, in Go's words and the kernel's.
const SPECIAL: [(u32, u32); 3] = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];

/// The file type of a mode; `Unknown` for what no file is.
pub(super) fn kind(mode: u32) -> FileType {
    match mode & TYPES {
        0 => FileType::RegularFile,
        DIRECTORY => FileType::Directory,
        SYMLINK => FileType::Symlink,
        DEVICE => FileType::BlockDevice,
        FIFO => FileType::Fifo,
        SOCKET => FileType::Socket,
        both if both == DEVICE | CHARACTER => FileType::CharacterDevice,
        _ => FileType::Unknown,
    }
}

/// The kernel's permission bits.
pub(super) fn permissions(mode: u32) -> u32 {
    let special = SPECIAL.iter().filter(|(go, _)| mode & go != 0).map(|(_, kernel)| kernel).sum::<u32>();
    mode & 0o777 | special
}

/// The kernel's mode in Go's words.
pub(super) fn of(raw: u32) -> u32 {
    let kind = match FileType::from_raw_mode(raw) {
        FileType::Directory => DIRECTORY,
        FileType::Symlink => SYMLINK,
        FileType::BlockDevice => DEVICE,
        FileType::CharacterDevice => DEVICE | CHARACTER,
        FileType::Fifo => FIFO,
        FileType::Socket => SOCKET,
        _ => 0,
    };
    let special = SPECIAL.iter().filter(|(_, kernel)| raw & kernel != 0).map(|(go, _)| go).sum::<u32>();
    raw & 0o777 | special | kind
}
