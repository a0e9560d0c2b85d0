//! `status` in colour on a terminal, and only there.

use crate::support::{Outbox, Reply, Server, skipped};
use serde_json::json;
use std::io::Read;
use std::process::{Command, Stdio};

/// A command on its own terminal, with these variables.
fn terminal(outbox: &Outbox, arguments: &str, variables: &[(&str, &str)]) -> Command {
    let program = env!("CARGO_BIN_EXE_acquire-outbox");
    let line = format!("stty cols 100 rows 40; exec {program} {arguments} 2>/dev/null");
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(outbox.folder()).stdin(Stdio::null());
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        script.env_remove(name);
    }
    script.env("ACQUIRE_OUTBOX_CONFIG", outbox.config_file()).env("TERM", "xterm");
    script.envs(variables.iter().copied());
    script
}

/// What it prints; `None` where that cannot be tried.
fn on_a_terminal(outbox: &Outbox, arguments: &str, variables: &[(&str, &str)]) -> Option<String> {
    match terminal(outbox, arguments, variables).output() {
        Ok(ran) => Some(String::from_utf8_lossy(&ran.stdout).into_owned()),
        Err(_) => {
            skipped("script is not installed");
            None
        }
    }
}

/// The colour of attention: nobody dispatches, and nothing waits for it.
const YELLOW: &str = "\u{1b}[33m";
const RED: &str = "\u{1b}[31m";

fn with_a_failed_job() -> (Server, Outbox) {
    let error = json!({"error": "ERROR_INVALID_INPUT", "message": "no such case"});
    let server = Server::answering(move |_| Reply::json(400, error.clone()));
    let outbox = Outbox::new(&server);
    outbox.chat(1, "hi");
    outbox.run_until_empty();
    (server, outbox)
}

#[test]
fn on_a_terminal_the_verdict_and_what_failed_are_in_colour() {
    let (_server, outbox) = with_a_failed_job();
    let Some(shown) = on_a_terminal(&outbox, "status", &[]) else { return };
    assert_coloured(&shown);
    // Nobody dispatches; a zero is not in colour.
    assert!(!shown.contains("\u{1b}[1m0\u{1b}"), "{shown:?}");
}

#[test]
fn a_watch_on_a_terminal_is_in_colour() {
    let (_server, outbox) = with_a_failed_job();
    let Ok(mut script) =
        terminal(&outbox, "status --watch 0.1", &[]).stdout(Stdio::piped()).spawn()
    else {
        return skipped("script is not installed");
    };
    let mut screen = script.stdout.take().expect("piped");
    let mut shown = Vec::new();
    let mut chunk = [0; 4096];
    // The second time it overwrites the first.
    while String::from_utf8_lossy(&shown).matches("per minute").count() < 2 {
        let count = screen.read(&mut chunk).expect("it goes on");
        assert!(count > 0, "it ended: {}", String::from_utf8_lossy(&shown));
        shown.extend_from_slice(&chunk[..count]);
    }
    // Its terminal goes with it.
    script.kill().expect("it runs");
    script.wait().expect("it ends");
    assert_coloured(&String::from_utf8_lossy(&shown));
}

#[track_caller]
fn assert_coloured(shown: &str) {
    assert!(shown.contains(&format!("{YELLOW}\u{1b}[1mattention\u{1b}[0m")), "{shown:?}");
    assert!(shown.contains(&format!("{RED}\u{1b}[1m1\u{1b}[0m")), "{shown:?}");
}

#[test]
fn without_a_terminal_or_where_colours_are_refused_there_are_none() {
    let (_server, outbox) = with_a_failed_job();
    let piped = outbox.run(&["status"]).expect(0).stdout;
    assert!(piped.starts_with("attention\n") && !piped.contains('\u{1b}'), "{piped:?}");
    for refusal in [("NO_COLOR", "1"), ("CLICOLOR", "0"), ("TERM", "dumb")] {
        let Some(shown) = on_a_terminal(&outbox, "status", &[refusal]) else { return };
        assert!(
            shown.contains("attention") && !shown.contains(RED) && !shown.contains(YELLOW),
            "{refusal:?}: {shown:?}"
        );
    }
}
