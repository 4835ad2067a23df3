//! `builder du`: what builds keep, as buildx shows it. Leaves out removing it.

use hako_api::usage::BuildCache;
use hako_model::time::Timestamp;

use super::pruning::{BUILDER, heed_group};
use crate::failure::Failure;
use crate::flags::{Matches, filter, parse_duration, switch, text as text_flag};
use crate::output;
use crate::render::clock::{ago, go_moment, now};
use crate::render::listing::{Listing, column, text};
use crate::render::units::human_size;
use crate::session::Session;
use crate::tree::{Command, Outcome, run};

pub(super) static DU: Command = Command {
    usage: &[""],
    aliases: &["hako builder du", "hako buildx du"],
    flags: &[&[
        BUILDER,
        switch("debug", "Enable debug logging").short('D'),
        filter("Provide filter values"),
        text_flag("format", "Format the output"),
        switch("verbose", "Shorthand for \"--format=pretty\""),
    ]],
    ..Command::new("Disk usage", run!(usage))
};

/// One line of the table.
struct Row {
    kept: BuildCache,
    /// Only tables have marks.
    marked: bool,
}

const ROWS: Listing<Row> = Listing {
    columns: &[
        column("ID", "ID", |row: &Row| text(id(row))),
        column("CreatedAt", "CREATED AT", |row: &Row| text(go_moment(&row.kept.created_at))),
        column("Description", "DESCRIPTION", |row: &Row| text(&row.kept.description)),
        column("LastUsedAt", "LAST ACCESSED", |row: &Row| text(used(&row.kept).map_or_else(String::new, ago))),
        column("Mutable", "MUTABLE", |row: &Row| gotmpl::Value::Bool(mutable(&row.kept))),
        column("Parents", "PARENTS", |row: &Row| parents(&row.kept)),
        column("Reclaimable", "RECLAIMABLE", |row: &Row| gotmpl::Value::Bool(!row.kept.in_use)),
        column("Shared", "SHARED", |row: &Row| gotmpl::Value::Bool(row.kept.shared)),
        column("Size", "SIZE", |row: &Row| text(shown_size(row))),
        column("Type", "TYPE", |row: &Row| text(&row.kept.kind)),
        column("UsageCount", "USAGE COUNT", |row: &Row| gotmpl::Value::Int(row.kept.usage_count)),
    ],
    shown: &["ID", "Reclaimable", "Size", "LastUsedAt"],
    row_type: "*commands.diskusageContext",
    labels: None,
};

async fn usage(session: &Session, found: &Matches) -> Outcome {
    heed_group(session);
    let format = match (found.text("format"), found.on("verbose")) {
        ("", true) => "pretty",
        (_, true) => return Err(Failure::local("--format and --verbose cannot be used together")),
        (format, false) => format,
    };
    let wanted = wanted(&found.list("filter"))?;
    let kept = session.client()?.system().disk_usage(&["build-cache"]).await?.build_cache.unwrap_or_default();
    let mut kept: Vec<BuildCache> = kept.into_iter().filter(|one| wanted.iter().all(|wants| wants(one))).collect();
    kept.sort_by(|one, other| (one.size, &one.id).cmp(&(other.size, &other.id)));
    let shown = if format == "pretty" {
        kept.iter().map(paragraph).collect()
    } else {
        let marked = format.is_empty() || format.starts_with("table");
        ROWS.render(format, &kept.iter().map(|one| Row { kept: one.clone(), marked }).collect::<Vec<_>>())?
    };
    // Sums are told to people, of everything.
    let sums = matches!(format, "" | "table" | "pretty") && wanted.is_empty();
    output::print(if sums { shown + &summed(&kept) } else { shown })
}

/// Without any, Go's empty list is none.
fn parents(kept: &BuildCache) -> gotmpl::Value {
    match kept.parents.as_slice() {
        [] => gotmpl::Value::Nil,
        parents => gotmpl::Value::List(parents.iter().map(text).collect::<Vec<_>>().into()),
    }
}

fn mutable(kept: &BuildCache) -> bool {
    kept.kind != "regular"
}

fn used(kept: &BuildCache) -> Option<i64> {
    kept.last_used_at.as_deref().and_then(|text| Timestamp::parse(text).ok()).map(|time| time.secs())
}

fn size(kept: &BuildCache) -> String {
    human_size(kept.size as f64)
}

/// What still changes has a mark at its name, what others have, too, one at its size.
fn id(row: &Row) -> String {
    row.kept.id.clone() + if row.marked && mutable(&row.kept) { "*" } else { "" }
}

fn shown_size(row: &Row) -> String {
    size(&row.kept) + if row.marked && row.kept.shared { "*" } else { "" }
}

fn paragraph(kept: &BuildCache) -> String {
    let last = used(kept).map_or_else(String::new, |seconds| format!("Last used:    {}\n", ago(seconds)));
    let parents: String = kept.parents.iter().map(|parent| format!(" - {parent}\n")).collect();
    let parents = if parents.is_empty() { parents } else { format!("Parents:\n{parents}") };
    let described =
        if kept.description.is_empty() { String::new() } else { format!("Description:  {}\n", kept.description) };
    format!(
        "ID:           {}\n{parents}Created at:   {}\nMutable:      {}\nReclaimable:  {}\nShared:       {}\nSize:         {}\n\
         {described}Usage count:  {}\n{last}Type:         {}\n\n",
        kept.id,
        go_moment(&kept.created_at),
        mutable(kept),
        !kept.in_use,
        kept.shared,
        size(kept),
        kept.usage_count,
        kept.kind
    )
}

