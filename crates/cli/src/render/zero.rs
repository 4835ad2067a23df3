//! What Docker's client, whose structs are typed, finds in fields that the daemon leaves out when they are empty.

use serde_json::{Map, Value, json};

/// Adds the fields that a description leaves out, so that a template naming them gets their empty value. Texts that
/// are no description of a known object come back as they are.
pub(crate) fn filled(text: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    if let Some(object) = value.as_object()
        && let Some(empty) = empty_fields(object)
    {
        add(&mut value, &empty);
    }
    value.to_string()
}

/// The fields with `omitempty` of the object this is, told by a field only its kind has.
fn empty_fields(object: &Map<String, Value>) -> Option<Value> {
    if object.contains_key("HostConfig") {
        let mut fields = container();
        // In Go it is called so.
        fields["ID"] = object.get("Id").cloned().unwrap_or_default();
        return Some(fields);
    }
    if object.contains_key("RootFS") {
        return Some(
            json!({ "ID": object.get("Id"), "Descriptor": null, "VirtualSize": 0, "Container": "", "ContainerConfig": null,
            "DockerVersion": "", "Created": "", "Variant": "", "OsVersion": "", "Config": config() }),
        );
    }
    if object.contains_key("Mountpoint") {
        return Some(json!({ "CreatedAt": "", "Status": {}, "UsageData": null, "ClusterVolume": null }));
    }
    if object.contains_key("ServerVersion") {
        return Some(
            json!({ "HTTPProxy": "", "HttpProxy": "", "HTTPSProxy": "", "HttpsProxy": "", "NoProxy": "", "Warnings": [],
            "ServerErrors": [], "DefaultAddressPools": [], "DiscoveredDevices": [], "GenericResources": [] }),
        );
    }
    let pool = json!({ "Subnet": "", "IPRange": "", "Gateway": "", "AuxiliaryAddresses": {} });
    object
        .contains_key("IPAM")
        .then(|| json!({ "ID": object.get("Id"), "Peers": [], "Services": {}, "IPAM": { "Config": [pool] } }))
}

/// Pointers to structs are empty maps here: false in a condition, and without any field.
fn container() -> Value {
    json!({
        "SizeRw": null,
        "SizeRootFs": null,
        "State": { "Health": {} },
        "Config": config(),
        "HostConfig": {
            "Annotations": {}, "Mounts": [], "Tmpfs": {}, "StorageOpt": {}, "Sysctls": {}, "Runtime": "", "Init": null,
            "KernelMemory": 0, "KernelMemoryTCP": 0
        },
        "Mounts": [{ "Type": "", "Name": "", "Driver": "" }],
    })
}

fn config() -> Value {
    json!({
        "ExposedPorts": {}, "Healthcheck": {}, "ArgsEscaped": false, "NetworkDisabled": false, "MacAddress": "",
        "StopSignal": "", "StopTimeout": null, "Shell": []
    })
}

/// Adds what `value` lacks of `empty`; a list's only element stands for each of the value's.
fn add(value: &mut Value, empty: &Value) {
    match (value, empty) {
        (Value::Object(object), Value::Object(fields)) => {
            for (name, empty) in fields {
                match object.get_mut(name) {
                    Some(there) => add(there, empty),
                    None if empty.as_array().is_some_and(|list| !list.is_empty()) => {
                        object.insert(name.clone(), json!([]));
                    }
                    None => {
                        object.insert(name.clone(), empty.clone());
                    }
                }
            }
        }
        (Value::Array(elements), Value::Array(empty)) => {
            let Some(empty) = empty.first() else { return };
            elements.iter_mut().for_each(|element| add(element, empty));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_and_what_is_missing_is_empty() {
        let text = r#"{"HostConfig":{"Runtime":"x"},"State":{"Pid":1},"Mounts":[{"Type":"bind"}]}"#;
        let value: Value = serde_json::from_str(&filled(text)).unwrap();
        assert_eq!(value["HostConfig"]["Runtime"], "x");
        assert_eq!(value["Mounts"], json!([{ "Type": "bind", "Name": "", "Driver": "" }]));
        assert_eq!(value["State"], json!({ "Pid": 1, "Health": {} }));
        assert_eq!(value["Config"]["StopSignal"], "");
    }

    #[test]
    fn other_texts_stay() {
        for text in ["[]", r#"{"Name":"x"}"#, "no json"] {
            assert_eq!(filled(text), text);
        }
    }
}
