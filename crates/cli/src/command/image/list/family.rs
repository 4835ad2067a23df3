//! `images --tree`: images with the platforms they exist for below them.

use hako_api::image::{Part, Summary};

use crate::render::table::align;
use crate::render::units::{human_size_with, short_id};

/// The line of a platform; what is attested has none.
fn platform(part: &Part) -> Option<String> {
    let image = part.image.as_ref()?;
    let (size, containers) = match part.available {
        true => (human_size_with(part.size.total as f64, 3), image.containers.len()),
        // Somewhere, but not here.
        false => ("-".to_owned(), 0),
    };
    let containers = if containers > 0 { containers.to_string() } else { "-".to_owned() };
    Some(format!("{}\t{}\t{size}\t{containers}", image.platform, short_id(&part.id)))
}

/// A line for each image and, below its first name, one for each further name.
pub(super) fn tree(summaries: &[Summary]) -> String {
    let mut out = String::from("IMAGE\tID\tDISK USAGE\tCONTAINERS\n");
    for summary in summaries {
        let names: Vec<&str> = summary.repo_tags.iter().map(String::as_str).collect();
        let (first, others) = names.split_first().map_or(("<untagged>", &[][..]), |(first, rest)| (*first, rest));
        let containers = if summary.containers > 0 { summary.containers.to_string() } else { "-".to_owned() };
        let size = human_size_with(summary.size as f64, 3);
        out += &format!("{first}\t{}\t{size}\t{containers}\n", short_id(&summary.id));
        let mut below: Vec<String> = others.iter().map(|name| format!("{name}\t\t\t")).collect();
        below.extend(summary.manifests.iter().flatten().filter_map(platform));
        for (number, line) in below.iter().enumerate() {
            let branch = if number + 1 == below.len() { "└─" } else { "├─" };
            out += &format!("{branch} {line}\n");
        }
    }
    align(&out)
}
