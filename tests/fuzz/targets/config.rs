//! Any text as a configuration file: a configuration, or an error that shows no key.

#![no_main]

use acquire_outbox::config::{Flags, load};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const KEY: &str = "sk-live-0123456789";

static FILE: LazyLock<std::path::PathBuf> = LazyLock::new(|| {
    tempfile::Builder::new().prefix("fuzz").tempdir().unwrap().keep().join("outbox.toml")
});

fuzz_target!(|text: &str| {
    std::fs::write(&*FILE, text.replace("KEY", KEY)).unwrap();
    let flags = Flags { config: Some(FILE.clone()), database: None, ..Flags::default() };
    if let Err(error) = load(&flags, &|_| None) {
        let said = format!("{error} {error:?}");
        assert!(!said.contains(KEY), "{said}");
    }
});
