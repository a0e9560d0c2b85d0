//! A phone number or an email address, in the form in which the database has it to be looked for.

/// What a number may be written with; the database leaves it out, too.
const BETWEEN: [char; 8] = ['+', ' ', '-', '(', ')', '.', ',', '/'];

/// The digits of a phone number; `None` if it has anything else in it, or too few.
pub fn phone(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !BETWEEN.contains(c)).collect();
    let is_number = digits.len() >= 5 && digits.chars().all(|c| c.is_ascii_digit());
    is_number.then_some(digits)
}

/// The address of `anne@example.com` or `Anne <anne@example.com>`, in lower case; `None` without an @.
pub fn address(text: &str) -> Option<String> {
    let (_, after) = text.split_once('<').unwrap_or(("", text));
    let address = after.trim_end_matches(['>', ' ']).to_ascii_lowercase();
    address.contains('@').then(|| address.chars().take(320).collect())
}

/// Whichever of the two it is.
pub fn recipient(text: &str) -> Option<String> {
    address(text).or_else(|| phone(text))
}

/// Whether it can only be a phone number: written with a plus, or in groups.
pub fn is_surely_a_phone(text: &str) -> bool {
    phone(text).is_some() && text.contains(BETWEEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_its_digits_however_it_is_written() {
        for text in ["+12513183181", "12513183181", "+1 (251) 318-3181", "1.251.318.3181"] {
            assert_eq!(phone(text).as_deref(), Some("12513183181"), "{text}");
        }
        for text in ["+1", "1234", "order-12513183181", "", "anne@example.com"] {
            assert_eq!(phone(text), None, "{text}");
        }
        assert!(is_surely_a_phone("+12513183181") && is_surely_a_phone("251 318-3181"));
        assert!(!is_surely_a_phone("12513183181") && !is_surely_a_phone("shop-7"));
    }

    #[test]
    fn an_address_is_in_lower_case_and_without_the_name() {
        for text in ["Anne@Example.com", "Anne <anne@example.COM>", "<anne@example.com> "] {
            assert_eq!(recipient(text).as_deref(), Some("anne@example.com"), "{text}");
        }
        assert_eq!(address("anne"), None);
    }
}
