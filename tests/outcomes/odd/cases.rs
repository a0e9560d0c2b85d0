//! One case per line; README.md explains them.

use super::{Case, again, answer, deflate, gzip, noted, ok, rejected, sent, uncertain, utf16};

/// A chat message, accepted.
const CHAT: &str = r#"{"data":{"id":8289,"caseId":2069}}"#;
/// A rejection by the vendor.
const NO: &str = r#"{"error":{"type":"ERROR_INVALID_INPUT","message":"No such case"}}"#;

#[rustfmt::skip]
pub fn all() -> Vec<Case> {
    vec![
        // The body.
        sent("8289", "a byte order mark", ok("", ["\u{feff}", CHAT].concat())),
        sent("8289", "two byte order marks", ok("", ["\u{feff}\u{feff}", CHAT].concat())),
        sent("8289", "UTF-16 with its mark", ok("", utf16(CHAT, true))),
        sent("8289", "UTF-16 without a mark", ok("", utf16(CHAT, false))),
        sent("8289", "Latin-1", ok("", b"{\"data\":{\"id\":8289,\"status\":\"\xe9\",\"message\":\"\xe9\"}}")),
        sent("8289", "a prefix against hijacking", ok("", format!(")]}}',\n{CHAT}"))),
        sent("8289", "a warning of PHP's", ok("", format!("<br />\n<b>Warning</b>: a {{b}} in <b>/c.php</b><br />\n{CHAT}"))),
        sent("8289", "a comment after it", ok("", format!("{CHAT}<!-- cache-7 -->"))),
        sent("8289", "zeros after it", ok("", format!("{CHAT}\0\0\0"))),
        sent("8289", "another object after it", ok("", format!("{CHAT}\n{{\"data\":null}}"))),
        sent("8289", "JSONP", ok("", format!("callback({CHAT});"))),
        sent("8289", "JSON in a JSON text", ok("", serde_json::Value::from(CHAT).to_string())),
        sent("8289", "gzip", ok("content-encoding: gzip\r\n", gzip(CHAT))),
        sent("8289", "gzip without a header", ok("", gzip(CHAT))),
        sent("8289", "gzip twice", ok("content-encoding: gzip, gzip\r\n", gzip(gzip(CHAT)))),
        sent("8289", "gzip without its checksum", ok("", &gzip(CHAT)[..gzip(CHAT).len() - 8])),
        sent("8289", "gzip behind which is nothing of it", ok("content-encoding: gzip\r\n", CHAT)),
        sent("8289", "gzip of a byte order mark", ok("content-encoding: gzip\r\n", gzip(["\u{feff}", CHAT].concat()))),
        uncertain("response_unreadable", "is not JSON", "a bomb", ok("content-encoding: gzip\r\n", gzip(vec![b'-'; 64 << 20]))),
        // Its length.
        sent("8289", "shorter than announced", format!("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{CHAT}")),
        sent("8289", "no last chunk", format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{CHAT}\r\n", CHAT.len())),
        sent("8289", "a broken chunk after it", format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{CHAT}\r\nzebra\r\n", CHAT.len())),
        sent("8289", "no length", format!("HTTP/1.1 200 OK\r\n\r\n{CHAT}")),
        uncertain("connection_lost", r#"{"data":{"id":8289"#, "half", format!("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{}", &CHAT[..18])),
        uncertain("connection_lost", "", "nothing", "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n"),
        // The headers.
        sent("8289", "a folded header", ok("x-trace: one\r\n two\r\n\tthree\r\n", CHAT)),
        sent("8289", "150 headers", ok(&(0..150).map(|n| format!("x-{n}: {n}\r\n")).collect::<String>(), CHAT)),
        sent("8289", "1000 headers", ok(&(0..1000).map(|n| format!("x-{n}: {n}\r\n")).collect::<String>(), CHAT)),
        sent("8289", "a header of 300 KB", ok(&format!("x: {}\r\n", "x".repeat(300_000)), CHAT)),
        sent("8289", "lines that are not headers", ok("none\r\na b: c\r\n: d\r\n", CHAT)),
        sent("8289", "a space before the colon", ok("x-a : b\r\n", CHAT)),
        sent("8289", "a header in Latin-1", ok("x-a: \u{e9}\r\n", CHAT)),
        sent("8289", "the length twice", ok(&format!("content-length: {}\r\n", CHAT.len()), CHAT)),
        sent("8289", "a wrong type", ok("content-type: text/html; charset=klingon\r\n", CHAT)),
        sent("8289", "an odd reason", answer("200 d\u{e9}livr\u{e9} !", "", CHAT)),
        sent("8289", "no reason", answer("200", "", CHAT)),
        sent("8289", "bare line ends", format!("HTTP/1.1 200 OK\nconnection: close\ncontent-length: {}\n\n{CHAT}", CHAT.len())),
        sent("8289", "empty lines before it", format!("\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{CHAT}")),
        sent("8289", "HTTP/1.0", format!("HTTP/1.0 200 OK\r\n\r\n{CHAT}")),
        sent("8289", "an early hint before it", format!("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{CHAT}")),
        sent("8289", "Apache's 218", answer("218 This is fine", "", CHAT)),
        // The id.
        sent("8289", "a float", ok("", r#"{"data":{"id":8289.0}}"#)),
        sent("8289", "an exponent", ok("", r#"{"data":{"id":8.289e3}}"#)),
        sent("12345678901234567890123", "23 digits", ok("", r#"{"data":{"id":12345678901234567890123}}"#)),
        sent("18446744073709551615", "64 bits", ok("", r#"{"data":{"id":18446744073709551615}}"#)),
        sent("00042", "a text", ok("", r#"{"data":{"id":"00042"}}"#)),
        sent("7", "another number that is none", ok("", r#"{"data":{"caseId":1e999,"id":7}}"#)),
        noted("no_message_id", "no id", ok("", "\u{feff}{\"data\":{}}")),
        rejected("http_400", "without an explanation", "an empty 400", answer("400 Bad Request", "", "")),
        // A 2xx that reports a failure.
        rejected("CHAT_ALREADY_JOINED", "You are in", "the vendor's no", ok("", r#"{"error":{"code":"CHAT_ALREADY_JOINED","message":"You are in","data":null}}"#)),
        rejected("http_200", "No such case", "an error as text", ok("", r#"{"error":"No such case"}"#)),
        rejected("http_200", "No such case", "success: false", ok("", r#"{"success":false,"message":"No such case","data":{}}"#)),
        rejected("CLOSED", "No such case", "an error in data", ok("", r#"{"data":{"error":{"code":"CLOSED","message":"No such case"}}}"#)),
        rejected("ERROR_INVALID_INPUT", "No such case", "no behind a byte order mark", ok("", ["\u{feff}", NO].concat())),
        sent("1", "an error and an id", ok("", r#"{"error":"old","data":{"id":1}}"#)),
        uncertain("response_unreadable", "Welcome to nginx", "a page", ok("", "<html>Welcome to nginx</html>")),
        uncertain("response_unreadable", "hotel", "a page with JSON in it", ok("", format!("<!DOCTYPE html>hotel<script>x={CHAT}</script>"))),
        uncertain("response_unreadable", r#"{"ok":true}"#, "JSON without data", ok("", r#"{"ok":true}"#)),
        // Rejections.
        rejected("ERROR_INVALID_INPUT", "No such case", "400 behind a byte order mark", answer("400 Bad", "", ["\u{feff}", NO].concat())),
        rejected("ERROR_INVALID_INPUT", "No such case", "400 in gzip", answer("400 Bad", "content-encoding: gzip\r\n", gzip(NO))),
        rejected("ERROR_INVALID_INPUT", "No such case", "404 in UTF-16", answer("404 Not Found", "", utf16(NO, true))),
        rejected("ERROR_INVALID_INPUT", "No s", "400 that breaks off", format!("HTTP/1.1 400 Bad\r\ncontent-length: 900\r\n\r\n{}", &NO[..54])),
        rejected("http_403", "without an explanation", "403 that breaks off at once", "HTTP/1.1 403 No\r\ncontent-length: 900\r\n\r\n"),
        // Answers that quote the message, which is the case's name.
        rejected("ERROR_X", "[...]", "quoted in gzip", answer("400 Bad", "", gzip(r#"{"type":"ERROR_X","message":"'quoted in gzip' is no message"}"#))),
        rejected("ERROR_X", "[...]", "quoted in UTF-16", answer("400 Bad", "", utf16(r#"{"type":"ERROR_X","message":"'quoted in UTF-16' is no message"}"#, true))),
        rejected("http_403", "[...]", "quoted at the break, déjà vu", format!("HTTP/1.1 403 No\r\ncontent-length: 900\r\n\r\n{}", r#"{"message":"'quoted at the break, déj"#)),
        uncertain("connection_lost", "[...]", "quoted by half of an acceptance", format!("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{}", r#"{"data":{"message":"quoted by half of an ac"#)),
        uncertain("response_unreadable", "[...]", "quoted by a page in deflate", ok("content-encoding: deflate\r\n", deflate("<p>quoted by a page in deflate</p>"))),
        // Gateways.
        uncertain("http_520", "a gateway answered 520", "520", answer("520 Unknown", "", "error 1000")),
        uncertain("http_522", "", "522", answer("522 Timed Out", "", "")),
        uncertain("http_524", "", "524", answer("524 A Timeout Occurred", "", "")),
        uncertain("http_598", "", "598", answer("598 Read Timeout", "", "")),
        uncertain("http_599", "", "599", answer("599 Connect Timeout", "", "")),
        uncertain("http_499", "", "499 in JSON", answer("499 Client Closed Request", "", NO)),
        uncertain("http_460", "", "460", answer("460 Gone", "", "")),
        uncertain("http_502", "", "502 that breaks off", "HTTP/1.1 502 Bad\r\ncontent-length: 900\r\n\r\n"),
        again("http_521", "521", answer("521 Web Server Is Down", "", "")),
        again("http_523", "523", answer("523 Origin Is Unreachable", "", "")),
        again("http_525", "525", answer("525 SSL Handshake Failed", "", "")),
        again("http_526", "526", answer("526 Invalid Certificate", "", "")),
        again("http_561", "561", answer("561 Unauthorized", "", "")),
        again("http_497", "497", answer("497 HTTP To HTTPS", "", "")),
        again("http_503", "503 that breaks off", "HTTP/1.1 503 Down\r\ncontent-length: 900\r\n\r\n<htm"),
        again("http_429", "429 as a page", answer("429 Slow Down", "", "<html>slow down</html>")),
    ]
}
