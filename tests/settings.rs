//! The reference of settings is what the parser takes: its keys, its defaults and the ends of its ranges.

use crate::support::{Finished, KEY, Program};
use acquire_outbox::config::settings::{Setting, VARIABLES, settings};
use acquire_outbox::config::{self, Config, Flags};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::TempDir;

/// In the order of the reference: values at the ends of the range, and values just outside.
const RANGES: &[(&str, &[&str], &[&str])] = &[
    ("database", &["\"a.db\""], &["\":memory:\"", "\"mysql://x\"", "\"\"", "7"]),
    ("shutdown_timeout", &["\"0s\"", "\"1h\""], &["\"61m\"", "30"]),
    ("max_in_flight_bytes", &["\"1MiB\"", "\"1TiB\""], &["\"1023KiB\"", "\"2TiB\""]),
    ("account_id", &["\"other\""], &["\"acme.io\"", "\"a/b\""]),
    ("base_url", &["\"http://127.0.0.1:8787/api/v1\""], &["\"http://example.com/\"", "\"x\""]),
    ("user_type_parameter", &["\"-x-user-type\""], &["\"a b\""]),
    ("max_in_flight", &["1", "1000"], &["0", "1001", "\"8\""]),
    ("rate", &["\"1/s\"", "\"1000000/h\""], &["\"0/s\"", "\"1000001/s\"", "\"1/d\""]),
    ("request_timeout", &["\"1ms\"", "\"1h\""], &["\"0s\"", "\"61m\"", "30"]),
    ("connect_timeout", &["\"1ms\"", "\"1h\""], &["\"0s\"", "\"61m\"", "30"]),
    ("on_uncertain", &["\"hold\"", "\"verify\""], &["\"never\""]),
    ("uncertain_retries", &["0", "1000"], &["-1", "1001"]),
    ("verify_after", &["[\"1ms\"]", "[\"1day\"]"], &["[]", "[\"0s\"]", "[\"25h\"]"]),
    ("follow_up", &["\"1ms\"", "\"1h\"", "\"30days\"", "\"never\""], &["\"0s\"", "\"31days\""]),
    ("fill_missing", &["true"], &["1"]),
    ("scrub", &["\"0s\"", "\"7d\"", "\"100years\""], &["\"forever\"", "\"101years\""]),
    ("initial", &["\"1ms\""], &["\"0s\"", "\"16m\""]),
    ("multiplier", &["1", "10.0"], &["0.9", "10.1"]),
    ("max", &["\"1s\"", "\"1year\""], &["\"2years\"", "\"500ms\""]),
    ("jitter", &["0", "1.0"], &["-0.1", "1.1"]),
    ("max_attempts", &["1", "4294967295"], &["0", "4294967296"]),
    ("give_up_after", &["\"1ms\"", "\"100years\""], &["\"0s\"", "\"101years\""]),
    ("sent", &["\"0s\"", "\"forever\"", "\"100years\""], &["\"never\"", "\"101years\""]),
    ("failed", &["\"1d\""], &["\"never\""]),
    ("cancelled", &["\"1d\""], &["\"never\""]),
    ("listen", &["\"127.0.0.1:0\"", "\"[::1]:9464\""], &["\"localhost:9464\"", "9464"]),
    (
        "inbox_url",
        &["\"https://x/{case}\"", "\"https://{host}/{contact}/{case}\""],
        &["\"https://x\"", "\"x/{case}\"", "\"https://{case}\"", "\"https://x/{case}/{id}\""],
    ),
    ("hosts", &["[]"], &["[\"https://x\"]", "\"x\""]),
    ("command", &["[\"/bin/true\", \"now\"]"], &["[]", "[\"\"]", "\"x\""]),
    ("url", &["\"https://hooks.example.com/a?b=c\""], &["\"http://example.com/\"", "\"x\""]),
];

/// A folder with a key.
struct Files(TempDir);

impl Files {
    fn new() -> Files {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("key"), KEY).unwrap();
        fs::set_permissions(folder.path().join("key"), fs::Permissions::from_mode(0o600)).unwrap();
        Files(folder)
    }

    /// An account, and this line in its section.
    fn load(&self, setting: Option<(&Setting, &str)>) -> Result<Config, String> {
        let line = |section: &str| match setting {
            Some((setting, value)) if setting.section == section => {
                format!("{} = {value}\n", setting.key)
            }
            _ => String::new(),
        };
        let is = |key: &str| setting.is_some_and(|(setting, _)| setting.key == key);
        let id = if is("account_id") { "" } else { "account_id = \"acme\"\n" };
        let mut text = line("") + "[accounts.default]\n" + id + "api_key_file = \"key\"\n";
        text += &line("accounts.NAME");
        for (section, name) in [
            ("channels.CHANNEL", "channels.sms"),
            ("retry", "retry"),
            ("retention", "retention"),
            ("web", "web"),
            ("notify", "notify"),
        ] {
            text += &format!("[{name}]\n{}", line(section));
        }
        let file = self.0.path().join("outbox.toml");
        fs::write(&file, text).unwrap();
        let flags = Flags { config: Some(file), ..Flags::default() };
        config::load(&flags, &|_| None).map_err(|e| e.to_string())
    }
}

