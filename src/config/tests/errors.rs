//! Every sentence of a [`ConfigError`], none of which shows a key.

use super::*;

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_known_one() {
    for (text, parts) in [
        ("\ndatabse = \"x\"", ["toml, line 2: ", "`databse` at the top level", "mean `database`?"]),
        ("[account.default]", ["toml, line 1: ", "`account` at the top level", "mean `accounts`?"]),
        (
            "[accounts.default]\nacount_id = \"acme\"",
            ["toml, line 2: ", "`acount_id` in [accounts.default]", "mean `account_id`?"],
        ),
        (
            "[channels.sms]\n\n# note\nmax-inflight = 3",
            ["toml, line 4: ", "`max-inflight` in [channels.sms]", "mean `max_in_flight`?"],
        ),
        ("[channels.email]", ["toml, line 1: ", "`email` in [channels]", "mean `mail`?"]),
        (
            "[channels.sms.retry]\nmax_attempt = 1",
            ["toml, line 2: ", "`max_attempt` in [channels.sms.retry]", "mean `max_attempts`?"],
        ),
        ("[retry]\nbackoff = 1", ["toml, line 2: ", "`backoff` in [retry]", "keys here: initial"]),
        (
            "retention.uncertain = \"1d\"",
            ["toml, line 1: ", "`uncertain` in [retention]", "sent, failed"],
        ),
    ] {
        let sentence = error(text);
        assert!(sentence.starts_with("acquire-outbox.toml, line "), "{sentence}");
        assert_says(&sentence, &parts);
    }
}

#[test]
fn the_first_unknown_key_of_the_file_is_the_one_named() {
    assert_says(&error("[retry]\nzzz = 1\naaa = 2"), &["toml, line 2: ", "`zzz`"]);
}

