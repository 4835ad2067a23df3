//! `--security-opt`: the system call filter, AppArmor, no-new-privileges.

use hako_model::container::HostConfig;
use hako_supervisor::spec::Seccomp;

use crate::{Error, Result, Settings};

/// What the options say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// The filter: `unconfined`, or a profile's JSON; the built-in one when absent.
    pub(crate) seccomp: Option<String>,
    pub(crate) apparmor: Option<String>,
    pub(crate) no_new_privileges: Option<bool>,
}

impl Options {
    /// Reads `HostConfig.SecurityOpt`.
    pub(crate) fn parse(host: &HostConfig) -> Result<Self> {
        let mut options = Self::default();
        for option in host.security_opt.iter().flatten() {
            options.take(option)?;
        }
        if let Some(profile) = options.seccomp.as_deref().filter(|p| !matches!(*p, "unconfined" | "builtin")) {
            parse_profile(profile)?;
        }
        Ok(options)
    }

    fn take(&mut self, option: &str) -> Result<()> {
        if option == "no-new-privileges" {
            self.no_new_privileges = Some(true);
            return Ok(());
        }
        let pair = option.split_once('=').or_else(|| option.split_once(':'));
        let Some((key, value)) = pair else {
            return Err(Error::invalid(format!("invalid --security-opt 1: \"{option}\"")));
        };
        match key {
            "seccomp" => self.seccomp = Some(value.to_owned()),
            "apparmor" => self.apparmor = Some(value.to_owned()),
            "no-new-privileges" => {
                let flag =
                    value.parse().map_err(|_| Error::invalid(format!("invalid --security-opt 2: \"{option}\"")))?;
                self.no_new_privileges = Some(flag);
            }
            "systempaths" if value == "unconfined" => {}
            // SELinux labels: `disable` is all that a host without SELinux can honour.
            "label" if value == "disable" => {}
            "label" => return Err(Error::not_implemented(format!("SELinux labels are not supported: \"{option}\""))),
            _ => return Err(Error::invalid(format!("invalid --security-opt 2: \"{option}\""))),
        }
        Ok(())
    }
}

/// Whether `systempaths=unconfined` asks for no masked and no read-only paths.
pub(crate) fn system_paths_unconfined(host: &HostConfig) -> bool {
    host.security_opt
        .iter()
        .flatten()
        .any(|o| matches!(o.as_str(), "systempaths=unconfined" | "systempaths:unconfined"))
}

/// The filter of a container's processes.
pub(super) fn seccomp(options: &Options, host: &HostConfig, settings: &Settings) -> Result<Option<Seccomp>> {
    let chosen = options.seccomp.as_deref();
    match chosen {
        Some("unconfined") => Ok(None),
        Some("builtin") => Ok(Some(Seccomp::builtin())),
        Some(profile) => parse_profile(profile).map(Some),
        None if host.privileged => Ok(None),
        None => default_profile(settings),
    }
}

fn default_profile(settings: &Settings) -> Result<Option<Seccomp>> {
    match settings.seccomp_profile.as_deref() {
        None | Some("" | "builtin") => Ok(Some(Seccomp::builtin())),
        Some("unconfined") => Ok(None),
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|e| Error::io(format!("read seccomp profile {path}"), e))?;
            parse_profile(&text).map(Some)
        }
    }
}

fn parse_profile(profile: &str) -> Result<Seccomp> {
    serde_json::from_str(profile).map_err(|e| Error::invalid(format!("Decoding seccomp profile failed: {e}")))
}

/// The AppArmor profile: the one asked for, Docker's where the host has it loaded, else none.
pub(super) fn apparmor(options: &Options, host: &HostConfig) -> Result<String> {
    let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"));
    match options.apparmor.as_deref() {
        Some("unconfined") => Ok(if enabled { "unconfined".to_owned() } else { String::new() }),
        Some(profile) if enabled => Ok(profile.to_owned()),
        Some(profile) => {
            Err(Error::invalid(format!("apparmor profile {profile}: AppArmor is not enabled on this host")))
        }
        None if enabled && !host.privileged && is_loaded(DEFAULT_APPARMOR) => Ok(DEFAULT_APPARMOR.to_owned()),
        None => Ok(String::new()),
    }
}

/// What `inspect` shows as the profile: the one asked for, or the one in force.
pub(crate) fn shown_apparmor(host: &HostConfig) -> String {
    let options = Options::parse(host).unwrap_or_default();
    apparmor(&options, host).unwrap_or_default()
}

const DEFAULT_APPARMOR: &str = "docker-default";

fn is_loaded(profile: &str) -> bool {
    let loaded = std::fs::read_to_string("/sys/kernel/security/apparmor/profiles").unwrap_or_default();
    loaded.lines().any(|line| line.split(' ').next() == Some(profile))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Result<Options> {
        let security_opt = Some(options.iter().map(|o| (*o).to_owned()).collect());
        Options::parse(&HostConfig { security_opt, ..HostConfig::default() })
    }

    #[test]
    fn options() {
        assert_eq!(parse(&["no-new-privileges"]).unwrap().no_new_privileges, Some(true));
        assert_eq!(parse(&["no-new-privileges:false"]).unwrap().no_new_privileges, Some(false));
        assert_eq!(parse(&["seccomp=unconfined"]).unwrap().seccomp.as_deref(), Some("unconfined"));
        for bad in ["foo", "foo=bar", "no-new-privileges=maybe", "seccomp={", "label=type:x"] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
        assert_eq!(parse(&["foo"]).unwrap_err().to_string(), "invalid --security-opt 1: \"foo\"");
    }
}
