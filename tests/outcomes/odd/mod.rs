//! Answers as real networks send them, byte by byte; README.md has their sources.

mod cases;
mod rehearsed;

use crate::support::{Job, KEY, Outbox, Reply, Server};
use flate2::Compression;
use flate2::read::{DeflateEncoder, GzEncoder};
use std::collections::HashMap;
use std::io::Read as _;

pub struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    ends: Ends,
}

/// The expected outcome.
enum Ends {
    Sent(&'static str),
    Noted(&'static str),
    Rejected(&'static str, &'static str),
    Uncertain(&'static str, &'static str),
    Again(&'static str),
}

fn sent(id: &'static str, name: &'static str, bytes: impl Into<Vec<u8>>) -> Case {
    Case { name, bytes: bytes.into(), ends: Ends::Sent(id) }
}

fn noted(code: &'static str, name: &'static str, bytes: impl Into<Vec<u8>>) -> Case {
    Case { name, bytes: bytes.into(), ends: Ends::Noted(code) }
}

fn rejected(
    code: &'static str,
    words: &'static str,
    name: &'static str,
    bytes: impl Into<Vec<u8>>,
) -> Case {
    Case { name, bytes: bytes.into(), ends: Ends::Rejected(code, words) }
}

fn uncertain(
    code: &'static str,
    words: &'static str,
    name: &'static str,
    bytes: impl Into<Vec<u8>>,
) -> Case {
    Case { name, bytes: bytes.into(), ends: Ends::Uncertain(code, words) }
}

fn again(code: &'static str, name: &'static str, bytes: impl Into<Vec<u8>>) -> Case {
    Case { name, bytes: bytes.into(), ends: Ends::Again(code) }
}

/// A complete answer with its length, which announces that the connection will be closed.
fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = format!("connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    let head = format!("HTTP/1.1 {status}\r\n{headers}{length}");
    [head.as_bytes(), body].concat()
}

fn ok(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", headers, body)
}

fn gzip(plain: impl AsRef<[u8]>) -> Vec<u8> {
    let mut packed = Vec::new();
    GzEncoder::new(plain.as_ref(), Compression::fast()).read_to_end(&mut packed).unwrap();
    packed
}

/// Without zlib's header and checksum.
fn deflate(plain: &str) -> Vec<u8> {
    let mut packed = Vec::new();
    DeflateEncoder::new(plain.as_bytes(), Compression::fast()).read_to_end(&mut packed).unwrap();
    packed
}

fn utf16(text: &str, mark: bool) -> Vec<u8> {
    let mark = if mark { "\u{feff}" } else { "" };
    [mark, text].concat().encode_utf16().flat_map(u16::to_be_bytes).collect()
}

#[test]
fn each_odd_answer_has_the_expected_outcome() {
    let cases = cases::all();
    let answers: HashMap<_, _> = cases.iter().map(|case| (case.name, &case.bytes)).collect();
    assert_eq!(answers.len(), cases.len(), "names are unique");
    let answers: HashMap<String, Vec<u8>> =
        answers.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.clone())).collect();
    let asked = std::sync::Mutex::new(std::collections::HashSet::new());
    let server = Server::answering(move |request| {
        let words = request.words();
        match answers.get(&words) {
            Some(bytes) if asked.lock().unwrap().insert(words) => Reply::raw(bytes.clone()),
            _ => Reply::accepted(request),
        }
    });
    // With this policy a message whose answer was lost is never sent again.
    let outbox = Outbox::setup(&server).more("[channels.chat]\non_uncertain = \"hold\"").ready();
    let add = |(n, case): (usize, &Case)| outbox.add(Job::chat(n as i64 + 1, case.name));
    let ids: Vec<_> = cases.iter().enumerate().map(add).collect();
    outbox.run_until_empty();

    for (case, id) in cases.iter().zip(ids) {
        let (row, outcomes) = (outbox.row(id), outbox.outcomes(id));
        let what = format!("{}: {row:?}", case.name);
        let text = |column: &str| row[column].as_str().unwrap_or_default().to_owned();
        let (status, code, error) = (text("status"), text("error_code"), text("error"));
        assert!(!error.contains(KEY) && !error.contains("quoted"), "{what}");
        match case.ends {
            Ends::Sent(message_id) => {
                assert_eq!(
                    (status.as_str(), text("message_id").as_str()),
                    ("sent", message_id),
                    "{what}"
                );
                assert_eq!((code.as_str(), outcomes), ("", vec!["accepted".to_owned()]), "{what}");
                assert!(text("receipt").contains(message_id), "{what}");
            }
            Ends::Noted(note) => {
                assert_eq!((status.as_str(), code.as_str()), ("sent", note), "{what}")
            }
            Ends::Rejected(its, words) => {
                assert_eq!((status.as_str(), code.as_str()), ("failed", its), "{what}");
                assert!(text("failure") == "rejected" && error.contains(words), "{what}");
            }
            Ends::Uncertain(its, words) => {
                assert_eq!((status.as_str(), code.as_str()), ("uncertain", its), "{what}");
                assert!(error.contains(words) && error.len() <= 1024, "{what}");
            }
            Ends::Again(its) => {
                assert_eq!(outcomes, ["retry", "accepted"], "{what}");
                assert_eq!(outbox.history(id)[0]["error_code"], its, "{what}");
            }
        }
    }
}
