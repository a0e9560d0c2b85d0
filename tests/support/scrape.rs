//! The daemon's own pages for machines: health, and metrics read into numbers.

use super::{Daemon, SOON, found};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

/// An answer of the daemon's own.
#[derive(Debug, Clone)]
pub struct Page {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Page {
    /// `None`: nothing listens there.
    #[track_caller]
    pub fn of(address: &str, path: &str, head: &str) -> Option<Page> {
        let mut connection = TcpStream::connect(address).ok()?;
        connection.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{head}Connection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("an answer in UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("a status in {head}"));
        Some(Page { status, head: head.to_lowercase(), body: body.to_owned() })
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// What `/metrics` said.
#[derive(Debug, Clone)]
pub struct Scrape(pub String);

impl Scrape {
    /// The value of a series, its labels in any order: `series("a_total{b=\"c\"}")`.
    pub fn value(&self, series: &str) -> Option<f64> {
        let wanted = parts(series);
        let lines = self.0.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.rsplit_once(' ').expect("a series and its value")).find_map(
            |(series, value)| (parts(series) == wanted).then(|| value.parse().expect("a number")),
        )
    }

    #[track_caller]
    pub fn number(&self, series: &str) -> f64 {
        self.value(series).unwrap_or_else(|| panic!("no {series} in:\n{}", self.0))
    }

    /// The names of all samples.
    pub fn names(&self) -> Vec<&str> {
        let lines = self.0.lines().filter(|line| !line.starts_with('#'));
        let mut names: Vec<_> = lines.filter_map(|line| line.split(['{', ' ']).next()).collect();
        names.dedup();
        names
    }
}

/// The name and the labels in order; no label's value of ours has a comma.
fn parts(series: &str) -> (&str, Vec<&str>) {
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let mut labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
    labels.sort_unstable();
    (name, labels)
}

impl Daemon {
    /// Where it listens, once it does: start it with `--listen 127.0.0.1:0`.
    #[track_caller]
    pub fn listens_on(&self) -> String {
        found(SOON, "the dashboard's address in the log", || {
            let log = self.stderr();
            let line = log.lines().find(|line| line.contains("the dashboard is listening"))?;
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            let url = line["url"].as_str().expect("its address");
            Some(url.split('/').nth(2).expect("an address").to_owned())
        })
    }

    #[track_caller]
    pub fn get(&mut self, path: &str) -> Page {
        self.get_with(path, "")
    }

    /// With these lines in the request's head.
    #[track_caller]
    pub fn get_with(&mut self, path: &str, head: &str) -> Page {
        Page::of(&self.listens_on(), path, head).expect("it listens")
    }

    #[track_caller]
    pub fn scrape(&mut self) -> Scrape {
        let page = self.get("/metrics");
        assert_eq!(page.status, 200, "{page:?}");
        Scrape(page.body)
    }
}

/// promtool with the text on its standard input; None, and a line that says so, where there is none.
#[track_caller]
pub fn promtool(arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        super::skipped("there is no promtool (Debian: prometheus)");
        return None;
    };
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let done = child.wait_with_output().expect("it ends");
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(done.status.success(), "promtool {arguments:?}: {said}");
    Some(said)
}
