//! `RUN --mount`.

use super::did_you_mean;

/// A mount a RUN asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What is mounted.
    pub kind: Kind,
    /// Where, inside the step.
    pub target: Option<String>,
    /// Read-only.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Files of the context, a stage or an image.
    Bind {
        /// Stage, image or context; none is the build context.
        from: Option<String>,
        /// The path there.
        source: String,
    },
    /// A directory that stays from build to build.
    Cache(Cache),
    /// A file system in memory.
    Tmpfs {
        /// Its size.
        size: Option<u64>,
    },
    /// A secret, as a file or a variable.
    Secret(Secret),
    /// The caller's SSH agent.
    Ssh(Secret),
}

/// A cache mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// Its name; the target when none is given.
    pub id: Option<String>,
    /// What it begins with: a stage, image or context.
    pub from: Option<String>,
    /// The path there.
    pub source: String,
    /// Who may use it at once.
    pub sharing: Sharing,
    /// Mode, owner and group of a new one.
    pub owner: Owner,
}

/// Who may use a cache at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// Others get one of their own.
    Private,
    /// Others wait.
    Locked,
}

/// Mode and owner of what is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owner {
    /// Permission bits.
    pub mode: Option<u32>,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A secret or an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Its name.
    pub id: Option<String>,
    /// The variable it becomes.
    pub env: Option<String>,
    /// Whether the build fails without it.
    pub required: bool,
    /// How the file looks.
    pub owner: Owner,
}

const KEYS: [&str; 18] = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
];
const ENV: &str = "env";

/// Everything a mount's text may say.
#[derive(Default)]
struct Fields {
    kind: Option<String>,
    from: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: Option<bool>,
    id: Option<String>,
    sharing: Option<String>,
    required: bool,
    size: Option<u64>,
    mode: Option<u32>,
    uid: u32,
    gid: u32,
    env: Option<String>,
}

/// Checks a mount whose variables are not expanded yet.
pub(super) fn check(text: &str) -> Result<(), String> {
    if text.contains('$') { Ok(()) } else { parse(text).map(drop) }
}

/// Reads a mount's text.
///
/// # Errors
/// What is wrong with it, in BuildKit's words.
pub fn parse(text: &str) -> Result<Mount, String> {
    let mut fields = Fields::default();
    for field in csv(text) {
        fields.take(&field)?;
    }
    fields.finish()
}

impl Fields {
    fn take(&mut self, field: &str) -> Result<(), String> {
        let (name, value) = field.split_once('=').map_or((field, None), |(name, value)| (name, Some(value)));
        let key = name.to_ascii_lowercase();
        let Some(value) = value else { return self.switch(&key, field) };
        let text = || value.to_owned();
        let wrong = || format!("invalid value for {key}: {value}");
        match key.as_str() {
            "type" => self.kind = Some(value.to_ascii_lowercase()),
            "from" => self.from = Some(text()),
            "source" | "src" => self.source = Some(text()),
            "target" | "dst" | "destination" => self.target = Some(text()),
            "readonly" | "ro" => self.read_only = Some(truth(value).ok_or_else(wrong)?),
            "readwrite" | "rw" => self.read_only = Some(!truth(value).ok_or_else(wrong)?),
            "required" => self.required = truth(value).ok_or_else(wrong)?,
            "id" => self.id = Some(text()),
            "sharing" => self.sharing = Some(value.to_ascii_lowercase()),
            "size" => self.size = Some(bytes(value).ok_or_else(wrong)?),
            "mode" => {
                self.mode = Some(u32::from_str_radix(value, 8).map_err(|_| format!("invalid value {value} for mode"))?)
            }
            "uid" => self.uid = value.parse().map_err(|_| format!("invalid value {value} for uid"))?,
            "gid" => self.gid = value.parse().map_err(|_| format!("invalid value {value} for gid"))?,
            "env" => self.env = Some(text()),
            _ => return Err(format!("unexpected key '{key}' in '{field}'{}", hint(&key))),
        }
        Ok(())
    }

