//! `system df`.

use gotmpl::Value;
use hako_api::container::Summary as Container;
use hako_api::image::Summary as Image;
use hako_api::usage::{BuildCache, DiskUsage};
use hako_model::time::Timestamp;

use crate::command::{LIST_FORMAT, volume};
use crate::flags::{Matches, switch};
use crate::output;
use crate::render::clock::{ago, go_moment};
use crate::render::json::Order;
use crate::render::listing::{Listing, as_field_of, column, text};
use crate::render::table::align;
use crate::render::template::{Format, unescape};
use crate::render::units::{ellipsis, human_size, human_size_with, short_id};
use crate::session::Session;
use crate::tree::{Command, Outcome, run};
use hako_model::quote::quote;

pub(crate) static USAGE: Command = Command {
    usage: &["[OPTIONS]"],
    flags: &[&[LIST_FORMAT, switch("verbose", "Show detailed information on space usage").short('v')]],
    ..Command::new("Show hako disk usage", run!(usage))
};

/// One line of the summary.
struct Row {
    kind: &'static str,
    total: usize,
    active: usize,
    size: i64,
    reclaimable: i64,
}

const ROWS: Listing<Row> = Listing {
    columns: &[
        column("Type", "TYPE", |row: &Row| text(row.kind)),
        column("TotalCount", "TOTAL", |row: &Row| text(row.total.to_string())),
        column("Active", "ACTIVE", |row: &Row| text(row.active.to_string())),
        column("Size", "SIZE", |row: &Row| text(human_size(row.size as f64))),
        column("Reclaimable", "RECLAIMABLE", |row: &Row| text(reclaimable(row))),
    ],
    shown: &["Type", "TotalCount", "Active", "Size", "Reclaimable"],
    row_type: "*formatter.diskUsageImagesContext",
    labels: None,
};

fn reclaimable(row: &Row) -> String {
    let size = human_size(row.reclaimable as f64);
    if row.size > 0 && row.kind != "Build Cache" {
        format!("{size} ({}%)", row.reclaimable * 100 / row.size)
    } else {
        size
    }
}

async fn usage(session: &Session, found: &Matches) -> Outcome {
    let usage = session.client()?.system().disk_usage(&[]).await?;
    if found.on("verbose") && matches!(found.text("format"), "" | "table") {
        return output::print(details(&usage));
    }
    match found.text("format") {
        "raw" => output::print(ROWS.render(RAW, &summary(&usage))?),
        format if found.on("verbose") => output::print(templated(&usage, format)?),
        format => output::print(ROWS.render(format, &summary(&usage))?),
    }
}

/// Docker's `--format raw`.
const RAW: &str =
    "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n";

/// `-v --format`: a template over lists of everything there is.
fn templated(usage: &DiskUsage, format: &str) -> Result<String, String> {
    let source = if format == "json" { "{{json .}}".to_owned() } else { unescape(format) };
    let order = Order::default();
    let volumes = usage.volumes.as_deref().unwrap_or_default();
    let builds = by_use(usage.build_cache.as_deref().unwrap_or_default());
    let parts = [
        ("Images", crate::command::image::list::described(usage.images.as_deref().unwrap_or_default())),
        ("Containers", crate::command::container::list::described(usage.containers.as_deref().unwrap_or_default())),
        ("Volumes", volumes.iter().map(|volume| volume::ROWS.value(volume)).collect()),
        ("BuildCache", builds.iter().map(|kept| BUILDS.value(kept)).collect()),
    ];
    let parts = parts.into_iter().map(|(name, part)| (name, Value::List(part.into())));
    // Read again, so that the parts keep their order.
    let whole = parts.map(|(name, part)| format!("\"{name}\":{}", order.write(&part))).collect::<Vec<_>>().join(",");
    let whole = order.read(&format!("{{{whole}}}")).map_err(|error| error.to_string())?;
    let shown = Format::parse(&source, order)?.run(&whole);
    shown.map_err(|error| as_field_of(error.replacen("template parsing error: ", "", 1), "*formatter.diskUsageContext"))
}

