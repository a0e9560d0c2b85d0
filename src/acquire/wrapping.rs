//! A body as text, whatever it is wrapped in: a compression that was not asked for, a byte order
//! mark, another encoding. Only for bodies that the usual parser could not read.

use super::answer::LIMIT_BYTES;
use brotli_decompressor::Decompressor;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use ruzstd::decoding::StreamingDecoder;
use std::borrow::Cow;
use std::io::Read;

/// A gateway may compress what was compressed already, but there is a limit.
const LAYERS: usize = 3;

/// The characters that Windows-1252 has from 0x80 to 0x9f.
const WINDOWS: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";

/// A body without its wrapping.
#[derive(Debug, PartialEq)]
pub(super) struct Unwrapped {
    pub text: String,
    /// There was more than `LIMIT_BYTES`.
    pub too_long: bool,
    /// Its end is missing: it was too long, or was cut short.
    pub cut: bool,
}

/// At most `LIMIT_BYTES` of text. `cut`: the end of `body` itself is missing.
pub(super) fn unwrap(body: &[u8], headers: &HeaderMap, cut: bool) -> Unwrapped {
    let mut bytes = Cow::Borrowed(body);
    let (mut too_long, mut cut) = (false, cut);
    for layer in 0..LAYERS {
        let Some(plain) = unpacked(&bytes, (layer == 0).then_some(headers)) else { break };
        too_long |= plain.len() > LIMIT_BYTES;
        // What follows the end of the compressed data is not part of it.
        cut = cut || too_long;
        bytes = plain.into();
    }
    bytes = match bytes {
        Cow::Owned(mut plain) => {
            plain.truncate(LIMIT_BYTES);
            plain.into()
        }
        borrowed => borrowed,
    };
    Unwrapped { text: decoded(&bytes, cut), too_long, cut }
}

/// The content of compressed data, at most one byte more than `LIMIT_BYTES`, as far as it can be
/// decompressed. `None`: it is not compressed. The first bytes show what the data is; the header
/// counts only for formats without such bytes.
fn unpacked(bytes: &[u8], headers: Option<&HeaderMap>) -> Option<Vec<u8>> {
    let named = |name: &str| {
        let of = |headers: &HeaderMap| {
            let all = headers.get_all(CONTENT_ENCODING).iter().filter_map(|v| v.to_str().ok());
            all.flat_map(|v| v.split(',')).any(|word| word.trim().eq_ignore_ascii_case(name))
        };
        headers.is_some_and(of)
    };
    match bytes {
        [0x1f, 0x8b, ..] => Some(content(MultiGzDecoder::new(bytes)).0),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            StreamingDecoder::new(bytes).ok().map(|decoder| content(decoder).0)
        }
        [0x78, flags, ..] if (0x7800 + u32::from(*flags)).is_multiple_of(31) => {
            Some(content(ZlibDecoder::new(bytes)).0)
        }
        _ if named("br") => believed(content(Decompressor::new(bytes, 4096))),
        _ if named("deflate") => believed(content(DeflateDecoder::new(bytes))),
        _ => None,
    }
}

/// What could be read, and whether it was everything.
fn content(data: impl Read) -> (Vec<u8>, bool) {
    let mut plain = Vec::new();
    let whole = data.take(LIMIT_BYTES as u64 + 1).read_to_end(&mut plain).is_ok();
    (plain, whole)
}

/// A header may name a compression that is not there.
fn believed((plain, whole): (Vec<u8>, bool)) -> Option<Vec<u8>> {
    let first = plain.iter().find(|byte| !byte.is_ascii_whitespace());
    (whole && !plain.is_empty() || matches!(first, Some(b'{' | b'['))).then_some(plain)
}

