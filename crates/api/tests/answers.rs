//! Answers of docker 28.5, read into the wire types and written again: nothing may be lost, gained or renamed.

use hako_api::{container, exec, image, inspect, network, progress, stats, system, usage, volume};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn check<T: DeserializeOwned + Serialize>(text: &str) {
    let expect: Value = serde_json::from_str(text).expect("JSON");
    let read: T = serde_json::from_str(text).expect("JSON");
    let written = serde_json::to_value(&read).expect("JSON");
    assert_eq!(written, expect);
}

macro_rules! answers {
    ($($name:ident: $kind:ty = $file:literal,)*) => {$(
        #[test]
        fn $name() {
            check::<$kind>(include_str!(concat!("answers/", $file)));
        }
    )*};
}

answers! {
    container_list: Vec<container::Summary> = "container-list.json",
    container_inspect: inspect::Container = "container-inspect.json",
    image_list: Vec<image::Summary> = "image-list.json",
    image_inspect: image::Image = "image-inspect.json",
    image_history: Vec<image::History> = "image-history.json",
    volume_list: volume::List = "volume-list.json",
    network_inspect: network::Network = "network-inspect.json",
    exec_inspect: exec::Exec = "exec-inspect.json",
    container_list_with_sizes: Vec<container::Summary> = "container-list-size.json",
    network_list: Vec<network::Network> = "network-list.json",
    info: system::Info = "info.json",
    container_stats_on_cgroup_v1: stats::Sample = "stats-cgroup1.json",
    container_stats: stats::Sample = "stats.json",
    version: system::Version = "version.json",
    pull_and_push_progress: Vec<progress::Progress> = "progress.json",
    events: Vec<system::Event> = "events.json",
    disk_usage: usage::DiskUsage = "df.json",
}

#[test]
fn null_lists_are_read_as_empty() {
    let summary: image::Summary = serde_json::from_str(r#"{"RepoTags":null,"RepoDigests":null}"#).expect("JSON");
    assert_eq!(summary, image::Summary::default());
}
