//! What may be one entry of a mail's addresses: `ann@example.com`, `Ann <ann@example.com>` or
//! `"Doe, Ann" <ann@example.com>`.
//!
//! Own code, because no crate checks the same: mail-parser is lenient by design, and email_address
//! refuses addresses that exist (`a..b@docomo.ne.jp`) and accepts invisible characters. Acquire
//! decides whether an address is good; this finds text that is certainly not an address, or is
//! several.

use std::fmt;

/// Why text is not one mailbox. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    NoAt,
    Ats,
    Half,
    Separator,
    Space,
    Break,
    Invisible(char),
    Open,
    Brackets,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfit::NoAt => "it has no `@`",
            Unfit::Ats => "it has more than one `@`",
            Unfit::Half => "one side of its `@` is missing or incomplete",
            Unfit::Separator => {
                "it has a comma, semicolon or colon: write several addresses as an array, and a name \
                 with such characters in quotes"
            }
            Unfit::Space => "it has white space around or inside the address",
            Unfit::Break => "it has a line break or a control character",
            Unfit::Open => "a quote in it is not closed",
            Unfit::Brackets => "it has `<` or `>` in the wrong place",
            Unfit::Invisible(c) => {
                return write!(f, "it has an invisible character (U+{:04X})", u32::from(*c));
            }
        })
    }
}

/// Checks that the text is one mailbox.
pub(super) fn check(text: &str) -> Result<(), Unfit> {
    if text.contains(breaks) {
        return Err(Unfit::Break);
    }
    if text.trim().len() != text.len() {
        return Err(Unfit::Space);
    }
    // Quoted text may contain anything else; `_` takes its place.
    let bare = without_quoted(text)?;
    let Some((name, rest)) = bare.split_once('<') else { return address(&bare) };
    let Some(inside) = rest.strip_suffix('>') else { return Err(Unfit::Brackets) };
    if name.contains('@') {
        return Err(Unfit::Ats);
    }
    if name.contains([',', ';', ':']) {
        return Err(Unfit::Separator);
    }
    if name.contains('>') {
        return Err(Unfit::Brackets);
    }
    match name.chars().find(|&c| is_invisible(c) && !joins(c)) {
        Some(c) => Err(Unfit::Invisible(c)),
        None => address(inside),
    }
}

/// `local@domain`.
fn address(text: &str) -> Result<(), Unfit> {
    if let Some(c) = text.chars().find(|&c| is_invisible(c)) {
        return Err(Unfit::Invisible(c));
    }
    if text.contains(['<', '>']) {
        return Err(Unfit::Brackets);
    }
    if text.contains([',', ';']) {
        return Err(Unfit::Separator);
    }
    let (local, domain) = text.split_once('@').ok_or(Unfit::NoAt)?;
    if domain.contains('@') {
        return Err(Unfit::Ats);
    }
    if text.contains(char::is_whitespace) {
        return Err(Unfit::Space);
    }
    let literal = domain.starts_with('[') && domain.ends_with(']');
    if local.contains(':') || domain.contains(':') && !literal {
        return Err(Unfit::Separator);
    }
    if local.is_empty() || !literal && domain.split('.').any(str::is_empty) {
        return Err(Unfit::Half);
    }
    Ok(())
}

/// The text with `_` for each quoted part.
fn without_quoted(text: &str) -> Result<String, Unfit> {
    let (mut bare, mut characters) = (String::new(), text.chars());
    while let Some(c) = characters.next() {
        if c != '"' {
            bare.push(c);
            continue;
        }
        bare.push('_');
        loop {
            match characters.next() {
                None => return Err(Unfit::Open),
                Some('"') => break,
                Some('\\') => drop(characters.next()),
                Some(_) => {}
            }
        }
    }
    Ok(bare)
}

