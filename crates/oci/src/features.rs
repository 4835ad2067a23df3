//! `features`: what this runtime knows, in the specification's JSON.

use serde_json::json;

use crate::arguments::Parsed;
use crate::error::Result;
use crate::{Session, template};

const MOUNT_OPTIONS: &str = "async atime bind defaults dev diratime dirsync exec idmap iversion lazytime loud mand noatime \
    nodev nodiratime noexec norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime \
    rexec ridmap rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate \
    rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave strictatime suid \
    symfollow sync tmpcopyup unbindable";

fn words(text: &str) -> Vec<&str> {
    text.split_ascii_whitespace().collect()
}

/// `features`.
pub(crate) fn features(_session: &Session, _parsed: &Parsed) -> Result<u8> {
    let archs: &[&str] = if cfg!(target_arch = "x86_64") {
        &["SCMP_ARCH_X86", "SCMP_ARCH_X86_64"]
    } else {
        &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    };
    let value = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": template::VERSION,
        "hooks": words("prestart createRuntime createContainer startContainer poststart poststop"),
        "mountOptions": words(MOUNT_OPTIONS),
        "linux": {
            "namespaces": words("cgroup ipc mount network pid time user uts"),
            "capabilities": hako_sys::caps::Set::all().names(),
            "cgroup": { "v1": true, "v2": true, "systemd": true, "systemdUser": false, "rdma": true },
            "seccomp": {
                "enabled": true,
                "actions": words("SCMP_ACT_ALLOW SCMP_ACT_ERRNO SCMP_ACT_KILL SCMP_ACT_KILL_PROCESS \
                    SCMP_ACT_KILL_THREAD SCMP_ACT_LOG SCMP_ACT_NOTIFY SCMP_ACT_TRACE SCMP_ACT_TRAP"),
                "operators": words("SCMP_CMP_EQ SCMP_CMP_GE SCMP_CMP_GT SCMP_CMP_LE SCMP_CMP_LT SCMP_CMP_MASKED_EQ \
                    SCMP_CMP_NE"),
                "archs": archs,
                "knownFlags": words("SECCOMP_FILTER_FLAG_LOG SECCOMP_FILTER_FLAG_SPEC_ALLOW \
                    SECCOMP_FILTER_FLAG_TSYNC SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
                "supportedFlags": words("SECCOMP_FILTER_FLAG_LOG SECCOMP_FILTER_FLAG_SPEC_ALLOW \
                    SECCOMP_FILTER_FLAG_TSYNC SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
            },
            "apparmor": { "enabled": true },
            "selinux": { "enabled": true },
            "intelRdt": { "enabled": false },
            "mountExtensions": { "idmap": { "enabled": true } },
        },
        "annotations": {
            "org.opencontainers.runc.version": env!("CARGO_PKG_VERSION"),
            "org.opencontainers.runc.checkpoint.enabled": "true",
        },
        "potentiallyUnsafeConfigAnnotations": [],
    });
    println!("{}", serde_json::to_string_pretty(&value).unwrap_or_default());
    Ok(0)
}