    fn switch(&mut self, key: &str, field: &str) -> Result<(), String> {
        match key {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => self.required = true,
            _ if KEYS.contains(&key) || key == ENV => {
                return Err(format!("invalid field '{field}' must be a key=value pair"));
            }
            _ => return Err(format!("invalid field '{field}' must be a key=value pair{}", hint(key))),
        }
        Ok(())
    }

    fn finish(self) -> Result<Mount, String> {
        let kind = self.kind.clone().unwrap_or_else(|| "bind".to_owned());
        self.check(&kind)?;
        let read_only = self.read_only.unwrap_or(kind == "bind");
        let (target, source) = (self.target.clone(), self.source.clone().unwrap_or_else(|| "/".to_owned()));
        let owner = Owner { mode: self.mode, uid: self.uid, gid: self.gid };
        let secret = || {
            let id = self.id.clone().or_else(|| self.source.clone());
            Secret { id, env: self.env.clone(), required: self.required, owner }
        };
        let kind = match kind.as_str() {
            "bind" => Kind::Bind { from: self.from, source },
            "tmpfs" => Kind::Tmpfs { size: self.size },
            "secret" => Kind::Secret(secret()),
            "ssh" => Kind::Ssh(secret()),
            "cache" => {
                let sharing = sharing(self.sharing.as_deref())?;
                Kind::Cache(Cache { id: self.id, from: self.from, source, sharing, owner })
            }
            other => {
                let known = ["bind", "cache", "tmpfs", "secret", "ssh"];
                return Err(format!("unsupported mount type {other:?}{}", did_you_mean(other, known)));
            }
        };
        Ok(Mount { kind, target, read_only })
    }

    fn check(&self, kind: &str) -> Result<(), String> {
        let is_secret = matches!(kind, "secret" | "ssh");
        let wrong = |what: &str| Err(format!("{what} not allowed for {kind:?} mounts"));
        if self.target.as_deref().unwrap_or_default().is_empty() && !is_secret {
            return Err("target is required".to_owned());
        }
        if self.from.is_some() && !matches!(kind, "bind" | "cache") {
            return wrong("from");
        }
        if self.sharing.is_some() && kind != "cache" {
            return wrong("sharing");
        }
        if self.size.is_some() && kind != "tmpfs" {
            return wrong("size");
        }
        if (self.required || self.env.is_some()) && !is_secret {
            return wrong("required and env");
        }
        if self.mode.is_some() && !(is_secret || kind == "cache") {
            return wrong("mode");
        }
        let named = self.id.is_some() || self.source.is_some() || self.target.is_some();
        if kind == "secret" && !named {
            return Err("invalid secret mount. one of source, target required".to_owned());
        }
        Ok(())
    }
}

fn hint(key: &str) -> String {
    did_you_mean(key, KEYS.into_iter().chain([ENV]))
}

fn sharing(text: Option<&str>) -> Result<Sharing, String> {
    match text {
        None | Some("shared") => Ok(Sharing::Shared),
        Some("private") => Ok(Sharing::Private),
        Some("locked") => Ok(Sharing::Locked),
        Some(other) => {
            Err(format!("unsupported sharing value {other:?}{}", did_you_mean(other, ["shared", "private", "locked"])))
        }
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// `64m` and the like.
fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (number, shift) = match lower.as_bytes().last()? {
        b'k' => (&lower[..lower.len() - 1], 10),
        b'm' => (&lower[..lower.len() - 1], 20),
        b'g' => (&lower[..lower.len() - 1], 30),
        b't' => (&lower[..lower.len() - 1], 40),
        _ => (lower, 0),
    };
    number.trim_end_matches('i').parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Fields between commas; a field in double quotes may hold commas.
fn csv(text: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

impl Mount {
    /// The stage, image or context it takes files from.
    #[must_use]
    pub fn from(&self) -> Option<&String> {
        match &self.kind {
            Kind::Bind { from, .. } | Kind::Cache(Cache { from, .. }) => from.as_ref(),
            _ => None,
        }
    }
}