#[test]
fn a_value_out_of_range_is_named_with_what_is_allowed() {
    for (section, line, parts) in [
        ("retry", "jitter = 1.5", ["`retry.jitter`", "0 to 1"]),
        ("retry", "jitter = nan", ["`retry.jitter`", "0 to 1"]),
        ("retry", "multiplier = 0.5", ["`retry.multiplier`", "1 to 10"]),
        ("retry", "multiplier = \"2\"", ["`retry.multiplier`", "1 to 10"]),
        ("retry", "initial = \"0s\"", ["`retry.initial`", "1ms to 1year"]),
        ("retry", "initial = \"1h\"", ["`retry.initial`", "`initial` (1h) must not be longer"]),
        ("retry", "max = \"500ms\"", ["`retry.max`", "`max` (500ms)"]),
        ("retry", "max_attempts = 0", ["`retry.max_attempts`", "from 1 "]),
        ("retry", "give_up_after = \"0s\"", ["`retry.give_up_after`", "100years"]),
        ("channels.sms.retry", "jitter = -1", ["`channels.sms.retry.jitter`", "0 to 1"]),
        ("channels.sms.retry", "max = \"9ms\"", ["`channels.sms.retry.max`", "(1s)"]),
        ("channels.sms", "max_in_flight = 0", ["`channels.sms.max_in_flight`", "1 to 1000"]),
        ("channels.sms", "max_in_flight = 1001", ["`channels.sms.max_in_flight`", "1 to 1000"]),
        ("channels.sms", "max_in_flight = \"9\"", ["`channels.sms.max_in_flight`", "whole number"]),
        (
            "channels.sms",
            "fill_missing = \"yes\"",
            ["`channels.sms.fill_missing`", "true or false"],
        ),
        ("channels.chat", "fill_missing = true", ["`channels.chat.fill_missing`", "mail and sms"]),
        ("channels.sms", "uncertain_retries = -1", ["`channels.sms.uncertain_retries`", "0 to"]),
        (
            "channels.sms",
            "on_uncertain = \"maybe\"",
            ["on_uncertain`", "\"retry\", \"hold\" or \"verify\""],
        ),
        ("channels.sms", "rate = \"10/day\"", ["`channels.sms.rate`", "\"10/day\" is not a rate"]),
        ("channels.sms", "connect_timeout = \"2h\"", ["connect_timeout`", "1ms to 1h"]),
        ("channels.sms", "request_timeout = 30", ["request_timeout`", "such as \"30s\""]),
        ("channels.sms", "request_timeout = \"30\"", ["request_timeout`", "\"30\" is not a dur"]),
        ("channels.sms", "request_timeout = \"soon\"", ["request_timeout`", "number and its unit"]),
        ("channels.sms", "follow_up = \"31days\"", ["`channels.sms.follow_up`", "1ms to 30days"]),
        ("channels.sms", "follow_up = \"0s\"", ["`channels.sms.follow_up`", "or \"never\""]),
        ("channels.sms", "follow_up = \"soon\"", ["`channels.sms.follow_up`", "or \"never\""]),
        ("channels.sms", "scrub = \"7 dayz\"", ["`channels.sms.scrub`", "or \"never\""]),
        ("channels.sms", "scrub = \"999999d\"", ["`channels.sms.scrub`", "write \"never\""]),
        ("channels.sms", "scrub = \"forever\"", ["`channels.sms.scrub`", "or \"never\""]),
        ("retention", "failed = \"30 dayz\"", ["`retention.failed`", "or \"forever\""]),
        ("retention", "sent = \"999999d\"", ["`retention.sent`", "write \"forever\""]),
        ("accounts.default", "base_url = 7", ["`accounts.default.base_url`", "string in quotes"]),
        ("accounts.default", "account_id = \"a.b\"", ["accounts.default.account_id`", "`acme`"]),
        ("accounts.default", "user_type_parameter = \"a&b\"", ["user_type_parameter`", "letters"]),
        ("accounts.default", "api_key_file = \"\"", ["api_key_file`", "must not be empty"]),
        ("accounts.\"\"", "account_id = \"a\"", ["`accounts.\"\"`", "printable ASCII"]),
    ] {
        let sentence = error(&format!("[{section}]\n{line}"));
        assert_says(&sentence, &parts);
        assert!(sentence.starts_with("acquire-outbox.toml, line "), "{sentence}");
    }
    assert_says(&error("\naccounts = 3"), &["toml, line 2: `accounts`", "section", "[accounts]"]);
    assert_says(&error("[[accounts]]"), &["toml, line 1: `accounts`", "[accounts]"]);
    assert_says(
        &error("[accounts]\nacme = 3"),
        &["toml, line 2: `accounts.acme`", "[accounts.default]"],
    );
    assert_says(&error("shutdown_timeout = \"2h\""), &["`shutdown_timeout`", "0s to 1h"]);
    assert_says(&error("database = \"\""), &["`database`", "empty"]);
    for (value, parts) in [
        ("\"1KiB\"", ["`max_in_flight_bytes`", "1.0 KiB is out of range: 1.0 MiB to 1.0 TiB"]),
        ("\"64\"", ["`max_in_flight_bytes`", "\"64\" is not a size; write a number and its unit"]),
        ("\"64 MB/s\"", ["`max_in_flight_bytes`", "\"64 MB/s\" is not a size"]),
        ("\"-1MiB\"", ["`max_in_flight_bytes`", "\"-1MiB\" is not a size"]),
        ("\"much\"", ["`max_in_flight_bytes`", "such as \"64MiB\""]),
        ("67108864", ["`max_in_flight_bytes`", "such as \"64MiB\""]),
    ] {
        assert_says(&error(&format!("max_in_flight_bytes = {value}")), &parts);
    }
}

#[test]
fn plain_http_is_refused_except_to_loopback() {
    let account = |url| format!("[accounts.default]\nbase_url = \"{url}\"\napi_key_env = \"KEY\"");
    let sentence = error(&account("http://acme.acquire.io/api/v1"));
    assert_says(&sentence, &["toml, line 2: `accounts.default.base_url`", "use https"]);
    assert!(Setup::new(&account("http://[::1]:1/api/v1")).load().is_ok());
    let sentence = Setup::without_file().env("ACQUIRE_BASE_URL", "http://10.0.0.1").error();
    assert_says(&sentence, &["environment variable ACQUIRE_BASE_URL", "use https"]);
}

