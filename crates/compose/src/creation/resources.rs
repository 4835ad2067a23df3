//! How much a container may take, and when it is started again.

use hako_model::cdi::QualifiedName;
use hako_model::container::{
    DeviceMapping, DeviceRequest, Resources, RestartName, RestartPolicy, ThrottleDevice, Ulimit, WeightDevice,
};

use super::{bytes, span, strings};
use crate::yaml::{Node, Text};

const EMPTY: Node = Node {
    value: crate::yaml::Value::Null,
    mark: crate::yaml::Mark { file: 0, line: 0, column: 0 },
    directive: crate::yaml::Directive::Merge,
};

/// A service's limits, devices and priorities.
pub(super) fn of(node: &Node) -> Resources {
    let int = |key: &str| node.int(key).unwrap_or(0);
    let deploy = |part: &str| node.at_path(&["deploy", "resources", part]);
    let (limits, reservations) = (deploy("limits").unwrap_or(&EMPTY), deploy("reservations").unwrap_or(&EMPTY));
    let either = |own: i64, deployed: i64| if deployed == 0 { own } else { deployed };
    let pids = either(int("pids_limit"), limits.int("pids").unwrap_or(0));
    let swappiness = bytes(node, "mem_swappiness");
    let texts = |key: &str| Some(node.texts(key)).filter(|texts| !texts.is_empty());
    let mut resources = Resources {
        cpu_shares: int("cpu_shares"),
        memory: either(bytes(node, "mem_limit"), bytes(limits, "memory")),
        nano_cpus: either(billionths(node), billionths(limits)),
        cgroup_parent: node.text("cgroup_parent").to_owned(),
        cpu_period: int("cpu_period"),
        cpu_quota: int("cpu_quota"),
        cpu_realtime_period: int("cpu_rt_period"),
        cpu_realtime_runtime: int("cpu_rt_runtime"),
        cpuset_cpus: node.text("cpuset").to_owned(),
        device_cgroup_rules: texts("device_cgroup_rules"),
        memory_reservation: either(bytes(node, "mem_reservation"), bytes(reservations, "memory")),
        memory_swap: bytes(node, "memswap_limit"),
        memory_swappiness: (swappiness != 0).then_some(swappiness),
        oom_kill_disable: node.switch("oom_kill_disable"),
        pids_limit: (pids != 0).then_some(pids),
        cpu_count: int("cpu_count"),
        ..Resources::default()
    };
    devices(node, reservations, &mut resources);
    if let Some(blkio) = node.get("blkio_config") {
        throttle(blkio, &mut resources);
    }
    let ulimits: Vec<Ulimit> = node.entries("ulimits").map(ulimit).collect();
    resources.ulimits = Some(ulimits).filter(|ulimits| !ulimits.is_empty());
    resources
}

#[allow(clippy::cast_possible_truncation)]
fn billionths(node: &Node) -> i64 {
    (node.float("cpus").unwrap_or(0.0) * 1e9).round() as i64
}

fn devices(node: &Node, reservations: &Node, resources: &mut Resources) {
    let (mut mapped, mut cdi) = (Vec::new(), Vec::new());
    for device in node.list("devices") {
        let (source, target) = (device.text("source"), device.text("target"));
        if source == target && QualifiedName::parse(source).is_some() {
            cdi.push(source.to_owned());
            continue;
        }
        let permissions = Some(device.text("permissions")).filter(|text| !text.is_empty()).unwrap_or("rwm");
        mapped.push(DeviceMapping {
            path_on_host: source.to_owned(),
            path_in_container: target.to_owned(),
            cgroup_permissions: permissions.to_owned(),
        });
    }
    resources.devices = Some(mapped).filter(|devices| !devices.is_empty());
    let mut requests = Vec::new();
    if !cdi.is_empty() {
        requests.push(DeviceRequest { driver: "cdi".to_owned(), device_ids: Some(cdi), ..DeviceRequest::default() });
    }
    requests.extend(node.list("gpus").iter().map(|gpus| request(gpus, true)));
    requests.extend(reservations.list("devices").iter().map(|device| request(device, false)));
    resources.device_requests = Some(requests).filter(|requests| !requests.is_empty());
}

fn request(device: &Node, gpu: bool) -> DeviceRequest {
    let mut capabilities = device.texts("capabilities");
    if gpu {
        capabilities.push("gpu".to_owned());
    }
    let ids = device.texts("device_ids");
    DeviceRequest {
        driver: device.text("driver").to_owned(),
        count: device.int("count").unwrap_or(0),
        device_ids: Some(ids).filter(|ids| !ids.is_empty()),
        capabilities: Some(vec![capabilities]),
        options: Some(strings(device, "options")).filter(|options| !options.is_empty()),
    }
}

fn throttle(blkio: &Node, resources: &mut Resources) {
    let rates = |key: &str| {
        let rate = |one: &Node| ThrottleDevice {
            path: one.text("path").to_owned(),
            rate: one.text("rate").parse().unwrap_or(0),
        };
        let rates: Vec<ThrottleDevice> = blkio.list(key).iter().map(rate).collect();
        Some(rates).filter(|rates| !rates.is_empty())
    };
    let narrow = |number: Option<i64>| number.and_then(|number| u16::try_from(number).ok()).unwrap_or(0);
    resources.blkio_weight = narrow(blkio.int("weight"));
    let weight = |one: &Node| WeightDevice { path: one.text("path").to_owned(), weight: narrow(one.int("weight")) };
    let weights: Vec<WeightDevice> = blkio.list("weight_device").iter().map(weight).collect();
    resources.blkio_weight_device = Some(weights).filter(|weights| !weights.is_empty());
    resources.blkio_device_read_bps = rates("device_read_bps");
    resources.blkio_device_write_bps = rates("device_write_bps");
    resources.blkio_device_read_iops = rates("device_read_iops");
    resources.blkio_device_write_iops = rates("device_write_iops");
}

fn ulimit((name, limit): (&Text, &Node)) -> Ulimit {
    let single = limit.scalar().and_then(|text| text.parse().ok());
    let of = |key: &str| limit.int(key).or(single).unwrap_or(0);
    Ulimit { name: name.to_string(), hard: of("hard"), soft: of("soft") }
}

/// When it is started again: `deploy.restart_policy`, or `restart`.
pub(super) fn restart(node: &Node) -> Result<RestartPolicy, String> {
    let deployed = node.at_path(&["deploy", "restart_policy"]);
    let (condition, attempts) = match deployed {
        Some(policy) => {
            let condition = Some(policy.text("condition")).filter(|text| !text.is_empty()).unwrap_or("any");
            (condition.to_owned(), policy.int("max_attempts").unwrap_or(0))
        }
        None => {
            let text = node.text("restart");
            let (name, attempts) = text.split_once(':').unwrap_or((text, "0"));
            let attempts = attempts.parse().map_err(|_| format!("invalid restart policy: {text}"))?;
            (name.to_owned(), attempts)
        }
    };
    let name = match condition.as_str() {
        "none" => "no",
        "any" => "always",
        other => other,
    };
    let name = RestartName::try_from(name.to_owned()).map_err(|_| format!("invalid restart policy: {condition}"))?;
    let counts = name == RestartName::OnFailure;
    // A pause that is said does not grow from restart to restart.
    let span =
        |key: &str| deployed.and_then(|policy| span(policy, key)).filter(|_| name != RestartName::No).unwrap_or(0);
    Ok(RestartPolicy {
        name,
        maximum_retry_count: if counts { attempts } else { 0 },
        minimum_delay: span("delay"),
        maximum_delay: span("delay"),
        reset_after: span("window"),
    })
}
