//! The syntax of Java's `.properties` files, in which `server.properties` is written.
//!
//! Lines are `key=value`, `key:value` or `key value`; `#` and `!` begin comments; a backslash before the end of a line joins the
//! next one, else it begins an escape (`\t \n \r \f \\ \: \= \  \uXXXX`). Blanks before the key, around the separator and at the
//! start of a continuation are not part of anything; blanks behind the value are.

use std::iter::Peekable;
use std::str::Chars;

/// A `\u` that is not followed by four hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: malformed \\uxxxx encoding")]
pub struct PropertiesError {
    /// Line of the file, from 1, on which the entry begins.
    pub line: usize,
}

/// The entries in file order; of a key that comes twice, the last one counts. The bytes are UTF-8, or, where they are not,
/// ISO 8859-1, which is what Java takes them for.
///
/// # Errors
/// See [`PropertiesError`].
pub fn parse_properties(file: &[u8]) -> Result<Vec<(String, String)>, PropertiesError> {
    let text = match std::str::from_utf8(file) {
        Ok(text) => text.to_owned(),
        Err(_) => file.iter().map(|&byte| char::from(byte)).collect(),
    };
    let mut entries = vec![];
    for (line, logical) in logical_lines(&text) {
        let (key, value) = split_entry(&logical).ok_or(PropertiesError { line })?;
        entries.push((key, value));
    }
    Ok(entries)
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];

/// Lines with continuations joined and comments and empty lines left out, with the number of their first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = vec![];
    let mut open = false;
    for (number, line) in (1..).zip(text.replace("\r\n", "\n").replace('\r', "\n").split('\n')) {
        let content = line.trim_start_matches(BLANKS);
        if !open && (content.is_empty() || content.starts_with(['#', '!'])) {
            continue;
        }
        let joined = content.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1;
        let content = if joined { &content[..content.len() - 1] } else { content };
        match lines.last_mut() {
            Some((_, whole)) if open => whole.push_str(content),
            _ => lines.push((number, content.to_owned())),
        }
        open = joined;
    }
    lines
}

fn split_entry(line: &str) -> Option<(String, String)> {
    let mut chars = line.chars().peekable();
    let key = unescape_until(&mut chars, |c| BLANKS.contains(&c) || c == '=' || c == ':')?;
    while chars.next_if(|c| BLANKS.contains(c)).is_some() {}
    if chars.next_if(|c| matches!(c, '=' | ':')).is_some() {
        while chars.next_if(|c| BLANKS.contains(c)).is_some() {}
    }
    let value = unescape_until(&mut chars, |_| false)?;
    Some((key, value))
}

/// Reads up to a character that is not escaped and ends the part; `None` if an escape is malformed.
fn unescape_until(chars: &mut Peekable<Chars<'_>>, ends: impl Fn(char) -> bool) -> Option<String> {
    // Java's escapes are UTF-16, so a character may take two of them.
    let mut units: Vec<u16> = vec![];
    let mut out = String::new();
    let flush = |units: &mut Vec<u16>, out: &mut String| {
        out.push_str(&String::from_utf16_lossy(units));
        units.clear();
    };
    while let Some(c) = chars.next_if(|&c| !ends(c)) {
        if c != '\\' {
            flush(&mut units, &mut out);
            out.push(c);
            continue;
        }
        match chars.next() {
            None => {}
            Some('u') => {
                let hex: String = chars.by_ref().take(4).collect();
                let digits = hex.len() == 4 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
                units.push(u16::from_str_radix(&hex, 16).ok().filter(|_| digits)?);
            }
            Some(escaped) => {
                flush(&mut units, &mut out);
                out.push(match escaped {
                    't' => '\t',
                    'n' => '\n',
                    'r' => '\r',
                    'f' => '\u{c}',
                    other => other,
                });
            }
        }
    }
    flush(&mut units, &mut out);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (String, String) {
        let mut entries = parse_properties(text.as_bytes()).unwrap();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.remove(0)
    }

    #[test]
    fn separators_blanks_and_comments() {
        for text in ["a=b", "a:b", "a b", " a = b", "a\t:\tb", "# c\n! d\n\n  a=b\n", "a=b\r\n", "a=b\r"] {
            assert_eq!(one(text), ("a".into(), "b".into()), "{text:?}");
        }
        assert_eq!(one("a"), ("a".into(), "".into()));
        assert_eq!(one("a=b c = d "), ("a".into(), "b c = d ".into()), "blanks behind a value belong to it");
        assert_eq!(one("a==b"), ("a".into(), "=b".into()));
        assert_eq!(one("url=PLAINTEXT://[::1]:9092"), ("url".into(), "PLAINTEXT://[::1]:9092".into()));
    }

    #[test]
    fn continuation_lines_join() {
        assert_eq!(one("a=b,\\\n   c,\\\n\td"), ("a".into(), "b,c,d".into()));
        assert_eq!(one("a=b\\\\\n"), ("a".into(), "b\\".into()), "two backslashes are one, not a continuation");
        assert_eq!(one("a=b\\\n# not a comment"), ("a".into(), "b# not a comment".into()));
        assert_eq!(one("a=b\\"), ("a".into(), "b".into()));
    }

    #[test]
    fn escapes() {
        assert_eq!(one(r"a\ b\=c=d\te\u0041\ud83d\ude00"), ("a b=c".into(), "d\teA😀".into()));
        assert_eq!(parse_properties(b"x=1\na=\\u12g4"), Err(PropertiesError { line: 2 }));
        assert_eq!(parse_properties(b"a=\\u+123"), Err(PropertiesError { line: 1 }));
        assert_eq!(parse_properties(b"a=\\u12"), Err(PropertiesError { line: 1 }));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_latin1() {
        assert_eq!(parse_properties(b"a=\xe9").unwrap(), [("a".into(), "é".into())]);
        assert_eq!(one("a=é"), ("a".into(), "é".into()));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_entries_or_an_error(file: Vec<u8>) {
            let _ = parse_properties(&file);
        }

        #[test]
        fn what_is_escaped_comes_back(key in "[^\\p{C}]{1,9}", value in "[^\\p{C}]{0,9}") {
            let escape = |text: &str| text.chars().map(|c| format!("\\{c}")).collect::<String>();
            // Letters that would become control characters stay as they are.
            proptest::prop_assume!(!key.contains(['t', 'n', 'r', 'f', 'u']) && !value.contains(['t', 'n', 'r', 'f', 'u']));
            let entries = parse_properties(format!("{}={}", escape(&key), escape(&value)).as_bytes()).unwrap();
            proptest::prop_assert_eq!(entries, [(key, value)]);
        }
    }
}