#[test]
fn broken_toml_is_reported_with_its_line_and_without_its_text() {
    for line in [
        format!("api_key = {SECRET}"),
        format!("api_key \"{SECRET}\""),
        format!("api_key = \"{SECRET}"),
        format!("api_key_file = [\"{SECRET}\""),
        format!("api_key_file = 2026-13-99{SECRET}"),
        format!("a = \"{SECRET}\"\na = \"{SECRET}\""),
    ] {
        let sentence = error(&format!("[accounts.default]\n{line}"));
        assert!(sentence.starts_with("acquire-outbox.toml, line "), "{sentence}");
        assert_says(&sentence, &["not valid TOML: "]);
    }
    assert_says(&error("\n\n[retry"), &["toml, line 3: not valid TOML"]);
}

#[test]
fn a_misplaced_key_is_in_no_error() {
    for line in [
        format!("api_key = \"{SECRET}\""),
        format!("apikey = \"{SECRET}\""),
        format!("api_key_file = \"{SECRET}\""),
        format!("api_key_env = \"{SECRET}\""),
        format!("api_key_env = \"{}\"", SECRET.replace('-', "_")),
        format!("api_key_credential = \"{SECRET}\""),
        format!("account_id = \"{SECRET}.\""),
        format!("base_url = \"{SECRET}\""),
        format!("base_url = \"https://{SECRET}@acme.acquire.io\""),
        format!("user_type_parameter = \"{SECRET} \""),
        format!("[channels.sms]\nrate = \"{SECRET}\""),
        format!("[channels.sms]\non_uncertain = \"{SECRET}\""),
        format!("[channels.sms]\nrequest_timeout = \"{SECRET}\""),
        format!("[channels.sms]\nmax_in_flight = \"{SECRET}\""),
        format!("[retention]\nsent = \"{SECRET}\""),
        format!("[retry]\njitter = \"{SECRET}\""),
    ] {
        let setup = Setup::new(&format!("[accounts.default]\n{line}"));
        // `error` asserts that the key is not in it; most of these also lack an address.
        let sentence = setup.env("ACQUIRE_ACCOUNT_ID", "acme").error();
        assert!(!sentence.contains("sk_live"), "{sentence}");
    }
    let sentence = error(&format!("[accounts.default]\n\napi_key = \"{SECRET}\""));
    assert_says(
        &sentence,
        &["toml, line 3: `accounts.default.api_key`", "`api_key_file`", "does not"],
    );
}

#[test]
fn no_debug_shows_a_key() {
    let shown = format!("{:?}", Setup::new(ACCOUNT).config());
    assert!(shown.contains("acme") && !shown.contains(SECRET), "{shown}");
}

#[test]
fn a_key_that_is_missing_or_empty_or_invalid_in_a_header_is_refused() {
    assert_says(&Setup::new(ACCOUNT).env("KEY", "").error(), &["api_key_env`", "not set"]);
    assert_says(&Setup::new(ACCOUNT).env("KEY", " \n").error(), &["api_key_env`", "is empty"]);
    for bad in ["two words", "two\nlines", "ключ", " leading", "nul\u{1}"] {
        assert_says(&Setup::new(ACCOUNT).env("KEY", bad).error(), &["visible ASCII"]);
    }
    let file = "[accounts.default]\naccount_id = \"acme\"\napi_key_file = \"none\"";
    assert_says(&error(file), &["toml, line 3: ", "cannot read the key file", "No such file"]);
}

#[test]
fn an_account_needs_one_address_and_one_key() {
    let none = Setup::without_file().error();
    assert_says(&none, &["ACQUIRE_ACCOUNT_ID", "ACQUIRE_API_KEY", "[accounts.default]"]);
    assert_says(&error("[accounts.default]"), &["`default` has no address", "ACQUIRE_BASE_URL"]);
    let other = error("[accounts.b]\naccount_id = \"acme\"");
    assert_says(&other, &["`b` has no API key", "`api_key_env`"]);
    assert!(!other.contains("ACQUIRE_API_KEY"), "the environment is for `default` only: {other}");
    let two = error(&format!("{ACCOUNT}api_key_file = \"key\""));
    assert_says(&two, &["`accounts.default.api_key_", "set twice; keep one"]);
    let both = Setup::new(ACCOUNT).env("ACQUIRE_API_KEY", "a").env("ACQUIRE_API_KEY_FILE", "b");
    assert_says(&both.error(), &["unset one of ACQUIRE_API_KEY_FILE and ACQUIRE_API_KEY"]);
}
