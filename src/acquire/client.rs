//! One exchange with Acquire: the request, its answer, and what went wrong between them.

use super::answer::{self, Answer, End, LIMIT_BYTES};
use super::causes::{cause, chain, in_tls, is_garbage, tunnel};
use super::clients::{Clients, Recipe};
use super::error::cap;
use super::gate::{Before, Gate};
use super::patience::{Exhausted, Patience};
use super::receipt::{self, Steps};
use super::redact::Redactor;
use super::{chat, mail, request, shortage, sms};
use crate::config::Proxy;
use crate::queue::job::{Channel, Millis};
use crate::queue::outcome::{Attempt, Fault, Outcome, Receipt};
use crate::queue::payload::{Payload, UserType};
use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Body, Response};
use rustls::pki_types::CertificateDer;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use url::Url;

/// How to reach an account.
pub struct Connection<'a> {
    /// `https://{account_id}.acquire.io/api/v1`
    pub base_url: &'a Url,
    pub api_key: &'a SecretString,
    /// The name of the query parameter that says who sends: `x-user-type`.
    pub user_type_parameter: &'a str,
    /// Trusted beside the system's certificates; checks cannot be turned off.
    pub extra_roots: &'a [CertificateDer<'static>],
    /// From the first step to the last byte of the answer.
    pub request_timeout: Duration,
    /// DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// On the way there.
    pub proxy: Option<&'a Proxy>,
    /// A message of unknown outcome is not sent again, so idle connections are used with more care.
    pub at_most_once: bool,
    /// How many idle connections are kept.
    pub idle_connections: usize,
}

/// Why there can be no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("base_url must be an http or https address with a host, without user or password")]
    BaseUrl,
    #[error("the API key has characters that no HTTP header can carry")]
    Key,
    #[error("no TLS provider is installed in this process")]
    NoTlsProvider,
    #[error("the HTTP client cannot be set up: {0}")]
    Client(#[source] reqwest::Error),
}

/// Where one account's messages of one channel go. It shares its account's connections.
pub struct Endpoint {
    channel: Channel,
    url: Url,
    /// With the user type in its query.
    user_urls: [(UserType, Url); 2],
    probe_url: Url,
    request_timeout: Duration,
    key: SecretString,
    proxy: Option<Proxy>,
    clients: Arc<Clients>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// What a question that sends nothing found out about the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// Acquire answered and took the key.
    Ok,
    /// 401 or a redirect.
    AccountRefused(Fault),
    /// No whole answer came.
    Unreachable(Fault),
    /// Any other answer: Acquire is down, or it is not Acquire that answers.
    Unexpected(Fault),
}

impl Endpoint {
    /// Needs a rustls provider, installed as the process's default.
    pub fn new(channel: Channel, connection: &Connection<'_>) -> Result<Self, EndpointError> {
        Endpoint::beside(&[], channel, connection)
    }

