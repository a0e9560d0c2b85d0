//! At 80 columns: the help's texts, and the list of jobs.

use crate::support::{Outbox, Program, Reply, Server, skipped};
use serde_json::json;
use std::process::Command;

/// Every command, with the words that lead to it.
fn commands(program: &Program) -> Vec<Vec<String>> {
    let mut found = vec![vec![]];
    let mut at = 0;
    while at < found.len() {
        let words: Vec<String> = found[at].clone();
        at += 1;
        let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let help = program.run(&arguments).expect(0).stdout;
        let headings = ["Commands:", "Channels:"];
        let listed = help.lines().skip_while(|line| !headings.contains(line)).skip(1);
        for line in listed.take_while(|line| line.starts_with("  ")) {
            let name = line.split_whitespace().next().unwrap();
            // A description that is wrapped is indented further.
            if name != "help" && line.starts_with("  ") && !line.starts_with("   ") {
                found.push([words.clone(), vec![name.to_owned()]].concat());
            }
        }
    }
    found
}

#[test]
fn the_closing_text_of_every_help_fits_and_is_not_wrapped() {
    let program = Program::in_folder(&std::env::temp_dir());
    let commands = commands(&program);
    assert!(commands.len() >= 30, "{commands:?}");
    for words in commands {
        let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let wide = program.clone().env("COLUMNS", "300").run(&arguments).expect(0).stdout;
        let closing = ["Example", "First steps", "It takes"];
        let text = wide.lines().skip_while(|line| !closing.iter().any(|c| line.starts_with(c)));
        let text: Vec<&str> = text.collect();
        assert!(!text.is_empty(), "{words:?} has no examples: {wide}");
        for line in &text {
            assert!(line.chars().count() <= 78, "{words:?}: {line}");
        }
        let narrow = program.clone().env("COLUMNS", "80").run(&arguments).expect(0).stdout;
        assert!(narrow.contains(&text.join("\n")), "{words:?} is wrapped:\n{narrow}");
    }
}

/// A command's standard output on a terminal of 80 columns; `None` where that cannot be tried.
fn on_80_columns(outbox: &Outbox, arguments: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_acquire-outbox");
    let line = format!("stty cols 80 rows 24; {program} {arguments} 2>/dev/null");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(outbox.folder());
    script.env("ACQUIRE_OUTBOX_CONFIG", outbox.config_file()).env("TERM", "xterm");
    match script.output() {
        Ok(ran) => Some(String::from_utf8_lossy(&ran.stdout).replace('\r', "")),
        Err(_) => {
            skipped("script is not installed");
            None
        }
    }
}

#[test]
fn at_80_columns_each_job_of_a_list_is_one_line_and_a_long_error_ends_with_an_ellipsis() {
    let sentence =
        "the message cannot be delivered because its case was closed by an agent yesterday";
    let error = json!({"error": {"type": "ERROR_INVALID_INPUT", "message": sentence}});
    let server = Server::answering(move |_| Reply::json(400, error.clone()));
    let outbox = Outbox::new(&server);
    for case in 1..=3 {
        outbox.chat(case, "hi");
    }
    outbox.run_until_empty();
    let Some(listed) = on_80_columns(&outbox, "list") else { return };
    let lines: Vec<&str> = listed.trim_end().lines().collect();
    assert_eq!(lines.len(), 4, "a header and three jobs:\n{listed}");
    for line in &lines {
        assert!(line.trim_end().chars().count() <= 80, "{line}");
    }
    assert!(
        lines[1].trim_end().ends_with('…') && lines[1].contains("failed: rejected"),
        "{listed}"
    );
}
