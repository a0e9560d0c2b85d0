//! Reads JSON by its marks - brackets, and the quotes that close texts - 64 bytes at a time:
//! what nobody asks for costs its length alone.

use super::number;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::error::Category;
use std::borrow::Cow;
use wide::{u8x16, u8x64};

/// Why there is no more to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bytes ended before the value did.
    Ended,
    NotJson,
}

#[derive(Debug, PartialEq)]
pub(super) enum Found {
    Null,
    /// A number or a text.
    Value(Value),
    /// Neither an id nor a status: an object, an array, a truth value, a long text.
    Other,
}

/// An id is short; longer texts are none and would bloat the row.
const ID_BYTES: usize = 1024;

/// A place in JSON.
pub(super) struct Scan<'j> {
    json: &'j [u8],
    /// Never past the end of `json`.
    at: usize,
}

impl<'j> Scan<'j> {
    pub(super) fn new(json: &'j [u8]) -> Self {
        Scan { json, at: 0 }
    }

    /// The next byte that is no white space, which stays the next.
    pub(super) fn peek(&mut self) -> Result<u8, Stop> {
        while let Some(byte) = self.json.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Ok(*byte);
            }
            self.at += 1;
        }
        Err(Stop::Ended)
    }

    /// Goes past `mark` when it is next.
    pub(super) fn take(&mut self, mark: u8) -> Result<bool, Stop> {
        let next = self.peek()? == mark;
        self.at += usize::from(next);
        Ok(next)
    }

    pub(super) fn expect(&mut self, mark: u8) -> Result<(), Stop> {
        if self.take(mark)? { Ok(()) } else { Err(Stop::NotJson) }
    }

    /// There is nothing more but white space.
    pub(super) fn end(&mut self) -> Result<(), Stop> {
        match self.peek() {
            Err(Stop::Ended) => Ok(()),
            _ => Err(Stop::NotJson),
        }
    }

    /// A field's name. Names are bytes: not every answer is UTF-8. One with an escape that stands
    /// for no character is empty.
    pub(super) fn name(&mut self) -> Result<Cow<'j, [u8]>, Stop> {
        if self.peek()? != b'"' {
            return Err(Stop::NotJson);
        }
        let Text { quoted, escapes } = self.text()?;
        if escapes {
            let name: String = serde_json::from_slice(quoted).unwrap_or_default();
            return Ok(name.into_bytes().into());
        }
        Ok(quoted[1..quoted.len() - 1].into())
    }

    /// Reads a value over.
    pub(super) fn skip(&mut self) -> Result<(), Stop> {
        match self.peek()? {
            b'"' => self.text().map(drop),
            b'{' | b'[' => self.skip_brackets(),
            _ => self.word().map(drop),
        }
    }

    pub(super) fn scalar(&mut self) -> Result<Found, Stop> {
        Ok(match self.peek()? {
            b'{' | b'[' => return self.skip_brackets().map(|()| Found::Other),
            b'"' => {
                let text = serde_json::from_slice(self.text()?.quoted);
                match text.map_err(|_| Stop::NotJson)? {
                    Value::String(text) if text.len() > ID_BYTES => Found::Other,
                    text => Found::Value(text),
                }
            }
            b'n' => self.word().map(|_| Found::Null)?,
            b't' | b'f' => self.word().map(|_| Found::Other)?,
            _ => match self.word()? {
                number if number.len() > ID_BYTES => Found::Other,
                number => Found::Value(number::as_written(number)),
            },
        })
    }

    /// A number, a truth value or null.
    fn word(&mut self) -> Result<&'j str, Stop> {
        let rest = &self.json[self.at..];
        let ends = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b']' | b'}');
        let length = rest.iter().position(ends);
        let word = &rest[..length.unwrap_or(rest.len())];
        self.at += word.len();
        let checked: Result<IgnoredAny, _> = serde_json::from_slice(word);
        checked.map_err(|error| match error.classify() {
            Category::Eof if length.is_none() => Stop::Ended,
            _ => Stop::NotJson,
        })?;
        str::from_utf8(word).map_err(|_| Stop::NotJson)
    }

    /// The text that is next, up to the quote that closes it.
    fn text(&mut self) -> Result<Text<'j>, Stop> {
        let start = self.at;
        let mut at = start + 1;
        let mut escapes = false;
        loop {
            at += plain(self.json.get(at..).ok_or(Stop::Ended)?);
            match self.json.get(at) {
                Some(b'"') => break,
                Some(_) => escapes = true,
                None => return Err(Stop::Ended),
            }
            // With the byte that the backslash escapes.
            at += 2;
        }
        self.at = at + 1;
        Ok(Text { quoted: &self.json[start..self.at], escapes })
    }

    /// Reads the object or the array that is next over.
    fn skip_brackets(&mut self) -> Result<(), Stop> {
        self.at += brackets(&self.json[self.at..]).ok_or(Stop::Ended)?;
        Ok(())
    }
}

struct Text<'j> {
    quoted: &'j [u8],
    /// It has a backslash.
    escapes: bool,
}

/// How many bytes come before the first quote or backslash.
fn plain(json: &[u8]) -> usize {
    let (chunks, rest) = json.as_chunks();
    for (index, chunk) in chunks.iter().enumerate() {
        let chunk = u8x16::new(*chunk);
        let marks = chunk.simd_eq(u8x16::splat(b'"')) | chunk.simd_eq(u8x16::splat(b'\\'));
        if marks.any() {
            return index * 16 + marks.to_bitmask().trailing_zeros() as usize;
        }
    }
    let mark = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
    json.len() - rest.len() + mark.unwrap_or(rest.len())
}

