//! The tools `debug` lays beside a container's own files: a static busybox of the host, or the files of an image.
//! Nothing is fetched.

use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hako_model::program::{Format, HEAD};
use hako_supervisor::spec::Mount;

use crate::house::House;
use crate::{Error, Result};

/// Where tools are seen: the container's own /dev is in memory, so nothing of it is written to.
pub(crate) const TARGET: &str = "/dev/.hako";

/// Where hosts have a busybox.
const BUSYBOX: &[&str] = &["/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox", "/sbin/busybox"];

/// What a busybox is commonly able to be.
const APPLETS: &[&str] = &[
    "[",
    "arp",
    "ash",
    "awk",
    "base64",
    "basename",
    "bunzip2",
    "bzcat",
    "cat",
    "chmod",
    "chown",
    "chroot",
    "clear",
    "cmp",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "diff",
    "dirname",
    "dmesg",
    "du",
    "echo",
    "egrep",
    "env",
    "expr",
    "false",
    "fgrep",
    "find",
    "free",
    "fuser",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "hexdump",
    "hostname",
    "httpd",
    "id",
    "ifconfig",
    "ip",
    "kill",
    "killall",
    "less",
    "ln",
    "ls",
    "lsof",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "more",
    "mount",
    "mv",
    "nc",
    "netstat",
    "nice",
    "nohup",
    "nslookup",
    "od",
    "pgrep",
    "pidof",
    "ping",
    "ping6",
    "pkill",
    "printenv",
    "printf",
    "ps",
    "pstree",
    "pwd",
    "readlink",
    "realpath",
    "renice",
    "reset",
    "rm",
    "rmdir",
    "route",
    "sed",
    "seq",
    "setsid",
    "sh",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "sleep",
    "sort",
    "stat",
    "strings",
    "stty",
    "sync",
    "sysctl",
    "tail",
    "tar",
    "tee",
    "telnet",
    "test",
    "time",
    "timeout",
    "top",
    "touch",
    "tr",
    "traceroute",
    "true",
    "tty",
    "uname",
    "uniq",
    "unxz",
    "unzip",
    "uptime",
    "usleep",
    "vi",
    "watch",
    "wc",
    "wget",
    "which",
    "whoami",
    "xargs",
    "xxd",
    "xz",
    "yes",
    "zcat",
];

/// The mount that shows tools: those of an image that is here, or without a name a busybox of the host.
pub(crate) async fn mount(house: &House, image: &str) -> Result<Mount> {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut mount = Mount { destination: TARGET.to_owned(), ..Mount::default() };
    if image.is_empty() {
        let directory = crate::blocking::blocking(|| busybox(&house.layout.exec_root.join("tools")))?;
        mount.kind = "bind".to_owned();
        mount.source = directory.to_string_lossy().into_owned();
        mount.options = words(&["bind", "rprivate", "ro", "nosuid", "nodev"]);
        return Ok(mount);
    }
    let images = house.images.get().ok_or_else(|| Error::system("find image: engine is not open"))?;
    let found = images.find(image, "").await?;
    if let [only] = found.lowers.as_slice() {
        // An overlay has at least two layers.
        mount.kind = "bind".to_owned();
        mount.source = only.to_string_lossy().into_owned();
        mount.options = words(&["bind", "rprivate", "ro", "nosuid", "nodev"]);
        return Ok(mount);
    }
    mount.kind = "overlay".to_owned();
    mount.source = "overlay".to_owned();
    mount.options = found.lowers.iter().map(|lower| format!("lowerdir+={}", lower.display())).collect();
    mount.options.extend(words(&["rprivate", "ro", "nosuid", "nodev"]));
    Ok(mount)
}

/// The variables of a process that has tools: the container's own programs come first.
pub(crate) fn environment(own: &[String], name: &str) -> Vec<String> {
    const DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let path = own.iter().rev().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(DEFAULT);
    let places = ["bin", "usr/bin", "sbin", "usr/sbin", "usr/local/bin"].map(|place| format!("{TARGET}/{place}"));
    vec![format!("PATH={path}:{}", places.join(":")), format!("PS1={name}:\\w# ")]
}

/// The shell of the tools.
pub(crate) fn shell() -> String {
    format!("{TARGET}/bin/sh")
}

/// A directory of applets, made again when the host's busybox is another one.
fn busybox(place: &Path) -> Result<PathBuf> {
    let failed = |e: std::io::Error| Error::io("prepare tools", e);
    let (found, stamp) = BUSYBOX.iter().find_map(|path| usable(Path::new(path))).ok_or_else(|| {
        Error::invalid(
            "there are no tools to bring: this host has no static busybox (install busybox-static), \
             or name an image that is here with --image",
        )
    })?;
    let directory = place.join(stamp);
    if directory.join("bin/sh").exists() {
        return Ok(directory);
    }
    let draft = place.join(format!("draft-{}", hako_sys::random::hex(8).map_err(|e| Error::io("prepare tools", e))?));
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(draft.join("bin")).map_err(failed)?;
    let binary = draft.join("bin/busybox");
    std::fs::copy(&found, &binary).map_err(failed)?;
    std::fs::set_permissions(&binary, PermissionsExt::from_mode(0o755)).map_err(failed)?;
    for applet in APPLETS {
        symlink("busybox", draft.join("bin").join(applet)).map_err(failed)?;
    }
    match std::fs::rename(&draft, &directory) {
        // Somebody else was faster.
        Err(_) if directory.join("bin/sh").exists() => std::fs::remove_dir_all(&draft).map_err(failed)?,
        renamed => renamed.map_err(failed)?,
    }
    Ok(directory)
}

/// A busybox that runs in any container, and a name for this very one.
fn usable(path: &Path) -> Option<(PathBuf, String)> {
    use std::io::Read as _;
    use std::os::unix::fs::MetadataExt as _;
    let file = std::fs::File::open(path).ok()?;
    let meta = file.metadata().ok()?;
    let mut head = Vec::new();
    file.take(HEAD as u64).read_to_end(&mut head).ok()?;
    let fits = matches!(Format::of(&head), Format::Elf { linker: None, .. });
    fits.then(|| (path.to_owned(), format!("busybox-{}-{}-{}", meta.size(), meta.mtime(), meta.ino())))
}