/// What builds keep, by the names a template has for it.
const BUILDS: Listing<BuildCache> = Listing {
    columns: &[
        column("ID", "CACHE ID", |kept: &BuildCache| text(&kept.id)),
        column("Parent", "PARENT", |_: &BuildCache| text("")),
        column("CacheType", "CACHE TYPE", |kept: &BuildCache| text(&kept.kind)),
        column("Description", "DESCRIPTION", |kept: &BuildCache| text(&kept.description)),
        column("Size", "SIZE", |kept: &BuildCache| text(human_size_with(kept.size as f64, 3))),
        column("CreatedAt", "CREATED AT", |kept: &BuildCache| text(go_moment(&kept.created_at))),
        column("CreatedSince", "CREATED", |kept: &BuildCache| text(since(&kept.created_at))),
        column("LastUsedAt", "LAST USED AT", |kept: &BuildCache| {
            text(kept.last_used_at.as_deref().map(go_moment).unwrap_or_default())
        }),
        column("LastUsedSince", "LAST USED", |kept: &BuildCache| {
            text(since(kept.last_used_at.as_deref().unwrap_or_default()))
        }),
        column("UsageCount", "USAGE", |kept: &BuildCache| text(kept.usage_count.to_string())),
        column("InUse", "IN USE", |kept: &BuildCache| text(kept.in_use.to_string())),
        column("Shared", "SHARED", |kept: &BuildCache| text(kept.shared.to_string())),
    ],
    shown: &["ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared"],
    row_type: "*formatter.buildCacheContext",
    labels: None,
};

/// What was never used first, then what was not used for longest.
fn by_use(builds: &[BuildCache]) -> Vec<BuildCache> {
    let mut builds = builds.to_vec();
    let moment = |kept: &BuildCache| kept.last_used_at.as_deref().and_then(|text| Timestamp::parse(text).ok());
    builds.sort_by(|one, other| moment(one).cmp(&moment(other)).then_with(|| one.id.cmp(&other.id)));
    builds
}

fn since(text: &str) -> String {
    Timestamp::parse(text).map_or_else(|_| String::new(), |time| ago(time.secs()))
}

fn summary(usage: &DiskUsage) -> Vec<Row> {
    let images = usage.images.as_deref().unwrap_or_default();
    let containers = usage.containers.as_deref().unwrap_or_default();
    let volumes = usage.volumes.as_deref().unwrap_or_default();
    let builds = usage.build_cache.as_deref().unwrap_or_default();
    let runs = |container: &&Container| ["running", "paused", "restarting"].contains(&container.state.as_str());
    let written = |all: &mut dyn Iterator<Item = &Container>| all.map(|container| container.size_rw).sum::<i64>();
    let size_of = |volume: &hako_api::volume::Volume| volume.usage_data.map_or(0, |usage| usage.size.max(0));
    let links = |volume: &hako_api::volume::Volume| volume.usage_data.map_or(0, |usage| usage.ref_count);
    vec![
        Row {
            kind: "Images",
            total: images.len(),
            active: images.iter().filter(|image| image.containers > 0).count(),
            size: usage.layers_size,
            reclaimable: unused(images, usage.layers_size),
        },
        Row {
            kind: "Containers",
            total: containers.len(),
            active: containers.iter().filter(runs).count(),
            size: written(&mut containers.iter()),
            reclaimable: written(&mut containers.iter().filter(|container| !runs(container))),
        },
        Row {
            kind: "Local Volumes",
            total: volumes.len(),
            active: volumes.iter().filter(|volume| links(volume) > 0).count(),
            size: volumes.iter().map(size_of).sum(),
            reclaimable: volumes.iter().filter(|volume| links(volume) <= 0).map(size_of).sum(),
        },
        Row {
            kind: "Build Cache",
            total: builds.len(),
            active: builds.iter().filter(|kept| kept.in_use).count(),
            // What images hold, too, is theirs.
            size: builds.iter().filter(|kept| !kept.shared).map(|kept| kept.size).sum(),
            reclaimable: builds.iter().filter(|kept| !kept.in_use && !kept.shared).map(|kept| kept.size).sum(),
        },
    ]
}

/// How much of the images' bytes no container needs. The store also holds what it received and will send again, which no
/// image's own size has in it; each image accounts for its part of that.
fn unused(images: &[Image], all: i64) -> i64 {
    let total: i128 = images.iter().map(|image| i128::from(own_size(image))).sum();
    let idle: i128 = images.iter().filter(|image| image.containers == 0).map(|image| i128::from(own_size(image))).sum();
    if total <= 0 { 0 } else { i64::try_from(i128::from(all) * idle / total).unwrap_or(all) }
}

