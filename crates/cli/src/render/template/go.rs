//! What a template prints of Docker's records: Docker's client reads them into Go's structs, so `{{.Mounts}}` shows values
//! in a struct's order and braces, and what is null shows as the empty list or map it is in Go. Structs are told by their
//! fields, empty values by the name they were asked for. Leaves out what templates compute with.

use gotmpl::Value;
use gotmpl::parse::{ActionNode, BranchNode, CommandNode, Expr, ListNode, Node};

use crate::render::clock::go_moment;

/// The function through which everything goes that is printed.
pub(super) const SHOW: &str = "_shown";

/// Fields that are lists; null is an empty one.
const LISTS: [&str; 38] = [
    "Aliases",
    "Args",
    "Binds",
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeightDevice",
    "CapAdd",
    "CapDrop",
    "Cmd",
    "DNSNames",
    "DeviceCgroupRules",
    "DeviceRequests",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "Entrypoint",
    "Env",
    "ExecIDs",
    "ExtraHosts",
    "GenericResources",
    "GroupAdd",
    "Layers",
    "Links",
    "Log",
    "MaskedPaths",
    "Mounts",
    "OnBuild",
    "ReadonlyPaths",
    "RepoDigests",
    "RepoTags",
    "SecurityOpt",
    "Shell",
    "Ulimits",
    "VolumesFrom",
    "Warnings",
];

/// Fields that are maps; null is an empty one.
const MAPS: [&str; 15] = [
    "Annotations",
    "AuxiliaryAddresses",
    "Config",
    "Containers",
    "Data",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "StorageOpt",
    "Sysctls",
    "Volumes",
];

/// Fields that point to something, or to nothing.
const POINTERS: [&str; 14] = [
    "ClusterVolume",
    "ContainerConfig",
    "Descriptor",
    "Health",
    "Healthcheck",
    "IPAMConfig",
    "Init",
    "MemorySwappiness",
    "OomKillDisable",
    "PidsLimit",
    "SizeRootFs",
    "SizeRw",
    "StopTimeout",
    "UsageData",
];

/// Maps of texts: what they have no key for is an empty text to `index`.
const TEXTS: [&str; 8] =
    ["Annotations", "AuxiliaryAddresses", "Config", "DriverOpts", "Labels", "Options", "StorageOpt", "Sysctls"];

/// As what [`SHOW`] is asked for such a text.
const TEXT: &str = "_text";

/// Structs: how many of the first fields are always there, then all fields in Go's order with what an absent one shows.
const STRUCTS: [(usize, &[(&str, &str)]); 17] = [
    (1, &[("Network", "")]),
    (1, &[("LastTagTime", "")]),
    (1, &[("ID", ""), ("Expected", "")]),
    (1, &[("Driver", ""), ("Info", "[]")]),
    (2, &[("HostIp", ""), ("HostPort", "")]),
    (2, &[("Name", ""), ("MaximumRetryCount", "0")]),
    (2, &[("Type", ""), ("Config", "map[]")]),
    (2, &[("Type", ""), ("Layers", "[]")]),
    (2, &[("Data", "map[]"), ("Name", "")]),
    (3, &[("Driver", ""), ("Options", "map[]"), ("Config", "[]")]),
    (1, &[("Subnet", ""), ("IPRange", ""), ("Gateway", ""), ("AuxiliaryAddresses", "map[]")]),
    (5, &[("Name", ""), ("EndpointID", ""), ("MacAddress", ""), ("IPv4Address", ""), ("IPv6Address", "")]),
    (3, &[("PathOnHost", ""), ("PathInContainer", ""), ("CgroupPermissions", "")]),
    (3, &[("Status", ""), ("FailingStreak", "0"), ("Log", "[]")]),
    (
        1,
        &[
            ("Test", "[]"),
            ("Interval", "0s"),
            ("Timeout", "0s"),
            ("StartPeriod", "0s"),
            ("StartInterval", "0s"),
            ("Retries", "0"),
        ],
    ),
    (
        0,
        &[
            ("Type", ""),
            ("Name", ""),
            ("Source", ""),
            ("Destination", ""),
            ("Driver", ""),
            ("Mode", ""),
            ("RW", "false"),
            ("Propagation", ""),
        ],
    ),
    (
        11,
        &[
            ("Status", ""),
            ("Running", "false"),
            ("Paused", "false"),
            ("Restarting", "false"),
            ("OOMKilled", "false"),
            ("Dead", "false"),
            ("Pid", "0"),
            ("ExitCode", "0"),
            ("Error", ""),
            ("StartedAt", ""),
            ("FinishedAt", ""),
            ("Health", "<nil>"),
        ],
    ),
];

