//! Reading JSON bodies the way Go does: `null` means "not said", and an unknown member is not an error.

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
    forget_nulls(&mut value);
    serde_json::from_value(value)
}

/// Removes members that are `null`; where members are names, fills in an empty object, except for ports, which have a
/// meaning for `null`.
fn forget_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            for (name, member) in members {
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
