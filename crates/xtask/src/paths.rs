//! Every path that ARCHITECTURE.md, README.md and CONTRIBUTING.md name in backticks must exist.

use std::path::Path;

use crate::Breaches;

const PAGES: &[&str] = &["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"];

/// First components that mark a word as a path of the checkout.
const TOPS: &[&str] = &["crates/", "docs/", "bench/", "tests/", ".ci/", ".github/"];

pub(crate) fn check(root: &Path) -> Breaches {
    let mut breaches = Vec::new();
    for page in PAGES {
        match std::fs::read_to_string(root.join(page)) {
            Ok(text) => breaches.extend(
                named(&text)
                    .filter(|path| !root.join(path).exists())
                    .map(|path| format!("{page} names {path}, which is not there")),
            ),
            Err(error) => breaches.push(format!("read {page}: {error}")),
        }
    }
    breaches
}

/// The words between backticks that look like paths of the checkout.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| TOPS.iter().any(|top| word.starts_with(top)) && !word.contains(['*', ' ', '{', '<']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_backticked_paths_count() {
        let text = "see `crates/model` and crates/none, or `cargo test`, `crates/*/src`";
        assert_eq!(named(text).collect::<Vec<_>>(), ["crates/model"]);
    }
}
