//! What a status alone says about a message: whether it was passed on, and to whom.
//!
//! Sources: RFC 9110 and 6585; Cloudflare's and AWS's lists of their load balancers' statuses;
//! nginx's `ngx_http_request.h`. Where they leave it open, the outcome is unknown.

/// What a status means for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StatusClass {
    /// 2xx: the body says whether the message was accepted.
    Success,
    /// The account is refused or misconfigured; no message gets through.
    AccountRefused,
    /// The message was not delivered; another attempt may succeed.
    Unavailable,
    /// From a gateway that may have passed the request on.
    Unknown,
    /// Any other 4xx: Acquire rejects the message, provided that the answer is from Acquire.
    ClientError,
    /// Not an HTTP status.
    Invalid,
}

impl StatusClass {
    pub(super) fn of(status: u16) -> StatusClass {
        match status {
            200..=299 => StatusClass::Success,
            // 407: a proxy requires credentials.
            300..=399 | 401 | 407 => StatusClass::AccountRefused,
            408 | 425 | 429 => StatusClass::Unavailable,
            // AWS: too many addresses, or the wrong protocol. nginx: headers too large, a missing or
            // invalid client certificate, plain HTTP on a TLS port. None of them is passed on.
            463 | 464 | 494..=497 => StatusClass::Unavailable,
            // nginx closed without an answer; or AWS's or nginx's client, here another gateway,
            // closed the connection.
            444 | 460 | 499 => StatusClass::Unknown,
            400..=499 => StatusClass::ClientError,
            502 | 504 => StatusClass::Unknown,
            // Cloudflare: an unexpected answer, connection timeout, answer timeout, a Railgun error,
            // any of its 1xxx errors. Some proxies: a read or connect timeout.
            520 | 522 | 524 | 527 | 530 | 598 | 599 => StatusClass::Unknown,
            // Among these are some that are certainly not passed on: 521, 523, 525, 526 (Cloudflare
            // could not connect), 509 and 529 (overload), 511 and 561 (authentication required).
            500..=599 => StatusClass::Unavailable,
            _ => StatusClass::Invalid,
        }
    }
}

/// Whether only gateways use this status, so that the text is not Acquire's.
pub(super) fn is_from_gateway(status: u16) -> bool {
    matches!(status, 407 | 444 | 460 | 463 | 464 | 494..=497 | 499 | 502 | 504 | 511 | 520..=527)
        || matches!(status, 530 | 561 | 598 | 599)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_the_class_that_the_contract_gives_it() {
        for status in 0..=999 {
            let expected = match status {
                200..=299 => StatusClass::Success,
                401 | 407 | 300..=399 => StatusClass::AccountRefused,
                408 | 425 | 429 | 463 | 464 | 494 | 495 | 496 | 497 => StatusClass::Unavailable,
                444 | 460 | 499 => StatusClass::Unknown,
                400..=499 => StatusClass::ClientError,
                502 | 504 | 520 | 522 | 524 | 527 | 530 | 598 | 599 => StatusClass::Unknown,
                500..=599 => StatusClass::Unavailable,
                _ => StatusClass::Invalid,
            };
            assert_eq!(StatusClass::of(status), expected, "{status}");
        }
    }
}
