//! Reading JSON bodies the way Go does: `null` means "not said", the case of members does not matter, and an unknown
//! member is not an error.

mod member;
mod text;

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Members of these objects are names, not fields: a `null` there still says that the name exists.
const NAMED: &[&str] = &["EndpointsConfig", "ExposedPorts", "Volumes", "PortBindings", "Ports"];

/// Reads a body. Nesting is bounded by the parser, size by whoever read the bytes.
///
/// # Errors
/// The parser's, when it is not JSON or a member has the wrong type.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let mut value: Value = match serde_json::from_slice(bytes) {
        Ok(value) => value,
        Err(cause) => match text::mended(bytes) {
            Some(text) => serde_json::from_str(&text)?,
            None => return Err(cause),
        },
    };
    match value {
        // The decoder would take it for the members in their order.
        Value::Array(_) => return Err(an_array("the body")),
        Value::Null => value = Value::Object(serde_json::Map::new()),
        _ => forget_nulls(&mut value)?,
    }
    serde_json::from_value(value)
}

fn an_array(place: &str) -> serde_json::Error {
    serde::de::Error::custom(format!("cannot unmarshal array into {place}, which is an object"))
}

/// Removes members that are `null`; where members are names, fills in an empty object, except for ports, which have a
/// meaning for `null`. Refuses arrays where objects belong.
fn forget_nulls(value: &mut Value) -> Result<(), serde_json::Error> {
    let Value::Object(members) = value else { return Ok(()) };
    members.retain(|_, member| !member.is_null());
    respell(members);
    for (name, member) in members {
        if member::is_object(name) && member.is_array() {
            return Err(an_array(name));
        }
        if let Value::Array(items) = member {
            if let Some(length) = member::length(name) {
                items.resize(length, Value::Null);
            }
            tidy_items(name, items)?;
        } else if member::holds_names(name) && member.is_object() {
            silence_nulls(member);
        } else if NAMED.contains(&name.as_str()) {
            fill_nulls(name, member)?;
        } else {
            forget_nulls(member)?;
        }
    }
    Ok(())
}

/// The items of an array: a `null` among them is what Go makes of it, the empty item.
fn tidy_items(name: &str, items: &mut [Value]) -> Result<(), serde_json::Error> {
    for item in items {
        match item {
            Value::Null => *item = member::empty_item(name),
            Value::Array(_) if member::holds_objects(name) => return Err(an_array(name)),
            Value::Array(inner) => tidy_items("", inner)?,
            _ => forget_nulls(item)?,
        }
    }
    Ok(())
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

/// In what people named a null is an empty text.
fn silence_nulls(value: &mut Value) {
    let Value::Object(members) = value else { return };
    for member in members.values_mut().filter(|member| member.is_null()) {
        *member = Value::String(String::new());
    }
}

fn fill_nulls(name: &str, value: &mut Value) -> Result<(), serde_json::Error> {
    let objects = name.ends_with("Config") || name == "Volumes" || name == "ExposedPorts";
    let Value::Object(members) = value else { return Ok(()) };
    for member in members.values_mut() {
        match member {
            Value::Null if objects => *member = Value::Object(serde_json::Map::new()),
            Value::Array(_) if objects => return Err(an_array(name)),
            Value::Array(items) => tidy_items(name, items)?,
            _ => forget_nulls(member)?,
        }
    }
    Ok(())
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

    #[test]
    fn nulls_among_items_are_empty_items() {
        let text = br#"{"Image":"a","Cmd":["a",null],"Labels":{"a":null},"HostConfig":{"Ulimits":[null],
            "DeviceRequests":[{"Capabilities":[null,["gpu",null]]}],"PortBindings":{"80/tcp":[null]},"ConsoleSize":[7]}}"#;
        let body: CreateBody = read(text).unwrap();
        assert_eq!(body.config.cmd.unwrap(), ["a", ""]);
        assert_eq!(body.config.labels.unwrap()["a"], "");
        let host = body.host_config.unwrap();
        assert_eq!(host.resources.ulimits.unwrap().len(), 1);
        let requests = host.resources.device_requests.unwrap();
        assert_eq!(requests[0].capabilities.as_ref().unwrap()[1], ["gpu", ""]);
        assert_eq!(host.port_bindings.unwrap()["80/tcp"].as_ref().unwrap()[0].host_port, "");
        assert_eq!(host.console_size, [7, 0]);
        assert_eq!(read::<ExecBody>(b"null").unwrap(), ExecBody::default());
    }

    #[test]
    fn arrays_are_no_objects() {
        for text in [
            "[]",
            r#"{"Healthcheck":[]}"#,
            r#"{"ExposedPorts":{"80/tcp":[]}}"#,
            r#"{"HostConfig":{"RestartPolicy":["always"]}}"#,
            r#"{"HostConfig":{"Ulimits":[["core"]]}}"#,
            r#"{"HostConfig":{"PortBindings":{"80/tcp":[[]]}}}"#,
            r#"{"NetworkingConfig":{"EndpointsConfig":{"a":[]}}}"#,
        ] {
            let refused = read::<CreateBody>(text.as_bytes()).unwrap_err().to_string();
            assert!(refused.starts_with("cannot unmarshal array into "), "{text}: {refused}");
        }
    }

    #[test]
    fn what_nobody_knows_may_be_anything() {
        let body: CreateBody =
            read(br#"{"Image":"a","Unknown":[[1,null],{"x":[[]]}],"HostConfig":{"New":[[]]}}"#).unwrap();
        assert_eq!(body.config.image, "a");
    }

    #[test]
    fn text_that_is_no_text_is_read_as_go_reads_it() {
        let text = b"{\"Image\":\"a\xff\\ud800b\\ud83d\\ude00\\\\ud800\"}";
        let body: CreateBody = read(text).unwrap();
        assert_eq!(body.config.image, "a\u{fffd}\u{fffd}b\u{1f600}\\ud800");
        assert!(read::<CreateBody>(b"{\"Image\":\"\\ud8\"}").is_err());
    }
}
