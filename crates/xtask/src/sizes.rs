//! How long functions and files may be. Tests do not count; a flat `match` or table may be exempted by name.

use std::fmt::Write as _;
use std::path::Path;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::{Breaches, sources};

/// The longest a function may be, in lines from its signature to its closing brace.
const FUNCTION_CAP: usize = 80;

/// The longest a file may be, in lines, tests not counted.
const FILE_CAP: usize = 700;

/// Functions that are one flat `match` or list: splitting them would only scatter it.
const FLAT: &[&str] = &[];

/// One function: where it stands and how long it is.
struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// One file's measures.
struct Measured {
    functions: Vec<Function>,
    lines: usize,
}

pub(crate) fn check(root: &Path) -> Breaches {
    let mut breaches = Vec::new();
    for (_, path) in sources(root, "src") {
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        match measure(&path) {
            Ok(measured) => breaches.extend(judge(&shown, &measured)),
            Err(error) => breaches.push(format!("{shown}: {error}")),
        }
    }
    breaches
}

fn judge(shown: &str, measured: &Measured) -> Breaches {
    let mut breaches: Breaches = measured
        .functions
        .iter()
        .filter(|function| function.lines > FUNCTION_CAP && !FLAT.contains(&function.name.as_str()))
        .map(|function| {
            format!("{shown}:{}: fn {} has {} lines (cap {FUNCTION_CAP})", function.line, function.name, function.lines)
        })
        .collect();
    if measured.lines > FILE_CAP {
        breaches.push(format!("{shown}: {} lines (cap {FILE_CAP})", measured.lines));
    }
    breaches
}

/// A table of each crate's function and file sizes.
pub(crate) fn report(root: &Path) -> String {
    let mut text = String::from("crate        files   lines  fn med/p95/max   >60\n");
    let mut by_crate: Vec<(String, Vec<Measured>)> = Vec::new();
    for (name, path) in sources(root, "src") {
        let Ok(measured) = measure(&path) else { continue };
        match by_crate.last_mut().filter(|(last, _)| *last == name) {
            Some((_, files)) => files.push(measured),
            None => by_crate.push((name, vec![measured])),
        }
    }
    for (name, files) in &by_crate {
        let mut lengths: Vec<usize> =
            files.iter().flat_map(|file| file.functions.iter().map(|function| function.lines)).collect();
        lengths.sort_unstable();
        let lines: usize = files.iter().map(|file| file.lines).sum();
        let over = lengths.iter().filter(|length| **length > 60).count();
        let _ = writeln!(
            text,
            "{name:<12} {:>5} {lines:>7} {:>5}/{}/{} {over:>8}",
            files.len(),
            quantile(&lengths, 50),
            quantile(&lengths, 95),
            quantile(&lengths, 100)
        );
    }
    text
}

fn quantile(sorted: &[usize], percent: usize) -> usize {
    sorted.get((sorted.len().saturating_sub(1)) * percent / 100).copied().unwrap_or(0)
}

fn measure(path: &Path) -> Result<Measured, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let file = syn::parse_file(&text).map_err(|error| error.to_string())?;
    let mut walk = Walk { functions: Vec::new(), test_lines: 0 };
    walk.visit_file(&file);
    Ok(Measured { functions: walk.functions, lines: text.lines().count() - walk.test_lines })
}

/// Collects functions; leaves `#[cfg(test)]` modules out and counts their lines.
struct Walk {
    functions: Vec<Function>,
    test_lines: usize,
}

impl Walk {
    fn record(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let line = signature.span().start().line;
        let lines = block.span().end().line - line + 1;
        self.functions.push(Function { name: signature.ident.to_string(), line, lines });
    }
}

impl<'ast> Visit<'ast> for Walk {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.attrs.iter().any(is_test_only) {
            self.test_lines += module.span().end().line - module.span().start().line + 1;
        } else {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.record(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.record(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }
}

fn is_test_only(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
}