#[test]
fn the_reference_has_the_keys_that_the_parser_knows() {
    let folder = TempDir::new().unwrap();
    let mut sections: Vec<&str> = Vec::new();
    for setting in settings() {
        if !sections.contains(&setting.section) {
            sections.push(setting.section);
        }
    }
    for section in sections {
        let name = section.replace("NAME", "default").replace("CHANNEL", "sms");
        let head = if name.is_empty() { String::new() } else { format!("[{name}]\n") };
        let file = folder.path().join("outbox.toml");
        fs::write(&file, format!("{head}zzzzzzzzzzzz = 1\n")).unwrap();
        let flags = Flags { config: Some(file), ..Flags::default() };
        let refused = config::load(&flags, &|_| None).unwrap_err().to_string();
        let known = refused.rsplit_once("the keys here: ").unwrap_or_else(|| panic!("{refused}")).1;
        let known: BTreeSet<&str> = known.split(", ").collect();
        // Sections below this one have their own lines.
        let below = ["accounts", "channels", "retry", "retention", "web", "notify"];
        let known: BTreeSet<&str> = known.into_iter().filter(|key| !below.contains(key)).collect();
        let all = settings();
        let here = all.iter().filter(|setting| setting.section == section);
        let listed: BTreeSet<&str> = here.map(|setting| setting.key).collect();
        assert_eq!(listed, known, "in [{name}]: src/config/settings.txt against the parser");
    }
}

#[test]
fn the_defaults_in_the_reference_are_the_parsers() {
    let files = Files::new();
    let bare = format!("{:?}", files.load(None).unwrap());
    for setting in settings().iter().filter(|setting| !setting.default.is_empty()) {
        // A file's paths start at its folder; a schema is only for PostgreSQL, whose tests have it.
        if ["database", "schema"].contains(&setting.key) {
            continue;
        }
        let written = files.load(Some((setting, setting.default)));
        let written = written.unwrap_or_else(|e| panic!("{setting:?}: {e}"));
        assert_eq!(format!("{written:?}"), bare, "{setting:?}");
    }
}

#[test]
fn the_ranges_in_the_reference_are_the_parsers() {
    let (files, all) = (Files::new(), settings());
    for (key, accepted, refused) in RANGES {
        let setting =
            all.iter().find(|setting| setting.key == *key).expect("it is in the reference");
        for value in *accepted {
            let loaded = files.load(Some((setting, value)));
            assert!(loaded.is_ok(), "{key} = {value}: {loaded:?}");
        }
        for value in *refused {
            let error = files.load(Some((setting, value))).expect_err(&format!("{key} = {value}"));
            assert!(error.contains(key), "{key} = {value}: {error}");
        }
    }
    for setting in all.iter().filter(|setting| !["text", "path"].contains(&setting.kind)) {
        let tried = RANGES.iter().any(|(key, ..)| *key == setting.key);
        assert!(tried, "the range of {} is not tried", setting.key);
    }
}

#[test]
fn every_environment_variable_of_the_program_is_in_the_reference() {
    let mut read = BTreeSet::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut read);
    let listed: BTreeSet<String> = VARIABLES
        .iter()
        .flat_map(|(names, _)| names.split(", "))
        .filter(|name| name.starts_with("ACQUIRE_"))
        .map(str::to_owned)
        .collect();
    assert_eq!(read, listed, "the names in src, and in src/config/settings.rs");
}

/// The names of our variables in quotes, outside of tests.
fn sources(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, names);
        } else if entry.extension().is_some_and(|end| end == "rs")
            && !entry.ends_with("settings.rs")
        {
            let text = fs::read_to_string(&entry).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let quoted = code.split('"').filter(|part| part.starts_with("ACQUIRE_"));
            let is_name = |part: &&str| part.chars().all(|c| c.is_ascii_uppercase() || c == '_');
            names.extend(quoted.filter(is_name).map(str::to_owned));
        }
    }
}

#[test]
fn the_page_and_the_manual_have_every_setting() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = TempDir::new().unwrap();
    let run = |arguments: &[&str]| -> Finished {
        Program::in_folder(folder.path()).run(arguments).expect(0)
    };
    let page = fs::read_to_string(root.join("docs/settings.md")).unwrap();
    let fresh = run(&["settings", "--markdown"]).stdout;
    assert!(page == fresh, "docs/settings.md is not the program's: run packaging/generate");
    let manual = fs::read_to_string(root.join("packaging/man/acquire-outbox.toml.5")).unwrap();
    let manual = manual.replace("\\-", "-");
    let listed = run(&["settings"]).stdout;
    for setting in settings() {
        let name = [setting.section, setting.key].join(".");
        let name = name.trim_start_matches('.');
        assert!(page.contains(&format!("| `{}` |", setting.key)), "{name}");
        assert!(manual.contains(&format!("\\fB{name}\\fR")), "{name}");
        assert!(listed.contains(name), "{name}");
    }
    for entry in
        fs::read_dir(root.join("packaging/man")).unwrap().map(|entry| entry.unwrap().path())
    {
        let page = fs::read_to_string(&entry).unwrap();
        for heading in ["ENVIRONMENT", "FILES", "EXIT STATUS"] {
            assert!(
                page.contains(&format!(".SH \"{heading}\"")),
                "{heading} in {}",
                entry.display()
            );
        }
    }
}
