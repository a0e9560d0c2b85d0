//! A real browser: Debian's chromium, through its own driver.

use crate::support::{SOON, found, skipped};
use axum::http::Method;
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use url::{ParseError, Url};

const FLAGS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-device-scale-factor=1",
    "--window-size=1280,900",
    "--hide-scrollbars",
];

/// A browser with nothing in it; it ends with its test.
pub struct Browser {
    runtime: Runtime,
    client: Option<Client>,
    driver: Child,
    _profile: TempDir,
    base: String,
    /// Clicks and choices so far.
    clicks: Cell<u32>,
}

impl Browser {
    /// On the dashboard at this address; `None`, and a line that says so, without a driver.
    pub fn on(address: &str) -> Option<Browser> {
        Browser::with_preferences(address, json!({}))
    }

    pub fn without_scripts(address: &str) -> Option<Browser> {
        let refused = json!({"profile.managed_default_content_settings.javascript": 2});
        Browser::with_preferences(address, refused)
    }

    fn with_preferences(address: &str, preferences: Value) -> Option<Browser> {
        let started = Command::new("chromedriver")
            .args(["--port=0"])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut driver) = started else {
            skipped("there is no chromedriver (Debian: chromium-driver)");
            return None;
        };
        let port = port_of(&mut driver);
        let profile = TempDir::new().expect("a temporary folder");
        let mut flags = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.path().display()));
        let capabilities = json!({
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags, "prefs": preferences},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let capabilities: Capabilities = serde_json::from_value(capabilities).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(
            ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities)
                .connect(&format!("http://127.0.0.1:{port}")),
        );
        let client = Some(client.expect("chromium starts"));
        let base = format!("http://{address}");
        Some(Browser { runtime, client, driver, _profile: profile, base, clicks: Cell::new(0) })
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("open until the drop")
    }

    pub fn goto(&self, path: &str) {
        let done = self.runtime.block_on(self.client().goto(&format!("{}{path}", self.base)));
        done.unwrap_or_else(|e| panic!("{path}: {e}"));
    }

    /// Path and query of the page.
    pub fn path(&self) -> String {
        let url = self.runtime.block_on(self.client().current_url()).expect("a page");
        url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    pub fn source(&self) -> String {
        self.runtime.block_on(self.client().source()).expect("a page")
    }

    #[track_caller]
    fn element(&self, css: &str) -> Element {
        found(SOON, css, || self.try_element(css).ok())
    }

    fn try_element(&self, css: &str) -> Result<Element, CmdError> {
        self.runtime.block_on(self.client().find(Locator::Css(css)))
    }

    /// Clicks it as soon as it is there; one that a refresh exchanges just then is looked for again.
    #[track_caller]
    pub fn click(&self, css: &str) {
        found(SOON, &format!("a click on {css}"), || {
            let element = self.try_element(css).ok()?;
            self.runtime.block_on(element.click()).ok()
        });
        self.clicks.set(self.clicks.get() + 1);
    }

    /// Clicks the first of these elements that has exactly this text.
    #[track_caller]
    pub fn click_text(&self, css: &str, text: &str) {
        let number = self.run(&format!(
            "return [...document.querySelectorAll({css:?})].findIndex((one) => one.textContent.trim() === {text:?});"
        ));
        let number = number.as_u64().unwrap_or_else(|| panic!("no {text:?} in {css}"));
        self.run(&format!(
            "document.querySelectorAll({css:?})[{number}].setAttribute('data-to-click', '');"
        ));
        self.click("[data-to-click]");
    }

    /// Chooses an entry of a list by its text.
    #[track_caller]
    pub fn choose(&self, css: &str, text: &str) {
        let element = self.element(css);
        self.runtime.block_on(element.select_by_label(text)).expect("it has such an entry");
        self.clicks.set(self.clicks.get() + 1);
    }

    /// How many clicks, and choices from lists, there were since this was asked last.
    pub fn clicks_since_last(&self) -> u32 {
        self.clicks.replace(0)
    }

    #[track_caller]
    pub fn type_into(&self, css: &str, text: &str) {
        let element = self.element(css);
        self.runtime.block_on(element.send_keys(text)).expect("it takes text");
    }

    /// Keys to whatever has the focus. While a page is replaced, what has it may take none yet.
    #[track_caller]
    pub fn keys(&self, keys: &str) {
        found(SOON, "something with the focus that takes keys", || {
            let active = self.runtime.block_on(self.client().active_element()).ok()?;
            self.runtime.block_on(active.send_keys(keys)).ok()
        });
    }

    #[track_caller]
    pub fn wait_for_text(&self, css: &str, words: &str) {
        let mut last = String::new();
        let end = std::time::Instant::now() + SOON;
        while std::time::Instant::now() < end {
            if let Ok(element) = self.try_element(css) {
                last = self.runtime.block_on(element.text()).unwrap_or_default();
                if last.contains(words) {
                    return;
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("no {words:?} in {css}: {last:?}");
    }

    pub fn is_shown(&self, css: &str) -> bool {
        let shown =
            |element: Element| self.runtime.block_on(element.is_displayed()).unwrap_or(false);
        self.try_element(css).is_ok_and(shown)
    }

    /// Runs a script's function body in the page.
    #[track_caller]
    pub fn run(&self, script: &str) -> Value {
        self.runtime.block_on(self.client().execute(script, vec![])).expect("the script runs")
    }

    /// Runs a script that calls `done` with its result.
    #[track_caller]
    pub fn run_async(&self, script: &str) -> Value {
        let script = format!("const done = arguments[arguments.length - 1]; {script}");
        self.runtime.block_on(self.client().execute_async(&script, vec![])).expect("it is done")
    }

    /// A command of the browser's own protocol.
    pub fn devtools(&self, command: &'static str, parameters: Value) {
        let body = json!({"cmd": command, "params": parameters});
        let to = ToDriver { path: "goog/cdp/execute", body };
        self.runtime.block_on(self.client().issue_cmd(to)).expect(command);
    }

    pub fn size(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
    }

    pub fn prefers(&self, scheme: &str) {
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features);
    }

    /// What the browser complained about: blocked scripts and styles, errors of ours.
    pub fn complaints(&self) -> Vec<String> {
        let to = ToDriver { path: "se/log", body: json!({"type": "browser"}) };
        let log = self.runtime.block_on(self.client().issue_cmd(to)).expect("a log");
        let entries = log.as_array().cloned().unwrap_or_default();
        let severe = entries.into_iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    pub fn screenshot(&self) -> Vec<u8> {
        self.runtime.block_on(self.client().screenshot()).expect("a picture")
    }

    /// Logs in with the form.
    #[track_caller]
    pub fn log_in(&self, token: &str) {
        self.goto("/");
        assert!(self.path().starts_with("/login"), "{}", self.path());
        self.type_into("#token", token);
        self.click("form button");
        self.wait_for_text(".logout", "Log out");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            let _ = self.runtime.block_on(client.close());
        }
        let group = i32::try_from(self.driver.id()).expect("a pid");
        // SAFETY: kill takes no pointers; the group is our own child's, not yet waited for.
        unsafe { libc::kill(-group, libc::SIGKILL) };
        let _ = self.driver.wait();
    }
}

/// The driver says it on its first lines.
fn port_of(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    // It must not find its pipe closed.
    std::thread::spawn(move || lines.for_each(drop));
    port.expect("chromedriver says its port")
}

/// A command that WebDriver itself does not know.
#[derive(Debug)]
struct ToDriver {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for ToDriver {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.body.to_string()))
    }
}
