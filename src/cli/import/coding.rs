//! The encoding of a file, by its first bytes: UTF-8, UTF-16, or something to decompress first.

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

/// How many bytes are enough to recognise it.
const START: u64 = 16;

/// Files that are not text, by their first bytes, and what to do about them.
const PACKED: [(&[u8], &str); 7] = [
    (
        b"\x1f\x8b",
        "is compressed with gzip; decompress it, as in `gzip -dc FILE | acquire-outbox import - \
         --format csv`",
    ),
    (b"BZh", "is compressed with bzip2; decompress it first"),
    (b"\xfd7zXZ", "is compressed with xz; decompress it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; decompress it first"),
    (
        b"PK\x03\x04",
        "is a ZIP archive, like a spreadsheet file (.xlsx, .ods); save the sheet as CSV in UTF-8",
    ),
    (b"\xd0\xcf\x11\xe0", "is an Excel workbook (.xls); save the sheet as CSV in UTF-8"),
    (b"SQLite format 3", "is a SQLite database; write its rows as CSV or JSON lines first"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Utf8,
    Utf16(Order),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

/// The file as UTF-8, from its beginning: itself, or a temporary copy without a name.
///
/// # Errors
/// For a file that is not text, with what to do about it.
pub fn as_text(mut file: File) -> Result<File> {
    let mut start = Vec::new();
    file.rewind()?;
    Read::by_ref(&mut file).take(START).read_to_end(&mut start)?;
    file.rewind()?;
    match coding(&start)? {
        Coding::Utf8 => Ok(file),
        Coding::Utf16(order) => from_utf16(file, order),
    }
}

fn coding(start: &[u8]) -> Result<Coding> {
    if let Some((_, what)) = PACKED.iter().find(|(magic, _)| start.starts_with(magic)) {
        bail!("the file {what}");
    }
    Ok(match start {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => {
            bail!("the file is text in UTF-32; save it in UTF-8")
        }
        // By its byte order mark, or else by ASCII characters, with which both file formats begin.
        [0xff, 0xfe, ..] | [1..=127, 0, 1..=127, 0, ..] => Coding::Utf16(Order::Little),
        [0xfe, 0xff, ..] | [0, 1..=127, 0, 1..=127, ..] => Coding::Utf16(Order::Big),
        _ => Coding::Utf8,
    })
}

fn from_utf16(file: File, order: Order) -> Result<File> {
    let mut fault = None;
    let units = Units { input: BufReader::new(file), order, fault: &mut fault };
    let mut text = BufWriter::new(tempfile::tempfile().context("cannot create a temporary file")?);
    let mut buffer = [0; 4];
    for (at, character) in char::decode_utf16(units).enumerate() {
        let Ok(character) = character else {
            bail!("the file is not valid UTF-16: half a character is missing; save it in UTF-8");
        };
        if at > 0 || character != '\u{feff}' {
            text.write_all(character.encode_utf8(&mut buffer).as_bytes())?;
        }
    }
    if let Some(fault) = fault {
        return Err(fault).context("cannot read the file");
    }
    let mut text = text.into_inner().map_err(io::IntoInnerError::into_error)?;
    text.rewind()?;
    Ok(text)
}

/// The code units of UTF-16, up to the end of the file or an error. Half a unit at the end is dropped.
struct Units<'a> {
    input: BufReader<File>,
    order: Order,
    fault: &'a mut Option<io::Error>,
}

impl Iterator for Units<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let mut unit = [0; 2];
        match self.input.read_exact(&mut unit) {
            Ok(()) => Some(match self.order {
                Order::Little => u16::from_le_bytes(unit),
                Order::Big => u16::from_be_bytes(unit),
            }),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(e) => {
                *self.fault = Some(e);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(bytes: &[u8]) -> Result<String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut text = String::new();
        as_text(file)?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn utf16_is_read_in_both_orders_with_a_mark_and_without() {
        let text = "channel,payload\r\nchat,Grüße 👋\r\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [
            text.as_bytes().to_vec(),
            little.clone(),
            big.clone(),
            [b"\xff\xfe".to_vec(), little.clone()].concat(),
            [b"\xfe\xff".to_vec(), big].concat(),
        ] {
            assert_eq!(text_of(&bytes).unwrap(), text);
        }
        let half = [little, 0xd83du16.to_le_bytes().to_vec()].concat();
        assert!(text_of(&half).unwrap_err().to_string().contains("not valid UTF-16"));
        for short in [&b""[..], b"a", b"\xff\xfe"] {
            text_of(short).unwrap();
        }
    }
}
