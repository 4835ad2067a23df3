//! Flags about devices and limits: weights, rates, rules of the devices cgroup, resource limits, device mappings.

use std::collections::{BTreeMap, HashSet};

use hako_model::container::{DeviceMapping, DeviceRequest, ThrottleDevice, Ulimit, WeightDevice};

use crate::flags::{parse_bytes, parse_int};

/// `/dev/sda:500`.
pub(super) fn weight(text: &str) -> Result<WeightDevice, String> {
    let (path, weight) = device_and(text)?;
    let invalid = || format!("invalid weight for device: {text}");
    let weight: u16 = weight.parse().map_err(|_| invalid())?;
    if weight > 0 && !(10..=1000).contains(&weight) {
        return Err(invalid());
    }
    Ok(WeightDevice { path, weight })
}

/// `/dev/sda:1mb`.
pub(super) fn byte_rate(text: &str) -> Result<ThrottleDevice, String> {
    let (path, rate) = device_and(text)?;
    let rate = parse_bytes(&rate).map_err(|_| {
        format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. \
             Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        )
    })?;
    Ok(ThrottleDevice { path, rate: rate.unsigned_abs() })
}

/// `/dev/sda:1000`.
pub(super) fn operation_rate(text: &str) -> Result<ThrottleDevice, String> {
    let (path, rate) = device_and(text)?;
    let rate = rate.parse().map_err(|_| {
        format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>. \
             Number must be a positive integer"
        )
    })?;
    Ok(ThrottleDevice { path, rate })
}

fn device_and(text: &str) -> Result<(String, String), String> {
    let (path, value) =
        text.split_once(':').filter(|(path, _)| !path.is_empty()).ok_or(format!("bad format: {text}"))?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {text}"));
    }
    Ok((path.to_owned(), value.to_owned()))
}

