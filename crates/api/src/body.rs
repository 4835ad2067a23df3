//! Reading JSON bodies the way Go does: `null` means "not said", the case of members does not matter, and an unknown
//! member is not an error.

mod member;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Members of these objects are names, not fields: a `null` there still says that the name exists.
const NAMED: &[&str] = &["EndpointsConfig", "ExposedPorts", "Volumes", "PortBindings", "Ports"];

/// Reads a body. Nesting is bounded by the parser, size by whoever read the bytes.
///
/// # Errors
/// The parser's, when it is not JSON or a member has the wrong type.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let mut value: Value = serde_json::from_slice(bytes)?;
    if value.is_array() {
        // The decoder would take it for the members in their order.
        return Err(serde::de::Error::custom("cannot unmarshal an array into an object"));
    }
    forget_nulls(&mut value);
    serde_json::from_value(value)
}

/// Removes members that are `null`; where members are names, fills in an empty object, except for ports, which have a
/// meaning for `null`.
fn forget_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            respell(members);
            for (name, member) in members {
                if member::holds_names(name) && member.is_object() {
                    keep_names(member);
                    continue;
                }
                if NAMED.contains(&name.as_str()) {
                    fill_nulls(member, name.ends_with("Config") || name == "Volumes" || name == "ExposedPorts");
                } else {
                    forget_nulls(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forget_nulls),
        _ => {}
    }
}

/// Gives members the API's spelling; one that has it already wins.
fn respell(members: &mut serde_json::Map<String, Value>) {
    let otherwise = |name: &String| member::spelled(name).is_some_and(|known| known != name);
    let names: Vec<String> = members.keys().filter(|name| otherwise(name)).cloned().collect();
    for name in names {
        if let (Some(value), Some(known)) = (members.remove(&name), member::spelled(&name)) {
            members.entry(known).or_insert(value);
        }
    }
}

/// Of what people named only the nulls go.
fn keep_names(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, member| !member.is_null());
    }
}

fn fill_nulls(value: &mut Value, fill: bool) {
    let Value::Object(members) = value else { return };
    for member in members.values_mut() {
        if !member.is_null() {
            forget_nulls(member);
        } else if fill {
            *member = Value::Object(serde_json::Map::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::CreateBody;
    use crate::exec::ExecBody;

    #[test]
    fn the_case_of_members_does_not_matter_but_that_of_names_does() {
        let exec: ExecBody = read(br#"{"detachKeys":"ctrl-p","CMD":["a"],"cmd":["b"],"Cmd":["c"]}"#).unwrap();
        assert_eq!((exec.detach_keys.as_str(), exec.cmd), ("ctrl-p", vec!["c".to_owned()]));
        let text = br#"{"image":"a","labels":{"image":"x","Cmd":"y"},"hostConfig":{"memory":7,"Sysctls":{"image":"z"},
            "logConfig":{"type":"json-file","config":{"image":"l"}}}}"#;
        let body: CreateBody = read(text).unwrap();
        let host = body.host_config.unwrap();
        assert_eq!((body.config.image.as_str(), host.resources.memory), ("a", 7));
        assert!(body.config.labels.unwrap().contains_key("image"));
        assert_eq!(host.log_config.driver, "json-file");
        assert!(host.log_config.config.unwrap().contains_key("image"));
    }

    #[test]
    fn nulls_are_as_good_as_silence() {
        let text = br#"{"Image":"a","Hostname":null,"Env":null,"Volumes":{"/v":null},
            "HostConfig":{"Memory":null,"PortBindings":{"80/tcp":null,"81/tcp":[{"HostIp":null,"HostPort":"1"}]}},
            "NetworkingConfig":{"EndpointsConfig":{"bridge":null}},"Unknown":1}"#;
        let body: CreateBody = read(text).unwrap();
        assert_eq!(body.config.hostname, "");
        assert!(body.config.volumes.unwrap().contains_key("/v"));
        let host = body.host_config.unwrap();
        assert_eq!(host.port_bindings.as_ref().unwrap()["80/tcp"], None);
        assert_eq!(host.port_bindings.unwrap()["81/tcp"].as_ref().unwrap()[0].host_port, "1");
        assert!(body.networking_config.unwrap().endpoints_config.unwrap().contains_key("bridge"));
    }
}
