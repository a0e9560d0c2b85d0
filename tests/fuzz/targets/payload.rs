//! Any text as a payload: an error names a field and never repeats a value.

#![no_main]

use acquire_outbox::queue::job::Channel;
use acquire_outbox::queue::payload;
use libfuzzer_sys::fuzz_target;

/// What a producer wrote into every field; no error may say it.
const WORDS: &str = "xyzzy-plugh";

fuzz_target!(|text: &str| {
    for channel in Channel::ALL {
        match payload::parse(channel, text) {
            Ok(payload) => drop(payload.texts().len()),
            Err(error) if text.matches(WORDS).count() > 0 => {
                let said = error.to_string();
                // A field's own name is said: it is no value.
                let is_name = text.contains(&format!("\"{WORDS}"));
                assert!(is_name || !said.contains(WORDS), "{said}");
            }
            Err(_) => {}
        }
    }
});