/// `c 7:* rwm`.
pub(super) fn cgroup_rule(text: &str) -> Result<(), String> {
    let number = |text: &str| text == "*" || (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    let fields: Vec<&str> = text.split(' ').collect();
    let valid = matches!(fields.as_slice(), [kind, device, access]
        if ["a", "b", "c"].contains(kind)
            && device.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
            && (1..=3).contains(&access.len())
            && access.chars().all(|c| "rwm".contains(c)));
    if valid { Ok(()) } else { Err(format!("invalid device cgroup format '{text}'")) }
}

/// `nofile=1024:2048`.
pub(crate) fn ulimit(text: &str) -> Result<Ulimit, String> {
    const NAMES: [&str; 15] = [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let (name, limits) = text.split_once('=').ok_or(format!("invalid ulimit argument: {text}"))?;
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let parts: Vec<&str> = limits.split(':').collect();
    if parts.len() > 2 {
        return Err(format!("too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"));
    }
    let number = |text: &str| parse_int(text);
    let soft = number(parts[0])?;
    let hard = parts.get(1).map_or(Ok(soft), |text| number(text))?;
    if hard != -1 && (soft == -1 || soft > hard) {
        let soft = if soft == -1 { "-1".to_owned() } else { soft.to_string() };
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"));
    }
    Ok(Ulimit { name: name.to_owned(), hard, soft })
}

/// `/dev/x[:/dev/y[:rwm]]`.
pub(super) fn mapping(text: &str) -> Result<DeviceMapping, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let mapping = |host: &str, container: &str, access: &str| DeviceMapping {
        path_on_host: host.to_owned(),
        path_in_container: if container.is_empty() { host } else { container }.to_owned(),
        cgroup_permissions: access.to_owned(),
    };
    let mapping = match parts.as_slice() {
        [host] => mapping(host, "", "rwm"),
        [host, access] if is_access(access) => mapping(host, "", access),
        [host, container] => mapping(host, container, "rwm"),
        [host, container, access] => mapping(host, container, access),
        _ => return Err(format!("invalid device specification: {text}")),
    };
    if !is_access(&mapping.cgroup_permissions) {
        return Err(format!("bad mode specified: {}", mapping.cgroup_permissions));
    }
    if !mapping.path_in_container.starts_with('/') {
        return Err(format!("{} is not an absolute path", mapping.path_in_container));
    }
    Ok(mapping)
}

/// What `--gpus`, and names of described devices in `--device`, ask the daemon for.
pub(super) fn requests(described: &[&str], graphics_of: &[&str]) -> Result<Vec<DeviceRequest>, String> {
    let mut requests = graphics_of.iter().map(|text| graphics(text)).collect::<Result<Vec<_>, String>>()?;
    if !described.is_empty() {
        let ids = Some(described.iter().map(|name| (*name).to_owned()).collect());
        requests.push(DeviceRequest { driver: "cdi".to_owned(), device_ids: ids, ..DeviceRequest::default() });
    }
    Ok(requests)
}

/// `all`, `2`, `"device=0,1",capabilities=utility`.
pub(super) fn graphics(text: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest::default();
    let mut seen = HashSet::new();
    for field in super::mounts::fields(text) {
        let (key, value) = field.split_once('=').map_or((field.as_str(), None), |(key, value)| (key, Some(value)));
        if !seen.insert(key.to_owned()) {
            return Err(format!("gpu request key '{key}' can be specified only once"));
        }
        let words = |value: &str| value.split(',').map(str::to_owned).collect::<Vec<_>>();
        match (key, value) {
            (count, None) => {
                seen.insert("count".to_owned());
                request.count = number(count)?;
            }
            ("count", Some(value)) => request.count = number(value)?,
            ("driver", Some(value)) => value.clone_into(&mut request.driver),
            ("device", Some(value)) => request.device_ids = Some(words(value)),
            ("capabilities", Some(value)) => {
                let mut all = words(value);
                all.push("gpu".to_owned());
                request.capabilities = Some(vec![all]);
            }
            ("options", Some(value)) => request.options = Some(pairs(value)),
            (key, Some(_)) => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    if !seen.contains("count") && request.device_ids.is_none() {
        request.count = 1;
    }
    request.options.get_or_insert_default();
    request.capabilities.get_or_insert_with(|| vec![vec!["gpu".to_owned()]]);
    Ok(request)
}

fn number(text: &str) -> Result<i64, String> {
    match text {
        "all" => Ok(-1),
        text => text
            .parse()
            .map_err(|_| format!("invalid count ({text}): value must be either \"all\" or an integer: invalid syntax")),
    }
}

fn pairs(text: &str) -> BTreeMap<String, String> {
    let pair = |text: &str| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    text.split(',').map(pair).collect()
}

/// Some of `rwm`, each at most once.
fn is_access(text: &str) -> bool {
    (1..=3).contains(&text.len())
        && text.chars().enumerate().all(|(at, letter)| "rwm".contains(letter) && !text[..at].contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_weights() {
        assert_eq!(byte_rate("/dev/sda:1mb").unwrap().rate, 1 << 20);
        assert_eq!(operation_rate("/dev/sda:10").unwrap().rate, 10);
        assert_eq!(weight("/dev/sda:500").unwrap().weight, 500);
        assert_eq!(weight("x").unwrap_err(), "bad format: x");
        assert_eq!(weight("/dev/sda:9").unwrap_err(), "invalid weight for device: /dev/sda:9");
        assert!(operation_rate("/dev/x:a").unwrap_err().starts_with("invalid rate for device: /dev/x:a. The correct"));
        assert!(byte_rate("/dev/x:a").unwrap_err().ends_with("can be kb, mb, or gb"));
    }

    #[test]
    fn limits_have_a_soft_and_a_hard_side() {
        assert_eq!(ulimit("nofile=1024:2048").unwrap(), Ulimit { name: "nofile".into(), soft: 1024, hard: 2048 });
        assert_eq!(ulimit("nofile=1024").unwrap().hard, 1024);
        assert_eq!(ulimit("core=-1:-1").unwrap().hard, -1);
        let cases = [
            ("x", "invalid ulimit argument: x"),
            ("foo=1", "invalid ulimit type: foo"),
            ("nofile=a", "strconv.ParseInt: parsing \"a\": invalid syntax"),
            ("nofile=5:4", "ulimit soft limit must be less than or equal to hard limit: 5 > 4"),
            ("nofile=1:2:3", "too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`"),
        ];
        for (text, expect) in cases {
            assert_eq!(ulimit(text).unwrap_err(), expect);
        }
    }

    #[test]
    fn graphics_processors() {
        let shown = |text: &str| {
            graphics(text)
                .map(|r| format!("{} {:?} {:?} {:?}", r.count, r.driver, r.device_ids, r.capabilities.unwrap()))
        };
        assert_eq!(shown("all").unwrap(), r#"-1 "" None [["gpu"]]"#);
        assert_eq!(shown("2").unwrap(), r#"2 "" None [["gpu"]]"#);
        assert_eq!(shown("\"device=0,1\"").unwrap(), r#"0 "" Some(["0", "1"]) [["gpu"]]"#);
        assert_eq!(shown("driver=nvidia,capabilities=utility").unwrap(), r#"1 "nvidia" None [["utility", "gpu"]]"#);
        assert_eq!(shown("foo=1").unwrap_err(), "unexpected key 'foo' in 'foo=1'");
        assert_eq!(shown("all,count=2").unwrap_err(), "gpu request key 'count' can be specified only once");
        assert_eq!(requests(&["v.com/d=x"], &[]).unwrap()[0].driver, "cdi");
    }

    #[test]
    fn device_mappings() {
        let shown = |text: &str| {
            mapping(text).map(|m| format!("{} {} {}", m.path_on_host, m.path_in_container, m.cgroup_permissions))
        };
        assert_eq!(shown("/dev/a").unwrap(), "/dev/a /dev/a rwm");
        assert_eq!(shown("/dev/a:r").unwrap(), "/dev/a /dev/a r");
        assert_eq!(shown("/dev/a:/dev/b").unwrap(), "/dev/a /dev/b rwm");
        assert_eq!(shown("/dev/a:/dev/b:rw").unwrap(), "/dev/a /dev/b rw");
        assert_eq!(shown("a:b:c:d").unwrap_err(), "invalid device specification: a:b:c:d");
        assert!(shown("/dev/a:/dev/b:rx").is_err());
        cgroup_rule("c 7:* rwm").unwrap();
        assert_eq!(cgroup_rule("x").unwrap_err(), "invalid device cgroup format 'x'");
    }
}
