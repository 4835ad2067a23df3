//! Which files of a context the steps of a build will want, as far as the Dockerfile says so plainly.

use super::Build;
use crate::dockerfile::{Kind, mount};
use crate::request::MAIN;

impl Build<'_> {
    /// Paths in a context that stages in need will ask for. Those with variables are missing: they are known only later.
    pub(super) fn readings(&self, context: &str) -> Vec<String> {
        let mut stages = self.target().map(|target| vec![target]).unwrap_or_default();
        let mut next = 0;
        while let Some(stage) = stages.get(next) {
            let needs = self.needs(*stage);
            stages.extend(needs.into_iter().filter(|need| !stages.contains(need)).collect::<Vec<_>>());
            next += 1;
        }
        let instructions = stages.iter().flat_map(|stage| &self.file.stages[*stage].instructions);
        let mut paths: Vec<String> = instructions.flat_map(|instruction| reads(&instruction.kind, context)).collect();
        paths.retain(|path| !path.contains('$') && !path.contains("://"));
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

fn reads(kind: &Kind, context: &str) -> Vec<String> {
    let is_meant = |from: Option<&String>| from.map_or(MAIN, String::as_str) == context;
    match kind {
        Kind::Copy(copying) | Kind::Add(copying) if is_meant(copying.from.as_ref()) => copying.sources.clone(),
        Kind::Run(run) => {
            let mounts = run.mounts.iter().filter_map(|text| mount::parse(text).ok());
            let bound = mounts.filter(|mount| is_meant(mount.from())).filter_map(|mount| match mount.kind {
                mount::Kind::Bind { source, .. } => Some(source),
                _ => None,
            });
            bound.collect()
        }
        _ => Vec::new(),
    }
}
