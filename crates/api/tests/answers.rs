//! Answers of docker 28.5, read into the wire types and written again: nothing may be lost, gained or renamed.

use hako_api::{container, exec, image, inspect, network, progress, stats, system, usage, volume};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn check<T: DeserializeOwned + Serialize>(text: &str) {
    let expect: Value = serde_json::from_str(text).unwrap();
    let read: T = serde_json::from_str(text).unwrap();
    let written = serde_json::to_value(&read).unwrap();
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
    container_stats: stats::Sample = "stats.json",
    version: system::Version = "version.json",
    pull_and_push_progress: Vec<progress::Progress> = "progress.json",
    events: Vec<system::Event> = "events.json",
    disk_usage: usage::DiskUsage = "df.json",
}
