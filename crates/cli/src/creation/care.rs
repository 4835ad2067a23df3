//! Flags that are hako's own: what is done for a container when it ends or is unhealthy, and the secrets it may read.

use hako_model::container::{OnUnhealthy, RestartPolicy, SecretFile};

use crate::flags::{Flag, Matches, duration, int, text};

/// The flags about ends and health that creating and updating share.
pub(crate) const CARE: &[Flag] = &[
    text("on-unhealthy", "What to do when it is unhealthy (\"restart\", \"stop\", \"kill\")").check(check_action),
    duration("on-unhealthy-cool-down", "Do it again only after this time (ms|s|m|h) (default 1m0s)"),
    int("on-unhealthy-streak", "Do it only after so many failed checks in a row"),
    duration("restart-max-delay", "Longest pause before a restart (ms|s|m|h) (default 1m0s)"),
    duration("restart-min-delay", "First pause before a restart, doubled each time (ms|s|m|h) (default 100ms)"),
    duration("restart-reset", "Begin with the first pause again after running this long (ms|s|m|h) (default 10s)"),
];

fn check_action(text: &str) -> Result<(), String> {
    match text {
        "restart" | "stop" | "kill" | "none" => Ok(()),
        _ => Err(format!("invalid action {text:?}: must be one of \"restart\", \"stop\", \"kill\" or \"none\"")),
    }
}

/// What `--on-unhealthy` and its kin say.
pub(crate) fn on_unhealthy(found: &Matches) -> Result<Option<OnUnhealthy>, String> {
    let Some(action) = found.text_given("on-unhealthy") else {
        return match found.given("on-unhealthy-streak") || found.given("on-unhealthy-cool-down") {
            true => Err("--on-unhealthy-streak and --on-unhealthy-cool-down need --on-unhealthy".to_owned()),
            false => Ok(None),
        };
    };
    let (streak, cool_down) = (found.int("on-unhealthy-streak"), found.duration("on-unhealthy-cool-down"));
    if streak < 0 || cool_down < 0 {
        return Err("--on-unhealthy-streak and --on-unhealthy-cool-down cannot be negative".to_owned());
    }
    Ok(Some(OnUnhealthy { action: action.to_owned(), streak, cool_down }))
}

/// A restart policy with the pauses the flags say.
pub(crate) fn with_pauses(policy: RestartPolicy, found: &Matches) -> Result<RestartPolicy, String> {
    let pause = |flag: &str| match found.duration(flag) {
        negative if negative < 0 => Err(format!("--{flag} cannot be negative")),
        nanos => Ok(nanos),
    };
    Ok(RestartPolicy {
        minimum_delay: pause("restart-min-delay")?,
        maximum_delay: pause("restart-max-delay")?,
        reset_after: pause("restart-reset")?,
        ..policy
    })
}

/// One `--secret`: a name, or `source=NAME,target=PATH,uid=N,gid=N,mode=0440`.
pub(crate) fn secret(text: &str) -> Result<SecretFile, String> {
    let mut file = SecretFile::default();
    if !text.contains('=') {
        file.source = text.to_owned();
    } else {
        for field in text.split(',') {
            let (key, value) = field.split_once('=').ok_or_else(|| format!("invalid field {field:?} in {text:?}"))?;
            let number = |base| {
                u32::from_str_radix(value.trim_start_matches("0o"), base)
                    .map_err(|_| format!("invalid {key} {value:?} in {text:?}"))
            };
            match key {
                "source" | "src" | "id" => value.clone_into(&mut file.source),
                "target" | "dst" => value.clone_into(&mut file.target),
                "uid" => file.uid = number(10)?,
                "gid" => file.gid = number(10)?,
                "mode" => file.mode = number(8)?,
                _ => return Err(format!("invalid key {key:?} in {text:?}: use source, target, uid, gid or mode")),
            }
        }
    }
    if file.source.is_empty() { Err(format!("a secret needs a name: {text:?}")) } else { Ok(file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_short_and_long() {
        assert_eq!(secret("db").unwrap(), SecretFile { source: "db".into(), ..SecretFile::default() });
        let long = secret("source=db,target=/etc/db,uid=33,mode=0400").unwrap();
        assert_eq!((long.target.as_str(), long.uid, long.gid, long.mode), ("/etc/db", 33, 0, 0o400));
        for text in ["", "target=/x", "source=a,colour=b", "source=a,mode=9"] {
            assert!(secret(text).is_err(), "{text}");
        }
    }
}
