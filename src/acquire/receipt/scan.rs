//! Scans JSON for structural characters, 16 or 64 bytes at a time, so that a skipped value costs
//! little more than its length.

use super::number;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::error::Category;
use std::borrow::Cow;
use wide::{u8x16, u8x64};

/// Why a scan stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanError {
    /// The bytes ended before the value did.
    Ended,
    NotJson,
}

#[derive(Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    /// A number or a string.
    Value(Value),
    /// Neither an id nor a status: an object, an array, a boolean, or too long.
    Other,
}

/// Longer values are not ids, and would bloat the row.
const ID_BYTES: usize = 1024;

/// A position in JSON text.
pub(super) struct Scan<'j> {
    json: &'j [u8],
    /// At most the length of `json`.
    at: usize,
}

impl<'j> Scan<'j> {
    pub(super) fn new(json: &'j [u8]) -> Self {
        Scan { json, at: 0 }
    }

    /// The next byte that is not white space, without consuming it.
    pub(super) fn peek(&mut self) -> Result<u8, ScanError> {
        while let Some(byte) = self.json.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Ok(*byte);
            }
            self.at += 1;
        }
        Err(ScanError::Ended)
    }

    /// Consumes `byte` if it is next.
    pub(super) fn take(&mut self, byte: u8) -> Result<bool, ScanError> {
        let next = self.peek()? == byte;
        self.at += usize::from(next);
        Ok(next)
    }

    pub(super) fn expect(&mut self, byte: u8) -> Result<(), ScanError> {
        if self.take(byte)? { Ok(()) } else { Err(ScanError::NotJson) }
    }

    /// Checks that only white space is left.
    pub(super) fn end(&mut self) -> Result<(), ScanError> {
        match self.peek() {
            Err(ScanError::Ended) => Ok(()),
            _ => Err(ScanError::NotJson),
        }
    }

    /// A field's name, as bytes: not every answer is UTF-8. A name with an invalid escape is empty.
    pub(super) fn name(&mut self) -> Result<Cow<'j, [u8]>, ScanError> {
        if self.peek()? != b'"' {
            return Err(ScanError::NotJson);
        }
        let JsonString { quoted, escapes } = self.string()?;
        if escapes {
            let name: String = serde_json::from_slice(quoted).unwrap_or_default();
            return Ok(name.into_bytes().into());
        }
        Ok(quoted[1..quoted.len() - 1].into())
    }

    /// Skips a value.
    pub(super) fn skip(&mut self) -> Result<(), ScanError> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' | b'[' => self.skip_container(),
            _ => self.literal().map(drop),
        }
    }

    pub(super) fn scalar(&mut self) -> Result<Scalar, ScanError> {
        Ok(match self.peek()? {
            b'{' | b'[' => return self.skip_container().map(|()| Scalar::Other),
            b'"' => {
                let text = serde_json::from_slice(self.string()?.quoted);
                match text.map_err(|_| ScanError::NotJson)? {
                    Value::String(text) if text.len() > ID_BYTES => Scalar::Other,
                    text => Scalar::Value(text),
                }
            }
            b'n' => self.literal().map(|_| Scalar::Null)?,
            b't' | b'f' => self.literal().map(|_| Scalar::Other)?,
            _ => match self.literal()? {
                number if number.len() > ID_BYTES => Scalar::Other,
                number => Scalar::Value(number::as_written(number)),
            },
        })
    }

    /// A number, a boolean or null.
    fn literal(&mut self) -> Result<&'j str, ScanError> {
        let rest = &self.json[self.at..];
        let ends = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b']' | b'}');
        let length = rest.iter().position(ends);
        let literal = &rest[..length.unwrap_or(rest.len())];
        self.at += literal.len();
        let checked: Result<IgnoredAny, _> = serde_json::from_slice(literal);
        checked.map_err(|error| match error.classify() {
            Category::Eof if length.is_none() => ScanError::Ended,
            _ => ScanError::NotJson,
        })?;
        str::from_utf8(literal).map_err(|_| ScanError::NotJson)
    }

    /// The string that is next, up to its closing quote.
    fn string(&mut self) -> Result<JsonString<'j>, ScanError> {
        let start = self.at;
        let mut at = start + 1;
        let mut escapes = false;
        loop {
            at += find_quote_or_backslash(self.json.get(at..).ok_or(ScanError::Ended)?);
            match self.json.get(at) {
                Some(b'"') => break,
                Some(_) => escapes = true,
                None => return Err(ScanError::Ended),
            }
            // The backslash, and the byte that it escapes.
            at += 2;
        }
        self.at = at + 1;
        Ok(JsonString { quoted: &self.json[start..self.at], escapes })
    }

    /// Skips the object or array that is next.
    fn skip_container(&mut self) -> Result<(), ScanError> {
        self.at += container_len(&self.json[self.at..]).ok_or(ScanError::Ended)?;
        Ok(())
    }
}