    /// Shares the connections of the first of `others` that is reached in the same way.
    pub fn beside(
        others: &[Arc<Endpoint>],
        channel: Channel,
        connection: &Connection<'_>,
    ) -> Result<Self, EndpointError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(EndpointError::NoTlsProvider);
        }
        let base = connection.base_url;
        let plain = base.scheme() == "http";
        let anonymous = base.username().is_empty() && base.password().is_none();
        if !(plain || base.scheme() == "https") || base.host().is_none() || !anonymous {
            return Err(EndpointError::BaseUrl);
        }
        let mut probe_url = join(base, "/crm/objects/case");
        probe_url.query_pairs_mut().append_pair("where", "id|eq|0");

        let recipe = Recipe {
            headers: headers(connection.api_key)?,
            connect_timeout: connection.connect_timeout,
            roots: connection.extra_roots.to_vec(),
            plain,
            proxy: connection.proxy.map(|proxy| proxy.url().clone()),
            at_most_once: connection.at_most_once,
            idle_connections: connection.idle_connections,
        };
        let clients = match others.iter().find(|other| other.clients.is_by(&recipe)) {
            Some(other) => Arc::clone(&other.clients),
            None => Arc::new(
                Clients::new(recipe).map_err(|error| EndpointError::Client(error.without_url()))?,
            ),
        };
        let url = join(base, request::path(channel));
        let user_urls = [UserType::User, UserType::Contact].map(|user_type| {
            let mut url = url.clone();
            url.query_pairs_mut().append_pair(connection.user_type_parameter, user_type.as_str());
            (user_type, url)
        });
        Ok(Endpoint {
            channel,
            url,
            user_urls,
            probe_url,
            request_timeout: connection.request_timeout,
            key: connection.api_key.clone(),
            proxy: connection.proxy.cloned(),
            clients,
        })
    }

    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// Sends one message. `gate` is this attempt's own. Shut from outside before the request's
    /// first byte left, the message is withdrawn. Once this future ended or was dropped, what
    /// `gate.passed()` says is final.
    pub async fn send(&self, payload: &Payload, gate: &Gate, started_at: Millis) -> Attempt {
        let _shut_at_the_end = gate.shut_on_drop();
        let clock = Instant::now();
        let (outcome, http_status) = self.exchange(payload, gate).await;
        Attempt { outcome, http_status, started_at, duration: clock.elapsed() }
    }

    /// Asks for a case that is not there, with the key: sends no message.
    pub async fn probe(&self) -> Probe {
        let mut patience = Patience::new(self.request_timeout);
        let asked = patience.wait(self.clients.get().get(self.probe_url.clone()).send()).await;
        let mut response = match asked {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Probe::Unreachable(self.not_reached(error)),
            Err(Exhausted) => return Probe::Unreachable(self.no_connection_in_time()),
        };
        let status = response.status().as_u16();
        let (body, end) = self.read(&mut response, &mut patience).await;
        let answer = Answer { status, headers: response.headers(), body: &body, end };
        match answer::judge(chat::step, answer, || self.redactor(&[]), SystemTime::now()) {
            Outcome::Accepted { .. } => Probe::Ok,
            Outcome::AccountRefused { fault } => Probe::AccountRefused(fault),
            Outcome::Unknown { fault }
                if matches!(fault.code.as_str(), "timeout" | "connection_lost") =>
            {
                Probe::Unreachable(fault)
            }
            Outcome::Rejected { fault, .. }
            | Outcome::NotAcquires { fault, .. }
            | Outcome::Unavailable { fault, .. }
            | Outcome::Unknown { fault }
            | Outcome::NotWritten { fault }
            | Outcome::Shortage { fault, .. }
            | Outcome::Invalid { fault } => Probe::Unexpected(fault),
            Outcome::Withdrawn => Probe::Unexpected(Fault::new("withdrawn", "withdrawn")),
        }
    }

    async fn exchange(&self, payload: &Payload, gate: &Gate) -> (Outcome, Option<u16>) {
        if payload.channel() != self.channel {
            let sentence =
                format!("a {} payload on the channel {}", payload.channel(), self.channel);
            return (Outcome::Invalid { fault: Fault::new("invalid_payload", sentence) }, None);
        }
        if self.clients.at_most_once() {
            // Connections that the server has closed are noticed before one is chosen.
            tokio::task::yield_now().await;
        }
        let body = gate.body(request::body(payload));
        let mut patience = Patience::new(self.request_timeout);
        let request = self.clients.get().post(self.url_for(payload)).body(Body::wrap(body));
        let mut response = match patience.wait(request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return (self.unanswered(Some(error), gate), None),
            Err(Exhausted) => return (self.unanswered(None, gate), None),
        };
        let status = response.status().as_u16();
        let (body, end) = self.read(&mut response, &mut patience).await;
        self.clients.heard(response.headers());
        let answer = Answer { status, headers: response.headers(), body: &body, end };
        let redactor = || self.redactor(&payload.texts());
        let mut outcome = answer::judge(steps(self.channel), answer, redactor, SystemTime::now());
        if let Outcome::Accepted { receipt, .. } | Outcome::Rejected { receipt, .. } = &mut outcome
        {
            self.keep_key_out(receipt);
        }
        (outcome, Some(status))
    }

    /// A server that hands back the key as an id does not get it into the database.
    fn keep_key_out(&self, receipt: &mut Receipt) {
        let key = self.key.expose_secret();
        let has_key = |text: &str| text.contains(key);
        receipt.fields.retain(|_, value| !value.as_str().is_some_and(has_key));
        receipt.message_id.take_if(|id| has_key(id));
    }

    fn url_for(&self, payload: &Payload) -> Url {
        let query = request::query(payload);
        let of = |user_type| self.user_urls.iter().find(|(known, _)| *known == user_type);
        let mut url = query.user_type.and_then(of).map_or(&self.url, |(_, url)| url).clone();
        if let Some(contact_id) = query.contact_id {
            url.query_pairs_mut().append_pair("contactId", &contact_id.to_string());
        }
        url
    }

    fn redactor(&self, texts: &[&str]) -> Redactor {
        Redactor::new(self.key.expose_secret(), texts)
    }

    /// Stops at the limit, which drops the connection: its rest is never read.
    async fn read(&self, response: &mut Response, patience: &mut Patience) -> (Bytes, End) {
        // A short answer comes in one piece, which is taken as it is.
        let (mut first, mut all) = (Bytes::new(), Vec::new());
        let end = loop {
            match patience.wait(response.chunk()).await {
                Ok(Ok(Some(mut chunk))) => {
                    let room = LIMIT_BYTES - first.len().max(all.len());
                    let too_long = chunk.len() > room;
                    chunk.truncate(room);
                    if first.is_empty() {
                        first = chunk;
                    } else {
                        if all.is_empty() {
                            all.extend_from_slice(&first);
                        }
                        all.extend_from_slice(&chunk);
                    }
                    if too_long {
                        break End::TooLong;
                    }
                }
                Ok(Ok(None)) => break End::Whole,
                Ok(Err(error)) => break End::Lost(self.lost(error)),
                Err(Exhausted) => break End::Lost(self.no_answer_in_time()),
            }
        };
        (if all.is_empty() { first } else { all.into() }, end)
    }

    /// No answer came, by this error or in time: the gate tells whether the request may have left.
    fn unanswered(&self, error: Option<reqwest::Error>, gate: &Gate) -> Outcome {
        match (gate.close(), error) {
            (Before::Passed, Some(error)) => Outcome::Unknown { fault: self.lost(error) },
            (Before::Passed, None) => Outcome::Unknown { fault: self.no_answer_in_time() },
            (Before::Open, Some(error)) => {
                match shortage::cause_of(chain(&error), error.is_dns()) {
                    Some(scarce) => scarce.outcome(),
                    None => Outcome::NotWritten { fault: self.not_reached(error) },
                }
            }
            (Before::Open, None) => Outcome::NotWritten { fault: self.no_connection_in_time() },
            (Before::Shut, _) => Outcome::Withdrawn,
        }
    }

    fn no_connection_in_time(&self) -> Fault {
        let sentence = format!("no connection to {} within its time", self.there());
        Fault::new("timeout", cap(self.redactor(&[]).line(&sentence)))
    }

    fn no_answer_in_time(&self) -> Fault {
        let limit = humantime::format_duration(self.request_timeout);
        Fault::new("timeout", format!("no whole answer came within {limit}"))
    }

    /// The host, and the proxy on the way to it.
    fn there(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match &self.proxy {
            Some(proxy) => format!("{host} through the proxy {proxy}"),
            None => host.to_owned(),
        }
    }

    fn not_reached(&self, error: reqwest::Error) -> Fault {
        let (cause, there) = (cause(&error), self.there());
        let (code, sentence) = match &self.proxy {
            Some(proxy) if let Some(fault) = tunnel(&error) => {
                ("proxy", format!("the proxy {proxy} {fault}"))
            }
            _ if in_tls(&error) => {
                ("tls", format!("the TLS handshake with {there} failed: {cause}"))
            }
            _ if error.is_dns() => ("dns", format!("no address was found for {there}: {cause}")),
            _ if error.is_timeout() => return self.no_connection_in_time(),
            _ => ("connect", format!("no connection to {there}: {cause}")),
        };
        Fault::new(code, cap(self.redactor(&[]).line(&sentence)))
    }

    fn lost(&self, error: reqwest::Error) -> Fault {
        if error.is_timeout() {
            return self.no_answer_in_time();
        }
        let cause = cause(&error);
        let (code, sentence) = if is_garbage(&error) {
            ("response_unreadable", format!("the answer is not HTTP: {cause}"))
        } else {
            let through = self.proxy.as_ref().map(|proxy| format!(" through the proxy {proxy}"));
            let through = through.unwrap_or_default();
            (
                "connection_lost",
                format!("the connection{through} was lost before the whole answer: {cause}"),
            )
        };
        Fault::new(code, cap(self.redactor(&[]).line(&sentence)))
    }
}

fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    url
}

fn headers(key: &SecretString) -> Result<HeaderMap, EndpointError> {
    let mut authorization = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
        .map_err(|_| EndpointError::Key)?;
    authorization.set_sensitive(true);
    let json = HeaderValue::from_static("application/json");
    Ok(HeaderMap::from_iter([
        (header::AUTHORIZATION, authorization),
        (header::ACCEPT, json.clone()),
        (header::CONTENT_TYPE, json),
    ]))
}

fn steps(channel: Channel) -> Steps {
    match channel {
        Channel::Chat => chat::step,
        Channel::Mail => mail::step,
        Channel::Sms => sms::step,
    }
}

/// What a whole answer means, as [`Endpoint::send`] has it, without a wire: for properties and
/// fuzzing. `key` and `texts` are kept out of the outcome's words.
pub fn outcome_of(
    channel: Channel,
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
    (key, texts): (&str, &[&str]),
) -> Outcome {
    let cut = body.len() > LIMIT_BYTES;
    let (body, end) = if cut { (&body[..LIMIT_BYTES], End::TooLong) } else { (body, End::Whole) };
    let value = retry_after.and_then(|value| HeaderValue::from_str(value).ok());
    let headers = value.map(|value| (header::RETRY_AFTER, value)).into_iter().collect();
    let answer = Answer { status, headers: &headers, body, end };
    answer::judge(steps(channel), answer, || Redactor::new(key, texts), SystemTime::now())
}

/// How many fields of a whole 2xx answer are kept; `None`: it is not JSON. For benchmarks.
pub fn read_ids(channel: Channel, body: &[u8]) -> Option<usize> {
    let reading = receipt::read(steps(channel), body, false)?;
    Some(reading.into_receipt().fields.len())
}
