//! The functions every bake file has: those of HCL's standard library that such files use.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hcl::eval::{Context, Func, FuncArgs, FuncDef, ParamType};
use hcl::{Identifier, Map, Number};

use super::target::{Value, scalar};

type Answer = Result<Value, String>;

/// Makes them known.
pub(super) fn declare(context: &mut Context<'_>) {
    for (name, func) in ALL {
        let def = FuncDef::builder().variadic_param(ParamType::Any).build(*func);
        context.declare_func(Identifier::sanitized(name), def);
    }
}

const ALL: &[(&str, Func)] = &[
    ("absolute", |args| number(args, f64::abs)),
    ("add", |args| two(args, |one, other| one + other)),
    ("and", |args| Ok((truth(&args, 0)? && truth(&args, 1)?).into())),
    ("base64decode", base64decode),
    ("base64encode", |args| Ok(STANDARD.encode(text(&args, 0)?).into())),
    ("basename", |args| Ok(text(&args, 0)?.trim_end_matches('/').rsplit('/').next().unwrap_or_default().into())),
    ("ceil", |args| number(args, f64::ceil)),
    ("chomp", |args| Ok(text(&args, 0)?.trim_end_matches(['\n', '\r']).into())),
    ("chunklist", chunklist),
    ("coalesce", |args| Ok(args.iter().find(|one| !one.is_null()).cloned().unwrap_or_default())),
    ("coalescelist", |args| Ok(args.iter().find(|one| !is_empty(one)).cloned().unwrap_or_default())),
    ("compact", |args| Ok(items(&args, 0)?.iter().filter(|one| !is_empty(one)).cloned().collect())),
    ("concat", |args| args.iter().map(list).collect::<Result<Vec<_>, _>>().map(|all| all.concat().into())),
    ("contains", |args| Ok(items(&args, 0)?.contains(arg(&args, 1)?).into())),
    ("dirname", |args| Ok(text(&args, 0)?.rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned().into())),
    ("distinct", distinct),
    ("divide", |args| two(args, |one, other| one / other)),
    ("element", |args| at(&args, true)),
    ("equal", |args| Ok((arg(&args, 0)? == arg(&args, 1)?).into())),
    ("flatten", |args| Ok(flat(items(&args, 0)?).into())),
    ("floor", |args| number(args, f64::floor)),
    ("format", format),
    ("formatdate", formatdate),
    ("greaterthan", |args| Ok((real(&args, 0)? > real(&args, 1)?).into())),
    ("greaterthanorequalto", |args| Ok((real(&args, 0)? >= real(&args, 1)?).into())),
    ("hasindex", |args| Ok(at(&args, false).is_ok().into())),
    ("indent", indent),
    ("index", |args| at(&args, false)),
    ("indexof", indexof),
    ("int", |args| number(args, f64::trunc)),
    ("join", join),
    ("jsondecode", |args| serde_json::from_str(&text(&args, 0)?).map_err(|error| error.to_string())),
    ("jsonencode", |args| serde_json::to_string(arg(&args, 0)?).map(Value::from).map_err(|error| error.to_string())),
    ("keys", |args| Ok(sorted(&args)?.into_iter().map(|(key, _)| Value::from(key)).collect())),
    ("length", length),
    ("lessthan", |args| Ok((real(&args, 0)? < real(&args, 1)?).into())),
    ("lessthanorequalto", |args| Ok((real(&args, 0)? <= real(&args, 1)?).into())),
    ("lookup", lookup),
    ("lower", |args| Ok(text(&args, 0)?.to_lowercase().into())),
    ("max", |args| best(args, f64::max)),
    ("merge", merge),
    ("min", |args| best(args, f64::min)),
    ("modulo", |args| two(args, |one, other| one % other)),
    ("multiply", |args| two(args, |one, other| one * other)),
    ("negate", |args| number(args, |one| -one)),
    ("not", |args| Ok((!truth(&args, 0)?).into())),
    ("notequal", |args| Ok((arg(&args, 0)? != arg(&args, 1)?).into())),
    ("or", |args| Ok((truth(&args, 0)? || truth(&args, 1)?).into())),
    ("parseint", parseint),
    ("pow", |args| two(args, f64::powf)),
    ("range", range),
    ("regex", regex),
    ("regex_replace", |args| {
        let replaced = pattern(&args, 1)?.replace_all(&text(&args, 0)?, text(&args, 2)?.as_str()).into_owned();
        Ok(replaced.into())
    }),
    ("regexall", |args| {
        let found = pattern(&args, 0)?;
        let text = text(&args, 1)?;
        Ok(found.captures_iter(&text).map(|one| captured(&one)).collect())
    }),
    ("replace", |args| Ok(text(&args, 0)?.replace(&text(&args, 1)?, &text(&args, 2)?).into())),
    ("reverse", |args| Ok(text(&args, 0)?.chars().rev().collect::<String>().into())),
    ("reverselist", |args| Ok(items(&args, 0)?.iter().rev().cloned().collect())),
    ("sanitize", |args| {
        Ok(text(&args, 0)?.replace(|one: char| !one.is_ascii_alphanumeric() && one != '-', "_").into())
    }),
    ("setunion", |args| args.iter().map(list).collect::<Result<Vec<_>, _>>().map(|all| unique(all.concat()).into())),
    ("sha256", |args| {
        use sha2::Digest as _;
        let hash = sha2::Sha256::digest(text(&args, 0)?.as_bytes());
        Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
    }),
    ("signum", |args| number(args, |one| if one == 0.0 { 0.0 } else { one.signum() })),
    ("slice", slice),
    ("sort", |args| Ok(strings(&args, 0)?.into_iter().collect::<BTreeSet<_>>().into_iter().map(Value::from).collect())),
    ("split", |args| {
        let (by, text) = (text(&args, 0)?, text(&args, 1)?);
        Ok(text.split(by.as_str()).map(Value::from).collect())
    }),
    ("strlen", |args| Ok((text(&args, 0)?.chars().count() as u64).into())),
    ("substr", substr),
    ("subtract", |args| two(args, |one, other| one - other)),
    ("timestamp", |_| Ok(jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into())),
    ("title", title),
    ("trim", |args| {
        let (text, cut) = (text(&args, 0)?, text(&args, 1)?);
        Ok(text.trim_matches(|one| cut.contains(one)).into())
    }),
    ("trimprefix", |args| {
        let (text, cut) = (text(&args, 0)?, text(&args, 1)?);
        Ok(text.strip_prefix(cut.as_str()).unwrap_or(&text).into())
    }),
    ("trimspace", |args| Ok(text(&args, 0)?.trim().into())),
    ("trimsuffix", |args| {
        let (text, cut) = (text(&args, 0)?, text(&args, 1)?);
        Ok(text.strip_suffix(cut.as_str()).unwrap_or(&text).into())
    }),
    ("upper", |args| Ok(text(&args, 0)?.to_uppercase().into())),
    ("values", |args| Ok(sorted(&args)?.into_iter().map(|(_, value)| value).collect())),
    ("zipmap", |args| {
        Ok(Value::Object(strings(&args, 0)?.into_iter().zip(items(&args, 1)?.iter().cloned()).collect()))
    }),
];

