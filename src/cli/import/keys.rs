//! Idempotency keys: each line has its own, or gets one that is made from its content.

use crate::queue::payload::Json;
use crate::queue::transfer::NewRow;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write as _;

/// The keys of the lines read so far, as short hashes: about 50 bytes of memory per line.
#[derive(Default)]
pub struct Keys {
    /// For each key in the file: the content and the number of its first line.
    named: HashMap<u64, (u64, u64)>,
    /// For each content without a key: how many lines have it.
    repeats: HashMap<u64, u32>,
}

impl Keys {
    /// Gives a row without a key `import:<sha256 of its content>`, followed by `:2`, `:3` from the
    /// second such row on. The error is a sentence: another message has the key already.
    pub fn give(&mut self, row: &mut NewRow, line: u64) -> Result<(), String> {
        let content = Sha256::digest(content(row));
        let Some(key) = row.get("idempotency_key") else {
            let nth = self.repeats.entry(short(&content)).or_default();
            *nth += 1;
            let mut key = "import:".to_owned();
            key.extend(content.iter().map(|byte| format!("{byte:02x}")));
            if *nth > 1 {
                key.push_str(&format!(":{nth}"));
            }
            row.insert("idempotency_key".to_owned(), key.into());
            return Ok(());
        };
        let key = short(&Sha256::digest(key.to_string()));
        let (known, first) = *self.named.entry(key).or_insert((short(&content), line));
        if known == short(&content) {
            return Ok(());
        }
        Err(format!("idempotency_key: line {first} has the same key and a different content"))
    }
}

/// What makes two lines the same message. The label does not count, nor do the order and spacing of
/// the payload's fields. Numbers count digit by digit.
fn content(row: &NewRow) -> String {
    let mut content = String::new();
    for (column, value) in row {
        let payload = value.as_str().filter(|_| column == "payload");
        let _ = match payload.and_then(|payload| Json::parse(payload).ok()) {
            _ if column == "source" || column == "idempotency_key" => Ok(()),
            Some(payload) => write!(content, ",\"{column}\":{payload}"),
            None => write!(content, ",\"{column}\":{value}"),
        };
    }
    content
}

fn short(hash: &[u8]) -> u64 {
    hash.iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn row(value: Value) -> NewRow {
        let Value::Object(row) = value else { panic!("an object is needed") };
        row
    }

    fn key_of(keys: &mut Keys, value: Value) -> String {
        let mut row = row(value);
        keys.give(&mut row, 1).unwrap();
        row["idempotency_key"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_same_content_has_the_same_key_in_each_run_and_another_in_each_line() {
        let first = json!({"channel": "chat", "payload": r#"{"caseId": 1, "message": "hi"}"#});
        let spaced = json!({"channel": "chat", "source": "x",
                            "payload": r#"{ "message":"hi",  "caseId":1 }"#});
        let other = json!({"channel": "chat", "payload": r#"{"caseId": 2, "message": "hi"}"#});
        let mut keys = Keys::default();
        let key = key_of(&mut keys, first.clone());
        assert_eq!(key.len(), "import:".len() + 64);
        assert_eq!(key_of(&mut keys, spaced), format!("{key}:2"));
        assert_eq!(key_of(&mut keys, first.clone()), format!("{key}:3"));
        assert_ne!(key_of(&mut keys, other)[..71], key[..71]);
        assert_eq!(key_of(&mut Keys::default(), first), key);
    }

    #[test]
    fn numbers_that_differ_in_one_digit_are_different_contents() {
        let with = |number: &str| {
            let payload =
                format!(r#"{{"caseId": 1, "message": "hi", "extra": {{"n": {number}}}}}"#);
            json!({"channel": "chat", "payload": payload})
        };
        let key = |number| key_of(&mut Keys::default(), with(number));
        assert_ne!(key("12345678901234567890123"), key("12345678901234567890124"));
    }

    #[test]
    fn a_key_that_a_line_names_stays_and_may_stand_at_one_content_only() {
        let mut keys = Keys::default();
        let mut named = row(json!({"idempotency_key": "a", "channel": "chat"}));
        keys.give(&mut named, 3).unwrap();
        assert_eq!(named["idempotency_key"], "a");
        keys.give(&mut named, 4).unwrap();
        let mut other = row(json!({"idempotency_key": "a", "channel": "mail"}));
        assert!(keys.give(&mut other, 5).unwrap_err().contains("line 3"));
    }
}
