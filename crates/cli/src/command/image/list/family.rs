//! `images --tree`: images with the platforms they exist for below them.

use hako_api::image::Summary;

use crate::render::table::align;
use crate::render::units::{human_size_with, short_id};

/// A line for each image and, below its first name, one for each further name.
pub(super) fn tree(summaries: &[Summary]) -> String {
    let mut out = String::from("IMAGE\tID\tDISK USAGE\tCONTAINERS\n");
    for summary in summaries {
        let names: Vec<&str> = summary.repo_tags.iter().map(String::as_str).collect();
        let (first, others) = names.split_first().map_or(("<untagged>", &[][..]), |(first, rest)| (*first, rest));
        let containers = if summary.containers > 0 { summary.containers.to_string() } else { "-".to_owned() };
        let size = human_size_with(summary.size as f64, 3);
        out += &format!("{first}\t{}\t{size}\t{containers}\n", short_id(&summary.id));
        for (number, name) in others.iter().enumerate() {
            let branch = if number + 1 == others.len() { "└─" } else { "├─" };
            out += &format!("{branch} {name}\t\t\t\n");
        }
    }
    align(&out)
}