fn arg(args: &FuncArgs, number: usize) -> Result<&Value, String> {
    args.get(number).ok_or_else(|| format!("argument {} is missing", number + 1))
}

fn text(args: &FuncArgs, number: usize) -> Result<String, String> {
    scalar(arg(args, number)?).ok_or_else(|| format!("argument {} must not be null", number + 1))
}

fn list(value: &Value) -> Result<Vec<Value>, String> {
    value.as_array().cloned().ok_or_else(|| "a list is wanted".to_owned())
}

fn items(args: &FuncArgs, number: usize) -> Result<&[Value], String> {
    let found = arg(args, number)?.as_array().map(Vec::as_slice);
    found.ok_or_else(|| format!("argument {} must be a list", number + 1))
}

fn strings(args: &FuncArgs, number: usize) -> Result<Vec<String>, String> {
    Ok(items(args, number)?.iter().filter_map(scalar).collect())
}

fn real(args: &FuncArgs, number: usize) -> Result<f64, String> {
    text(args, number)?.parse().map_err(|_| format!("argument {} must be a number", number + 1))
}

fn whole(args: &FuncArgs, number: usize) -> Result<i64, String> {
    Ok(real(args, number)? as i64)
}

fn truth(args: &FuncArgs, number: usize) -> Result<bool, String> {
    text(args, number)?.parse().map_err(|_| format!("argument {} must be true or false", number + 1))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Whole numbers stay whole.
fn made(value: f64) -> Answer {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Ok(Value::from(value as i64));
    }
    Number::from_f64(value).map(Value::Number).ok_or_else(|| "the result is no number".to_owned())
}

fn number(args: FuncArgs, work: fn(f64) -> f64) -> Answer {
    made(work(real(&args, 0)?))
}

fn two(args: FuncArgs, work: fn(f64, f64) -> f64) -> Answer {
    made(work(real(&args, 0)?, real(&args, 1)?))
}

