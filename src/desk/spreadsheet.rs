//! CSV cells that a spreadsheet would run as a formula: a leading apostrophe makes them text.
//! Source: <https://owasp.org/www-community/attacks/CSV_Injection>.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The cell, safe to open in a spreadsheet. Control characters are escaped; formulas get an
/// apostrophe, and so do phone numbers, which would otherwise lose their `+`.
pub fn inert(text: &str) -> Cow<'_, str> {
    let text = match text.contains(char::is_control) {
        true => Cow::Owned(plain(text)),
        false => Cow::Borrowed(text),
    };
    if runs(&text) { Cow::Owned(format!("'{text}")) } else { text }
}

/// Text from outside on one line: line ends, tabs and terminal escapes are made visible.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(plain, "{}", c.escape_default());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// The reverse of [`inert`], except for control characters: removes the apostrophe.
pub fn as_written(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|text| runs(text)).unwrap_or(cell)
}

/// Also after white space and quotes. Full-width forms count as well.
fn runs(text: &str) -> bool {
    text.trim_start_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'')
        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_made_text() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-2+3", "'-2+3"),
            ("+12513183181", "'+12513183181"),
            (" =1", "' =1"),
            ("\"=1", "'\"=1"),
            ("'=1", "''=1"),
            ("＝1", "'＝1"),
            ("\t=1", "\\t=1"),
            ("\r=1", "\\r=1"),
            ("a\u{1b}[2J", "a\\u{1b}[2J"),
            ("'tis", "'tis"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(inert(text), cell);
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "['\"=+@ a-]{0,6}|[^\\x00-\\x1f\\x7f-\\x9f]{0,12}") {
            let cell = inert(&text);
            prop_assert_eq!(as_written(&cell), text.as_str());
        }
    }
}
