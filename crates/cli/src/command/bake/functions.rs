//! The functions every bake file has: those of HCL's standard library that such files use.

mod addresses;
mod moments;
mod verbs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hcl::eval::{Context, Func, FuncArgs, FuncDef, ParamType};
use hcl::{Identifier, Map, Number};

use sha2::Digest as _;

use super::target::{Value, scalar};

type Answer = Result<Value, String>;

/// Makes them known.
pub(super) fn declare(context: &mut Context<'_>) {
    for (name, func) in ALL {
        let def = FuncDef::builder().variadic_param(ParamType::Any).build(*func);
        context.declare_func(Identifier::sanitized(name), def);
    }
}

/// The name that is nearest to one that is not there.
pub(super) fn near(wrong: &str) -> Option<&'static str> {
    let mut names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.into_iter().find(|name| distance(wrong, name) < 3)
}

/// How many letters must change.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], at + 1);
        for (column, own) in other.iter().enumerate() {
            let change = before + usize::from(letter != *own);
            before = row[column + 1];
            row[column + 1] = change.min(before + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// The most that a list made by a function has.
const MOST: usize = 1024;

const ALL: &[(&str, Func)] = &[
    ("absolute", |args| number(args, f64::abs)),
    ("add", |args| two(args, |one, other| one + other)),
    ("and", |args| Ok((truth(&args, 0)? && truth(&args, 1)?).into())),
    ("base64decode", base64decode),
    ("can", |_| Ok(true.into())),
    ("cidrhost", addresses::host),
    ("cidrnetmask", addresses::mask),
    ("cidrsubnet", addresses::subnet),
    ("cidrsubnets", addresses::subnets),
    ("csvdecode", csvdecode),
    ("convert", |args| Ok(arg(&args, 0)?.clone())),
    ("base64encode", |args| Ok(STANDARD.encode(text(&args, 0)?).into())),
    ("basename", |args| {
        let path = text(&args, 0)?;
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        Ok(match (path.as_str(), name.as_str()) {
            ("", _) => ".".into(),
            (_, "") => "/".into(),
            _ => name.into(),
        })
    }),
    ("ceil", |args| number(args, f64::ceil)),
    ("chomp", |args| Ok(text(&args, 0)?.trim_end_matches(['\n', '\r']).into())),
    ("chunklist", chunklist),
    ("coalesce", |args| Ok(args.iter().find(|one| !one.is_null()).cloned().unwrap_or_default())),
    ("coalescelist", |args| Ok(args.iter().find(|one| !is_empty(one)).cloned().unwrap_or_default())),
    ("compact", |args| Ok(items(&args, 0)?.iter().filter(|one| !is_empty(one)).cloned().collect())),
    ("concat", |args| args.iter().map(list).collect::<Result<Vec<_>, _>>().map(|all| all.concat().into())),
    ("contains", |args| Ok(items(&args, 0)?.contains(arg(&args, 1)?).into())),
    ("dirname", |args| {
        let path = text(&args, 0)?;
        Ok(match path.rsplit_once('/') {
            None => ".".into(),
            Some((folder, _)) if folder.trim_end_matches('/').is_empty() => "/".into(),
            Some((folder, _)) => folder.trim_end_matches('/').into(),
        })
    }),
    ("distinct", distinct),
    ("divide", |args| two(args, |one, other| one / other)),
    ("element", |args| at(&args, true)),
    ("equal", |args| Ok((arg(&args, 0)? == arg(&args, 1)?).into())),
    ("flatten", |args| Ok(flat(items(&args, 0)?).into())),
    ("floor", |args| number(args, f64::floor)),
    ("format", |args| verbs::format(&args)),
    ("formatdate", moments::formatdate),
    ("formatlist", |args| verbs::formatlist(&args)),
    ("greaterthan", |args| Ok((real(&args, 0)? > real(&args, 1)?).into())),
    ("greaterthanorequalto", |args| Ok((real(&args, 0)? >= real(&args, 1)?).into())),
    ("homedir", |_| Ok(std::env::var("HOME").unwrap_or_default().into())),
    ("hasindex", |args| Ok(at(&args, false).is_ok().into())),
    ("indent", indent),
    ("index", |args| at(&args, false)),
    ("indexof", indexof),
    ("int", |args| number(args, f64::trunc)),
    ("join", join),
    ("jsondecode", |args| serde_json::from_str(&text(&args, 0)?).map_err(|error| error.to_string())),
    ("jsonencode", |args| Ok(json(arg(&args, 0)?).into())),
    ("keys", |args| Ok(sorted(&args)?.into_iter().map(|(key, _)| Value::from(key)).collect())),
    ("length", length),
    ("lessthan", |args| Ok((real(&args, 0)? < real(&args, 1)?).into())),
    ("lessthanorequalto", |args| Ok((real(&args, 0)? <= real(&args, 1)?).into())),
    ("lookup", lookup),
    ("log", |args| {
        two(args, |value, base| {
            let exact = value.ln() / base.ln();
            // A power of the base has a whole logarithm.
            if (base.powf(exact.round()) - value).abs() < f64::EPSILON * value.abs() { exact.round() } else { exact }
        })
    }),
    ("lower", |args| Ok(text(&args, 0)?.to_lowercase().into())),
    ("md5", |args| Ok(hex(&md5::Md5::digest(text(&args, 0)?.as_bytes())).into())),
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
        Ok(found.captures_iter(&text).map(|one| captured(&found, &one)).collect())
    }),
    ("replace", |args| Ok(text(&args, 0)?.replace(&text(&args, 1)?, &text(&args, 2)?).into())),
    ("reverse", |args| Ok(text(&args, 0)?.chars().rev().collect::<String>().into())),
    ("reverselist", |args| Ok(items(&args, 0)?.iter().rev().cloned().collect())),
    ("sanitize", |args| {
        Ok(text(&args, 0)?.replace(|one: char| !one.is_ascii_alphanumeric() && one != '-', "_").into())
    }),
    ("setunion", |args| sets(&args, |count, _| count > 0)),
    ("sethaselement", |args| Ok(items(&args, 0)?.contains(arg(&args, 1)?).into())),
    ("setintersection", |args| sets(&args, |count, all| count == all)),
    ("setproduct", setproduct),
    ("setsubtract", |args| {
        let gone = items(&args, 1)?;
        Ok(ordered(items(&args, 0)?.iter().filter(|one| !gone.contains(one)).cloned().collect()).into())
    }),
    ("setsymmetricdifference", |args| sets(&args, |count, _| count % 2 == 1)),
    ("sha1", |args| Ok(hex(&sha1::Sha1::digest(text(&args, 0)?.as_bytes())).into())),
    ("sha256", |args| Ok(hex(&sha2::Sha256::digest(text(&args, 0)?.as_bytes())).into())),
    ("sha512", |args| Ok(hex(&sha2::Sha512::digest(text(&args, 0)?.as_bytes())).into())),
    ("signum", |args| number(args, |one| if one == 0.0 { 0.0 } else { one.signum() })),
    ("slice", slice),
    ("sort", |args| {
        let mut all = strings(&args, 0)?;
        all.sort();
        Ok(all.into_iter().map(Value::from).collect())
    }),
    ("split", |args| {
        let (by, text) = (text(&args, 0)?, text(&args, 1)?);
        Ok(text.split(by.as_str()).map(Value::from).collect())
    }),
    ("strlen", |args| Ok((text(&args, 0)?.chars().count() as u64).into())),
    ("substr", substr),
    ("subtract", |args| two(args, |one, other| one - other)),
    ("timeadd", moments::timeadd),
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
    ("try", |args| Ok(arg(&args, 0)?.clone())),
    ("urlencode", |args| Ok(urlencode(&text(&args, 0)?).into())),
    ("uuidv4", |_| Ok(uuid(&random()?, 4).into())),
    ("uuidv5", uuidv5),
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
    if matches!(arg(args, number)?, Value::Array(_) | Value::Object(_)) {
        return Err(format!("argument {}: string required", number + 1));
    }
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
    made(numbers.into_iter().reduce(better).ok_or("must pass at least one number")?)
}