fn best(args: FuncArgs, better: fn(f64, f64) -> f64) -> Answer {
    let numbers = (0..args.len()).map(|number| real(&args, number)).collect::<Result<Vec<_>, _>>()?;
    made(numbers.into_iter().reduce(better).ok_or("a number is wanted")?)
}

fn base64decode(args: FuncArgs) -> Answer {
    let bytes = STANDARD.decode(text(&args, 0)?).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(bytes).map_err(|error| error.to_string())?.into())
}

fn chunklist(args: FuncArgs) -> Answer {
    let size = usize::try_from(whole(&args, 1)?).map_err(|error| error.to_string())?.max(1);
    Ok(items(&args, 0)?.chunks(size).map(|chunk| Value::from(chunk.to_vec())).collect())
}

fn unique(values: Vec<Value>) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

fn distinct(args: FuncArgs) -> Answer {
    Ok(unique(items(&args, 0)?.to_vec()).into())
}

fn flat(values: &[Value]) -> Vec<Value> {
    let one = |value: &Value| match value {
        Value::Array(inner) => flat(inner),
        other => vec![other.clone()],
    };
    values.iter().flat_map(one).collect()
}

/// An item of a list, or of a map; `round` begins again at the end.
fn at(args: &FuncArgs, round: bool) -> Answer {
    let missing = || "there is no such element".to_owned();
    if let Value::Object(map) = arg(args, 0)? {
        return map.get(&text(args, 1)?).cloned().ok_or_else(missing);
    }
    let (items, index) = (items(args, 0)?, whole(args, 1)?);
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let index = if round && count > 0 { index.rem_euclid(count) } else { index };
    usize::try_from(index).ok().and_then(|index| items.get(index)).cloned().ok_or_else(missing)
}

fn indexof(args: FuncArgs) -> Answer {
    let (items, wanted) = (items(&args, 0)?, arg(&args, 1)?);
    let found = items.iter().position(|item| item == wanted).ok_or("there is no such element")?;
    Ok((found as u64).into())
}

/// `%s`, `%d`, `%v`, `%q` and `%%`, with widths filled by blanks or zeros.
fn format(args: FuncArgs) -> Answer {
    let pattern = text(&args, 0)?;
    let (mut out, mut next, mut letters) = (String::new(), 1, pattern.chars().peekable());
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut width = String::new();
        while let Some(digit) = letters.next_if(|one| one.is_ascii_digit() || "-.+".contains(*one)) {
            width.push(digit);
        }
        let verb = letters.next().ok_or("the format ends within a verb")?;
        if verb == '%' {
            out.push('%');
            continue;
        }
        let value = text(&args, next)?;
        next += 1;
        let size: usize = width.trim_start_matches(['-', '0']).parse().unwrap_or_default();
        let value = match verb {
            's' | 'v' | 't' | 'd' => value,
            'q' => format!("{value:?}"),
            other => return Err(format!("format: hako does not know %{other}")),
        };
        out += &match width.chars().next() {
            Some('-') => format!("{value:<size$}"),
            Some('0') => format!("{value:0>size$}"),
            _ => format!("{value:>size$}"),
        };
    }
    Ok(out.into())
}

fn formatdate(args: FuncArgs) -> Answer {
    let (pattern, moment) = (text(&args, 0)?, text(&args, 1)?);
    let moment: jiff::Timestamp = moment.parse().map_err(|_| format!("{moment:?} is no RFC 3339 timestamp"))?;
    const WORDS: [(&str, &str); 16] = [
        ("YYYY", "%Y"),
        ("YY", "%y"),
        ("MMMM", "%B"),
        ("MMM", "%b"),
        ("MM", "%m"),
        ("M", "%-m"),
        ("DD", "%d"),
        ("D", "%-d"),
        ("EEEE", "%A"),
        ("EEE", "%a"),
        ("hh", "%H"),
        ("h", "%-H"),
        ("mm", "%M"),
        ("ss", "%S"),
        ("ZZZZZ", "+00:00"),
        ("Z", "Z"),
    ];
    let (mut out, mut rest) = (String::new(), pattern.as_str());
    while let Some(letter) = rest.chars().next() {
        if let Some((word, format)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
            out += &moment.strftime(format).to_string();
            rest = &rest[word.len()..];
        } else if letter == '\'' {
            let (literal, after) = rest[1..].split_once('\'').ok_or("a literal in the format does not end")?;
            out += literal;
            rest = after;
        } else {
            out.push(letter);
            rest = &rest[letter.len_utf8()..];
        }
    }
    Ok(out.into())
}

fn indent(args: FuncArgs) -> Answer {
    let spaces = " ".repeat(usize::try_from(whole(&args, 0)?).unwrap_or_default().min(1 << 10));
    Ok(text(&args, 1)?.replace('\n', &format!("\n{spaces}")).into())
}

