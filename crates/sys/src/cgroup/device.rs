//! Which devices the processes of a group may use: allow-list files on v1, a BPF program on v2.

use std::fmt::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use super::{Group, Version};
use crate::{Error, Result};

/// Kinds of device nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// Both kinds.
    All,
    /// Block devices.
    Block,
    /// Character devices.
    Character,
}

/// What may be done with a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceAccess {
    /// Reading.
    pub read: bool,
    /// Writing.
    pub write: bool,
    /// Making a node of it.
    pub make: bool,
}

impl DeviceAccess {
    /// Everything.
    pub const ALL: Self = Self { read: true, write: true, make: true };

    /// Reads letters out of `rwm`, or `a` for all three, as the kernel lists them; another letter is `None`.
    pub fn from_letters(letters: &str) -> Option<Self> {
        let mut access = Self::default();
        for letter in letters.chars() {
            match letter {
                'r' => access.read = true,
                'w' => access.write = true,
                'm' => access.make = true,
                'a' => access = Self::ALL,
                _ => return None,
            }
        }
        Some(access)
    }

    fn letters(self) -> String {
        [(self.read, 'r'), (self.write, 'w'), (self.make, 'm')].iter().filter(|(on, _)| *on).map(|(_, c)| *c).collect()
    }

    /// The bits of the kernel's BPF interface: mknod 1, read 2, write 4.
    fn bits(self) -> u32 {
        u32::from(self.make) | u32::from(self.read) << 1 | u32::from(self.write) << 2
    }
}

/// One rule; a later one overrides an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Whether access is given or taken.
    pub allow: bool,
    /// The kind.
    pub kind: DeviceKind,
    /// Major number; any if absent.
    pub major: Option<u32>,
    /// Minor number; any if absent.
    pub minor: Option<u32>,
    /// What is given or taken.
    pub access: DeviceAccess,
}

impl DeviceRule {
    fn is_everything(&self) -> bool {
        self.kind == DeviceKind::All && self.major.is_none() && self.minor.is_none()
    }

    /// The line of v1's files.
    fn line(&self) -> String {
        let kind = match self.kind {
            // Without numbers, "a" alone means everything and sets the list's default.
            DeviceKind::All => return "a".into(),
            DeviceKind::Block => 'b',
            DeviceKind::Character => 'c',
        };
        let mut line = format!("{kind} ");
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        let _ = write!(line, "{}:{} {}", number(self.major), number(self.minor), self.access.letters());
        line
    }
}

impl Group {
    /// Puts device rules in force, instead of any set before.
    pub fn set_devices(&self, rules: &[DeviceRule]) -> Result<()> {
        match self.version() {
            Version::V1 => self.set_devices_v1(rules),
            Version::V2 => self.attach_devices(rules),
        }
    }

    fn set_devices_v1(&self, rules: &[DeviceRule]) -> Result<()> {
        let directory = self.controller("devices")?;
        // Each file is opened once: most rules allow.
        let (mut allow, mut deny) =
            (Lines::new(directory.join("devices.allow")), Lines::new(directory.join("devices.deny")));
        rules.iter().flat_map(split_all).try_for_each(|rule| {
            let file = if rule.allow { &mut allow } else { &mut deny };
            file.write(&rule.line())
        })
    }

    fn attach_devices(&self, rules: &[DeviceRule]) -> Result<()> {
        let Some(directory) = self.unified_fd()? else { return Ok(()) };
        attach_device_program(directory.as_fd(), rules)
    }
}

/// One of v1's files, which takes a line for each write.
struct Lines {
    path: PathBuf,
    file: Option<OwnedFd>,
}

impl Lines {
    fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    fn write(&mut self, line: &str) -> Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(super::open_to_write(&self.path)?),
        };
        super::write_to(file.as_fd(), &self.path, line.as_bytes())
    }
}

/// Puts device rules in force on a cgroup v2 directory, instead of any set before.
pub fn attach_device_program(directory: BorrowedFd<'_>, rules: &[DeviceRule]) -> Result<()> {
    let program = crate::bpf::load_device_program(&program(rules)).map_err(Error::os("load", "device program"))?;
    crate::bpf::replace_device_program(directory, program.as_fd()).map_err(Error::os("attach", "device program"))
}

/// v1 has no line for "all kinds, this major number".
fn split_all(rule: &DeviceRule) -> Vec<DeviceRule> {
    if rule.kind != DeviceKind::All || rule.is_everything() {
        return vec![*rule];
    }
    vec![DeviceRule { kind: DeviceKind::Block, ..*rule }, DeviceRule { kind: DeviceKind::Character, ..*rule }]
}

/// The rules as a program: last rule first, the first match decides, nothing matched is refused.
///
/// A rule matches an access it covers whole; a refusal matches an access it covers in part.
pub(crate) fn program(rules: &[DeviceRule]) -> Vec<crate::bpf::Instruction> {
    use crate::bpf::Instruction as I;
    // r2 = kind, r3 = access, r4 = major, r5 = minor.
    let mut code = vec![
        I::load(2, 1, 0),
        I::copy32(3, 2),
        I::and(2, 0xffff),
        I::shift_right(3, 16),
        I::load(4, 1, 4),
        I::load(5, 1, 8),
    ];
    for rule in rules.iter().rev() {
        let checks = checks(rule);
        // Each check jumps over what is left of its block: the later checks and the two instructions of the verdict.
        let length: usize = checks.iter().map(Vec::len).sum::<usize>() + 2;
        let mut done = 0;
        for mut check in checks {
            done += check.len();
            if let Some(last) = check.last_mut() {
                last.jump_over(length - done);
            }
            code.extend(check);
        }
        code.push(I::set(0, u32::from(rule.allow)));
        code.push(I::exit());
        if length == 2 {
            // It matches everything: the kernel refuses programs with code behind that.
            return code;
        }
    }
    code.push(I::set(0, 0));
    code.push(I::exit());
    code
}

fn checks(rule: &DeviceRule) -> Vec<Vec<crate::bpf::Instruction>> {
    use crate::bpf::Instruction as I;
    let mut checks = Vec::new();
    match rule.kind {
        DeviceKind::All => {}
        DeviceKind::Block => checks.push(vec![I::jump_unless_equal(2, 1)]),
        DeviceKind::Character => checks.push(vec![I::jump_unless_equal(2, 2)]),
    }
    if rule.access != DeviceAccess::ALL {
        let bits = rule.access.bits();
        if rule.allow {
            checks.push(vec![I::copy32(1, 3), I::and(1, !bits & 7), I::jump_unless_equal(1, 0)]);
        } else {
            checks.push(vec![I::copy32(1, 3), I::and(1, bits), I::jump_if_equal(1, 0)]);
        }
    }
    for (register, number) in [(4, rule.major), (5, rule.minor)] {
        if let Some(number) = number {
            checks.push(vec![I::jump_unless_equal(register, number)]);
        }
    }
    checks
}
