//! `format` and `formatlist`: Go's verbs.

use hcl::eval::FuncArgs;

use super::{Answer, Value, json, scalar};

/// The widest that anything is made.
const WIDEST: usize = 1 << 10;

pub(super) fn format(args: &FuncArgs) -> Answer {
    let values: Vec<&Value> = args.iter().collect();
    let (pattern, values) = values.split_first().ok_or("a format is wanted")?;
    written(&scalar(pattern).unwrap_or_default(), values).map(Value::from)
}

/// Once for each element of the lists.
pub(super) fn formatlist(args: &FuncArgs) -> Answer {
    let values: Vec<&Value> = args.iter().collect();
    let (pattern, values) = values.split_first().ok_or("a format is wanted")?;
    let pattern = scalar(pattern).unwrap_or_default();
    let lengths: Vec<usize> = values.iter().filter_map(|value| value.as_array().map(Vec::len)).collect();
    let count = lengths.first().copied().unwrap_or(1);
    if lengths.iter().any(|length| *length != count) {
        return Err("the lists must have the same length".to_owned());
    }
    let row = |at: usize| {
        let own: Vec<&Value> = values.iter().map(|value| value.as_array().map_or(*value, |list| &list[at])).collect();
        written(&pattern, &own).map(Value::from)
    };
    (0..count).map(row).collect()
}

