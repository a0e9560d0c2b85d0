//! One request to Acquire and its answer, or what went wrong.

use super::account_client::{AccountClient, ClientSettings};
use super::awake_time_limit::{AwakeTimeLimit, TimedOut};
use super::classify::{BodyEnd, LIMIT_BYTES, RawAnswer, classify};
use super::client_error::{Destination, error_chain};
use super::id_filler::IdFiller;
use super::receipt::{self, FieldMap};
use super::redact::Redactor;
use super::write_gate::{GateBefore, WriteGate};
use super::{chat_request, local_shortage, mail_request, request, sms_request};
use crate::config::Proxy;
use crate::queue::job::{Channel, Millis};
use crate::queue::outcome::{AttemptResult, Fault, Outcome, Receipt};
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

/// How to reach an account at Acquire.
pub struct Connection<'a> {
    /// `https://{account_id}.acquire.io/api/v1`
    pub base_url: &'a Url,
    pub api_key: &'a SecretString,
    /// The name of the query parameter for the sender's type: `x-user-type`.
    pub user_type_parameter: &'a str,
    /// Trusted in addition to the system's certificates; verification cannot be turned off.
    pub extra_roots: &'a [CertificateDer<'static>],
    /// From the start of the connection to the last byte of the answer.
    pub request_timeout: Duration,
    /// For DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    pub proxy: Option<&'a Proxy>,
    /// A message of unknown outcome is not sent again, so connections are reused more carefully.
    pub at_most_once: bool,
    /// The most idle connections to keep.
    pub idle_connections: usize,
}

/// Why an endpoint cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("base_url must be an http or https URL with a host, without a user name and password")]
    BaseUrl,
    #[error("the API key contains characters that are not allowed in an HTTP header")]
    Key,
    #[error("no TLS provider is installed in this process")]
    NoTlsProvider,
    #[error("the HTTP client cannot be set up: {0}")]
    Client(#[source] reqwest::Error),
}

/// Sends one account's messages of one channel. An account's endpoints share their connections.
pub struct Endpoint {
    channel: Channel,
    url: Url,
    /// With the user type in the query.
    user_urls: [(UserType, Url); 2],
    pub(super) base: Url,
    pub(super) destination: Destination,
    pub(super) client: Arc<AccountClient>,
    /// Where payloads may leave ids out.
    filler: Option<Arc<IdFiller>>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Requires that the process has installed a default rustls provider.
    pub fn new(channel: Channel, connection: &Connection<'_>) -> Result<Self, EndpointError> {
        Endpoint::sharing(&[], channel, connection)
    }