/// By the byte order mark, or by the zeros that UTF-16 has between ASCII characters; else UTF-8,
/// where invalid bytes are read as Windows-1252, so that message texts are found in it.
fn decoded(bytes: &[u8], cut: bool) -> String {
    let utf16 = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units: Vec<_> = bytes.as_chunks().0.iter().map(|pair| read(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => mixed(rest, cut),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [a, 0, b, 0, ..] if *a > 0 && *b > 0 => utf16(bytes, u16::from_le_bytes),
        [0, a, 0, b, ..] if *a > 0 && *b > 0 => utf16(bytes, u16::from_be_bytes),
        _ => mixed(bytes, cut),
    }
}

fn mixed(bytes: &[u8], cut: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        // Half a character, left by the cut, is dropped.
        if chunks.peek().is_some() || !cut {
            let windows = |byte: u8| WINDOWS.chars().nth(usize::from(byte).wrapping_sub(0x80));
            text.extend(chunk.invalid().iter().map(|b| windows(*b).unwrap_or(char::from(*b))));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    fn all(mut from: impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn named(encoding: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static(encoding))])
    }

    fn text(body: &[u8], headers: &HeaderMap) -> String {
        unwrap(body, headers, false).text
    }

    const JSON: &str = r#"{"data":{"id":8289,"name":"Zoë"}}"#;

    #[test]
    fn compressed_data_is_known_by_its_first_bytes_or_by_its_header() {
        let best = Compression::best;
        let gzip = all(GzEncoder::new(JSON.as_bytes(), best()));
        let zlib = all(ZlibEncoder::new(JSON.as_bytes(), best()));
        let raw = all(DeflateEncoder::new(JSON.as_bytes(), best()));
        let zstd = ruzstd::encoding::compress_to_vec(
            JSON.as_bytes(),
            ruzstd::encoding::CompressionLevel::Fastest,
        );
        let twice = all(GzEncoder::new(&gzip[..], best()));
        let none = HeaderMap::new();
        for body in [&gzip, &zlib, &zstd, &twice] {
            assert_eq!(text(body, &none), JSON);
            assert_eq!(text(body, &named("identity")), JSON);
        }
        assert_eq!(text(&raw, &named("x-none, Deflate")), JSON);
        // `brotli -c` of the same.
        let brotli = b"\x8b\x10\x80{\"data\":{\"id\":8289,\"name\":\"Zo\xc3\xab\"}}\x03";
        assert_eq!(text(brotli, &named("br")), JSON);
        for lie in ["gzip", "br", "deflate", "zstd"] {
            assert_eq!(text(JSON.as_bytes(), &named(lie)), JSON, "{lie}");
            assert_eq!(text(b"Forbidden", &named(lie)), "Forbidden", "{lie}");
        }
        // A missing checksum does not matter.
        assert_eq!(text(&gzip[..gzip.len() - 8], &none), JSON);
    }

    #[test]
    fn no_bomb_grows_beyond_the_limit() {
        let zeros = vec![b'0'; 40 << 20];
        let once = all(GzEncoder::new(&zeros[..], Compression::best()));
        let twice = all(GzEncoder::new(&once[..], Compression::best()));
        for body in [once, twice] {
            let unwrapped = unwrap(&body, &HeaderMap::new(), false);
            assert!(unwrapped.too_long && unwrapped.cut);
            assert_eq!(unwrapped.text.len(), LIMIT_BYTES);
        }
    }

    #[test]
    fn any_encoding_that_is_used_for_json_is_read() {
        let units = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            JSON.encode_utf16().flat_map(order).collect()
        };
        let (little, big) = (units(u16::to_le_bytes), units(u16::to_be_bytes));
        let latin: Vec<u8> = JSON.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        for body in [
            ["\u{feff}".as_bytes(), JSON.as_bytes()].concat(),
            [b"\xff\xfe", &little[..]].concat(),
            [b"\xfe\xff", &big[..]].concat(),
            little,
            big,
            latin,
        ] {
            assert_eq!(text(&body, &HeaderMap::new()), JSON);
        }
        assert_eq!(text(b"\x93Zo\xeb\x94 Zo\xc3\xab", &HeaderMap::new()), "“Zoë” Zoë");
        assert_eq!(unwrap(b"Zo\xc3", &HeaderMap::new(), true).text, "Zo");
    }

    proptest! {
        #[test]
        fn any_bytes_are_unwrapped(
            mut body in prop::collection::vec(any::<u8>(), 0..300), magic in 0..5usize, cut in any::<bool>()
        ) {
            let first: [&[u8]; 5] = [b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x78\x9c", b"\xff\xfe"];
            body.splice(0..0, first[magic].iter().copied());
            for headers in [HeaderMap::new(), named("br"), named("deflate")] {
                let _ = unwrap(&body, &headers, cut);
            }
        }
    }
}
