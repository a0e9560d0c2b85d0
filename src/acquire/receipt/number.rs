//! Numbers as the server wrote them: no digit of an id may change.

use serde_json::{Number, Value};

/// More than any id has.
const MAX_DIGITS: usize = 64;

/// A number if every JSON parser reads it exactly, otherwise a string of its digits. `8289.0` and
/// `8.289e3` are the integer 8289.
pub(super) fn as_written(number: &str) -> Value {
    if let Ok(integer) = number.parse::<i64>() {
        return integer.into();
    }
    if let Some(digits) = integer_digits(number) {
        return digits.parse::<i64>().map_or(Value::String(digits), Value::from);
    }
    let float = number.parse().ok().and_then(Number::from_f64);
    match float.filter(|float| float.to_string() == number) {
        Some(float) => Value::Number(float),
        None => Value::String(number.to_owned()),
    }
}

/// The digits of an integer in any notation; `None`: it has a fraction, or too many digits.
fn integer_digits(number: &str) -> Option<String> {
    let (sign, number) = match number.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", number),
    };
    let (digits, exponent) = match number.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let after = after.trim_end_matches('0');
    let zeros = usize::try_from(exponent.checked_sub(i32::try_from(after.len()).ok()?)?);
    let digits = match zeros {
        Ok(0) => format!("{before}{after}"),
        Ok(zeros) if zeros <= MAX_DIGITS => format!("{before}{after}{}", "0".repeat(zeros)),
        Ok(_) => return None,
        // `82890e-1`
        Err(_) if after.is_empty() => {
            let shift = usize::try_from(exponent.unsigned_abs()).ok()?;
            let (kept, shifted) = before.split_at(before.len().checked_sub(shift)?);
            shifted.bytes().all(|b| b == b'0').then(|| kept.to_owned())?
        }
        Err(_) => return None,
    };
    match digits.trim_start_matches('0') {
        "" => Some("0".to_owned()),
        digits => Some(format!("{sign}{digits}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_id_keeps_its_digits() {
        for (written, value) in [
            ("8289", json!(8289)),
            ("-8289", json!(-8289)),
            ("8289.0", json!(8289)),
            ("8289.000", json!(8289)),
            ("8.289e3", json!(8289)),
            ("8.289E+3", json!(8289)),
            ("82890e-1", json!(8289)),
            ("0", json!(0)),
            ("-0", json!(0)),
            ("0.0", json!(0)),
            ("9007199254740993", json!(9_007_199_254_740_993_i64)),
            ("9007199254740993.0", json!(9_007_199_254_740_993_i64)),
            ("9223372036854775807", json!(i64::MAX)),
            ("9223372036854775808", json!("9223372036854775808")),
            ("18446744073709551615", json!("18446744073709551615")),
            ("12345678901234567890123", json!("12345678901234567890123")),
            ("12345678901234567890123.0", json!("12345678901234567890123")),
            ("-12345678901234567890123", json!("-12345678901234567890123")),
            ("1e3", json!(1000)),
            ("1e400", json!("1e400")),
            ("1e99999999999", json!("1e99999999999")),
            ("0e99999999999", json!("0e99999999999")),
            ("1e-2147483648", json!("1e-2147483648")),
            ("8289.5", json!(8289.5)),
            ("8289.50", json!("8289.50")),
            ("0.12345678901234567890123", json!("0.12345678901234567890123")),
        ] {
            assert_eq!(as_written(written), value, "{written}");
        }
    }
}