fn base64decode(args: FuncArgs) -> Answer {
    let text = text(&args, 0)?;
    let bytes = STANDARD.decode(&text).map_err(|_| format!("failed to decode base64 data '{text}'"))?;
    Ok(String::from_utf8(bytes).map_err(|_| "the result of decoding the provided string is not valid UTF-8")?.into())
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
    if round && arg(args, 0)?.as_array().is_some_and(Vec::is_empty) {
        return Err("cannot use element function with an empty list".to_owned());
    }
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

/// Lines of words with commas between; the first one names what the others have.
fn csvdecode(args: FuncArgs) -> Answer {
    let text = text(&args, 0)?;
    let mut rows = text.lines().filter(|line| !line.is_empty()).map(super::kind::fields);
    let head = rows.next().transpose()?.unwrap_or_default();
    let row = |row: Result<Vec<String>, String>| {
        let row = row?;
        if row.len() != head.len() {
            return Err("wrong number of fields".to_owned());
        }
        Ok(Value::Object(head.iter().cloned().zip(row.into_iter().map(Value::from)).collect()))
    };
    rows.map(row).collect()
}

/// As Go writes it: keys in order, and nothing that a page could take for markup.
fn json(value: &Value) -> String {
    let quoted = |text: &str| {
        let text = serde_json::to_string(text).unwrap_or_default();
        text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
    };
    match value {
        Value::Object(map) => {
            let sorted: std::collections::BTreeMap<_, _> = map.iter().collect();
            let pairs: Vec<String> =
                sorted.into_iter().map(|(key, value)| format!("{}:{}", quoted(key), json(value))).collect();
            format!("{{{}}}", pairs.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(",")),
        Value::String(text) => quoted(text),
        Value::Null => "null".to_owned(),
        other => scalar(other).unwrap_or_default(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// In the order that sets have.
fn ordered(mut values: Vec<Value>) -> Vec<Value> {
    values = unique(values);
    values.sort_by_key(scalar);
    values
}

/// What is in as many of the sets as `fits` says, of how many there are.
fn sets(args: &FuncArgs, fits: fn(usize, usize) -> bool) -> Answer {
    let sets = args.iter().map(|set| list(set).map(unique)).collect::<Result<Vec<_>, _>>()?;
    let mut all = ordered(sets.concat());
    all.retain(|one| fits(sets.iter().filter(|set| set.contains(one)).count(), sets.len()));
    Ok(all.into())
}

fn setproduct(args: FuncArgs) -> Answer {
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for set in args.iter() {
        let set = list(set)?;
        let with = |row: &Vec<Value>, one: &Value| row.iter().chain([one]).cloned().collect::<Vec<_>>();
        rows = rows.iter().flat_map(|row| set.iter().map(move |one| with(row, one))).collect();
        if rows.len() > MOST {
            return Err(format!("the product has more than {MOST} elements"));
        }
    }
    Ok(rows.into_iter().map(Value::from).collect())
}

fn urlencode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out += &format!("%{other:02X}"),
        }
    }
    out
}

fn random() -> Result<[u8; 16], String> {
    let mut bytes = [0; 16];
    let source = std::fs::File::open("/dev/urandom").map_err(|error| error.to_string())?;
    std::io::Read::read_exact(&mut &source, &mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// The first bytes as an identifier of that version.
fn uuid(bytes: &[u8], version: u8) -> String {
    let mut own = bytes[..16].to_vec();
    own[6] = (own[6] & 0x0f) | (version << 4);
    own[8] = (own[8] & 0x3f) | 0x80;
    let hex = hex(&own);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Names in the spaces that RFC 4122 knows, or in one's own.
fn uuidv5(args: FuncArgs) -> Answer {
    let space = match text(&args, 0)?.as_str() {
        "dns" => "6ba7b8109dad11d180b400c04fd430c8".to_owned(),
        "url" => "6ba7b8119dad11d180b400c04fd430c8".to_owned(),
        "oid" => "6ba7b8129dad11d180b400c04fd430c8".to_owned(),
        "x500" => "6ba7b8149dad11d180b400c04fd430c8".to_owned(),
        other => other.replace('-', ""),
    };
    let byte = |at: usize| space.get(at..at + 2).and_then(|text| u8::from_str_radix(text, 16).ok());
    let mut bytes =
        (0..32).step_by(2).map(byte).collect::<Option<Vec<u8>>>().ok_or("uuidv5() doesn't support this namespace")?;
    bytes.extend(text(&args, 1)?.bytes());
    Ok(uuid(&sha1::Sha1::digest(&bytes), 5).into())
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
        _ => return Err("collection must be a list, a map or a tuple".to_owned()),
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
    let numbers = (0..args.len()).map(|number| real(&args, number)).collect::<Result<Vec<_>, _>>()?;
    let (from, to, step) = match numbers[..] {
        [to] => (0.0, to, if to < 0.0 { -1.0 } else { 1.0 }),
        [from, to] => (from, to, if to < from { -1.0 } else { 1.0 }),
        [from, to, step] if step != 0.0 => (from, to, step),
        [_, _, _] => return Err("step must not be zero".to_owned()),
        _ => return Err("must have one, two, or three arguments".to_owned()),
    };
    let mut found = Vec::new();
    loop {
        let next = from + step * found.len() as f64;
        if (step > 0.0 && next >= to) || (step < 0.0 && next <= to) {
            return Ok(found.into());
        }
        if found.len() >= MOST {
            return Err(format!(
                "more than {MOST} values were generated; either decrease the difference between start and end or use a smaller step"
            ));
        }
        found.push(made(next)?);
    }
}

fn pattern(args: &FuncArgs, number: usize) -> Result<regex_lite::Regex, String> {
    regex_lite::Regex::new(&text(args, number)?).map_err(|error| error.to_string())
}

fn captured(pattern: &regex_lite::Regex, found: &regex_lite::Captures<'_>) -> Value {
    let group = |number: usize| found.get(number).map_or(Value::Null, |one| one.as_str().into());
    let names: Vec<&str> = pattern.capture_names().flatten().collect();
    if !names.is_empty() {
        let value = |name: &str| found.name(name).map_or(Value::Null, |one| one.as_str().into());
        return Value::Object(names.iter().map(|name| ((*name).to_owned(), value(name))).collect());
    }
    if found.len() == 1 { group(0) } else { (1..found.len()).map(group).collect() }
}

fn regex(args: FuncArgs) -> Answer {
    let (pattern, text) = (pattern(&args, 0)?, text(&args, 1)?);
    let found = pattern.captures(&text).ok_or("pattern did not match any part of the given string")?;
    Ok(captured(&pattern, &found))
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