fn join(args: FuncArgs) -> Answer {
    let lists = (1..args.len()).map(|number| strings(&args, number)).collect::<Result<Vec<_>, _>>()?;
    Ok(lists.concat().join(&text(&args, 0)?).into())
}

fn sorted(args: &FuncArgs) -> Result<Vec<(String, Value)>, String> {
    let Value::Object(map) = arg(args, 0)? else { return Err("a map is wanted".to_owned()) };
    let mut pairs: Vec<(String, Value)> = map.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(pairs)
}

fn length(args: FuncArgs) -> Answer {
    let count = match arg(&args, 0)? {
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        _ => return Err("a list or a map is wanted".to_owned()),
    };
    Ok((count as u64).into())
}

fn lookup(args: FuncArgs) -> Answer {
    let Value::Object(map) = arg(&args, 0)? else { return Err("a map is wanted".to_owned()) };
    let found = map.get(&text(&args, 1)?).or_else(|| args.get(2)).cloned();
    found.ok_or_else(|| "there is no such key, and no default".to_owned())
}

fn merge(args: FuncArgs) -> Answer {
    let mut merged = Map::new();
    for map in args.iter().filter(|map| !map.is_null()) {
        let Value::Object(map) = map else { return Err("a map is wanted".to_owned()) };
        merged.extend(map.clone());
    }
    Ok(Value::Object(merged))
}

fn parseint(args: FuncArgs) -> Answer {
    let base = u32::try_from(whole(&args, 1)?).ok().filter(|base| (2..=36).contains(base)).ok_or("invalid base")?;
    i64::from_str_radix(&text(&args, 0)?, base).map(Value::from).map_err(|error| error.to_string())
}

fn range(args: FuncArgs) -> Answer {
    let numbers = (0..args.len()).map(|number| whole(&args, number)).collect::<Result<Vec<_>, _>>()?;
    let (from, to, step) = match numbers[..] {
        [to] => (0, to, 1),
        [from, to] => (from, to, if to < from { -1 } else { 1 }),
        [from, to, step] if step != 0 => (from, to, step),
        _ => return Err("range takes an end, or a start and an end, and a step".to_owned()),
    };
    let mut found = Vec::new();
    let mut next = from;
    while (step > 0 && next < to) || (step < 0 && next > to) {
        if found.len() > 1024 {
            return Err("the range is longer than 1024".to_owned());
        }
        found.push(Value::from(next));
        next += step;
    }
    Ok(found.into())
}

fn pattern(args: &FuncArgs, number: usize) -> Result<regex_lite::Regex, String> {
    regex_lite::Regex::new(&text(args, number)?).map_err(|error| error.to_string())
}

fn captured(found: &regex_lite::Captures<'_>) -> Value {
    let group = |number: usize| found.get(number).map_or(Value::Null, |one| one.as_str().into());
    if found.len() == 1 { group(0) } else { (1..found.len()).map(group).collect() }
}

fn regex(args: FuncArgs) -> Answer {
    let (pattern, text) = (pattern(&args, 0)?, text(&args, 1)?);
    pattern.captures(&text).map(|found| captured(&found)).ok_or_else(|| "the pattern did not match".to_owned())
}

fn slice(args: FuncArgs) -> Answer {
    let (items, from, to) = (items(&args, 0)?, whole(&args, 1)?, whole(&args, 2)?);
    let inside = usize::try_from(from).ok().zip(usize::try_from(to).ok()).and_then(|(from, to)| items.get(from..to));
    Ok(inside.ok_or("the indices are outside of the list")?.to_vec().into())
}

fn substr(args: FuncArgs) -> Answer {
    let letters: Vec<char> = text(&args, 0)?.chars().collect();
    let (offset, length) = (whole(&args, 1)?, whole(&args, 2)?);
    let count = i64::try_from(letters.len()).unwrap_or(i64::MAX);
    let from = if offset < 0 { (count + offset).max(0) } else { offset.min(count) };
    let to = if length < 0 { count } else { from.saturating_add(length).min(count) };
    let at = |place: i64| usize::try_from(place).unwrap_or_default();
    Ok(letters[at(from)..at(to)].iter().collect::<String>().into())
}

fn title(args: FuncArgs) -> Answer {
    let mut begins = true;
    let letter = |letter: char| {
        let shown = if begins { letter.to_uppercase().to_string() } else { letter.to_string() };
        begins = !letter.is_alphanumeric();
        shown
    };
    Ok(text(&args, 0)?.chars().map(letter).collect::<String>().into())
}
