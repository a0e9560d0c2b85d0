//! Removes the API key and message text from what a server answers.

use super::sms_request::escape_html;

/// Replaces what was removed.
pub(super) const REDACTED: &str = "[...]";

/// A text longer than this is found by its first characters: servers quote long texts only in part.
const HEAD_CHARS: usize = 24;

/// A text shorter than this may be part of any word, so it is removed only as a whole word.
const WORD_CHARS: usize = 8;

/// A shorter beginning of a text, at the end of a truncated answer, gives nothing away.
const CUT_BYTES: usize = 4;

/// The texts to remove, in every spelling in which an answer may quote them.
pub(super) struct Redactor {
    spellings: Vec<Spelling>,
}

struct Spelling {
    text: String,
    /// How many bytes of the text must match.
    head: usize,
    whole_word: bool,
}

impl Redactor {
    pub(super) fn new(key: &str, texts: &[&str]) -> Self {
        let mut spellings = Vec::new();
        let texts = texts.iter().map(|text| (*text, text.chars().count() < WORD_CHARS));
        for (text, whole_word) in texts.chain([(key, false)]) {
            let text = text.trim();
            // A message of one comma must not remove every comma.
            if text.is_empty()
                || (text.len() == 1 && text.bytes().all(|b| b.is_ascii_punctuation()))
            {
                continue;
            }
            for text in spellings_of(text) {
                let head = if text == key { text.len() } else { head_len(&text) };
                spellings.push(Spelling { text, head, whole_word });
            }
        }
        spellings.sort_by(|a, b| b.text.len().cmp(&a.text.len()).then_with(|| a.text.cmp(&b.text)));
        spellings.dedup_by(|a, b| a.text == b.text && a.whole_word == b.whole_word);
        Redactor { spellings }
    }

    /// As [`Redactor::line`], for text whose end is missing: it may end with the beginning of a text to
    /// remove.
    pub(super) fn truncated_line(&self, said: &str) -> String {
        let longest = |spelling: &Spelling| {
            let ends = spelling.text.char_indices().map(|(end, _)| end).rev();
            ends.take_while(|end| *end >= CUT_BYTES)
                .find(|end| said.ends_with(&spelling.text[..*end]))
        };
        match self.spellings.iter().filter_map(longest).max() {
            None => self.line(said),
            Some(partial) => {
                let kept = self.line(&said[..said.len() - partial]);
                format!("{kept} {REDACTED}").trim_start().to_owned()
            }
        }
    }

    /// One line, redacted, with spaces for control characters.
    pub(super) fn line(&self, said: &str) -> String {
        let line: String = self.strip(said, false).chars().map(control_to_space).collect();
        // A control character that became a space may have completed a text.
        self.strip(&self.strip(&line, false), true).trim().to_owned()
    }

    fn strip(&self, said: &str, spaced: bool) -> String {
        self.spellings.iter().fold(said.to_owned(), |said, spelling| {
            if spaced && !spelling.text.contains(char::is_control) {
                return said;
            }
            if spaced { spelling.spaced().strip(&said) } else { spelling.strip(&said) }
        })
    }
}

fn head_len(text: &str) -> usize {
    text.char_indices().nth(HEAD_CHARS).map_or(text.len(), |(index, _)| index)
}

