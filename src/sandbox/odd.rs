//! Answers as real networks deliver them: correct but in an odd form, or not from Acquire at all.
//! Each is defined byte by byte, and its connection is closed after it.

use super::faults::{ShareError, parse_share, pick};
use flate2::Compression;
use flate2::read::{GzEncoder, ZlibEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::io::Read;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// One kind of odd answer.
#[derive(Debug)]
pub struct Odd {
    /// As in `--odd`.
    pub name: &'static str,
    /// A short description.
    pub about: &'static str,
    pub(super) shape: Shape,
}

/// The bytes of the answer.
#[derive(Debug)]
pub(super) enum Shape {
    /// The message is accepted. Makes the bytes from the answer's JSON and the message's id.
    Accepts(fn(&str, i64) -> Vec<u8>),
    /// The message is not accepted. The status, and what makes the bytes.
    Refuses(u16, fn() -> Vec<u8>),
    /// The usual answer, on a connection that the server closes after a second, as announced.
    ClosesIdle,
}

use Shape::{Accepts, ClosesIdle, Refuses};

const JSON: &str = "content-type: application/json\r\n";
const TEXT: &str = "content-type: text/plain\r\n";
const HTML: &str = "content-type: text/html\r\n";
const REFUSAL: &str = r#"{"error":{"type":"ERROR_INVALID_INPUT","message":"case is not active"}}"#;

const fn odd(name: &'static str, about: &'static str, shape: Shape) -> Odd {
    Odd { name, about, shape }
}

/// A new kind only needs a line here: the help and the tests use this list.
#[rustfmt::skip]
pub static ODD: &[Odd] = &[
    odd("bom", "a byte order mark before the JSON", Accepts(|json, _| ok(JSON, ["\u{feff}", json].concat()))),
    odd("utf-16", "in UTF-16, with a byte order mark", Accepts(|json, _| ok("content-type: application/json; charset=utf-16\r\n", utf16(json)))),
    odd("bytes-before", "`)]}',` before the JSON", Accepts(|json, _| ok(JSON, format!(")]}}',\n{json}")))),
    odd("bytes-after", "a comment after the JSON", Accepts(|json, _| ok(JSON, format!("{json}\n<!-- from cache-7 -->\n\0")))),
    odd("quoted", "the JSON in a JSON text", Accepts(|json, _| ok(JSON, serde_json::Value::from(json).to_string()))),
    odd("gzip", "compressed, although the request did not ask for it", Accepts(|json, _| ok("content-encoding: gzip\r\n", gzip(json)))),
    odd("gzip-unsaid", "the same without a header that says so", Accepts(|json, _| ok(JSON, gzip(json)))),
    odd("deflate", "the same with deflate", Accepts(|json, _| ok("content-encoding: deflate\r\n", zlib(json)))),
    odd("br", "the same with Brotli", Accepts(|json, _| ok("content-encoding: br\r\n", brotli(json)))),
    odd("zstd", "the same with Zstandard", Accepts(|json, _| ok("content-encoding: zstd\r\n", compress_to_vec(json.as_bytes(), CompressionLevel::Fastest)))),
    odd("folded-header", "a header over two lines", Accepts(|json, _| ok("x-trace: one\r\n two\r\n", json))),
    odd("many-headers", "150 headers", Accepts(|json, _| ok(&headers(150), json))),
    odd("large-header", "a header of 200 KB", Accepts(|json, _| ok(&format!("x-large: {}\r\n", "x".repeat(200_000)), json))),
    odd("wrong-header", "lines that are not headers", Accepts(|json, _| ok("no header at all\r\nx y: z\r\nx-space : z\r\n", json))),
    odd("wrong-type", "the JSON as an HTML page in Latin-1", Accepts(|json, _| ok("content-type: text/html; charset=iso-8859-1\r\n", json))),
    odd("bare-lines", "lines without a carriage return", Accepts(|json, _| head("HTTP/1.1 200 OK", JSON, json.len(), json).replace_crlf())),
    odd("http-1.0", "HTTP/1.0, to the end of the connection", Accepts(|json, _| format!("HTTP/1.0 200\r\n{JSON}\r\n{json}").into_bytes())),
    odd("short-body", "all of the JSON and fewer bytes than announced", Accepts(|json, _| head("HTTP/1.1 200 OK", JSON, json.len() + 900, json))),
    odd("broken-chunks", "chunks without the last one", Accepts(|json, _| format!("HTTP/1.1 200 OK\r\n{JSON}transfer-encoding: chunked\r\n\r\n{:x}\r\n{json}\r\n", json.len()).into_bytes())),
    odd("float-id", "an id such as 8289.0", Accepts(|json, id| ok(JSON, with_id(json, id, &format!("{id}.0"))))),
    odd("long-id", "an id of 23 digits", Accepts(|json, id| ok(JSON, with_id(json, id, &format!("{id:0<23}"))))),
    odd("closes-idle", "`Keep-Alive: timeout=1`, and the server closes the connection then", ClosesIdle),
    odd("cut-200", "accepted, with half of the answer", Accepts(|json, _| head("HTTP/1.1 200 OK", JSON, json.len(), &json[..json.floor_char_boundary(json.len() / 2)]))),
    odd("page-200", "a page under a success status", Refuses(200, || ok(HTML, "<html><h1>Welcome to nginx!</h1></html>"))),
    odd("says-no", "an error under a success status", Refuses(200, || ok(JSON, r#"{"error":{"code":"CHAT_ALREADY_JOINED","message":"You have joined this chat already","data":null}}"#))),
    odd("success-false", "`success: false` under a success status", Refuses(200, || ok(JSON, r#"{"success":false,"message":"case is not active"}"#))),
    odd("bom-400", "a refusal after a byte order mark", Refuses(400, || head("HTTP/1.1 400 Bad Request", JSON, REFUSAL.len() + 3, format!("\u{feff}{REFUSAL}")))),
    odd("cut-400", "a refusal that is cut short", Refuses(400, || head("HTTP/1.1 400 Bad Request", JSON, 900, &REFUSAL[..60]))),
    odd("cut-401", "a refused key, without the body", Refuses(401, || head("HTTP/1.1 401 Unauthorized", JSON, 900, ""))),
    odd("page-404", "an ingress that knows no such path", Refuses(404, || head("HTTP/1.1 404 Not Found", TEXT, 21, "default backend - 404"))),
    odd("page-403", "a firewall's page", Refuses(403, firewall)),
    odd("empty-404", "an empty 404", Refuses(404, || head("HTTP/1.1 404 Not Found", "", 0, ""))),
    odd("retry-after-fraction", "429 with `Retry-After: 2.7`", Refuses(429, || slow_down("retry-after: 2.7"))),
    odd("retry-after-words", "429 with `Retry-After: soon`", Refuses(429, || slow_down("retry-after: soon"))),
    odd("retry-after-date", "429 with a date by a clock that is five minutes off", Refuses(429, || slow_down(&format!("date: {}\r\nretry-after: {}", date(300), date(303))))),
    odd("ratelimit-reset", "429 with `X-RateLimit-Reset`", Refuses(429, || slow_down(&format!("x-ratelimit-reset: {}", since_1970(3))))),
];

/// The page that a firewall returns for a message that it blocks.
pub(super) fn firewall() -> Vec<u8> {
    let page = "<!DOCTYPE html><title>Just a moment...</title><h1>Checking your browser</h1>";
    head("HTTP/1.1 403 Forbidden", HTML, page.len(), page)
}

/// `length` is the length that the answer announces.
fn head(status: &str, fields: &str, length: usize, body: impl AsRef<[u8]>) -> Vec<u8> {
    let head = format!("{status}\r\n{fields}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body.as_ref()].concat()
}

fn ok(fields: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    head("HTTP/1.1 200 OK", fields, body.as_ref().len(), body)
}

fn slow_down(fields: &str) -> Vec<u8> {
    head("HTTP/1.1 429 Too Many Requests", &format!("{fields}\r\n"), 0, "")
}

fn headers(count: usize) -> String {
    (0..count).map(|n| format!("x-header-{n}: {n}\r\n")).collect()
}

trait ReplaceCrlf {
    fn replace_crlf(self) -> Self;
}

impl ReplaceCrlf for Vec<u8> {
    /// JSON writes its own carriage returns as `\r`.
    fn replace_crlf(mut self) -> Self {
        self.retain(|byte| *byte != b'\r');
        self
    }
}

fn utf16(json: &str) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(json.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn with_id(json: &str, id: i64, written: &str) -> String {
    json.replace(&format!("\"id\":{id},"), &format!("\"id\":{written},"))
        .replace(&format!("\"id\":{id}}}"), &format!("\"id\":{written}}}"))
}

fn gzip(json: &str) -> Vec<u8> {
    all(GzEncoder::new(json.as_bytes(), Compression::default()))
}

fn zlib(json: &str) -> Vec<u8> {
    all(ZlibEncoder::new(json.as_bytes(), Compression::default()))
}

fn all(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).expect("reading from memory does not fail");
    bytes
}

/// Brotli that compresses nothing (RFC 7932, 9.2), up to 64 KiB a block.
fn brotli(json: &str) -> Vec<u8> {
    let mut stream = Vec::new();
    // A window of 4 MiB, in the four lowest bits of the stream.
    let (mut window, mut shift) = (0b1011_u32, 4);
    for block in json.as_bytes().chunks(1 << 16) {
        let length = u32::try_from(block.len() - 1).expect("a block has 64 KiB at most");
        // Not the last block; four nibbles of length; the length; not compressed.
        let bits = window | (length << (shift + 3)) | (1 << (shift + 19));
        let bytes = (shift + 20usize).div_ceil(8);
        stream.extend_from_slice(&bits.to_le_bytes()[..bytes]);
        stream.extend_from_slice(block);
        (window, shift) = (0, 0);
    }
    stream.push(3);
    stream
}

fn later(seconds: u64) -> SystemTime {
    SystemTime::now() + Duration::from_secs(seconds)
}

fn date(seconds: u64) -> String {
    httpdate::fmt_http_date(later(seconds))
}

fn since_1970(seconds: u64) -> u64 {
    later(seconds).duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A kind and the share of requests that get it: `bom`, `bom=0.1` or `bom=10%`.
#[derive(Debug, Clone, Copy)]
pub struct OddShare {
    pub odd: &'static Odd,
    /// From 0 to 1; `None`: an equal part of what the others leave.
    pub share: Option<f64>,
}

impl FromStr for OddShare {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let (name, share) = match text.split_once('=') {
            Some((name, share)) => (name.trim(), Some(parse_share(share)?)),
            None => (text.trim(), None),
        };
        let odd = ODD.iter().find(|odd| odd.name == name).ok_or_else(|| {
            let names: Vec<_> = ODD.iter().map(|odd| odd.name).collect();
            ShareError(format!("`{name}` is not an odd answer; choose one of {}", names.join(", ")))
        })?;
        Ok(OddShare { odd, share })
    }
}

/// Draws a kind, or none. Kinds without a share divide what the others leave.
pub(super) fn draw(shares: &[OddShare], drawn: f64) -> Option<&'static Odd> {
    let given: f64 = shares.iter().filter_map(|of| of.share).sum();
    let open = shares.iter().filter(|of| of.share.is_none()).count();
    let each = (1.0 - given).max(0.0) / open.max(1) as f64;
    pick(shares.iter().map(|of| (of.odd, of.share.unwrap_or(each))), drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(texts: &[&str]) -> Vec<OddShare> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn kinds_without_a_share_divide_what_the_others_leave() {
        let name = |texts: &[&str], drawn| draw(&shares(texts), drawn).map(|odd| odd.name);
        assert_eq!(name(&[], 0.0), None);
        assert_eq!(name(&["bom"], 0.999), Some("bom"));
        assert_eq!(name(&["bom=10%"], 0.2), None);
        assert_eq!(name(&["bom=10%", "gzip", "utf-16"], 0.05), Some("bom"));
        assert_eq!(name(&["bom=10%", "gzip", "utf-16"], 0.5), Some("gzip"));
        assert_eq!(name(&["bom=10%", "gzip", "utf-16"], 0.6), Some("utf-16"));
    }

    #[test]
    fn an_unknown_kind_is_refused_with_the_list_of_kinds() {
        let message = "bomb".parse::<OddShare>().unwrap_err().to_string();
        assert!(message.starts_with("`bomb` is not an odd answer; choose one of bom, utf-16, "));
        assert!("bom=often".parse::<OddShare>().is_err());
    }
}
