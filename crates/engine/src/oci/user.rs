//! Who a process runs as: `user[:group]` looked up in the image's own passwd and group files.
//!
//! Those files are hostile input: read confined to the root, only if regular, up to 1 MiB; a line that does not parse is
//! no entry, and junk never means 0.

use std::path::Path;

use hako_sys::confined::Root;

use crate::{Error, Result};

const LIMIT: u64 = 1 << 20;

/// The texts of an image's account files; empty where there are none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accounts {
    passwd: String,
    group: String,
    /// No link leads to them: a layer above changes them only under their own names.
    pub(crate) plain: bool,
}

/// A user found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The primary group first, then those the group file adds, then those asked for.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

struct PasswdLine<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct GroupLine<'a> {
    name: &'a str,
    gid: u32,
    members: Vec<&'a str>,
}

impl Accounts {
    /// Where they lie.
    pub(crate) const FILES: [&str; 2] = ["etc/passwd", "etc/group"];

    /// Reads the files below `root`. What is not there or not readable is empty.
    pub(crate) fn read(root: &Root) -> Self {
        let text = |path: &str| {
            let bytes = root.read_limited(Path::new(path), LIMIT).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let is_link = |path: &str| root.symlink_metadata(Path::new(path)).is_ok_and(|found| is_link(&found));
        let plain = !["etc"].iter().chain(&Self::FILES).any(|path| is_link(path));
        let [passwd, group] = Self::FILES.map(text);
        Self { passwd, group, plain }
    }

    fn users(&self) -> impl Iterator<Item = PasswdLine<'_>> {
        self.passwd.lines().filter_map(|line| {
            let fields: Vec<&str> = line.trim().split(':').collect();
            let [name, _, uid, gid, rest @ ..] = &fields[..] else { return None };
            // A line without a name is nobody's.
            let name = Some(*name).filter(|name| !name.is_empty())?;
            let home = rest.get(1).copied().unwrap_or("/");
            Some(PasswdLine { name, uid: id(uid)?, gid: id(gid)?, home })
        })
    }

    fn groups(&self) -> impl Iterator<Item = GroupLine<'_>> {
        self.group.lines().filter_map(|line| {
            let fields: Vec<&str> = line.trim().split(':').collect();
            let [name, _, gid, rest @ ..] = &fields[..] else { return None };
            let name = Some(*name).filter(|name| !name.is_empty())?;
            let members = rest.first().map(|list| list.split(',').filter(|m| !m.is_empty()).collect());
            Some(GroupLine { name, gid: id(gid)?, members: members.unwrap_or_default() })
        })
    }

    /// Finds `user[:group]`, with `more` groups.
    pub(crate) fn find(&self, spec: &str, more: &[String]) -> Result<Found> {
        let (user, group) = spec.split_once(':').unwrap_or((spec, ""));
        let line = self.user_line(user);
        let (uid, gid, home) = match (&line, id(user)) {
            (Some(line), _) => (line.uid, line.gid, line.home),
            (None, _) if user.is_empty() => (0, 0, "/"),
            (None, Some(uid)) => (uid, 0, "/"),
            (None, None) => {
                let text = format!("unable to find user {user}: no matching entries in passwd file");
                return Err(Error::invalid(text));
            }
        };
        let mut found = Found { uid, gid, groups: Vec::new(), home: home.to_owned() };
        if group.is_empty() {
            let name = line.as_ref().map(|line| line.name);
            let member = |g: &GroupLine<'_>| name.is_some_and(|name| g.members.contains(&name));
            found.groups = self.groups().filter(member).map(|g| g.gid).collect();
        } else {
            found.gid = self.group_id(group)?;
        }
        found.groups.insert(0, found.gid);
        for group in more {
            found.groups.push(self.group_id(group)?);
        }
        let mut seen = std::collections::BTreeSet::new();
        found.groups.retain(|gid| seen.insert(*gid));
        Ok(found)
    }

    /// A name wins over the number it looks like.
    fn user_line(&self, user: &str) -> Option<PasswdLine<'_>> {
        if user.is_empty() {
            return self.users().find(|line| line.uid == 0);
        }
        let by_number = || id(user).and_then(|uid| self.users().find(|line| line.uid == uid));
        self.users().find(|line| line.name == user).or_else(by_number)
    }

    fn group_id(&self, group: &str) -> Result<u32> {
        let named = self.groups().find(|line| line.name == group).map(|line| line.gid);
        let missing = || Error::invalid(format!("unable to find group {group}: no matching entries in group file"));
        named.or_else(|| id(group)).ok_or_else(missing)
    }
}

fn is_link(stat: &rustix::fs::Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink
}

/// A number the kernel takes as an id; -1 means "leave it" to it.
fn id(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|id: &u32| digits && *id <= i32::MAX as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\n\nbad line\njunk:x:abc:0::/:\n4242:x:7:7::/seven:\nbin:x:1:1:bin:/bin:\n".into(),
            group: "root:x:0:root\nwheel:x:10:root,bin\njunk:x::bin\nstaff:x:50:\n".into(),
            plain: true,
        }
    }

    #[test]
    fn users_and_groups() {
        for (spec, more, expect) in [
            ("", vec![], Some((0, 0, vec![0, 10], "/root"))),
            ("root", vec![], Some((0, 0, vec![0, 10], "/root"))),
            ("bin", vec![], Some((1, 1, vec![1, 10], "/bin"))),
            ("1", vec!["staff"], Some((1, 1, vec![1, 10, 50], "/bin"))),
            ("bin:staff", vec![], Some((1, 50, vec![50], "/bin"))),
            ("999", vec![], Some((999, 0, vec![0], "/"))),
            ("999:888", vec!["7"], Some((999, 888, vec![888, 7], "/"))),
            ("4242", vec![], Some((7, 7, vec![7], "/seven"))),
            ("junk", vec![], None),
            ("nobody", vec![], None),
            ("-1", vec![], None),
            ("4294967295", vec![], None),
            ("root:nogroup", vec![], None),
            ("root", vec!["nogroup"], None),
        ] {
            let more: Vec<String> = more.into_iter().map(str::to_owned).collect();
            let found = accounts().find(spec, &more).ok();
            let found = found.as_ref().map(|f| (f.uid, f.gid, f.groups.clone(), f.home.as_str()));
            assert_eq!(found, expect, "{spec}");
        }
    }

    #[test]
    fn an_image_without_files_has_root() {
        let found = Accounts::default().find("", &[]).unwrap();
        assert_eq!((found.uid, found.groups, found.home.as_str()), (0, vec![0], "/"));
    }

    #[test]
    fn hostile_files_are_empty() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("etc/passwd")).unwrap();
        std::fs::write(dir.path().join("etc/group"), vec![b'x'; 2 << 20]).unwrap();
        let accounts = Accounts::read(&Root::open(dir.path()).unwrap());
        assert!(accounts.passwd.is_empty() && accounts.group.is_empty());
    }
}