fn control_to_space(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

impl Spelling {
    /// With spaces for control characters.
    fn spaced(&self) -> Spelling {
        let text: String = self.text.chars().map(control_to_space).collect();
        Spelling { head: head_len(&text), text, whole_word: self.whole_word }
    }

    fn strip(&self, said: &str) -> String {
        let head = &self.text[..self.head];
        let mut kept = String::with_capacity(said.len());
        let mut from = 0;
        while let Some(found) = said[from..].find(head).map(|index| from + index) {
            let more = self.text[self.head..].chars().zip(said[found + self.head..].chars());
            let end = more
                .take_while(|(expected, actual)| expected == actual)
                .fold(found + self.head, |end, (_, actual)| end + actual.len_utf8());
            if self.whole_word && within_a_word(said, found, end) {
                kept.push_str(&said[from..end]);
            } else {
                kept.push_str(&said[from..found]);
                kept.push_str(REDACTED);
            }
            from = end;
        }
        kept.push_str(&said[from..]);
        kept
    }
}

fn within_a_word(said: &str, start: usize, end: usize) -> bool {
    let letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let found = &said[start..end];
    (letter(said[..start].chars().next_back()) && letter(found.chars().next()))
        || (letter(said[end..].chars().next()) && letter(found.chars().next_back()))
}

/// The text itself, and as JSON and HTML writers escape it.
fn spellings_of(text: &str) -> Vec<String> {
    let mut all = vec![text.to_owned()];
    let json = serde_json::Value::from(text).to_string();
    let json = &json[1..json.len() - 1];
    let slashed = json.replace('/', "\\/");
    let mut ascii = String::with_capacity(slashed.len());
    for c in slashed.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| ascii += &format!("\\u{unit:04x}"));
        }
    }
    let html = escape_html(text);
    for apostrophe in ["&#x27;", "&#039;", "&apos;", "'"] {
        let html = html.replace("&#39;", apostrophe);
        all.push(html.replace("&quot;", "&#34;"));
        all.push(html.replace("&quot;", "\""));
        all.push(html);
    }
    all.extend([json.to_owned(), slashed, ascii, html]);
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(texts: &[&str], said: &str) -> String {
        Redactor::new("KEY-1234567", texts).line(said)
    }

    #[test]
    fn every_spelling_is_removed() {
        let text = "Zoë said: \"it's 5 < 6\" & left/right\nat once";
        for quoted in [
            text.to_owned(),
            text.replace('\n', " "),
            serde_json::Value::from(text).to_string(),
            serde_json::Value::from(text).to_string().replace('/', "\\/").replace('ë', "\\u00eb"),
            escape_html(text),
            escape_html(text).replace("&#39;", "&#x27;"),
        ] {
            let said = line(&[text], &format!("refused <{quoted}> here"));
            assert!(said.starts_with("refused <") && said.ends_with("> here"), "{said}");
            assert!(
                said.contains("[...]") && !said.contains("Zo") && !said.contains("left"),
                "{said}"
            );
        }
    }

    /// Scalar by fuzzing.
    #[test]
    fn a_text_that_a_control_character_completes_is_removed() {
        assert_eq!(line(&["Your order has left"], "`Your\0order has left`"), "`[...]`");
    }

    #[test]
    fn short_texts_are_removed_only_as_whole_words() {
        assert_eq!(line(&["hi"], "this hi, \"hi\" him hi"), "this [...], \"[...]\" him [...]");
        assert_eq!(line(&["👍"], "no 👍👍!"), "no [...][...]!");
        assert_eq!(line(&[".", " ", ""], "as it. was"), "as it. was");
    }

    #[test]
    fn a_long_text_that_is_quoted_in_part_is_removed() {
        let text = "The quick brown fox jumps over the lazy dog";
        assert_eq!(
            line(&[text], "`The quick brown fox jumps over...` is long"),
            "`[...]...` is long"
        );
    }

    #[test]
    fn a_truncated_text_is_removed() {
        let text = "Zoë: your parcel, is \"late\"";
        let redactor = Redactor::new("KEY-1234567", &[text, "hi"]);
        let json = serde_json::Value::from(text).to_string();
        for said in [text, &json[1..json.len() - 1], "Bearer KEY-1234567"] {
            for end in (0..said.len()).filter(|end| said.is_char_boundary(*end)) {
                let line = redactor.truncated_line(&format!("no: {}", &said[..end]));
                let left = line.strip_prefix("no:").unwrap().trim();
                assert!(
                    left.len() < 14 && !left.contains("parcel") && !left.contains("KEY-"),
                    "{line}"
                );
            }
        }
        assert_eq!(redactor.truncated_line("nothing of it"), "nothing of it");
    }

    #[test]
    fn the_key_is_removed_even_inside_a_word() {
        assert_eq!(line(&[], "xKEY-1234567x Bearer KEY-1234567"), "x[...]x Bearer [...]");
    }

    proptest! {
        #[test]
        fn no_long_text_survives(text in "\\PC{9,60}", before in "[a-z ]{0,9}", after in "[a-z ]{0,9}") {
            prop_assume!(text.trim().chars().count() >= WORD_CHARS && !text.contains("[...]"));
            let said = line(&[&text], &format!("{before}{text}{after}"));
            prop_assert!(!said.contains(text.trim()), "{}", said);
        }
    }
}
