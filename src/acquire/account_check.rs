//! One GET with the account's key, and the check of the account that it makes possible.

use super::awake_time_limit::{AwakeTimeLimit, TimedOut};
use super::chat_request;
use super::classify::{BodyEnd, RawAnswer, classify};
use super::client::{Endpoint, join};
use crate::queue::job::Millis;
use crate::queue::outcome::{Fault, Outcome};
use crate::queue::when::now;
use bytes::Bytes;
use reqwest::header::HeaderMap;
use std::time::SystemTime;
use url::Url;

/// What [`Endpoint::check_account`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountCheck {
    /// Acquire accepted the key, even if the key may not read cases.
    Accepted,
    /// 401 or a redirect.
    AccountRefused(Fault),
    /// There was no complete answer.
    Unreachable(Fault),
    /// Any other answer: Acquire is down, or the server is not Acquire.
    Unexpected(Fault),
}

/// The answer to a GET, as far as it was read.
pub(super) struct GetAnswer {
    pub status: u16,
    pub headers: HeaderMap,
    /// At most `LIMIT_BYTES`.
    pub body: Bytes,
    pub end: BodyEnd,
    /// When the request began and when the answer's head was read, by this machine's clock.
    pub asked: Millis,
    pub answered: Millis,
}

impl Endpoint {
    /// Asks for a case that does not exist, with the account's key; sends no message.
    pub async fn check_account(&self) -> AccountCheck {
        let mut url = join(&self.base, "/crm/objects/case");
        url.query_pairs_mut().append_pair("where", "id|eq|0");
        let GetAnswer { status, headers, body, end, .. } = match self.get(url).await {
            Ok(answer) => answer,
            Err(fault) => return AccountCheck::Unreachable(fault),
        };
        let answer = RawAnswer { status, headers: &headers, body: &body, end };
        let map = chat_request::field_action;
        match classify(map, answer, || self.redactor(&[]), SystemTime::now()) {
            Outcome::Accepted { .. } => AccountCheck::Accepted,
            // A key that may not read can still send.
            Outcome::Rejected { fault, .. } if fault.code == "ERROR_UNAUTHORIZED_ACCESS" => {
                AccountCheck::Accepted
            }
            Outcome::AccountRefused { fault } => AccountCheck::AccountRefused(fault),
            Outcome::Unknown { fault }
                if matches!(fault.code.as_str(), "timeout" | "connection_lost") =>
            {
                AccountCheck::Unreachable(fault)
            }
            Outcome::Rejected { fault, .. }
            | Outcome::NotAcquires { fault, .. }
            | Outcome::Unavailable { fault, .. }
            | Outcome::Unknown { fault }
            | Outcome::NotWritten { fault }
            | Outcome::NotFilled { fault }
            | Outcome::Shortage { fault, .. }
            | Outcome::Invalid { fault } => AccountCheck::Unexpected(fault),
            Outcome::Withdrawn => AccountCheck::Unexpected(Fault::new("withdrawn", "withdrawn")),
        }
    }

    /// Asks and reads the answer; the fault is that there was none.
    pub(super) async fn get(&self, url: Url) -> Result<GetAnswer, Fault> {
        let mut limit = AwakeTimeLimit::new(self.destination.request_timeout);
        let asked = now();
        let mut response = match limit.wait_for(self.client.get().get(url).send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.destination.not_connected(error)),
            Err(TimedOut) => return Err(self.destination.connect_timeout()),
        };
        let answered = now();
        let (body, end) = self.read(&mut response, &mut limit).await;
        self.client.follow_keep_alive(response.headers());
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(GetAnswer { status, headers, body, end, asked, answered })
    }
}
