//! Checks one entry of an email's addresses: `ann@example.com`, `Ann <ann@example.com>` or
//! `"Doe, Ann" <ann@example.com>`.
//!
//! Acquire decides whether an address is valid; this only finds text that cannot be an address or is
//! more than one. No crate does the same: mail-parser is lenient by design, and email_address refuses
//! addresses that exist (`a..b@docomo.ne.jp`) and accepts invisible characters.

use std::fmt;

/// Why text is not one address. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressFault {
    NoAtSign,
    SeveralAtSigns,
    EmptyPart,
    Separator,
    WhiteSpace,
    LineBreak,
    Invisible(char),
    OpenQuote,
    Brackets,
}

impl fmt::Display for AddressFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressFault::NoAtSign => "it has no `@`",
            AddressFault::SeveralAtSigns => "it has more than one `@`",
            AddressFault::EmptyPart => "the part before or after its `@` is missing or incomplete",
            AddressFault::Separator => {
                "it has a comma, semicolon or colon: write several addresses as an array, and quote a \
                 name that contains such characters"
            }
            AddressFault::WhiteSpace => "it has white space around or inside the address",
            AddressFault::LineBreak => "it has a line break or a control character",
            AddressFault::OpenQuote => "a quote in it is not closed",
            AddressFault::Brackets => "it has `<` or `>` in the wrong place",
            AddressFault::Invisible(c) => {
                return write!(f, "it has an invisible character (U+{:04X})", u32::from(*c));
            }
        })
    }
}

/// Checks that the text is one address.
pub(super) fn check(text: &str) -> Result<(), AddressFault> {
    if text.contains(is_line_break_or_control) {
        return Err(AddressFault::LineBreak);
    }
    if text.trim().len() != text.len() {
        return Err(AddressFault::WhiteSpace);
    }
    // Quoted parts may contain anything else, so they are masked.
    let bare = mask_quoted(text)?;
    let Some((name, rest)) = bare.split_once('<') else { return address(&bare) };
    let Some(inside) = rest.strip_suffix('>') else { return Err(AddressFault::Brackets) };
    if name.contains('@') {
        return Err(AddressFault::SeveralAtSigns);
    }
    if name.contains([',', ';', ':']) {
        return Err(AddressFault::Separator);
    }
    if name.contains('>') {
        return Err(AddressFault::Brackets);
    }
    match name.chars().find(|&c| is_invisible(c) && !is_joiner(c)) {
        Some(c) => Err(AddressFault::Invisible(c)),
        None => address(inside),
    }
}

/// `local@domain`.
fn address(text: &str) -> Result<(), AddressFault> {
    if let Some(c) = text.chars().find(|&c| is_invisible(c)) {
        return Err(AddressFault::Invisible(c));
    }
    if text.contains(['<', '>']) {
        return Err(AddressFault::Brackets);
    }
    if text.contains([',', ';']) {
        return Err(AddressFault::Separator);
    }
    let (local, domain) = text.split_once('@').ok_or(AddressFault::NoAtSign)?;
    if domain.contains('@') {
        return Err(AddressFault::SeveralAtSigns);
    }
    if text.contains(char::is_whitespace) {
        return Err(AddressFault::WhiteSpace);
    }
    let literal = domain.starts_with('[') && domain.ends_with(']');
    if local.contains(':') || domain.contains(':') && !literal {
        return Err(AddressFault::Separator);
    }
    if local.is_empty() || !literal && domain.split('.').any(str::is_empty) {
        return Err(AddressFault::EmptyPart);
    }
    Ok(())
}

/// The text with `_` in place of each quoted part.
fn mask_quoted(text: &str) -> Result<String, AddressFault> {
    let (mut bare, mut characters) = (String::new(), text.chars());
    while let Some(c) = characters.next() {
        if c != '"' {
            bare.push(c);
            continue;
        }
        bare.push('_');
        loop {
            match characters.next() {
                None => return Err(AddressFault::OpenQuote),
                Some('"') => break,
                Some('\\') => drop(characters.next()),
                Some(_) => {}
            }
        }
    }
    Ok(bare)
}

/// Control characters, and everything that some program treats as a line break.
pub(super) fn is_line_break_or_control(c: char) -> bool {
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

/// Invisible, but needed in names in Persian and Indian scripts, and in emoji.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{180b}'..='\u{180d}' | '\u{e0020}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_one_address_is_accepted() {
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
    fn text_that_is_no_address_or_several_or_has_hidden_characters_is_refused() {
        for (text, why) in [
            ("", AddressFault::NoAtSign),
            ("ann", AddressFault::NoAtSign),
            ("ann＠example.com", AddressFault::NoAtSign),
            ("\"a@b\"", AddressFault::NoAtSign),
            ("Ann <ann>", AddressFault::NoAtSign),
            ("@", AddressFault::EmptyPart),
            ("ann@", AddressFault::EmptyPart),
            ("@example.com", AddressFault::EmptyPart),
            ("ann@.com", AddressFault::EmptyPart),
            ("ann@example..com", AddressFault::EmptyPart),
            ("Ann <>", AddressFault::NoAtSign),
            ("a@b@c", AddressFault::SeveralAtSigns),
            ("a@example.com <b@example.com>", AddressFault::SeveralAtSigns),
            ("a@example.com, b@example.com", AddressFault::Separator),
            ("a@example.com,b@example.com", AddressFault::Separator),
            ("a@example.com;b@example.com", AddressFault::Separator),
            ("Doe, Ann <ann@example.com>", AddressFault::Separator),
            ("mailto:ann@example.com", AddressFault::Separator),
            ("Team: ann@example.com;", AddressFault::Separator),
            ("ann @example.com", AddressFault::WhiteSpace),
            (" ann@example.com", AddressFault::WhiteSpace),
            ("ann@example.com ", AddressFault::WhiteSpace),
            ("\u{a0}ann@example.com", AddressFault::WhiteSpace),
            ("a@example.com b", AddressFault::WhiteSpace),
            ("Ann <ann@ example.com>", AddressFault::WhiteSpace),
            ("ann@example.com\n", AddressFault::LineBreak),
            ("Ann\r\nBcc: x <ann@example.com>", AddressFault::LineBreak),
            ("\"Ann\u{2028}\" <ann@example.com>", AddressFault::LineBreak),
            ("ann@exam\u{0}ple.com", AddressFault::LineBreak),
            ("ann\u{200b}@example.com", AddressFault::Invisible('\u{200b}')),
            ("\u{feff}ann@example.com", AddressFault::Invisible('\u{feff}')),
            ("ann@exam\u{ad}ple.com", AddressFault::Invisible('\u{ad}')),
            ("ann@\u{202e}moc.elpmaxe", AddressFault::Invisible('\u{202e}')),
            ("A\u{2066}nn <ann@example.com>", AddressFault::Invisible('\u{2066}')),
            ("Ann <an\u{200d}n@example.com>", AddressFault::Invisible('\u{200d}')),
            ("\"Ann <ann@example.com>", AddressFault::OpenQuote),
            ("Ann <ann@example.com", AddressFault::Brackets),
            ("Ann ann@example.com>", AddressFault::Brackets),
            ("Ann <ann@example.com> (office)", AddressFault::Brackets),
            ("Ann <<ann@example.com>>", AddressFault::Brackets),
            ("<a@b> <c@d>", AddressFault::Brackets),
        ] {
            assert_eq!(check(text), Err(why), "{text}");
        }
    }
}
