//! Help, wrong usage, exit codes: what all commands have in common.

use crate::support::{Outbox, Program, Server};

const COMMANDS: [&[&str]; 23] = [
    &["init"],
    &["run"],
    &["send"],
    &["send", "chat"],
    &["send", "mail"],
    &["send", "sms"],
    &["status"],
    &["list"],
    &["show"],
    &["retry"],
    &["cancel"],
    &["resolve"],
    &["pause"],
    &["resume"],
    &["prune"],
    &["nodes"],
    &["grants"],
    &["move"],
    &["check"],
    &["lookup"],
    &["probe"],
    &["sandbox"],
    &["demo"],
];

#[test]
fn every_command_has_a_help_text_with_its_usage() {
    let program = Program::in_folder(&std::env::temp_dir());
    for command in COMMANDS {
        for help in ["--help", "-h"] {
            let mut arguments = command.to_vec();
            arguments.push(help);
            let finished = program.run(&arguments).expect(0);
            assert!(finished.stdout.contains("Usage: acquire-outbox"), "{finished:?}");
            assert_eq!(finished.stderr, "");
        }
    }
    let all = program.run(&["--help"]).expect(0).stdout;
    for command in COMMANDS {
        assert!(all.contains(command[0]), "{} is missing in:\n{all}", command[0]);
    }
    let version = program.run(&["--version"]).expect(0).stdout;
    assert!(version.starts_with("acquire-outbox ") && version.lines().count() == 1, "{version}");
}

#[test]
fn the_help_of_each_command_shows_an_example() {
    let program = Program::in_folder(&std::env::temp_dir());
    for command in COMMANDS {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let help = program.run(&arguments).expect(0).stdout;
        let as_typed = format!("acquire-outbox {}", command.join(" "));
        let examples = help.lines().filter(|line| !line.contains("Usage:"));
        assert!(examples.filter(|line| line.contains(&as_typed)).count() >= 1, "{help}");
    }
}

#[test]
fn wrong_usage_ends_with_two() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let wrong: [&[&str]; 10] = [
        &[],
        &["frobnicate"],
        &["status", "--jsn"],
        &["show"],
        &["show", "seven"],
        &["send"],
        &["send", "fax"],
        &["list", "--status", "lost"],
        &["list", "--limit", "-3"],
        &["retry"],
    ];
    for arguments in wrong {
        let finished = outbox.run(arguments).expect(2);
        assert_eq!(finished.stdout, "", "{finished:?}");
        assert!(!finished.stderr.is_empty());
    }
    let finished = outbox.run(&["stauts"]).expect(2);
    assert!(finished.stderr.contains("status"), "the nearest command: {finished:?}");
}

#[test]
fn wrong_usage_is_told_in_words() {
    let folder = tempfile::TempDir::new().unwrap();
    let program = Program::in_folder(folder.path());
    let wrong: [(&[&str], &str); 12] = [
        (&["show", "seven"], "must be a whole number"),
        (&["cancel", "99999999999999999999"], "must be a whole number"),
        (&["list", "--limit", "-1"], "-1 is not in 1.."),
        (&["list", "--limit", "0"], "0 is not in 1.."),
        (&["retry", "--status", "sent"], "must be failed or cancelled or uncertain"),
        (&["send", "chat", "--case-id", "x", "--message", "hi"], "must be a whole number"),
        (
            &["send", "mail", "--case-id", "1"],
            "<--json <JSON>|--html-body <HTML>|--text-body <TEXT>>",
        ),
        (&["sandbox", "--listen", "0.0.0.0:0"], "it can only listen on 127.0.0.1 or [::1]"),
        (&["sandbox", "--listen", "here"], "like 127.0.0.1:8787"),
        (&["sandbox", "--latency", "1"], "must be a number and its unit"),
        (&["sandbox", "--error", "500=60%", "--error", "503=60%"], "add up to more than 1"),
        (&["demo", "--database", "mine.db"], "uses neither --config nor --database"),
    ];
    for (arguments, words) in wrong {
        let finished = program.run(arguments).expect(2);
        assert!(finished.stderr.contains(words), "no {words:?} in {finished:?}");
        assert_eq!(finished.stdout, "", "{finished:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = tempfile::TempDir::new().unwrap();
    let deaf = |arguments: &str| {
        let script = format!(
            "{{ '{}' {arguments}; echo $? >&3; }} 3>&2 2>/dev/null | true",
            env!("CARGO_BIN_EXE_acquire-outbox")
        );
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", &script]).current_dir(folder.path()).env_clear();
        String::from_utf8(shell.output().unwrap().stderr).unwrap()
    };
    for command in ["init", "list", "status --json", "demo"] {
        assert_eq!(deaf(command).trim(), "0", "{command}");
    }
}
