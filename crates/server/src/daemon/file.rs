//! `daemon.json`: the same settings as the flags, by dockerd's keys. A key that means nothing is an error.

use std::path::Path;

use serde_json::{Map, Value};

use super::flags::{FIXED, FLAGS, Given, Kind};

/// The most bytes of a configuration file.
const LIMIT: u64 = 1 << 20;

/// Keys that hold several settings.
const GROUPED: &[&str] = &["proxies", "features", "default-ulimits", "log-opts", "default-address-pools"];

/// Reads a file; `None` when there is none and it need not be there.
pub(super) fn read(path: &Path, required: bool) -> Result<Option<Map<String, Value>>, String> {
    let refuse = |reason: String| format!("unable to configure the daemon with file {}: {reason}", path.display());
    if !required && !path.exists() {
        return Ok(None);
    }
    let bytes = hako_sys::file::read_limited(path, LIMIT).map_err(|cause| refuse(cause.to_string()))?;
    let members: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|cause| refuse(cause.to_string()))?;
    let unknown: Vec<_> = members.keys().filter(|key| !is_known(key)).map(String::as_str).collect();
    if unknown.is_empty() {
        return Ok(Some(members));
    }
    let unknown = unknown.join(", ");
    Err(refuse(format!("the following directives don't match any configuration option: {unknown}")))
}

fn is_known(key: &str) -> bool {
    let flag = FLAGS.iter().any(|flag| flag.key == key);
    flag || FIXED.iter().any(|(_, fixed, _)| *fixed == key) || GROUPED.contains(&key)
}

/// Adds a file's settings to those of the flags. What both say is a conflict, as with dockerd.
pub(super) fn merge(flags: &Given, file: &Map<String, Value>, path: &Path) -> Result<Given, String> {
    let mut all = flags.clone();
    let mut conflicts = Vec::new();
    for (key, value) in file {
        let Some((name, kind)) = flag_of(key) else { continue };
        let values = texts(key, value, kind)?;
        match flags.get(name) {
            Some(given) => {
                conflicts.push(format!("{key}: (from flag: {}, from file: {})", shown(given), shown(&values)))
            }
            None => drop(all.insert(name, values)),
        }
    }
    if conflicts.is_empty() {
        return Ok(all);
    }
    Err(format!(
        "unable to configure the daemon with file {}: the following directives are specified both as a flag and in the \
         configuration file: {}",
        path.display(),
        conflicts.join(", ")
    ))
}

fn shown(values: &[String]) -> String {
    match values {
        [one] => one.clone(),
        several => format!("[{}]", several.join(" ")),
    }
}

fn flag_of(key: &str) -> Option<(&'static str, Kind)> {
    if let Some(flag) = FLAGS.iter().find(|flag| flag.key == key) {
        return Some((flag.name, flag.kind));
    }
    FIXED.iter().find(|(_, fixed, _)| *fixed == key).map(|(name, ..)| (*name, Kind::List))
}

/// A value in the words of the flag that says the same.
fn texts(key: &str, value: &Value, kind: Kind) -> Result<Vec<String>, String> {
    let wrong = || format!("invalid value for \"{key}\" in the configuration file: {value}");
    match (key, value) {
        ("default-ulimits", Value::Object(members)) => {
            members.iter().map(|(name, ulimit)| ulimit_text(name, ulimit).ok_or_else(wrong)).collect()
        }
        ("default-address-pools", Value::Array(pools)) => {
            pools.iter().map(|pool| pool_text(pool).ok_or_else(wrong)).collect()
        }
        ("default-network-opts", Value::Object(drivers)) => drivers
            .iter()
            .map(|(driver, options)| network_texts(driver, options).ok_or_else(wrong))
            .collect::<Result<Vec<_>, _>>()
            .map(|all| all.concat()),
        (_, Value::Object(members)) => {
            members.iter().map(|(name, value)| Ok(format!("{name}={}", scalar(value).ok_or_else(wrong)?))).collect()
        }
        (_, Value::Array(items)) if kind == Kind::List => {
            items.iter().map(|item| scalar(item).ok_or_else(wrong)).collect()
        }
        (_, scalar_value) => Ok(vec![scalar(scalar_value).ok_or_else(wrong)?]),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The options of one driver's new networks.
fn network_texts(driver: &str, options: &Value) -> Option<Vec<String>> {
    let options = options.as_object()?.iter();
    options.map(|(name, value)| Some(format!("{driver}={name}={}", scalar(value)?))).collect()
}

fn ulimit_text(name: &str, ulimit: &Value) -> Option<String> {
    let side = |key: &str| ulimit.get(key).and_then(Value::as_i64);
    let soft = side("Soft")?;
    Some(format!("{name}={soft}:{}", side("Hard").unwrap_or(soft)))
}

fn pool_text(pool: &Value) -> Option<String> {
    Some(format!("base={},size={}", pool.get("base")?.as_str()?, pool.get("size")?.as_i64()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(flags: &[(&'static str, &str)], file: Value) -> Result<Vec<(&'static str, String)>, String> {
        let flags = flags.iter().map(|(name, value)| (*name, vec![(*value).to_owned()])).collect();
        let Value::Object(file) = file else { panic!("an object") };
        let all = merge(&flags, &file, Path::new("/d.json"))?;
        Ok(all.into_iter().map(|(name, values)| (name, values.join(" "))).collect())
    }

    #[test]
    fn keys_say_what_flags_say() {
        let file = json!({
            "debug": true, "mtu": 1400, "hosts": ["unix:///a", "fd://"], "log-opts": {"max-size": "1m"},
            "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}},
            "default-address-pools": [{"base": "10.1.0.0/16", "size": 24}],
            "default-network-opts": {"bridge": {"com.docker.network.driver.mtu": "1400"}}
        });
        let expect = [
            ("debug", "true"),
            ("default-address-pool", "base=10.1.0.0/16,size=24"),
            ("default-network-opt", "bridge=com.docker.network.driver.mtu=1400"),
            ("default-ulimit", "nofile=1:2"),
            ("host", "unix:///a fd://"),
            ("log-opt", "max-size=1m"),
            ("mtu", "1400"),
        ];
        let expect: Vec<_> = expect.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        assert_eq!(check(&[], file), Ok(expect));
    }

    #[test]
    fn what_both_say_is_a_conflict() {
        let refused = check(&[("debug", "true")], json!({"debug": false})).unwrap_err();
        assert!(refused.ends_with("configuration file: debug: (from flag: true, from file: false)"), "{refused}");
    }

    #[test]
    fn an_unknown_key_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.json");
        std::fs::write(&path, r#"{"debug": true, "colour": 1}"#).unwrap();
        assert!(read(&path, true).unwrap_err().ends_with("don't match any configuration option: colour"));
        assert!(read(&directory.path().join("none"), false).unwrap().is_none());
        assert!(read(&directory.path().join("none"), true).is_err());
    }
}