/// The same template, in which everything that is printed goes through [`SHOW`], with the name it was asked by.
pub(super) fn through_show(list: &ListNode) -> ListNode {
    ListNode { pos: list.pos, nodes: list.nodes.iter().map(node).collect() }
}

fn node(found: &Node) -> Node {
    match found {
        Node::List(list) => Node::List(through_show(list)),
        Node::Action(found) => Node::Action(action(found)),
        Node::If(found) => Node::If(branch(found)),
        Node::Range(found) => Node::Range(branch(found)),
        Node::With(found) => Node::With(branch(found)),
        other => other.clone(),
    }
}

fn branch(found: &BranchNode) -> BranchNode {
    let else_body = found.else_body.as_ref().map(through_show);
    BranchNode { body: through_show(&found.body), else_body, ..found.clone() }
}

fn action(found: &ActionNode) -> ActionNode {
    let mut found = found.clone();
    if !found.pipe.decl.is_empty() {
        return found;
    }
    let asked = match found.pipe.commands.as_slice() {
        [CommandNode { args, .. }] => match args.as_slice() {
            [Expr::Identifier(_, function), Expr::Field(_, names), _]
                if function.as_str() == "index" && names.last().is_some_and(|name| TEXTS.contains(&&**name)) =>
            {
                Some(TEXT.into())
            }
            [Expr::Field(_, names) | Expr::Variable(_, _, names) | Expr::Chain(_, _, names)] => names.last().cloned(),
            _ => None,
        },
        _ => None,
    };
    let name = asked.map(|name| name.to_string()).unwrap_or_default();
    let pos = found.pos;
    let args = vec![Expr::Identifier(pos, SHOW.into()), Expr::String(pos, name.into())];
    found.pipe.commands.push(CommandNode { pos, args });
    found
}

/// What is printed of a value that was asked for as `name`. What Go prints the same way stays as it is.
pub(super) fn shown(name: &str, value: &Value) -> Value {
    let text = |text: &str| Value::String(text.into());
    match value {
        Value::Nil if name == TEXT => text(""),
        Value::String(moment) if name == "LastTagTime" => text(&go_moment(moment)),
        Value::Nil if LISTS.contains(&name) => text("[]"),
        Value::Nil if MAPS.contains(&name) => text("map[]"),
        Value::Nil if POINTERS.contains(&name) => text("<nil>"),
        Value::Map(map) if map.is_empty() && POINTERS.contains(&name) => text("<nil>"),
        Value::Map(_) | Value::List(_) => text(&written(name, value)),
        other => other.clone(),
    }
}

