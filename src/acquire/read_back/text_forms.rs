//! Message text in forms that can be compared. Acquire may trim a text, wrap it in `<p>`, write
//! characters as entities or line ends in another way: that is undone. Everything else is a difference.

use std::borrow::Cow;

/// How a text that was read compares with the one that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TextMatch {
    Different,
    /// One is a part of the other: a signature was added, or the end was cut.
    Contained,
    /// The same letters and digits.
    Loose,
    Same,
}

/// A shorter text may be part of any other.
const TELLING_CHARS: usize = 12;

pub(super) fn compare(sent: &str, read: &str) -> TextMatch {
    let (strict_sent, strict_read) = (strict(sent), strict(read));
    if strict_sent == strict_read
        || unwrapped(read).is_some_and(|read| strict(&read) == strict_sent)
        || unwrapped(sent).is_some_and(|sent| strict(&sent) == strict_read)
    {
        return TextMatch::Same;
    }
    let (sent, read) = (loose(sent), loose(read));
    if sent == read {
        return TextMatch::Loose;
    }
    let is_part = |part: &str, whole: &str| {
        let telling = part.chars().count() >= TELLING_CHARS;
        !part.is_empty() && (whole.starts_with(part) || telling && whole.contains(part))
    };
    let read_is_part = read.chars().count() >= TELLING_CHARS && is_part(&read, &sent);
    if is_part(&sent, &read) || read_is_part { TextMatch::Contained } else { TextMatch::Different }
}

/// Line ends as `\n`, without white space at either end of the text.
fn strict(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    if text.contains('\r') {
        text.replace("\r\n", "\n").replace('\r', "\n").into()
    } else {
        text.into()
    }
}

/// The text without paragraphs and entities, if it has any: `<p>a &amp; b</p>` is `a & b`.
fn unwrapped(text: &str) -> Option<String> {
    let trimmed = text.trim();
    let lower = trimmed.to_ascii_lowercase();
    let is_wrapped = lower.starts_with("<p>") && lower.ends_with("</p>");
    if !is_wrapped && !trimmed.contains('&') && !lower.contains("<br") {
        return None;
    }
    let mut plain = String::with_capacity(trimmed.len());
    let mut rest = trimmed;
    while let Some(at) = rest.find(['<', '&']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = if rest.starts_with('&') {
            entity(rest)
        } else {
            line_break(rest).map(|(text, length)| (text.to_owned(), length))
        };
        match taken {
            Some((text, length)) => {
                plain.push_str(&text);
                rest = &rest[length..];
            }
            None => {
                plain.push_str(&rest[..1]);
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    Some(plain)
}

/// The tags that only say where lines end: what they are as text, and their length.
fn line_break(text: &str) -> Option<(&'static str, usize)> {
    let tags = [
        ("</p><p>", "\n"),
        ("<p>", ""),
        ("</p>", ""),
        ("<br>", "\n"),
        ("<br/>", "\n"),
        ("<br />", "\n"),
    ];
    tags.into_iter().find_map(|(tag, is)| {
        let begins = text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag));
        begins.then_some((is, tag.len()))
    })
}

/// The character of the entity that a text begins with, and the entity's length.
fn entity(text: &str) -> Option<(String, usize)> {
    let end = text.bytes().take(12).position(|byte| byte == b';')?;
    let name = &text[1..end];
    let character = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let digits = name.strip_prefix('#')?;
            let hex = digits.strip_prefix(['x', 'X']).map(|hex| u32::from_str_radix(hex, 16));
            char::from_u32(hex.unwrap_or_else(|| digits.parse()).ok()?)?
        }
    };
    Some((character.to_string(), end + 1))
}

/// Letters and digits only, in lower case, without tags. A text that has none: without white space.
fn loose(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let is_tag =
            rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        match rest.find('>').filter(|_| is_tag) {
            Some(end) => rest = &rest[end + 1..],
            None => {
                plain.push('<');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    let plain = unwrapped(&plain).unwrap_or(plain);
    let letters: String =
        plain.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    if letters.is_empty() {
        plain.chars().filter(|c| !c.is_whitespace()).collect()
    } else {
        letters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_vendor_normalises_is_the_same_text() {
        for (sent, read) in [
            ("Hello", "Hello"),
            (" Hello\n", "Hello"),
            ("a\r\nb", "a\nb"),
            ("a <b> & \"c\"", "<p>a &lt;b&gt; &amp; &quot;c&quot;</p>"),
            ("it's", "it&#39;s"),
            ("it's", "it&#x27;s"),
            ("a\nb", "<p>a</p><p>b</p>"),
            ("a\nb", "a<br />b"),
            ("<p>Hi</p>", "Hi"),
            ("&", "&amp;"),
            ("\u{1f600}", " \u{1f600} "),
        ] {
            assert_eq!(compare(sent, read), TextMatch::Same, "{sent:?} {read:?}");
        }
    }

    #[test]
    fn what_was_rewritten_is_not_taken_for_the_same() {
        for (sent, read) in [
            ("<p>Hello <b>you</b></p>", "<div class=\"x\">Hello <strong>you</strong></div>"),
            ("Hello,  you", "Hello, you"),
            ("Hello", "HELLO!"),
            ("\u{1f600} \u{1f600}", "\u{1f600}\u{1f600}"),
        ] {
            assert_eq!(compare(sent, read), TextMatch::Loose, "{sent:?} {read:?}");
        }
        for (sent, read) in [
            ("Hi", "Hi<p class=\"acq-signature\">Via acquire.io</p>"),
            ("Your order 4711 is ready", "Dear Anne: Your order 4711 is ready. Bye"),
            ("Your order 4711 is ready to be collected", "Your order 4711 is ready..."),
        ] {
            assert_eq!(compare(sent, read), TextMatch::Contained, "{sent:?} {read:?}");
        }
        for (sent, read) in
            [("Hi", "think"), ("Hello", "Goodbye"), ("Hello", ""), ("1", "2"), ("\u{1f600}", "a")]
        {
            assert_eq!(compare(sent, read), TextMatch::Different, "{sent:?} {read:?}");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_the_same_however_it_is_wrapped(text in "[ -~é\u{1f600}\n]{1,60}") {
            let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
            prop_assert_eq!(compare(&text, &format!("<p>{escaped}</p>")), TextMatch::Same);
            prop_assert_eq!(compare(&text, &format!("\r\n {text} ")), TextMatch::Same);
        }

        #[test]
        fn any_two_texts_compare_without_a_panic(a in "[<>/&;#xpbré a\u{1f600}]{0,40}", b in "[<>/&;#xpbré a]{0,40}") {
            let _ = compare(&a, &b);
        }
    }
}
