//! Calls an address that is not Acquire's, with the same TLS and the same care: a notification.

use super::account_client::{AccountClient, ClientSettings};
use super::client_error::error_chain;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

const CONNECT: Duration = Duration::from_secs(5);
/// From the start of the connection to the head of the answer.
const ANSWER: Duration = Duration::from_secs(15);

/// A client for one address, which redirects lead nowhere else.
pub struct Webhook {
    client: AccountClient,
    url: Url,
}

impl Webhook {
    /// `None`: the process has no TLS provider, or the system's certificates cannot be read.
    pub fn new(url: Url) -> Option<Webhook> {
        let settings = ClientSettings {
            headers: HeaderMap::new(),
            connect_timeout: CONNECT,
            roots: Vec::new(),
            plain_http: url.scheme() == "http",
            proxy: None,
            at_most_once: false,
            idle_connections: 0,
        };
        Some(Webhook { client: AccountClient::new(settings).ok()?, url })
    }

    /// Posts JSON with these header fields.
    ///
    /// # Errors
    /// What went wrong, without the address.
    pub async fn post(
        &self,
        body: String,
        headers: &[(&'static str, String)],
    ) -> Result<(), String> {
        let mut request = self.client.get().post(self.url.clone());
        request = request.header(CONTENT_TYPE, "application/json").body(body);
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|e| e.to_string())?;
            request = request.header(HeaderName::from_static(name), value);
        }
        let sent = timeout(ANSWER, request.send()).await;
        let answer = sent.map_err(|_| format!("no answer within {} s", ANSWER.as_secs()))?;
        match answer.map_err(|e| causes(&e.without_url()))?.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answered with the status {}", status.as_u16())),
        }
    }
}

fn causes(error: &reqwest::Error) -> String {
    error_chain(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