fn written(name: &str, value: &Value) -> String {
    match value {
        Value::Nil if LISTS.contains(&name) => "[]".to_owned(),
        Value::Nil if MAPS.contains(&name) => "map[]".to_owned(),
        Value::List(items) => {
            format!("[{}]", items.iter().map(|item| written("", item)).collect::<Vec<_>>().join(" "))
        }
        Value::Map(map) if map.len() == 3 && ["Name", "Soft", "Hard"].iter().all(|field| map.contains_key(*field)) => {
            format!("{}={}:{}", map["Name"], map["Soft"], map["Hard"])
        }
        Value::String(moment) if name == "LastTagTime" => go_moment(moment),
        Value::Map(map) => {
            let is = |(always, fields): &&(usize, &[(&str, &str)])| {
                let always = if *always == 0 { fields.len() } else { *always };
                let known = map.keys().all(|key| fields.iter().any(|(field, _)| *field == &**key));
                // A mount's name and driver, the last of which is no volume's, may be left out.
                let optional = |field: &str| fields.len() == 8 && matches!(field, "Name" | "Driver" | "Type");
                known && fields.iter().take(always).all(|(field, _)| optional(field) || map.contains_key(*field))
            };
            if let Some((_, fields)) = STRUCTS.iter().find(is) {
                let field = |(field, empty): &(&str, &str)| match map.get(*field) {
                    None | Some(Value::Nil) => (*empty).to_owned(),
                    Some(Value::Int(time)) if *empty == "0s" => duration(*time),
                    Some(value) => written(field, value),
                };
                return format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(" "));
            }
            let pair = |(key, value): (&std::sync::Arc<str>, &Value)| match value {
                // Of ports, sets are maps to nothing, and those that are not published lead to no list.
                Value::Map(set) if set.is_empty() && (key.contains('/') || name == "Volumes") => format!("{key}:{{}}"),
                Value::Nil if key.contains('/') => format!("{key}:[]"),
                value => format!("{key}:{}", written("", value)),
            };
            format!("map[{}]", map.iter().map(pair).collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

/// Nanoseconds as Go writes a duration: `1m30s`, `1.5s`, `20ms`.
fn duration(nanos: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns")];
    if nanos == 0 {
        return "0s".to_owned();
    }
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs() as f64;
    let seconds = nanos.abs() / UNITS[0].0;
    if seconds >= 60 {
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, size / 1e9 - (seconds / 60 * 60) as f64);
        let hours = if hours > 0 { format!("{hours}h") } else { String::new() };
        return format!("{sign}{hours}{minutes}m{rest}s");
    }
    let (unit, word) = UNITS.into_iter().find(|(unit, _)| nanos.abs() >= *unit).unwrap_or(UNITS[3]);
    format!("{sign}{}{word}", size / unit as f64)
}

#[cfg(test)]
mod tests {
    use crate::render::json::Order;
    use crate::render::template::Format;

    #[test]
    fn records_print_as_gos_structs() {
        let record = r#"{"Mounts":[{"Type":"volume","Name":"v","Source":"/s","Destination":"/v","Driver":"local","Mode":"z",
            "RW":true,"Propagation":""},{"Type":"bind","Source":"/a","Destination":"/b","Mode":"","RW":false,
            "Propagation":"rprivate"}],"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}],"81/tcp":null},
            "RestartPolicy":{"Name":"always","MaximumRetryCount":0},"LogConfig":{"Type":"json-file","Config":{}},
            "Healthcheck":{"Test":["CMD","true"],"Interval":1500000000,"Timeout":90000000000},"ExposedPorts":{"80/tcp":{}},
            "Entrypoint":null,"Options":null,"PidsLimit":null,"Cmd":["a","b"],"Labels":{"b":"2","a":"1"},"Nothing":null,
            "Ulimits":[{"Hard":20,"Name":"nofile","Soft":10}],"ConfigFrom":{"Network":""},"ContainerdCommit":{"ID":""},
            "Warnings":null,"Descriptor":null,"Metadata":{"LastTagTime":"2026-11-22T16:12:39.5Z"},
            "State":{"Status":"exited","FailingStreak":1,"Log":null},"IPAM":{"Driver":"default","Options":null,
            "Config":[{"Subnet":"10.0.0.0/8","Gateway":"10.0.0.1"}]}}"#;
        for (template, expected) in [
            ("{{.Mounts}}", "[{volume v /s /v local z true } {bind  /a /b   false rprivate}]"),
            ("{{.Ports}}", "map[80/tcp:[{0.0.0.0 8080}] 81/tcp:[]]"),
            ("{{.RestartPolicy}} {{.LogConfig}}", "{always 0} {json-file map[]}"),
            ("{{.Healthcheck}}", "{[CMD true] 1.5s 1m30s 0s 0s 0}"),
            ("{{.ExposedPorts}} {{.Labels}}", "map[80/tcp:{}] map[a:1 b:2]"),
            ("{{.Entrypoint}} {{.Options}} {{.PidsLimit}} {{.Cmd}}", "[] map[] <nil> [a b]"),
            ("{{.State}} {{.IPAM}}", "{exited 1 []} {default map[] [{10.0.0.0/8  10.0.0.1 map[]}]}"),
            ("{{range .Mounts}}{{.}}{{end}}", "{volume v /s /v local z true }{bind  /a /b   false rprivate}"),
            ("{{with .Ports}}{{.}}{{end}}", "map[80/tcp:[{0.0.0.0 8080}] 81/tcp:[]]"),
            ("{{$p := .RestartPolicy}}{{$p}}{{$p.Name}}", "{always 0}always"),
            ("{{index .Labels \"a\"}}|{{index .Labels \"c\"}}|{{.Ulimits}}", "1||[nofile=10:20]"),
            ("{{.ConfigFrom}} {{.ContainerdCommit}} {{.Warnings}} {{.Descriptor}}", "{} { } [] <nil>"),
            (
                "{{.Metadata}} {{.Metadata.LastTagTime}}",
                "{2026-11-22 16:12:39.5 +0000 UTC} 2026-11-22 16:12:39.5 +0000 UTC",
            ),
            ("{{json .Entrypoint}} {{.Nothing}} {{len .Cmd}}", "null <no value> 2"),
            ("{{define \"x\"}}<{{.}}>{{end}}{{template \"x\" .RestartPolicy}}", "<{always 0}>"),
        ] {
            let format = Format::of_record(template, Order::default()).unwrap();
            let value = format.order().read(record).unwrap();
            assert_eq!(format.run(&value).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn durations_are_gos() {
        for (nanos, text) in
            [(0, "0s"), (5, "5ns"), (20_000_000, "20ms"), (30_000_000_000, "30s"), (3_661_000_000_000, "1h1m1s")]
        {
            assert_eq!(super::duration(nanos), text);
        }
    }
}
