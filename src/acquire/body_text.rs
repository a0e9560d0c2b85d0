//! A body as text, even if it is compressed although nobody asked for it, begins with a byte order
//! mark, or is in another encoding. Only for bodies that the strict parser does not accept.

use super::classify::LIMIT_BYTES;
use brotli_decompressor::Decompressor;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use ruzstd::decoding::StreamingDecoder;
use std::borrow::Cow;
use std::io::Read;

/// A gateway may compress what is compressed already, but not without end.
const MAX_LAYERS: usize = 3;

/// The characters of Windows-1252 from 0x80 to 0x9f.
const WINDOWS_1252: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";

/// A body, decompressed and decoded.
#[derive(Debug, PartialEq)]
pub(super) struct BodyText {
    pub text: String,
    /// There was more than `LIMIT_BYTES`.
    pub too_long: bool,
    /// The end is missing: the body was too long or truncated.
    pub cut: bool,
}

impl BodyText {
    /// At most `LIMIT_BYTES` of text. `cut`: the end of `body` itself is missing.
    pub(super) fn decode(body: &[u8], headers: &HeaderMap, cut: bool) -> BodyText {
        let mut bytes = Cow::Borrowed(body);
        let (mut too_long, mut cut) = (false, cut);
        for layer in 0..MAX_LAYERS {
            let Some(content) = decompressed(&bytes, (layer == 0).then_some(headers)) else {
                break;
            };
            too_long |= content.len() > LIMIT_BYTES;
            cut = cut || too_long;
            bytes = content.into();
        }
        bytes = match bytes {
            Cow::Owned(mut content) => {
                content.truncate(LIMIT_BYTES);
                content.into()
            }
            borrowed => borrowed,
        };
        BodyText { text: decoded(&bytes, cut), too_long, cut }
    }
}

/// As much of the content as can be decompressed, at most one byte more than `LIMIT_BYTES`. `None`:
/// the bytes are not compressed. Their magic number decides; the header counts only for formats
/// without one.
fn decompressed(bytes: &[u8], headers: Option<&HeaderMap>) -> Option<Vec<u8>> {
    let is_named = |name: &str| {
        let is_in = |headers: &HeaderMap| {
            let all = headers.get_all(CONTENT_ENCODING).iter().filter_map(|v| v.to_str().ok());
            all.flat_map(|v| v.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case(name))
        };
        headers.is_some_and(is_in)
    };
    match bytes {
        [0x1f, 0x8b, ..] => Some(read_limited(MultiGzDecoder::new(bytes)).0),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            StreamingDecoder::new(bytes).ok().map(|decoder| read_limited(decoder).0)
        }
        [0x78, flags, ..] if (0x7800 + u32::from(*flags)).is_multiple_of(31) => {
            Some(read_limited(ZlibDecoder::new(bytes)).0)
        }
        _ if is_named("br") => if_plausible(read_limited(Decompressor::new(bytes, 4096))),
        _ if is_named("deflate") => if_plausible(read_limited(DeflateDecoder::new(bytes))),
        _ => None,
    }
}

/// What could be read, and whether it was read without an error.
fn read_limited(data: impl Read) -> (Vec<u8>, bool) {
    let mut content = Vec::new();
    let complete = data.take(LIMIT_BYTES as u64 + 1).read_to_end(&mut content).is_ok();
    (content, complete)
}

/// A header may name a compression that was not applied.
fn if_plausible((content, complete): (Vec<u8>, bool)) -> Option<Vec<u8>> {
    let first = content.iter().find(|byte| !byte.is_ascii_whitespace());
    (complete && !content.is_empty() || matches!(first, Some(b'{' | b'['))).then_some(content)
}

/// Detects UTF-16 by the byte order mark, or by the zeros between ASCII characters. Everything else is
/// UTF-8, with invalid bytes as Windows-1252, so that message text in it can be found and redacted.
fn decoded(bytes: &[u8], cut: bool) -> String {
    let utf16 = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units: Vec<_> = bytes.as_chunks().0.iter().map(|pair| read(*pair)).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8_or_windows_1252(rest, cut),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [a, 0, b, 0, ..] if *a > 0 && *b > 0 => utf16(bytes, u16::from_le_bytes),
        [0, a, 0, b, ..] if *a > 0 && *b > 0 => utf16(bytes, u16::from_be_bytes),
        _ => utf8_or_windows_1252(bytes, cut),
    }
}

fn utf8_or_windows_1252(bytes: &[u8], cut: bool) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut chunks = bytes.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        text.push_str(chunk.valid());
        // A character that the cut has split is dropped.
        if chunks.peek().is_some() || !cut {
            let windows = |byte: u8| WINDOWS_1252.chars().nth(usize::from(byte).wrapping_sub(0x80));
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
        BodyText::decode(body, headers, false).text
    }

    const JSON: &str = r#"{"data":{"id":8289,"name":"Zoë"}}"#;

    #[test]
    fn compression_is_detected_by_the_magic_number_or_by_the_header() {
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
    fn a_compression_bomb_stays_within_the_limit() {
        let zeros = vec![b'0'; 40 << 20];
        let once = all(GzEncoder::new(&zeros[..], Compression::best()));
        let twice = all(GzEncoder::new(&once[..], Compression::best()));
        for body in [once, twice] {
            let unwrapped = BodyText::decode(&body, &HeaderMap::new(), false);
            assert!(unwrapped.too_long && unwrapped.cut);
            assert_eq!(unwrapped.text.len(), LIMIT_BYTES);
        }
    }

    #[test]
    fn every_encoding_in_use_for_json_is_read() {
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
        assert_eq!(BodyText::decode(b"Zo\xc3", &HeaderMap::new(), true).text, "Zo");
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(
            mut body in prop::collection::vec(any::<u8>(), 0..300), magic in 0..5usize, cut in any::<bool>()
        ) {
            let first: [&[u8]; 5] = [b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x78\x9c", b"\xff\xfe"];
            body.splice(0..0, first[magic].iter().copied());
            for headers in [HeaderMap::new(), named("br"), named("deflate")] {
                let _ = BodyText::decode(&body, &headers, cut);
            }
        }
    }
}