struct JsonString<'j> {
    /// With its quotes.
    quoted: &'j [u8],
    /// It contains a backslash.
    escapes: bool,
}

/// The position of the first quote or backslash, or the length.
fn find_quote_or_backslash(json: &[u8]) -> usize {
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

/// The length of the object or array at the start of `json`: up to the bracket that balances the first,
/// ignoring brackets in strings. `None`: it does not end.
pub(in crate::acquire) fn container_len(json: &[u8]) -> Option<usize> {
    let mut strings = StringMask::default();
    let mut depth = 0i32;
    let mut end = |bytes: &[u8; BLOCK]| {
        let block = u8x64::new(*bytes);
        // `[` and `{` differ in one bit, and so do `]` and `}`.
        let folded = block | u8x64::splat(0x20);
        let marks = folded.simd_eq(u8x64::splat(b'{')) | folded.simd_eq(u8x64::splat(b'}'));
        let mut marks = marks.to_bitmask() & !strings.inside(block);
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

/// One bit per byte of the block, set if it equals `byte`; the first byte has the lowest bit.
fn equal_bits(block: u8x64, byte: u8) -> u64 {
    block.simd_eq(u8x64::splat(byte)).to_bitmask()
}

/// Which bytes are inside strings, block by block.
#[derive(Default)]
struct StringMask {
    /// The previous block ended inside a string: all bits set, or none.
    open: u64,
    /// The previous block ended in a backslash that escapes the next byte.
    escape: bool,
}

impl StringMask {
    /// A string counts from its opening quote up to the byte before its closing quote.
    fn inside(&mut self, block: u8x64) -> u64 {
        let mut quotes = equal_bits(block, b'"');
        let backslashes = equal_bits(block, b'\\');
        if self.escape || backslashes != 0 {
            quotes &= !self.escaped(backslashes);
        }
        // Prefix XOR: each bit becomes the parity of the quotes up to it.
        let mut inside = quotes;
        for shift in [1, 2, 4, 8, 16, 32] {
            inside ^= inside << shift;
        }
        inside ^= self.open;
        self.open = (inside >> 63).wrapping_neg();
        inside
    }

    /// The bytes that follow an unescaped backslash.
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

    /// The same, byte by byte.
    fn reference_len(json: &[u8]) -> Option<usize> {
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
    fn a_string_ends_at_its_closing_quote_wherever_blocks_end() {
        for length in 0..200 {
            for text in [
                format!("\"{}\"", "a".repeat(length)),
                format!("\"{}\\\"\"", "a".repeat(length)),
                format!("\"{}\\\\\"", "[".repeat(length)),
                format!("\"{}\"", "\\\\".repeat(length)),
            ] {
                let json = format!("{text},\"]{{");
                assert_eq!(Scan::new(json.as_bytes()).string().unwrap().quoted, text.as_bytes());
                for cut in 0..text.len() {
                    let cut = &text.as_bytes()[..cut];
                    assert_eq!(Scan::new(cut).skip(), Err(ScanError::Ended));
                }
                let list = format!("[{text}]");
                assert_eq!(container_len(format!("{list}]\"").as_bytes()), Some(list.len()));
            }
        }
    }

    proptest! {
        #[test]
        fn a_container_ends_where_the_reference_says(
            first in "[{\\[]", rest in "[{}\\[\\]\"\\\\a\u{e9} ]{0,300}", deep in 0..200usize
        ) {
            let json = format!("{}{rest}", first.repeat(deep + 1));
            prop_assert_eq!(container_len(json.as_bytes()), reference_len(json.as_bytes()));
            let json = format!("{first}{}{rest}", " ".repeat(deep));
            prop_assert_eq!(container_len(json.as_bytes()), reference_len(json.as_bytes()));
        }

        #[test]
        fn a_string_ends_where_the_reference_says(rest in "[\"\\\\a\u{e9}]{0,80}", plain in 0..80usize) {
            let json = format!("\"{}{rest}", "a".repeat(plain));
            let text = Scan::new(json.as_bytes()).string().ok();
            prop_assert_eq!(text.map(|text| text.quoted.len()), reference_len(json.as_bytes()));
        }
    }
}