/// Characters that end a line in some program, and control characters.
pub(super) fn breaks(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Unicode's Default_Ignorable_Code_Point, and the format characters (Cf) next to it:
/// <https://www.unicode.org/Public/UCD/latest/ucd/DerivedCoreProperties.txt>.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Invisible, and part of visible text: Persian and Indian names, and emoji, need them.
fn joins(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{180b}'..='\u{180d}' | '\u{e0020}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mailbox_is_taken_in_every_way_that_it_is_written() {
        for text in [
            "a@b",
            "ann@example.com",
            "a..b.@docomo.ne.jp",
            "ann+tag@example.co.uk",
            "o'brien@example.com",
            "用户@例子.广告",
            "дора@пример.рф",
            "ann@xn--fsqu00a.xn--0zwm56d",
            "Ann <ann@example.com>",
            "<ann@example.com>",
            "Ann Doe <ann@example.com>",
            "\"Doe, Ann\" <ann@example.com>",
            "\"a@b; c\" <ann@example.com>",
            "\"say \\\"hi\\\"\" <ann@example.com>",
            "\"john doe\"@example.com",
            "\"a@b\"@example.com",
            "ann@[192.0.2.1]",
            "ann@[IPv6:2001:db8::1]",
            "Ann (office) <ann@example.com>",
            "می\u{200c}خواهم <ann@example.com>",
            "👩\u{200d}💻 Ann ❤\u{fe0f} <ann@example.com>",
            "Dr. Ann <ann@example.com>",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_none_or_several_or_hides_something_is_refused() {
        for (text, why) in [
            ("", Unfit::NoAt),
            ("ann", Unfit::NoAt),
            ("ann＠example.com", Unfit::NoAt),
            ("\"a@b\"", Unfit::NoAt),
            ("Ann <ann>", Unfit::NoAt),
            ("@", Unfit::Half),
            ("ann@", Unfit::Half),
            ("@example.com", Unfit::Half),
            ("ann@.com", Unfit::Half),
            ("ann@example..com", Unfit::Half),
            ("Ann <>", Unfit::NoAt),
            ("a@b@c", Unfit::Ats),
            ("a@example.com <b@example.com>", Unfit::Ats),
            ("a@example.com, b@example.com", Unfit::Separator),
            ("a@example.com,b@example.com", Unfit::Separator),
            ("a@example.com;b@example.com", Unfit::Separator),
            ("Doe, Ann <ann@example.com>", Unfit::Separator),
            ("mailto:ann@example.com", Unfit::Separator),
            ("Team: ann@example.com;", Unfit::Separator),
            ("ann @example.com", Unfit::Space),
            (" ann@example.com", Unfit::Space),
            ("ann@example.com ", Unfit::Space),
            ("\u{a0}ann@example.com", Unfit::Space),
            ("a@example.com b", Unfit::Space),
            ("Ann <ann@ example.com>", Unfit::Space),
            ("ann@example.com\n", Unfit::Break),
            ("Ann\r\nBcc: x <ann@example.com>", Unfit::Break),
            ("\"Ann\u{2028}\" <ann@example.com>", Unfit::Break),
            ("ann@exam\u{0}ple.com", Unfit::Break),
            ("ann\u{200b}@example.com", Unfit::Invisible('\u{200b}')),
            ("\u{feff}ann@example.com", Unfit::Invisible('\u{feff}')),
            ("ann@exam\u{ad}ple.com", Unfit::Invisible('\u{ad}')),
            ("ann@\u{202e}moc.elpmaxe", Unfit::Invisible('\u{202e}')),
            ("A\u{2066}nn <ann@example.com>", Unfit::Invisible('\u{2066}')),
            ("Ann <an\u{200d}n@example.com>", Unfit::Invisible('\u{200d}')),
            ("\"Ann <ann@example.com>", Unfit::Open),
            ("Ann <ann@example.com", Unfit::Brackets),
            ("Ann ann@example.com>", Unfit::Brackets),
            ("Ann <ann@example.com> (office)", Unfit::Brackets),
            ("Ann <<ann@example.com>>", Unfit::Brackets),
            ("<a@b> <c@d>", Unfit::Brackets),
        ] {
            assert_eq!(check(text), Err(why), "{text}");
        }
    }
}
