//! What a COPY or ADD takes: its sources, wildcards and exclusions, as a list of entries and where each is to go.

use std::path::Path;

use super::ignore::{Ignore, cleaned};
use super::pattern::{Pattern, is_pattern};
use super::tree::{Entry, Tree};
use crate::{Error, Result};

/// One source as it was found, with everything below it.
#[derive(Debug, Clone)]
pub struct Source {
    /// The source itself.
    pub top: Entry,
    /// The name it has when it is put into a folder: that of the path as written, not of what a link leads to.
    pub name: String,
    /// What is below it, parents first; paths from the tree's root.
    pub below: Vec<Entry>,
    /// The folder it is put into below the destination, for `--parents`; otherwise empty.
    pub folder: String,
}

/// How sources are found.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// `--exclude`.
    pub exclude: Vec<String>,
    /// `--parents`.
    pub parents: bool,
}

/// Finds all sources.
pub fn select(tree: &Tree, sources: &[String], selection: &Selection) -> Result<Vec<Source>> {
    let exclude =
        Ignore::rules(selection.exclude.iter().map(String::as_str)).map_err(|e| Error::refused(e.to_string()))?;
    let mut found = Vec::new();
    for source in sources {
        let (pivot, path) = pivoted(source, selection.parents);
        let tops = match is_pattern(&path) {
            true => matching(tree, &path)?,
            false => vec![exactly(tree, source, &path)?],
        };
        for (top, name) in tops {
            // A source that is named is wanted, whatever is excluded; a wildcard's matches may not be.
            if !is_pattern(&path) || !excluded(&exclude, &top) {
                found.push(complete(tree, top, name, &exclude, selection.parents.then_some(pivot.as_str()))?);
            }
        }
    }
    Ok(found)
}

/// `a/./b` keeps only the folders behind the dot with `--parents`.
fn pivoted(source: &str, parents: bool) -> (String, String) {
    let path = cleaned(&format!("/{source}"));
    let path = path.trim_start_matches('/').to_owned();
    match source.split_once("/./").filter(|_| parents) {
        Some((before, _)) => (cleaned(&format!("/{before}")).trim_start_matches('/').to_owned(), path),
        None => (String::new(), path),
    }
}

fn exactly(tree: &Tree, source: &str, path: &str) -> Result<(Entry, String)> {
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let found = tree.find(path)?;
    found.map(|entry| (entry, name)).ok_or_else(|| {
        let path = cleaned(&format!("/{source}"));
        Error::refused(format!(
            "failed to compute cache key: failed to calculate checksum of {path:?}: {path:?}: not found"
        ))
    })
}

/// Everything a wildcard means; below a match nothing else is looked for.
fn matching(tree: &Tree, path: &str) -> Result<Vec<(Entry, String)>> {
    let fixed: Vec<&str> = path.split('/').take_while(|part| !is_pattern(part)).collect();
    let start = fixed.join("/");
    let pattern = Pattern::name(path).map_err(|error| Error::refused(error.to_string()))?;
    let Some(folder) = tree.find(&start)?.filter(Entry::is_directory) else { return Ok(Vec::new()) };
    let mut tops: Vec<Entry> = Vec::new();
    for entry in tree.walk(&folder.path)? {
        let covered = tops.iter().any(|top| is_below(&entry.path, &top.path));
        let written = format!("{start}{}", &entry.path[folder.path.len()..]);
        if !covered && pattern.matches(written.trim_start_matches('/')) {
            tops.push(entry);
        }
    }
    // A link that matches is followed, as one that is named.
    let follow = |top: Entry| {
        let name = top.name().to_owned();
        Ok(tree.find(&top.path)?.map(|entry| (entry, name)))
    };
    tops.into_iter().map(follow).filter_map(Result::transpose).collect()
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn excluded(exclude: &Ignore, top: &Entry) -> bool {
    !top.is_directory() && (exclude.excludes(top.name()) || exclude.excludes(&top.path))
}

fn complete(tree: &Tree, top: Entry, name: String, exclude: &Ignore, pivot: Option<&str>) -> Result<Source> {
    let mut below = if top.is_directory() { tree.walk(&top.path)? } else { Vec::new() };
    if !exclude.is_empty() {
        let offset = if top.path.is_empty() { 0 } else { top.path.len() + 1 };
        below.retain(|entry| !exclude.excludes(&entry.path[offset..]));
    }
    let folder = pivot.map(|pivot| folder_of(&top, pivot)).unwrap_or_default();
    Ok(Source { top, name, below, folder })
}

/// With `--parents` a folder goes to its own path, a file into its folder's.
fn folder_of(top: &Entry, pivot: &str) -> String {
    let path = Path::new(&top.path);
    let path = if top.is_directory() { path } else { path.parent().unwrap_or(Path::new("")) };
    path.strip_prefix(pivot).unwrap_or(path).to_string_lossy().into_owned()
}
