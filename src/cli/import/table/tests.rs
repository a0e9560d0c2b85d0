use super::*;
use proptest::prelude::*;

fn lines(text: &[u8]) -> Vec<(u64, Result<Value, String>)> {
    let mut table = CsvTable::new(text).unwrap();
    let mut all = Vec::new();
    while let Some(line) = table.next().unwrap() {
        all.push((line.number, line.row.map(Value::Object)));
    }
    all
}

fn refused(header: &str) -> String {
    CsvTable::new(header.as_bytes()).err().map(|e| format!("{e:#}")).unwrap_or_default()
}

#[test]
fn every_field_of_every_channel_can_stand_in_a_column_of_its_own() {
    let value = |name: &str| match name {
        "caseId" | "contactId" | "threadId" | "timelineId" | "id" => " 17 ",
        "isClosed" => "TRUE",
        "isMultiChannel" => "false",
        "attachments" => "\"[{\"\"id\"\": 1}]\"",
        "extra" => "\"{\"\"new\"\": 1}\"",
        "to" | "bcc" => "ann@example.com; bob@example.com",
        "cc" => "\"[\"\"ann@example.com\"\"]\"",
        "from" => "ann@example.com",
        "From" | "To" => "+12513188609",
        "type" => "message",
        "userType" => "contact",
        _ => "words",
    };
    for channel in Channel::ALL {
        let fields = payload::known_fields(channel);
        let header: Vec<String> = fields.iter().map(|name| format!("payload.{name}")).collect();
        let cells: Vec<&str> = fields.iter().map(|name| value(name)).collect();
        let text = format!("channel,{}\n{channel},{}\n", header.join(","), cells.join(","));
        let rows = lines(text.as_bytes());
        let row = rows[0].1.as_ref().unwrap();
        payload::parse(channel, row["payload"].as_str().unwrap()).unwrap();
        let object: Value = serde_json::from_str(row["payload"].as_str().unwrap()).unwrap();
        assert_eq!(object.as_object().unwrap().len(), fields.len(), "{object}");
        if channel == Channel::Mail {
            assert_eq!(object["to"], serde_json::json!(["ann@example.com", "bob@example.com"]));
        }
    }
}

