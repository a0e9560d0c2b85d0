//! What a status alone says about a message: whether it was passed on, and to whom.
//!
//! Sources: RFC 9110 and 6585; Cloudflare's and AWS's lists of their load balancers' statuses;
//! nginx's `ngx_http_request.h`. Where a status leaves it open, the outcome is unknown.

/// What happens to a message whose answer has such a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// 2xx: the body says whether it was accepted.
    Success,
    /// The account is refused or misconfigured; no message gets through.
    Refused,
    /// Whatever answered did not deliver it, and may do so later.
    NotNow,
    /// A gateway that may have passed it on.
    Unknown,
    /// Other 4xx: Acquire refuses the message, if it is Acquire that answers.
    Final,
    /// Not an HTTP status.
    NoStatus,
}

pub(super) fn sort(status: u16) -> Sort {
    match status {
        200..=299 => Sort::Success,
        // 407: a proxy wants credentials.
        300..=399 | 401 | 407 => Sort::Refused,
        408 | 425 | 429 => Sort::NotNow,
        // AWS: too many addresses, another protocol. nginx: a head too large, no or a wrong
        // certificate, plain HTTP on its port for TLS. None is passed on.
        463 | 464 | 494..=497 => Sort::NotNow,
        // nginx: closed without an answer. AWS, nginx: the client, here another gateway, closed the
        // connection.
        444 | 460 | 499 => Sort::Unknown,
        400..=499 => Sort::Final,
        502 | 504 => Sort::Unknown,
        // Cloudflare: an odd answer, no connection in time, no answer in time, Railgun's, and any
        // of its errors 1xxx. Some proxies: reading or connecting took too long.
        520 | 522 | 524 | 527 | 530 | 598 | 599 => Sort::Unknown,
        // With those that were certainly not passed on: 521, 523, 525, 526 (Cloudflare could not
        // connect), 509 and 529 (too much traffic), 511 and 561 (log in to the network first).
        500..=599 => Sort::NotNow,
        _ => Sort::NoStatus,
    }
}

/// Whether only an intermediary uses it, so that the answer's text is not Acquire's.
pub(super) fn is_gateways(status: u16) -> bool {
    matches!(status, 407 | 444 | 460 | 463 | 464 | 494..=497 | 499 | 502 | 504 | 511 | 520..=527)
        || matches!(status, 530 | 561 | 598 | 599)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_sorted_by_the_contract() {
        for status in 0..=999 {
            let expected = match status {
                200..=299 => Sort::Success,
                401 | 407 | 300..=399 => Sort::Refused,
                408 | 425 | 429 | 463 | 464 | 494 | 495 | 496 | 497 => Sort::NotNow,
                444 | 460 | 499 => Sort::Unknown,
                400..=499 => Sort::Final,
                502 | 504 | 520 | 522 | 524 | 527 | 530 | 598 | 599 => Sort::Unknown,
                500..=599 => Sort::NotNow,
                _ => Sort::NoStatus,
            };
            assert_eq!(sort(status), expected, "{status}");
        }
    }
}
