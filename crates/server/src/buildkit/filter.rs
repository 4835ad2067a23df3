//! Which entries of the cache BuildKit's clients ask for: filters in containerd's form, each of whose parts must hold. Leaves
//! out expressions: `~=` is asked of names and texts as a part of them.

use hako_buildkit::wire::control::UsageRecord;

/// Whether one of the filters admits the record; everything is admitted where there are none.
pub(super) fn admits(filters: &[String], record: &UsageRecord) -> bool {
    let mut filters = filters.iter().filter(|filter| !filter.is_empty()).peekable();
    filters.peek().is_none() || filters.any(|filter| filter.split(',').all(|part| holds(part, record)))
}

fn holds(part: &str, record: &UsageRecord) -> bool {
    for (mark, wanted) in [("==", Match::Same), ("!=", Match::Other), ("~=", Match::Part)] {
        if let Some((name, value)) = part.split_once(mark) {
            return wanted.of(&said(name, record), value.trim_matches('"'));
        }
    }
    !said(part, record).is_empty()
}

enum Match {
    Same,
    Other,
    Part,
}

impl Match {
    fn of(&self, said: &[String], value: &str) -> bool {
        match self {
            Self::Same => said.iter().any(|said| said == value),
            Self::Other => !said.iter().any(|said| said == value),
            Self::Part => said.iter().any(|said| said.contains(value)),
        }
    }
}

/// What a record has by a name: nothing if it has not, an empty text for what is simply so.
fn said(name: &str, record: &UsageRecord) -> Vec<String> {
    let so = |is: bool| if is { vec![String::new()] } else { Vec::new() };
    match name {
        "id" => vec![record.id.clone()],
        "parents" => record.parents.clone(),
        "description" => vec![record.description.clone()],
        "type" => vec![record.record_type.clone()],
        "inuse" => so(record.in_use),
        "mutable" => so(record.mutable),
        "immutable" => so(!record.mutable),
        "shared" => so(record.shared),
        "private" => so(!record.shared),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_containerds() {
        let record = UsageRecord {
            id: "abcdef".to_owned(),
            description: "RUN x".to_owned(),
            record_type: "regular".to_owned(),
            shared: true,
            parents: vec!["p".to_owned()],
            ..UsageRecord::default()
        };
        for (filters, admitted) in [
            (&[][..], true),
            (&[""][..], true),
            (&["id~=cd"][..], true),
            (&["id==cd"][..], false),
            (&["type==regular,shared"][..], true),
            (&["type==regular,private"][..], false),
            (&["type!=regular"][..], false),
            (&["description==\"RUN x\""][..], true),
            (&["parents==p"][..], true),
            (&["mutable", "immutable"][..], true),
            (&["nobody==1"][..], false),
            (&["nobody"][..], false),
        ] {
            let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
            assert_eq!(admits(&filters, &record), admitted, "{filters:?}");
        }
    }
}
