//! Words, quotes and variables as BuildKit reads them.

use proptest::prelude::*;

use super::*;

fn value(name: &str) -> Option<String> {
    match name {
        "A" => Some("1".to_owned()),
        "P" => Some("foo-bar-foo.tar.gz".to_owned()),
        "TWO" => Some("x y".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

#[test]
fn words_end_at_bare_blanks() {
    assert_eq!(split(r#" a "b c"  d='e f'\ g "#), ["a", r#""b c""#, r"d='e f'\ g"]);
    assert_eq!(split(r#"A="unclosed b"#), [r#"A="unclosed b"#]);
    assert!(split("  ").is_empty());
    let tick = Lexer { escape: '`', ..Lexer::default() };
    assert_eq!(tick.split(r"a` b c:\ d"), ["a` b", r"c:\", "d"]);
}

#[test]
fn variables_and_quotes() {
    for (word, expect) in [
        ("$A/x", "1/x"),
        ("${A}x$UNSET.", "1x."),
        ("${UNSET:-none}${EMPTY:-none}${EMPTY-none}", "nonenone"),
        ("${A:+yes}${UNSET:+yes}${EMPTY+set}", "yesset"),
        ("${UNSET:-a${A}b}", "a1b"),
        (r#""$A \"b\" \n" '$A' \$A"#, r#"1 "b" \n $A $A"#),
        ("$ $", "$ $"),
        ("$1A", "A"),
        ("${P#f*o}|${P##f*o}", "o-bar-foo.tar.gz|.tar.gz"),
        ("${P%.*}|${P%%.*}", "foo-bar-foo.tar|foo-bar-foo"),
        ("${P/foo/x}|${P//foo/x}", "x-bar-foo.tar.gz|x-bar-x.tar.gz"),
        (r"${P//\./_}|${P//?oo/}", "foo-bar-foo_tar_gz|-bar-.tar.gz"),
        ("${UNSET#x}${UNSET//a/b}", ""),
    ] {
        assert_eq!(expand(word, &value).as_deref(), Ok(expect), "{word}");
    }
}

#[test]
fn values_may_hold_several_words() {
    let words = |text| Lexer::default().words(text, &value).unwrap();
    assert_eq!(words(r#"a $TWO "$TWO" b\ c"#), ["a", "x", "y", "x y", "b c"]);
    assert_eq!(words(r#""" $UNSET"#), [""]);
}

#[test]
fn what_is_to_stay_stays() {
    let keep = Lexer { keep_unset: true, ..Lexer::default() };
    for (word, expect) in [
        ("$UNSET ${UNSET} ${UNSET:-x} ${UNSET#y} ${UNSET/a/b}", "$UNSET ${UNSET} ${UNSET:-x} ${UNSET#y} ${UNSET/a/b}"),
        ("$A${A:+z}", "1z"),
    ] {
        assert_eq!(keep.expand(word, &value).as_deref(), Ok(expect));
    }
    let raw = Lexer { raw_quotes: true, raw_escapes: true, ..Lexer::default() };
    assert_eq!(raw.expand(r#""a" 'b' \c $A"#, &value).as_deref(), Ok(r#""a" 'b' \c 1"#));
    let plain = Lexer { plain_quotes: true, ..Lexer::default() };
    assert_eq!(plain.expand(r#"it's "$A" \$A"#, &value).as_deref(), Ok(r#"it's "1" $A"#));
}

#[test]
fn what_cannot_be_read_is_named() {
    for (word, reason) in [
        ("\"unclosed", "unexpected end of statement while looking for matching double-quote"),
        ("'unclosed", "unexpected end of statement while looking for matching single-quote"),
        ("${A", "syntax error: missing '}'"),
        ("${A:-", "syntax error: missing '}'"),
        ("${P/x", "syntax error: missing '/' in ${}"),
        ("${}", "syntax error: bad substitution"),
        ("${A:#x}", "unsupported modifier (:#) in substitution"),
        ("${A^x}", "unsupported modifier (^) in substitution"),
        ("${UNSET:?missing}", "UNSET: missing"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
    ] {
        let refused = expand(word, &value).unwrap_err();
        assert_eq!(refused.to_string(), format!("failed to process {word:?}: {reason}"));
    }
}

proptest! {
    #[test]
    fn any_line_is_read_or_refused(line in "\\PC{0,60}") {
        for word in split(&line) {
            let _ = expand(word, &value);
        }
    }

    #[test]
    fn any_substitution_ends(text in "[a*?\\\\]{0,20}", shape in "[a*?\\\\]{0,12}") {
        let shape = pattern::Shape::parse(&shape);
        prop_assert!(shape.without_prefix(&text, true).len() <= text.len());
        let _ = shape.replace(&text, "x", true);
    }
}

#[test]
fn words_are_neither_too_deep_nor_too_long() {
    let nested = |depth: usize| format!("{}x{}", "${A:-".repeat(depth), "}".repeat(depth));
    let expand = |word: &str, value: Value<'_>| Lexer::default().expand(word, value);
    assert_eq!(expand(&nested(60), &|_| None).unwrap(), "x");
    assert!(expand(&nested(100_000), &|_| None).unwrap_err().reason.contains("deep"));
    assert!(expand(&"${A/${A//".repeat(50_000), &|_| None).is_err());
    let long = "x".repeat(600_000);
    assert!(expand("$A", &|_| Some(long.clone())).is_ok());
    assert!(expand("$A\"${A}\"", &|_| Some(long.clone())).unwrap_err().reason.contains("bytes"));
}
