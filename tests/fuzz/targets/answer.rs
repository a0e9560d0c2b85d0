//! Any answer: an outcome, without the key and the message's text in its words.

#![no_main]

use acquire_outbox::acquire::outcome_of;
use acquire_outbox::queue::job::Channel;
use acquire_outbox::queue::outcome::Outcome;
use libfuzzer_sys::fuzz_target;

const KEY: &str = "k-0123456789";
const TEXT: &str = "Your order has shipped";

fuzz_target!(|input: (u16, Option<&str>, &[u8])| {
    let (status, retry_after, body) = input;
    for channel in Channel::ALL {
        let outcome = outcome_of(channel, status, retry_after, body, (KEY, &[TEXT]));
        let (Outcome::Rejected { fault, .. }
        | Outcome::Unavailable { fault, .. }
        | Outcome::AccountRefused { fault }
        | Outcome::NotAcquires { fault, .. }
        | Outcome::Unknown { fault }) = outcome
        else {
            continue;
        };
        for said in [&fault.code, &fault.message] {
            assert!(!said.contains(KEY) && !said.contains(TEXT), "{said}");
            assert!(!said.contains(char::is_control) && said.len() < 4096, "{said:?}");
        }
    }
});
