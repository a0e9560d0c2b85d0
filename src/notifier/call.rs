//! One notification: a command with JSON on its standard input, or JSON posted to an address.

use super::told::{VerdictNews, uncertain};
use crate::acquire::Webhook;
use crate::config::{Database, Notify, NotifyTarget};
use crate::desk::assessment::{Assessment, Concern, Condition};
use crate::queue::when::{iso, now};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// How long a command may run; then it is killed.
const COMMAND: Duration = Duration::from_secs(30);
/// The environment variables that a command gets: never a key.
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR"];
/// At most this many reasons are sent.
const REASONS: usize = 20;
const SIGNATURE: &str = "acquire-outbox-signature";
const TIMESTAMP: &str = "acquire-outbox-timestamp";
/// HMAC's block for SHA-256.
const BLOCK: usize = 64;

/// Whom to call.
pub struct Call {
    target: Target,
    database: String,
}

enum Target {
    Command(Vec<String>),
    Webhook(Box<Webhook>, Option<SecretString>),
}

/// Contains nothing from any message.
#[derive(Serialize)]
struct Body<'a> {
    /// One line for people; chat programs show it.
    text: String,
    event: &'static str,
    verdict: Condition,
    was: Condition,
    reasons: &'a [Concern],
    uncertain: u64,
    database: &'a str,
    at: String,
}

impl Call {
    /// `None`: the HTTP client cannot be set up.
    pub fn of(notify: Notify, database: &Database) -> Option<Call> {
        let target = match notify.target {
            NotifyTarget::Command(command) => Target::Command(command),
            NotifyTarget::Url(url) => Target::Webhook(Box::new(Webhook::new(url)?), notify.secret),
        };
        Some(Call { target, database: database.to_string() })
    }

    /// # Errors
    /// What went wrong, without the address or the command's arguments.
    pub async fn make(&self, seen: &Assessment, news: &VerdictNews) -> Result<(), String> {
        let body = Body {
            text: line(seen),
            event: news.event,
            verdict: seen.condition,
            was: news.was,
            reasons: &seen.concerns[..seen.concerns.len().min(REASONS)],
            uncertain: uncertain(seen),
            database: &self.database,
            at: iso(now()),
        };
        let body = serde_json::to_string(&body).map_err(|e| e.to_string())?;
        match &self.target {
            Target::Command(command) => run(command, body, seen.condition).await,
            Target::Webhook(webhook, secret) => {
                let at = (now() / 1000).to_string();
                let mut headers = Vec::new();
                if let Some(secret) = secret {
                    let signed = hmac(secret.expose_secret().as_bytes(), &format!("{at}.{body}"));
                    headers.push((SIGNATURE, format!("sha256={signed}")));
                }
                headers.push((TIMESTAMP, at));
                webhook.post(body, &headers).await
            }
        }
    }
}

/// `acquire-outbox: attention: sms has been paused for 3m (131 jobs); ...`
fn line(seen: &Assessment) -> String {
    let mut line = format!("acquire-outbox: {}", seen.condition.as_str());
    for (at, concern) in seen.concerns.iter().take(3).enumerate() {
        let _ = write!(line, "{} {}", if at == 0 { ":" } else { ";" }, concern.text);
        if let Some(jobs) = concern.waiting() {
            let _ = write!(line, " ({jobs} {})", if jobs == 1 { "job" } else { "jobs" });
        }
    }
    line
}

async fn run(command: &[String], body: String, condition: Condition) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let mut child = Command::new(program);
    child.args(arguments).env_clear().env("OUTBOX_VERDICT", condition.as_str());
    child.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    child.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = child.spawn().map_err(|e| format!("the command cannot be started: {e}"))?;
    let done = async {
        if let Some(mut input) = child.stdin.take() {
            // A command need not read it.
            let _ = input.write_all(body.as_bytes()).await;
        }
        child.wait().await
    };
    match timeout(COMMAND, done).await {
        Err(_) => Err(format!("the command was killed after {} s", COMMAND.as_secs())),
        Ok(Err(e)) => Err(format!("the command cannot be waited for: {e}")),
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("the command ended with {status}")),
    }
}

/// HMAC-SHA256 in hexadecimal digits.
fn hmac(key: &[u8], message: &str) -> String {
    let mut block = [0_u8; BLOCK];
    match key.len() {
        0..=BLOCK => block[..key.len()].copy_from_slice(key),
        _ => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let padded = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
    outer.iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 2 and 6.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let long = [0xaa; 131];
        let message = "Test Using Larger Than Block-Size Key - Hash Key First";
        for (key, message, digest) in [
            (
                &b"Jefe"[..],
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &long[..],
                message,
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hmac(key, message), digest);
        }
    }
}
