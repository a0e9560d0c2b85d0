//! JSON lines: one object per line.

use super::row::{self, ImportLine};
use super::{LINE_BYTES, NOT_UTF8, NUL, NUMERIC, TOO_LONG};
use crate::queue::payload::{ObjectEntries, replace_unpaired_surrogates};
use crate::queue::transfer::NewRow;
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::io::{self, BufRead, BufReader, Read};

pub struct JsonLines<R> {
    input: BufReader<R>,
    number: u64,
}

impl<R: Read> JsonLines<R> {
    pub fn new(input: R) -> Self {
        JsonLines { input: BufReader::new(input), number: 0 }
    }

    /// The next line that is not empty.
    pub fn next(&mut self) -> io::Result<Option<ImportLine>> {
        loop {
            let mut text = Vec::new();
            if !self.read_line(&mut text)? {
                return Ok(None);
            }
            self.number += 1;
            let number = self.number;
            if text.len() > LINE_BYTES as usize {
                return Ok(Some(ImportLine { number, row: Err(TOO_LONG.to_owned()) }));
            }
            let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
            if !text.trim_ascii().is_empty() {
                return Ok(Some(ImportLine { number, row: read(text) }));
            }
        }
    }

    /// Reads a line without its end, which is LF, CR or both; false at the end of the file. Only a
    /// little more than the limit is kept of a line that is too long.
    fn read_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        let mut some = false;
        loop {
            let part = self.input.fill_buf()?;
            if part.is_empty() {
                return Ok(some);
            }
            some = true;
            let end = part.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let length = end.unwrap_or(part.len());
            if line.len() <= LINE_BYTES as usize {
                line.extend(&part[..length]);
            }
            let returns = end.is_some_and(|end| part[end] == b'\r');
            self.input.consume(length + usize::from(end.is_some()));
            if returns && self.input.fill_buf()?.first() == Some(&b'\n') {
                self.input.consume(1);
            }
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

fn read(text: &[u8]) -> Result<NewRow, String> {
    let text = std::str::from_utf8(text).map_err(|_| NOT_UTF8.to_owned())?;
    if text.contains('\0') {
        return Err(NUL.to_owned());
    }
    if text.trim_start().starts_with('[') {
        return Err("must be one JSON object, not an array: write one object per line, as \
                    `jq -c '.[]'` does"
            .to_owned());
    }
    let text = replace_unpaired_surrogates(text);
    // serde's own errors may quote the line.
    let pairs: ObjectEntries<Box<RawValue>> =
        serde_json::from_str(&text).map_err(|e| match e.classify() {
            Category::Data => "must be one JSON object with the outbox's columns".to_owned(),
            Category::Eof => format!(
                "must be one complete JSON object on one line; the line ends inside it, at column {}",
                e.column()
            ),
            _ => format!("must be one JSON object; invalid JSON at column {}", e.column()),
        })?;
    let mut row = NewRow::new();
    for (name, value) in pairs.0 {
        let column = row::column(&name)?;
        let value = if column == "payload" { payload(&value) } else { scalar(column, &value) }?;
        if row.insert(column.to_owned(), value).is_some() {
            return Err(format!("{column}: appears twice"));
        }
    }
    // null means no value.
    row.retain(|_, value| !value.is_null());
    Ok(row)
}

/// An object exactly as it is written, so that the daemon's rules see all of it, or text that
/// contains one.
fn payload(value: &RawValue) -> Result<Value, String> {
    let text = value.get();
    if text.starts_with('"') || text == "null" {
        return serde_json::from_str(text).map_err(|_| "payload: must be JSON text".to_owned());
    }
    Ok(text.into())
}

fn scalar(column: &str, value: &RawValue) -> Result<Value, String> {
    let refused = || format!("{column}: must be text or a number");
    let is_number = value.get().starts_with(|c: char| c == '-' || c.is_ascii_digit());
    if is_number && !NUMERIC.contains(&column) {
        // As text: a float would lose digits of a long key.
        return Ok(value.get().into());
    }
    match serde_json::from_str(value.get()).map_err(|_| refused())? {
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(refused()),
        // SQLite would read a number in text as a Julian day.
        Value::String(text) if column.ends_with("_at") => {
            Ok(text.parse::<i64>().map_or(Value::String(text), Value::from))
        }
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(text: &[u8]) -> Vec<(u64, Result<Value, String>)> {
        let mut lines = JsonLines::new(text);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push((line.number, line.row.map(Value::Object)));
        }
        all
    }

    #[test]
    fn a_payload_stays_as_it_was_written() {
        let text =
            br#"{"channel": "chat", "payload": {"caseId":  1}, "source": null, "send_at": "17"}"#;
        let [(1, Ok(row))] = &lines(text)[..] else { panic!("one row is expected") };
        assert_eq!(row["payload"], r#"{"caseId":  1}"#);
        assert_eq!(row["send_at"], 17);
        let text = br#"{"idempotency_key": 17, "priority": 5}"#;
        let row = lines(text)[0].1.clone().unwrap();
        assert_eq!((&row["idempotency_key"], &row["priority"]), (&"17".into(), &5.into()));
        assert!(row.get("source").is_none());
        let text = br#"{"idempotency_key": 12345678901234567890123}"#;
        assert_eq!(
            lines(text)[0].1.as_ref().unwrap()["idempotency_key"],
            "12345678901234567890123"
        );
        let text = br#"{"payload": "{\"caseId\": 1}"}"#;
        assert_eq!(lines(text)[0].1.as_ref().unwrap()["payload"], r#"{"caseId": 1}"#);
    }

    #[test]
    fn lines_are_counted_with_the_empty_ones_and_their_ends_may_be_of_windows() {
        let seen = lines(b"\xef\xbb\xbf{}\r\n\r\n\n{}\r\n[1]\n{\"a\n\xff\n{} {}");
        let numbers: Vec<u64> = seen.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 4, 5, 6, 7, 8]);
        assert!(seen[0].1.is_ok() && seen[1].1.is_ok());
        assert!(seen[2..].iter().all(|(_, row)| row.is_err()), "{seen:?}");
    }

    #[test]
    fn a_line_ends_in_any_of_the_three_ways_and_the_last_one_need_not() {
        for (text, numbers) in [
            ("{}\r{}\r\r{}\r", &[1, 2, 4][..]),
            ("{}\r\n{}\n\n\r\n{}", &[1, 2, 5]),
            ("\r\n{}", &[2]),
            ("{}", &[1]),
        ] {
            for size in [1, 2, 3, 8192] {
                let input = BufReader::with_capacity(size, text.as_bytes());
                let mut lines = JsonLines { input, number: 0 };
                let mut seen = Vec::new();
                while let Some(line) = lines.next().unwrap() {
                    assert!(line.row.is_ok());
                    seen.push(line.number);
                }
                assert_eq!(seen, numbers, "{text:?} by {size}");
            }
        }
    }

    #[test]
    fn half_a_character_is_no_fault() {
        let text = br#"{"payload": {"message": "\ud83d"}, "source": "a\udc00"}"#;
        let row = lines(text)[0].1.clone().unwrap();
        assert_eq!(
            (&row["payload"], &row["source"]),
            (&r#"{"message": "\ufffd"}"#.into(), &"a\u{fffd}".into())
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_unread() {
        let text = [vec![b' '; LINE_BYTES as usize + 2], b"\n{}".to_vec()].concat();
        let seen = lines(&text);
        assert_eq!(seen[0], (1, Err(TOO_LONG.to_owned())));
        assert_eq!(seen[1].0, 2);
        assert!(seen[1].1.is_ok());
    }

    #[test]
    fn what_is_no_column_is_refused_by_its_name_and_no_value_is_repeated() {
        for (text, words) in [
            (r#"{"chanel": "secret"}"#, "chanel: unknown column, did you mean `channel`?"),
            (r#"{"zz": "secret"}"#, "zz: unknown column; the known ones are channel, payload,"),
            (r#"{"status": "secret"}"#, "status: is written by the dispatcher"),
            (r#"{"delivery": "seen"}"#, "delivery: is written by the dispatcher"),
            (r#"{"source": "a", "source": "secret"}"#, "source: appears twice"),
            (r#"{"source": ["secret"]}"#, "source: must be text or a number"),
            (r#"{"source": "secret"#, "the line ends inside it, at column"),
            (r#"{"source": secret}"#, "must be one JSON object; invalid JSON at column 12"),
            (r#"[{"source": "secret"}]"#, "not an array: write one object per line"),
            ("{\"source\": \"secret\u{0}\"}", "must not contain a NUL character"),
            (r#""secret""#, "must be one JSON object with"),
        ] {
            let said = lines(text.as_bytes())[0].1.clone().unwrap_err();
            assert!(said.contains(words) && !said.contains("secret"), "{said}");
        }
    }

    proptest! {
        /// Whatever is in the file: no panic, an end, and a line for each that is not empty.
        #[test]
        fn no_file_is_too_odd_to_read(
            text in proptest::collection::vec(
                prop_oneof![
                    Just("{"), Just("}"), Just("\"payload\""), Just("\"channel\""), Just(":"),
                    Just("\"\\ud800\""), Just("1e999"), Just("\n"), Just("\r"), Just(","),
                    Just("null"), Just("[["), Just("\u{0}"), Just("\u{feff}"),
                ],
                0..60,
            ),
        ) {
            let text = text.concat();
            let is_there = |line: &str| {
                !line.trim_start_matches('\u{feff}').as_bytes().trim_ascii().is_empty()
            };
            let some = text.split(['\n', '\r']).filter(|line| is_there(line)).count();
            let seen = lines(text.as_bytes()).len();
            prop_assert!(seen >= some, "{seen} of {some}");
        }
    }
}