/// What stands between `%` and the letter.
#[derive(Default)]
struct Shape {
    minus: bool,
    plus: bool,
    zero: bool,
    blank: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

fn written(pattern: &str, values: &[&Value]) -> Result<String, String> {
    let (mut out, mut next, mut most) = (String::new(), 0, 0);
    let letters: Vec<(usize, char)> = pattern.char_indices().collect();
    let mut at = 0;
    while let Some(&(_, letter)) = letters.get(at) {
        at += 1;
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let start = letters[at - 1].0;
        let mut shape = Shape::default();
        while let Some(&(_, flag)) = letters.get(at) {
            match flag {
                '-' => shape.minus = true,
                '+' => shape.plus = true,
                '0' => shape.zero = true,
                ' ' => shape.blank = true,
                '#' => shape.sharp = true,
                _ => break,
            }
            at += 1;
        }
        let digits = |at: &mut usize| {
            let from = *at;
            while letters.get(*at).is_some_and(|(_, one)| one.is_ascii_digit()) {
                *at += 1;
            }
            letters[from..*at].iter().map(|(_, one)| one).collect::<String>().parse::<usize>().ok()
        };
        shape.width = digits(&mut at).unwrap_or_default().min(WIDEST);
        if letters.get(at).is_some_and(|(_, one)| *one == '.') {
            at += 1;
            shape.precision = Some(digits(&mut at).unwrap_or_default().min(WIDEST));
        }
        if letters.get(at).is_some_and(|(_, one)| *one == '[') {
            at += 1;
            next =
                digits(&mut at).and_then(|number| number.checked_sub(1)).ok_or("a bad argument index in the format")?;
            at += 1;
        }
        let &(place, verb) = letters.get(at).ok_or("the format string ends within a verb")?;
        at += 1;
        if verb == '%' {
            out.push('%');
            continue;
        }
        let whole = &pattern[start..place + verb.len_utf8()];
        if !"vtbdoxXeEfgGsq".contains(verb) {
            return Err(format!("unrecognized format character {verb:?} at offset {place}"));
        }
        let value = values.get(next).ok_or_else(|| {
            format!(
                "not enough arguments for {whole:?} at {start}: need index {} but have {} total",
                next + 1,
                values.len()
            )
        })?;
        next += 1;
        most = most.max(next);
        out += &one(verb, &shape, value).map_err(|why| format!("unsupported value for {whole:?} at {start}: {why}"))?;
    }
    if most < values.len() {
        return Err(format!("too many arguments; only {most} used by format string"));
    }
    Ok(out)
}

fn one(verb: char, shape: &Shape, value: &Value) -> Result<String, String> {
    let text = match verb {
        'v' => match value {
            Value::String(text) if !shape.sharp => text.clone(),
            Value::Number(_) if !shape.sharp => scalar(value).unwrap_or_default(),
            other => json(other),
        },
        't' => match value {
            Value::Bool(value) => value.to_string(),
            Value::String(text) if matches!(text.as_str(), "true" | "false") => text.clone(),
            _ => return Err("a bool is required".to_owned()),
        },
        's' | 'q' => {
            let text = match value {
                Value::Null | Value::Array(_) | Value::Object(_) => return Err("string required".to_owned()),
                other => scalar(other).unwrap_or_default(),
            };
            let text = shape.precision.map_or(text.clone(), |most| text.chars().take(most).collect());
            if verb == 'q' { json(&Value::from(text)) } else { text }
        }
        'd' | 'b' | 'o' | 'x' | 'X' => return whole(verb, shape, value),
        _ => {
            let number: f64 = real(value)?;
            let digits = shape.precision.unwrap_or(6);
            let text = match verb {
                'f' => format!("{number:.digits$}"),
                'e' | 'E' => exponent(number, digits),
                _ => general(number, shape.precision),
            };
            let text = if verb.is_ascii_uppercase() { text.to_uppercase() } else { text };
            return Ok(numeric(shape, text));
        }
    };
    Ok(padded(shape, text))
}

fn real(value: &Value) -> Result<f64, String> {
    scalar(value).and_then(|text| text.parse().ok()).ok_or_else(|| "a number is required".to_owned())
}

fn whole(verb: char, shape: &Shape, value: &Value) -> Result<String, String> {
    if verb != 'd' && !value.is_number() {
        return Err("a number is required".to_owned());
    }
    let number = real(value)?;
    if number.fract() != 0.0 {
        return Err("an integer is required".to_owned());
    }
    let size = number.abs() as u128;
    let digits = match verb {
        'b' => format!("{size:b}"),
        'o' => format!("{size:o}"),
        'x' => format!("{size:x}"),
        'X' => format!("{size:X}"),
        _ => size.to_string(),
    };
    Ok(numeric(shape, if number < 0.0 { format!("-{digits}") } else { digits }))
}

/// `1.5e+03`.
fn exponent(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$e}");
    let (mantissa, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or_default();
    format!("{mantissa}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

/// With an exponent if it is very large or very small.
fn general(number: f64, precision: Option<usize>) -> String {
    let power = if number == 0.0 { 0 } else { number.abs().log10().floor() as i32 };
    let most = precision.map_or(21, |digits| i32::try_from(digits.max(1)).unwrap_or(21));
    if (-4..most).contains(&power) {
        let digits =
            precision.map(|digits| usize::try_from(i32::try_from(digits).unwrap_or(0) - 1 - power).unwrap_or(0));
        return digits.map_or_else(|| number.to_string(), |digits| format!("{number:.digits$}"));
    }
    let shortest = format!("{number:e}");
    let digits = shortest.split('e').next().map_or(0, |mantissa| mantissa.len().saturating_sub(2));
    exponent(number, precision.map_or(digits, |digits| digits.saturating_sub(1)))
}

fn numeric(shape: &Shape, text: String) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None if shape.plus => ("+", text.as_str()),
        None if shape.blank => (" ", text.as_str()),
        None => ("", text.as_str()),
    };
    if shape.zero && !shape.minus {
        return format!("{sign}{digits:0>width$}", width = shape.width.saturating_sub(sign.len()));
    }
    padded(shape, format!("{sign}{digits}"))
}

fn padded(shape: &Shape, text: String) -> String {
    let width = shape.width;
    match (shape.minus, shape.zero) {
        (true, _) => format!("{text:<width$}"),
        (false, true) => format!("{text:0>width$}"),
        (false, false) => format!("{text:>width$}"),
    }
}
