//! JSON lines: one object a line.

use super::row::{self, Line};
use super::{LINE_BYTES, NUMERIC, TOO_LONG};
use acquire_outbox::payload::Pairs;
use acquire_outbox::store::transfer::NewRow;
use serde_json::Value;
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
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let mut text = Vec::new();
            self.input.by_ref().take(LINE_BYTES + 1).read_until(b'\n', &mut text)?;
            if text.is_empty() {
                return Ok(None);
            }
            self.number += 1;
            if text.len() as u64 > LINE_BYTES && !text.ends_with(b"\n") {
                self.input.skip_until(b'\n')?;
                return Ok(Some(Line { number: self.number, row: Err(TOO_LONG.to_owned()) }));
            }
            let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
            if !text.trim_ascii().is_empty() {
                return Ok(Some(Line { number: self.number, row: read(text) }));
            }
        }
    }
}

fn read(text: &[u8]) -> Result<NewRow, String> {
    let text = std::str::from_utf8(text).map_err(|_| "must be text in UTF-8".to_owned())?;
    // serde's own words may quote the line.
    let pairs: Pairs<Box<RawValue>> =
        serde_json::from_str(text).map_err(|e| match e.classify() {
            serde_json::error::Category::Data => {
                "must be one JSON object with the outbox's columns".to_owned()
            }
            _ => format!(
                "must be one JSON object, the text breaks off being JSON at column {}",
                e.column()
            ),
        })?;
    let mut row = NewRow::new();
    for (name, value) in pairs.0 {
        let column = row::column(&name)?;
        let value = if column == "payload" { payload(&value) } else { scalar(column, &value) }?;
        if row.insert(column.to_owned(), value).is_some() {
            return Err(format!("{column}: stands twice, a column may stand once"));
        }
    }
    // null is as good as absent.
    row.retain(|_, value| !value.is_null());
    Ok(row)
}

/// An object as it stands, so that the daemon's rules see all of it; or text that holds one.
fn payload(value: &RawValue) -> Result<Value, String> {
    let text = value.get();
    if text.starts_with('"') || text == "null" {
        return serde_json::from_str(text).map_err(|_| "payload: must be text in UTF-8".to_owned());
    }
    Ok(text.into())
}

fn scalar(column: &str, value: &RawValue) -> Result<Value, String> {
    let refused = || format!("{column}: must be text or a number");
    let value: Value = serde_json::from_str(value.get()).map_err(|_| refused())?;
    match value {
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(refused()),
        // As SQLite stores it: 17 and "17" are one key.
        Value::Number(number) if !NUMERIC.contains(&column) => Ok(number.to_string().into()),
        // As text, SQLite would take a bare number for a Julian day.
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
            (r#"{"zz": "secret"}"#, "zz: unknown column, known are channel, payload,"),
            (r#"{"status": "secret"}"#, "status: is written by the dispatcher"),
            (r#"{"source": "a", "source": "secret"}"#, "source: stands twice"),
            (r#"{"source": ["secret"]}"#, "source: must be text or a number"),
            (r#"{"source": "secret"#, "breaks off being JSON at column"),
            (r#"["secret"]"#, "must be one JSON object with"),
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
            let some = text.split('\n').filter(|line| is_there(line)).count();
            let seen = lines(text.as_bytes()).len();
            prop_assert!(seen >= some, "{seen} of {some}");
        }
    }
}