fn summed(kept: &[BuildCache]) -> String {
    let sum =
        |wants: &dyn Fn(&BuildCache) -> bool| kept.iter().filter(|one| wants(one)).map(|one| one.size).sum::<i64>();
    let (total, shared) = (sum(&|_| true), sum(&|one| one.shared));
    let shares = match shared {
        0 => String::new(),
        shared => {
            format!("Shared:\t\t{}\nPrivate:\t{}\n", human_size(shared as f64), human_size((total - shared) as f64))
        }
    };
    let reclaimable = human_size(sum(&|one| !one.in_use) as f64);
    format!("{shares}Reclaimable:\t{reclaimable}\nTotal:\t\t{}\n", human_size(total as f64))
}

/// What something must be to be shown.
type Wants = Box<dyn Fn(&BuildCache) -> bool>;

fn wanted(filters: &[&str]) -> Result<Vec<Wants>, Failure> {
    filters.iter().filter(|text| !text.is_empty()).map(|text| wants(text)).collect()
}

fn wants(filter: &str) -> Result<Wants, Failure> {
    let (name, value) = filter.split_once('=').unwrap_or((filter, ""));
    let value = value.to_owned();
    // What is simply so has an empty value, to containerd as well.
    let so = |is: fn(&BuildCache) -> bool| -> Wants {
        let asked = value.is_empty();
        Box::new(move |kept| asked && is(kept))
    };
    Ok(match name {
        "id" => Box::new(move |kept| kept.id.contains(&value)),
        "description" => Box::new(move |kept| kept.description == value),
        "description~" => Box::new(move |kept| kept.description.contains(&value)),
        "parents" => Box::new(move |kept| kept.parents.contains(&value)),
        "type" => Box::new(move |kept| kept.kind == value),
        "inuse" => so(|kept| kept.in_use),
        "mutable" => so(mutable),
        "immutable" => so(|kept| !mutable(kept)),
        "shared" => so(|kept| kept.shared),
        "private" => so(|kept| !kept.shared),
        "until" | "unused-for" => {
            let span = parse_duration(&value).map_err(|error| Failure::local(format!("{name} filter: {error}")))?;
            Box::new(move |kept| used(kept).is_none_or(|last| last <= now() - span / 1_000_000_000))
        }
        // Nothing has what nobody knows.
        _ => Box::new(|_| false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(id: &str, kind: &str, size: i64, shared: bool) -> BuildCache {
        let (id, kind, description) = (id.to_owned(), kind.to_owned(), "RUN x".to_owned());
        let created_at = "2026-11-22T16:12:40.5Z".to_owned();
        BuildCache { id, kind, size, shared, description, created_at, ..BuildCache::default() }
    }

    #[test]
    fn only_tables_have_marks() {
        let rows = |marked| {
            [kept("a", "regular", 2, true), kept("b", "source.local", 28, false)].map(|kept| Row { kept, marked })
        };
        let wanted = "ID        RECLAIMABLE   SIZE      LAST ACCESSED\na         true          2B*       \nb*        true          28B       \n";
        assert_eq!(ROWS.render("", &rows(true)).unwrap(), wanted);
        assert_eq!(ROWS.render("{{.ID}} {{.Size}} {{.Mutable}}", &rows(false)).unwrap(), "a 2B false\nb 28B true\n");
    }

    #[test]
    fn sums_as_buildx_has_them() {
        assert_eq!(summed(&[]), "Reclaimable:\t0B\nTotal:\t\t0B\n");
        let both = [kept("a", "regular", 2, true), kept("b", "source.local", 28, false)];
        assert_eq!(summed(&both), "Shared:\t\t2B\nPrivate:\t28B\nReclaimable:\t30B\nTotal:\t\t30B\n");
    }

    #[test]
    fn a_paragraph_as_buildx_has_it() {
        let wanted = "ID:           a\nCreated at:   2026-11-22 16:12:40.5 +0000 UTC\nMutable:      false\nReclaimable:  true\n\
                      Shared:       true\nSize:         2B\nDescription:  RUN x\nUsage count:  0\nType:         regular\n\n";
        assert_eq!(paragraph(&kept("a", "regular", 2, true)), wanted);
    }

    #[test]
    fn filters_choose() {
        let (one, other) = (kept("abc", "regular", 2, true), kept("xyz", "source.local", 28, false));
        for (filter, first, second) in [
            ("id=b", true, false),
            ("type=source.local", false, true),
            ("shared", true, false),
            ("private", false, true),
            ("private=1", false, false),
            ("mutable", false, true),
            ("description=RUN x", true, true),
            ("description=RUN", false, false),
            ("description~=RUN", true, true),
            ("until=1h", true, true),
            ("nobody=1", false, false),
        ] {
            let wants = wants(filter).unwrap();
            assert_eq!((wants(&one), wants(&other)), (first, second), "{filter}");
        }
        assert!(wants("until=x").is_err());
    }
}
