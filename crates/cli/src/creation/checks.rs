//! Checks made while a flag is read. Each calls the parser whose result is used later, so the two cannot disagree.

use super::{devices, mounts, networks};

pub(super) fn check_extra_host(text: &str) -> Result<(), String> {
    networks::extra_host(text).map(drop)
}

pub(super) fn check_stream(text: &str) -> Result<(), String> {
    match text.to_ascii_lowercase().as_str() {
        "stdin" | "stdout" | "stderr" => Ok(()),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

pub(super) fn check_weight_device(text: &str) -> Result<(), String> {
    devices::weight(text).map(drop)
}

pub(super) fn check_byte_rate(text: &str) -> Result<(), String> {
    devices::byte_rate(text).map(drop)
}

pub(super) fn check_operation_rate(text: &str) -> Result<(), String> {
    devices::operation_rate(text).map(drop)
}

pub(super) fn check_cgroup_rule(text: &str) -> Result<(), String> {
    devices::cgroup_rule(text)
}

pub(super) fn check_graphics(text: &str) -> Result<(), String> {
    devices::graphics(text).map(drop)
}

pub(super) fn check_ulimit(text: &str) -> Result<(), String> {
    devices::ulimit(text).map(drop)
}

pub(super) fn check_mount(text: &str) -> Result<(), String> {
    match mounts::parse(text) {
        // This is told later, as the daemon's answer would be.
        Err(error) if error.starts_with("invalid mount config for type") => Ok(()),
        parsed => parsed.map(drop),
    }
}

pub(super) fn check_network(text: &str) -> Result<(), String> {
    networks::attachment(text).map(drop)
}

pub(super) fn check_address(text: &str) -> Result<(), String> {
    match text.trim().parse::<std::net::IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("IP address is not correctly formatted: {text}")),
    }
}

pub(super) fn check_search_domain(text: &str) -> Result<(), String> {
    let domain = text.trim();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let valid = domain == "."
        || (domain.chars().any(char::is_alphabetic)
            && domain.len() < 255
            && domain.strip_suffix('.').unwrap_or(domain).split('.').all(label));
    if valid { Ok(()) } else { Err(format!("{text} is not a valid domain")) }
}

pub(crate) fn check_variable(text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('=') {
        return Err(format!("invalid environment variable: {text}"));
    }
    Ok(())
}

pub(crate) fn check_secret(text: &str) -> Result<(), String> {
    super::care::secret(text).map(drop)
}

pub(crate) fn check_label(text: &str) -> Result<(), String> {
    match text.split('=').next() {
        Some("") => Err(format!("invalid label '{text}': empty name")),
        _ => Ok(()),
    }
}

pub(crate) fn check_link(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("empty string specified for links".to_owned());
    }
    if text.split(':').count() > 2 {
        return Err(format!("bad format for links: {text}"));
    }
    Ok(())
}

pub(super) fn check_sysctl(text: &str) -> Result<(), String> {
    const ALLOWED: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let allowed = text
        .split_once('=')
        .is_some_and(|(name, _)| ALLOWED.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue."));
    if allowed { Ok(()) } else { Err(format!("sysctl '{text}' is not allowed")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_values_are_named() {
        let cases: [(crate::flags::Check, &str, &str); 9] = [
            (check_stream, "x", "valid streams are STDIN, STDOUT and STDERR"),
            (check_address, "x", "IP address is not correctly formatted: x"),
            (check_search_domain, "..", ".. is not a valid domain"),
            (check_variable, "=x", "invalid environment variable: =x"),
            (check_label, "=x", "invalid label '=x': empty name"),
            (check_link, "", "empty string specified for links"),
            (check_sysctl, "x", "sysctl 'x' is not allowed"),
            (check_sysctl, "kernel.hostname=x", "sysctl 'kernel.hostname=x' is not allowed"),
            (check_extra_host, "x", "bad format for add-host: \"x\""),
        ];
        for (check, text, expect) in cases {
            assert_eq!(check(text).unwrap_err(), expect);
        }
    }

    #[test]
    fn right_values_pass() {
        check_stream("STDIN").unwrap();
        check_address("::1").unwrap();
        check_search_domain("example.com.").unwrap();
        check_search_domain(".").unwrap();
        check_sysctl("net.core.somaxconn=1").unwrap();
        check_link("a:b").unwrap();
        check_extra_host("a:10.0.0.1").unwrap();
        check_extra_host("a=::1").unwrap();
        check_extra_host("a:host-gateway").unwrap();
    }
}