    /// Shares the connections of the first of `others` that has the same settings.
    pub fn sharing(
        others: &[Arc<Endpoint>],
        channel: Channel,
        connection: &Connection<'_>,
    ) -> Result<Self, EndpointError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(EndpointError::NoTlsProvider);
        }
        let base = connection.base_url;
        let plain_http = base.scheme() == "http";
        let no_userinfo = base.username().is_empty() && base.password().is_none();
        if !(plain_http || base.scheme() == "https") || base.host().is_none() || !no_userinfo {
            return Err(EndpointError::BaseUrl);
        }
        let settings = ClientSettings {
            headers: headers(connection.api_key)?,
            connect_timeout: connection.connect_timeout,
            roots: connection.extra_roots.to_vec(),
            plain_http,
            proxy: connection.proxy.map(|proxy| proxy.url().clone()),
            at_most_once: connection.at_most_once,
            idle_connections: connection.idle_connections,
        };
        let client = match others.iter().find(|other| other.client.has_settings(&settings)) {
            Some(other) => Arc::clone(&other.client),
            None => Arc::new(
                AccountClient::new(settings)
                    .map_err(|error| EndpointError::Client(error.without_url()))?,
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
            base: base.clone(),
            destination: Destination {
                host: base.host_str().unwrap_or_default().to_owned(),
                proxy: connection.proxy.cloned(),
                key: connection.api_key.clone(),
                request_timeout: connection.request_timeout,
            },
            client,
            filler: None,
        })
    }

    /// With `fill_missing`: fills ids that payloads leave out.
    #[must_use]
    pub fn filling(self, filler: Arc<IdFiller>) -> Self {
        Endpoint { filler: Some(filler), ..self }
    }

    /// The payload as it is to be sent, with the ids that it leaves out, if they are to be filled.
    ///
    /// # Errors
    /// How the attempt ends if they cannot be; no request was made.
    pub async fn fill(&self, payload: Vec<u8>) -> Result<Vec<u8>, Outcome> {
        match &self.filler {
            Some(filler) => filler.fill(self.channel, payload).await,
            None => Ok(payload),
        }
    }

    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// Sends one message. `gate` is new for each attempt; whoever shuts it before the request is
    /// written withdraws the message. `gate.passed()` is final once this future has ended or been
    /// dropped.
    pub async fn send(
        &self,
        payload: &Payload,
        gate: &WriteGate,
        started_at: Millis,
    ) -> AttemptResult {
        let _shut_on_drop = gate.shut_on_drop();
        let clock = Instant::now();
        let (outcome, http_status) = self.exchange(payload, gate).await;
        AttemptResult { outcome, http_status, started_at, duration: clock.elapsed() }
    }

    async fn exchange(&self, payload: &Payload, gate: &WriteGate) -> (Outcome, Option<u16>) {
        if payload.channel() != self.channel {
            let sentence =
                format!("a {} payload on the channel {}", payload.channel(), self.channel);
            return (Outcome::Invalid { fault: Fault::new("invalid_payload", sentence) }, None);
        }
        if self.client.at_most_once() {
            // Lets the pool notice connections that the server has closed, before one is chosen.
            tokio::task::yield_now().await;
        }
        let body = gate.body(request::body(payload));
        let mut limit = AwakeTimeLimit::new(self.destination.request_timeout);
        let request = self.client.get().post(self.url_for(payload)).body(Body::wrap(body));
        let mut response = match limit.wait_for(request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return (self.unanswered(Some(error), gate), None),
            Err(TimedOut) => return (self.unanswered(None, gate), None),
        };
        let status = response.status().as_u16();
        let (body, end) = self.read(&mut response, &mut limit).await;
        self.client.follow_keep_alive(response.headers());
        let answer = RawAnswer { status, headers: response.headers(), body: &body, end };
        let redactor = || self.redactor(&payload.texts());
        let mut outcome = classify(field_map(self.channel), answer, redactor, SystemTime::now());
        if let Outcome::Accepted { receipt, .. } | Outcome::Rejected { receipt, .. } = &mut outcome
        {
            self.remove_key(receipt);
        }
        (outcome, Some(status))
    }

    /// A server may return the key as an id; it must not get into the database.
    fn remove_key(&self, receipt: &mut Receipt) {
        let key = self.destination.key.expose_secret();
        let has_key = |text: &str| text.contains(key);
        receipt.fields.retain(|_, value| !value.as_str().is_some_and(has_key));
        receipt.message_id.take_if(|id| has_key(id));
    }

    fn url_for(&self, payload: &Payload) -> Url {
        let query = request::query(payload);
        let url_of = |user_type| self.user_urls.iter().find(|(known, _)| *known == user_type);
        let mut url = query.user_type.and_then(url_of).map_or(&self.url, |(_, url)| url).clone();
        if let Some(contact_id) = query.contact_id {
            url.query_pairs_mut().append_pair("contactId", &contact_id.to_string());
        }
        url
    }

    pub(super) fn redactor(&self, texts: &[&str]) -> Redactor {
        Redactor::new(self.destination.key.expose_secret(), texts)
    }

    /// Stops at `LIMIT_BYTES`; the connection is then dropped with the rest unread.
    pub(super) async fn read(
        &self,
        response: &mut Response,
        limit: &mut AwakeTimeLimit,
    ) -> (Bytes, BodyEnd) {
        // A short answer is one chunk, which is used without a copy.
        let (mut first, mut all) = (Bytes::new(), Vec::new());
        let end = loop {
            match limit.wait_for(response.chunk()).await {
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
                        break BodyEnd::TooLong;
                    }
                }
                Ok(Ok(None)) => break BodyEnd::Complete,
                Ok(Err(error)) => break BodyEnd::Lost(self.destination.lost(error)),
                Err(TimedOut) => break BodyEnd::Lost(self.destination.answer_timeout()),
            }
        };
        (if all.is_empty() { first } else { all.into() }, end)
    }

    /// No answer, because of `error` or a timeout. The gate decides whether the request may have left.
    fn unanswered(&self, error: Option<reqwest::Error>, gate: &WriteGate) -> Outcome {
        match (gate.close(), error) {
            (GateBefore::Passed, Some(error)) => {
                Outcome::Unknown { fault: self.destination.lost(error) }
            }
            (GateBefore::Passed, None) => {
                Outcome::Unknown { fault: self.destination.answer_timeout() }
            }
            (GateBefore::Open, Some(error)) => {
                match local_shortage::missing_resource(error_chain(&error), error.is_dns()) {
                    Some(resource) => resource.outcome(),
                    None => Outcome::NotWritten { fault: self.destination.not_connected(error) },
                }
            }
            (GateBefore::Open, None) => {
                Outcome::NotWritten { fault: self.destination.connect_timeout() }
            }
            (GateBefore::Shut, _) => Outcome::Withdrawn,
        }
    }
}

pub(super) fn join(base: &Url, path: &str) -> Url {
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

fn field_map(channel: Channel) -> FieldMap {
    match channel {
        Channel::Chat => chat_request::field_action,
        Channel::Mail => mail_request::field_action,
        Channel::Sms => sms_request::field_action,
    }
}

/// What a complete answer means, without a network: for property tests and fuzzing. `key` and `texts`
/// are redacted in the outcome's sentences.
pub fn outcome_of(
    channel: Channel,
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
    (key, texts): (&str, &[&str]),
) -> Outcome {
    let cut = body.len() > LIMIT_BYTES;
    let (body, end) =
        if cut { (&body[..LIMIT_BYTES], BodyEnd::TooLong) } else { (body, BodyEnd::Complete) };
    let value = retry_after.and_then(|value| HeaderValue::from_str(value).ok());
    let headers = value.map(|value| (header::RETRY_AFTER, value)).into_iter().collect();
    let answer = RawAnswer { status, headers: &headers, body, end };
    classify(field_map(channel), answer, || Redactor::new(key, texts), SystemTime::now())
}

/// How many fields of a complete 2xx answer are kept; `None`: it is not JSON. For benchmarks.
pub fn read_ids(channel: Channel, body: &[u8]) -> Option<usize> {
    let fields = receipt::read(field_map(channel), body, false)?;
    Some(fields.into_receipt().fields.len())
}
