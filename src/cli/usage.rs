//! Wrong usage: clap's errors, without repeating a message's text that is not where it belongs.

use super::Cli;
use clap::Parser;
use clap::error::{ContextKind, ContextValue};
use std::ffi::OsString;

/// Parses the command line.
///
/// # Errors
/// clap's, for help and for wrong usage. An argument that is not a flag may be a message whose flag
/// or quotes were forgotten, so it is not repeated.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments).map_err(|mut error| {
        if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg)
            && !word.starts_with(['-', '<', '['])
        {
            let hidden = ContextValue::String("[an argument that belongs to no flag]".to_owned());
            error.insert(ContextKind::InvalidArg, hidden);
            // clap would suggest to put it after `--`.
            error.remove(ContextKind::Suggested);
        }
        error
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(arguments: &[&str]) -> String {
        let all = std::iter::once("acquire-outbox").chain(arguments.iter().copied());
        parse(all.map(OsString::from)).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_message_without_its_flag_is_not_repeated() {
        let said = said(&["send", "chat", "--case-id", "1", "the patient is Ada"]);
        assert!(said.contains("unexpected argument") && !said.contains("Ada"), "{said}");
    }

    #[test]
    fn a_misspelt_flag_is_named_with_the_nearest_one() {
        let said = said(&["send", "chat", "--mesage", "Ada"]);
        assert!(said.contains("--mesage") && said.contains("--message"), "{said}");
    }

    proptest! {
        /// Whatever is typed: no panic, and no error repeats the message.
        #[test]
        fn no_command_line_panics_or_repeats_a_message(
            words in prop::collection::vec(
                prop_oneof![
                    Just("send".to_owned()), Just("chat".to_owned()), Just("mail".to_owned()),
                    Just("sms".to_owned()), Just("list".to_owned()), Just("--case-id".to_owned()),
                    Just("--message".to_owned()), Just("--body".to_owned()), Just("--wait".to_owned()),
                    Just("--to=a@b".to_owned()), Just("--limit".to_owned()), Just("7".to_owned()),
                    Just("xyzzy plugh".to_owned()), "\\PC{0,12}",
                ],
                0..8,
            ),
        ) {
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            // The error about a number quotes it; a message is not a number.
            let as_number = words.windows(2).any(|w| {
                ["--case-id", "--limit"].contains(&w[0]) && w[1] == "xyzzy plugh"
            });
            let as_command = words.iter().take_while(|w| **w != "chat" && **w != "mail" && **w != "sms")
                .any(|w| *w == "xyzzy plugh");
            let said = said(&words);
            prop_assert!(as_number || as_command || !said.contains("xyzzy"), "{said}");
        }
    }
}
