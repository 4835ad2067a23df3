//! Where in a template a field is asked for, as Go's messages say it: line, byte within the line, and the whole chain. Leaves
//! out what is computed by functions.

/// A place in a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    /// `.State.Health.Status`
    pub(super) chain: String,
}

/// The first chain of fields that names `key`. Go gives the place of a chain's second field, if it has one.
pub(super) fn of(source: &str, key: &str) -> Option<Place> {
    let mut rest = 0;
    while let Some(begin) = source[rest..].find("{{").map(|at| rest + at + 2) {
        let end = source[begin..].find("}}").map_or(source.len(), |at| begin + at);
        let found = chains(&source[begin..end]).into_iter().find(|chain| chain.1.split('.').any(|field| field == key));
        if let Some((at, chain)) = found {
            let second = chain[1..].find('.').map_or(0, |dot| dot + 1);
            let before = &source[..begin + at + second];
            let line_start = before.rfind('\n').map_or(0, |end| end + 1);
            let line = before.matches('\n').count() + 1;
            return Some(Place { line, column: before.len() - line_start, chain: chain.to_owned() });
        }
        rest = end;
    }
    None
}

/// The chains of an action, and where each begins; texts in quotes have none.
fn chains(action: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut quote, mut escaped, mut skip) = (None, false, 0);
    let word = |letter: char| letter.is_alphanumeric() || letter == '_';
    for (at, letter) in action.char_indices().filter(|(_, letter)| letter.is_ascii()) {
        match quote {
            Some(mark) => {
                let ends = letter == mark && !escaped;
                escaped = letter == '\\' && !escaped && mark != '`';
                quote = Some(mark).filter(|_| !ends);
            }
            None if matches!(letter, '"' | '`' | '\'') => quote = Some(letter),
            None if letter == '.' && at >= skip => {
                let free = !action[..at].ends_with(|before: char| word(before) || before == ')' || before == '$');
                let length = action[at..].find(|next: char| !word(next) && next != '.').unwrap_or(action.len() - at);
                if free && length > 1 {
                    found.push((at, &action[at..at + length]));
                }
                skip = at + length;
            }
            None => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_gos_messages() {
        for (source, key, wanted) in [
            ("{{.Nope}}", "Nope", Some((1, 2, ".Nope"))),
            ("{{json .Nope}}", "Nope", Some((1, 7, ".Nope"))),
            ("{{.Id}} {{.ID}}", "ID", Some((1, 10, ".ID"))),
            ("{{json .State.Health.Status}}", "Health", Some((1, 13, ".State.Health.Status"))),
            ("{{.A}}\nx{{.Server.Nope}}", "Nope", Some((2, 10, ".Server.Nope"))),
            ("{{printf \".Nope %s\" .Nope}}", "Nope", Some((1, 20, ".Nope"))),
            ("{{$x.Nope}}", "Nope", None),
            ("Nope", "Nope", None),
        ] {
            let wanted = wanted.map(|(line, column, chain)| Place { line, column, chain: chain.to_owned() });
            assert_eq!(of(source, key), wanted, "{source}");
        }
    }
}