#[test]
fn an_empty_cell_is_absent_and_numbers_are_numbers() {
    let text = b"\xef\xbb\xbfchannel,priority,send_at,source,payload,payload.caseId\r\n\
                 chat,7,2026-11-22 09:00,9,\"{\"\"message\"\": \"\"hi\"\"}\",5\r\n\r\n\
                 chat,,1795338000000,,\"{}\",\r\n";
    let rows = lines(text);
    let first = rows[0].1.as_ref().unwrap();
    assert_eq!(first["priority"], 7);
    assert_eq!(first["send_at"], "2026-11-22 09:00");
    assert_eq!(first["source"], "9");
    assert_eq!(first["payload"], r#"{"caseId":5,"message":"hi"}"#);
    let second = rows[1].1.as_ref().unwrap();
    assert_eq!(second["send_at"], 1_795_338_000_000_i64);
    assert_eq!(second.as_object().unwrap().len(), 3, "{second}");
    assert_eq!((rows[0].0, rows[1].0), (2, 4));
}

#[test]
fn a_record_over_several_lines_has_the_number_of_its_first() {
    let rows = lines(b"channel,payload\nchat,\"a\n\nb\"\nchat\nchat,\xff\n");
    let numbers: Vec<u64> = rows.iter().map(|row| row.0).collect();
    assert_eq!(numbers, [2, 5, 6]);
    assert_eq!(rows[1].1.as_ref().unwrap_err(), "has 1 values, but the header has 2 columns");
    assert!(rows[2].1.as_ref().unwrap_err().starts_with("is not UTF-8 text"));
}

#[test]
fn a_header_is_refused_by_the_name_of_its_column() {
    for (header, words) in [
        ("", "line 1: the header must name the columns"),
        ("channel|payload", "the header must name the columns"),
        ("sep=;\n\nchannel;payload;sorce", "line 3: sorce: unknown column"),
        ("chanel,payload", "the header must name the columns"),
        ("chat,secret,secret", "line 1: the header must name the columns"),
        ("channel,payload,sorce", "line 1: sorce: unknown column, did you mean `source`?"),
        ("channel,payload.caseid", "payload.caseid: unknown column, did you mean `caseId`?"),
        ("channel,payload,channel", "channel: appears twice"),
        ("channel,payload,status", "status: is written by the dispatcher"),
        ("channel,payload,id", "id: is set by the database"),
    ] {
        assert!(refused(header).contains(words), "{header}: {}", refused(header));
    }
}

#[test]
fn what_a_spreadsheet_adds_is_passed_over() {
    let rows = lines(
        b"channel,payload.caseId,payload.message,,\nchat,1,hi,,\n,,,,\nchat,2,hi,,,,,\n,,\nchat,3,hi,,x\nchat,4,hi,,,x\n",
    );
    let numbers: Vec<u64> = rows.iter().map(|row| row.0).collect();
    assert_eq!(numbers, [2, 4, 6, 7]);
    assert_eq!(rows[1].1.as_ref().unwrap()["payload"], r#"{"caseId":2,"message":"hi"}"#);
    assert_eq!(rows[2].1.as_ref().unwrap_err(), "has a value in column 5, which has no name");
    assert_eq!(rows[3].1.as_ref().unwrap_err(), "has 6 values, but the header has 5 columns");
}

#[test]
fn the_separator_is_the_files_own() {
    for text in [
        "channel;payload.caseId;payload.message\nchat;1;a, b\n",
        "\u{feff}sep=;\r\nchannel;payload.caseId;payload.message\r\nchat;1;a, b\r\n",
        "sep=|\nchannel|payload.caseId|payload.message\nchat|1|a, b",
        "channel\tpayload.caseId\tpayload.message\nchat\t1\ta, b\n",
        "sep=,\nchannel,payload.caseId,payload.message\nchat,1,\"a, b\"\n",
    ] {
        let rows = lines(text.as_bytes());
        assert_eq!(rows.len(), 1, "{text}");
        assert_eq!(rows[0].1.as_ref().unwrap()["payload"], r#"{"caseId":1,"message":"a, b"}"#);
        assert_eq!(rows[0].0, if text.contains("sep=") { 3 } else { 2 }, "{text}");
    }
}

#[test]
fn lines_have_their_numbers_whatever_their_ends_are() {
    for end in ["\n", "\r\n", "\r"] {
        let text = "channel,payload|||chat,\"two|lines\"|chat|||chat,x,y".replace('|', end);
        let numbers: Vec<u64> = lines(text.as_bytes()).iter().map(|row| row.0).collect();
        assert_eq!(numbers, [4, 6, 9], "{end:?}");
    }
}

#[test]
fn a_quote_that_is_never_closed_swallows_no_line_unseen() {
    let rows = lines(b"channel,payload.message\nchat,a \"b\nchat,\"c\"\"d\"\nchat,\"e\nchat,f\n");
    assert_eq!(rows.len(), 3);
    assert!(rows[0].1.is_ok() && rows[1].1.is_ok());
    assert_eq!(rows[2], (4, Err("a quote is opened and never closed".to_owned())));
}

#[test]
fn a_nul_is_named_and_numbers_keep_their_digits() {
    let text = "channel,payload.message,payload.extra,payload\nchat,a\u{0}b,,\n\
                chat,hi,\"{\"\"n\"\": 12345678901234567890123}\",\"{\"\"extra2\"\": 0.10}\"\n";
    let rows = lines(text.as_bytes());
    assert_eq!(rows[0].1.as_ref().unwrap_err(), NUL);
    assert_eq!(
        rows[1].1.as_ref().unwrap()["payload"],
        r#"{"extra":{"n":12345678901234567890123},"extra2":0.10,"message":"hi"}"#
    );
}

#[test]
fn several_addresses_are_parted_outside_quotes_and_an_exports_apostrophe_is_taken_back() {
    let text = "channel,payload.to,payload.subject,payload.From\n\
                mail,\"\"\"Doe; Ann\"\" <a@b>; c@d;\",'=1,'+12513188609\n";
    let rows = lines(text.as_bytes());
    let object: Value =
        serde_json::from_str(rows[0].1.as_ref().unwrap()["payload"].as_str().unwrap()).unwrap();
    assert_eq!(object["to"], serde_json::json!(["\"Doe; Ann\" <a@b>", "c@d"]));
    assert_eq!((&object["subject"], &object["From"]), (&"=1".into(), &"+12513188609".into()));
}

#[test]
fn an_open_quote_does_not_swallow_the_file() {
    let text = [b"channel,payload\nchat,\"".to_vec(), vec![b'x'; LINE_BYTES as usize + (1 << 20)]]
        .concat();
    let rows = lines(&text);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].0, 2);
    assert!(rows[0].1.as_ref().unwrap_err().contains("a quote is not closed"));
}

#[test]
fn a_field_may_not_stand_in_two_places() {
    let text = b"channel,payload,payload.caseId\nchat,\"{\"\"caseId\"\": 1}\",2\nchat,[],2\n";
    let rows = lines(text);
    assert_eq!(rows[0].1.as_ref().unwrap_err(), "payload.caseId: is in payload as well");
    assert_eq!(rows[1].1.as_ref().unwrap_err(), "payload: must be one JSON object");
}

proptest! {
    /// Whatever is in the file: no panic, an end, and numbers that grow.
    #[test]
    fn no_table_is_too_odd_to_read(
        text in proptest::collection::vec(
            prop_oneof![
                Just("chat"), Just(","), Just("\n"), Just("\r\n"), Just("\""), Just("\"\""),
                Just("{\"caseId\": 1}"), Just("\u{0}"), Just("7"), Just("ü"),
            ],
            0..60,
        ),
    ) {
        let text = format!("channel,payload,payload.caseId\n{}", text.concat());
        let numbers: Vec<u64> = lines(text.as_bytes()).iter().map(|line| line.0).collect();
        prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        prop_assert!(numbers.iter().all(|&number| number > 1), "{numbers:?}");
    }
}
