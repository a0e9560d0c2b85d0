//! The separator of the cells: named by the file (`sep=;`), or found in its header.

use anyhow::{Context, Result};
use std::io::{Chain, Cursor, Read};

/// How much of the file is read for this: more than any header needs.
const START: u64 = 64 << 10;

/// An input from its beginning, after part of it has been read.
pub type Again<R> = Chain<Cursor<Vec<u8>>, R>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separator {
    pub byte: u8,
    /// The first line is `sep=`, as Excel writes it.
    pub is_named: bool,
}

impl Separator {
    /// Finds the separator, and returns the input from its beginning, without a byte order mark.
    pub fn find<R: Read>(mut input: R) -> Result<(Separator, Again<R>)> {
        let mut start = Vec::new();
        input.by_ref().take(START).read_to_end(&mut start).context("cannot read the file")?;
        if start.starts_with(b"\xef\xbb\xbf") {
            start.drain(..3);
        }
        let separator = Separator::of(&start);
        Ok((separator, Cursor::new(start).chain(input)))
    }

    /// No column name contains a separator, so a header of several names shows it.
    fn of(start: &[u8]) -> Separator {
        let first = start.split(|byte| matches!(byte, b'\n' | b'\r')).find(|line| !line.is_empty());
        let first = first.unwrap_or_default();
        if let Some(&[byte @ (b',' | b';' | b'\t' | b'|')]) = first.strip_prefix(b"sep=") {
            return Separator { byte, is_named: true };
        }
        let has = |byte: u8| first.contains(&byte);
        let byte = [b',', b';', b'\t'].into_iter().find(|&byte| has(byte)).unwrap_or(b',');
        Separator { byte, is_named: false }
    }
}