/// What goes when this image goes: what it shares with others stays.
fn own_size(image: &Image) -> i64 {
    if image.size == -1 || image.shared_size == -1 { 0 } else { image.size - image.shared_size }
}

fn details(usage: &DiskUsage) -> String {
    let images = align(&image_lines(usage.images.as_deref().unwrap_or_default()));
    let containers = align(&container_lines(usage.containers.as_deref().unwrap_or_default()));
    let volumes = usage.volumes.as_deref().unwrap_or_default();
    let volumes = volume::ROWS.render_columns("", &["Name", "Links", "Size"], volumes).unwrap_or_default();
    let mut builds = by_use(usage.build_cache.as_deref().unwrap_or_default());
    builds.iter_mut().for_each(|kept| kept.id = short_id(&kept.id).to_owned());
    let total: i64 = builds.iter().filter(|kept| !kept.shared).map(|kept| kept.size).sum();
    let (total, builds) = (human_size(total as f64), BUILDS.plain_table(BUILDS.shown, &builds));
    format!(
        "Images space usage:\n\n{images}\nContainers space usage:\n\n{containers}\nLocal Volumes space usage:\n\n{volumes}\n\
         Build cache usage: {total}\n\n{builds}"
    )
}

fn image_lines(images: &[Image]) -> String {
    let mut out = String::from("REPOSITORY\tTAG\tIMAGE ID\tCREATED\tSIZE\tSHARED SIZE\tUNIQUE SIZE\tCONTAINERS\n");
    let size = |bytes: i64| human_size(bytes.max(0) as f64);
    let containers = |count: i64| if count < 0 { "N/A".to_owned() } else { count.to_string() };
    for image in images {
        let name = image.repo_tags.first().map_or("<none>:<none>", String::as_str);
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "<none>"));
        let (id, created) = (short_id(&image.id), ago(image.created));
        let (all, shared, unique) = (
            human_size_with(image.size as f64, 3),
            size(image.shared_size),
            size(image.size - image.shared_size.max(0)),
        );
        out += &format!(
            "{repository}\t{tag}\t{id}\t{created}\t{all}\t{shared}\t{unique}\t{}\n",
            containers(image.containers)
        );
    }
    out
}

fn container_lines(containers: &[Container]) -> String {
    let mut out = String::from("CONTAINER ID\tIMAGE\tCOMMAND\tLOCAL VOLUMES\tSIZE\tCREATED\tSTATUS\tNAMES\n");
    for container in containers {
        let volumes = container.mounts.iter().filter(|mount| mount.driver == "local").count();
        let name = container.names.first().map_or("", |name| name.trim_start_matches('/'));
        out += &format!(
            "{}\t{}\t{}\t{volumes}\t{}\t{}\t{}\t{name}\n",
            short_id(&container.id),
            container.image,
            quote(&ellipsis(&container.command, 20)),
            human_size(container.size_rw as f64),
            ago(container.created),
            container.status
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_as_docker_shows_it() {
        let usage: DiskUsage = serde_json::from_value(serde_json::json!({
            "LayersSize": 1000,
            "Images": [{"Id": "a", "Containers": 1, "Size": 600, "SharedSize": 0}, {"Id": "b", "Containers": 0, "Size": 400}],
            "Containers": [{"Id": "c", "State": "running", "SizeRw": 5}, {"Id": "d", "State": "exited", "SizeRw": 7}],
            "Volumes": []
        }))
        .unwrap();
        let expect = "TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE\n\
                      Images          2         1         1kB       400B (40%)\n\
                      Containers      2         1         12B       7B (58%)\n\
                      Local Volumes   0         0         0B        0B\n\
                      Build Cache     0         0         0B        0B\n";
        assert_eq!(ROWS.render("", &summary(&usage)).unwrap(), expect);
        let image = |containers| Image { containers, size: 500, shared_size: 100, ..Image::default() };
        assert_eq!(unused(&[image(1), image(2)], 1200), 0, "all of it is needed");
        assert_eq!(unused(&[image(0), image(2)], 1200), 600);
        assert_eq!(unused(&[], 1200), 0);
    }
}
