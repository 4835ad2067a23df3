//! The system call filter: names, not yet numbers.
//!
//! A superset of the specification: it also reads Docker's profiles as they are, with their conditions on
//! capabilities, architecture and kernel. `crate::seccomp` resolves and compiles it.

use serde::{Deserialize, Serialize};

use super::is_false;

/// A filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seccomp {
    /// Docker's default profile, which need not be sent about; everything else here is then ignored.
    #[serde(skip_serializing_if = "is_false")]
    pub builtin: bool,
    /// For calls no rule names, e.g. `SCMP_ACT_ERRNO`.
    pub default_action: String,
    /// The error number of the default action; EPERM if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// Architectures whose calls are filtered, e.g. `SCMP_ARCH_X86_64`; calls of others kill the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architectures: Option<Vec<String>>,
    /// Docker's way to name them: by the native one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch_map: Option<Vec<SeccompArchitecture>>,
    /// Flags of seccomp(2), e.g. `SECCOMP_FILTER_FLAG_LOG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// Rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syscalls: Option<Vec<SeccompSyscall>>,
    /// The socket of an agent that answers calls with the action `SCMP_ACT_NOTIFY`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listener_path: String,
    /// What the agent is told beside the container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listener_metadata: String,
}

impl Seccomp {
    /// Docker's default profile.
    pub fn builtin() -> Self {
        Self { builtin: true, ..Self::default() }
    }
}

/// An architecture and those a kernel for it runs besides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeccompArchitecture {
    /// The native one.
    pub architecture: String,
    /// The others.
    pub sub_architectures: Option<Vec<String>>,
}

/// A rule: these calls, with these arguments, get this action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeccompSyscall {
    /// One call, in old profiles.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Names of calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// The action.
    pub action: String,
    /// The error number of an error action; EPERM if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions, all of which must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<SeccompArg>>,
    /// The rule counts only if all of this holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub includes: Option<SeccompCondition>,
    /// The rule counts only if none of this holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excludes: Option<SeccompCondition>,
}

/// What a rule of Docker's profiles can depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeccompCondition {
    /// Capabilities of the bounding set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caps: Option<Vec<String>>,
    /// Architectures in Go's words, e.g. `amd64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arches: Option<Vec<String>>,
    /// The oldest kernel, e.g. `4.8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_kernel: Option<String>,
}

/// A condition on one argument.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeccompArg {
    /// Which argument, 0 to 5.
    pub index: u32,
    /// Compared with.
    pub value: u64,
    /// For `SCMP_CMP_MASKED_EQ` the value, `value` being the mask.
    #[serde(skip_serializing_if = "is_zero")]
    pub value_two: u64,
    /// The comparison, e.g. `SCMP_CMP_EQ`.
    pub op: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