const BLOCK: usize = 64;

/// How many bytes the object or the array has that `json` starts with: up to the first bracket at
/// which as many are closed as were opened, those in texts apart. `None`: it does not end.
pub(in crate::acquire) fn brackets(json: &[u8]) -> Option<usize> {
    let mut texts = Texts::default();
    let mut depth = 0i32;
    let mut end = |bytes: &[u8; BLOCK]| {
        let block = u8x64::new(*bytes);
        // `[` and `{`, `]` and `}` are one bit apart.
        let folded = block | u8x64::splat(0x20);
        let marks = folded.simd_eq(u8x64::splat(b'{')) | folded.simd_eq(u8x64::splat(b'}'));
        let mut marks = marks.to_bitmask() & !texts.inside(block);
        while marks != 0 {
            let mark = marks.trailing_zeros() as usize;
            marks &= marks - 1;
            depth += if matches!(bytes[mark], b'{' | b'[') { 1 } else { -1 };
            if depth == 0 {
                return Some(mark + 1);
            }
        }
        None
    };
    let (blocks, rest) = json.as_chunks();
    for (index, block) in blocks.iter().enumerate() {
        if let Some(end) = end(block) {
            return Some(index * BLOCK + end);
        }
    }
    let mut last = [b' '; BLOCK];
    last[..rest.len()].copy_from_slice(rest);
    end(&last).map(|end| blocks.len() * BLOCK + end)
}

/// A bit for each byte of the block that is this one, the first byte's the lowest.
fn is(block: u8x64, byte: u8) -> u64 {
    block.simd_eq(u8x64::splat(byte)).to_bitmask()
}

/// Which bytes stand in texts, block after block.
#[derive(Default)]
struct Texts {
    /// The block before ended in a text: all bits, or none.
    open: u64,
    /// It ended in a backslash that makes the next byte part of its escape.
    escape: bool,
}

impl Texts {
    /// A text counts from its opening quote up to the byte before its closing one.
    fn inside(&mut self, block: u8x64) -> u64 {
        let mut quotes = is(block, b'"');
        let backslashes = is(block, b'\\');
        if self.escape || backslashes != 0 {
            quotes &= !self.escaped(backslashes);
        }
        // Each bit becomes the parity of the quotes up to it.
        let mut inside = quotes;
        for shift in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << shift;
        }
        inside ^= self.open;
        self.open = (inside >> 63).wrapping_neg();
        inside
    }

    /// The bytes that a backslash stands before, which itself is not such a byte.
    fn escaped(&mut self, backslashes: u64) -> u64 {
        let mut escaped = u64::from(self.escape);
        let mut escapes = backslashes & !escaped;
        self.escape = false;
        while escapes != 0 {
            let escape = escapes & escapes.wrapping_neg();
            let next = escape << 1;
            self.escape = next == 0;
            escaped |= next;
            escapes &= !(escape | next);
        }
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Byte by byte.
    fn ends(json: &[u8]) -> Option<usize> {
        let (mut depth, mut open, mut escape) = (0, false, false);
        for (at, byte) in json.iter().enumerate() {
            let escaped = escape;
            escape = *byte == b'\\' && !escaped;
            match byte {
                b'"' if !escaped => open = !open,
                b'{' | b'[' if !open => depth += 1,
                b'}' | b']' if !open => depth -= 1,
                _ => {}
            }
            if depth == 0 && !open {
                return Some(at + 1);
            }
        }
        None
    }

    #[test]
    fn a_text_ends_at_a_quote_of_its_own_wherever_blocks_end() {
        for length in 0..200 {
            for text in [
                format!("\"{}\"", "a".repeat(length)),
                format!("\"{}\\\"\"", "a".repeat(length)),
                format!("\"{}\\\\\"", "[".repeat(length)),
                format!("\"{}\"", "\\\\".repeat(length)),
            ] {
                let json = format!("{text},\"]{{");
                assert_eq!(Scan::new(json.as_bytes()).text().unwrap().quoted, text.as_bytes());
                for cut in 0..text.len() {
                    let cut = &text.as_bytes()[..cut];
                    assert_eq!(Scan::new(cut).skip(), Err(Stop::Ended));
                }
                let list = format!("[{text}]");
                assert_eq!(brackets(format!("{list}]\"").as_bytes()), Some(list.len()));
            }
        }
    }

    proptest! {
        #[test]
        fn brackets_end_where_they_end_byte_by_byte(
            first in "[{\\[]", rest in "[{}\\[\\]\"\\\\a\u{e9} ]{0,300}", deep in 0..200usize
        ) {
            let json = format!("{}{rest}", first.repeat(deep + 1));
            prop_assert_eq!(brackets(json.as_bytes()), ends(json.as_bytes()));
            let json = format!("{first}{}{rest}", " ".repeat(deep));
            prop_assert_eq!(brackets(json.as_bytes()), ends(json.as_bytes()));
        }

        #[test]
        fn texts_end_where_they_end_byte_by_byte(rest in "[\"\\\\a\u{e9}]{0,80}", plain in 0..80usize) {
            let json = format!("\"{}{rest}", "a".repeat(plain));
            let text = Scan::new(json.as_bytes()).text().ok();
            prop_assert_eq!(text.map(|text| text.quoted.len()), ends(json.as_bytes()));
        }
    }
}
