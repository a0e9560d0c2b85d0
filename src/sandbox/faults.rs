//! Random faults, and how their shares are written on the command line.

use super::odd::{self, Odd, OddShare, Shape};
use super::reading_faults::ReadingFaults;
use std::str::FromStr;
use std::time::Duration;

/// Faults of the endpoints. Shares are from 0 to 1 of all requests.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The time before each answer, after the message was accepted.
    pub latency: Duration,
    /// Answered with this status; nothing is accepted.
    pub errors: Vec<ErrorShare>,
    /// Sent with the 429 and 503 of `errors`, in whole seconds, rounded up.
    pub retry_after: Option<Duration>,
    /// Accepted, then never answered.
    pub silent: f64,
    /// Accepted, then the connection is closed without an answer.
    pub lost: f64,
    /// Connections dropped before the request's body is read: not accepted and not logged.
    pub drop: f64,
    /// Valid requests that are answered in an odd way.
    pub odd: Vec<OddShare>,
    /// Of the calls that read back.
    pub reading: ReadingFaults,
}

impl Faults {
    /// Checks that every share is valid, and that shares of the same kind add up to 1 at most.
    pub(super) fn check(&self) -> Result<(), ShareError> {
        check_share(self.silent, "silent")?;
        check_share(self.lost, "lost")?;
        check_share(self.drop, "drop")?;
        self.reading.check()?;
        for error in &self.errors {
            check_status(error.status)?;
            check_share(error.share, &error.status.to_string())?;
        }
        // A little above 1, because ten times 0.1 is not quite 1 in binary.
        let most = 1.0 + 1e-9;
        if self.errors.iter().map(|error| error.share).sum::<f64>() > most {
            return Err(ShareError("the shares of errors add up to more than 1".to_owned()));
        }
        if self.odd.iter().filter_map(|odd| odd.share).sum::<f64>() > most {
            return Err(ShareError("the shares of odd answers add up to more than 1".to_owned()));
        }
        Ok(())
    }

    /// Draws an odd answer for a request, or none.
    pub(super) fn draw_odd(&self) -> Option<&'static Odd> {
        if self.odd.is_empty() { None } else { odd::draw(&self.odd, fastrand::f64()) }
    }

    /// Whether an idle connection is closed after a second.
    pub(super) fn closes_idle(&self) -> bool {
        self.odd.iter().any(|of| matches!(of.odd.shape, Shape::ClosesIdle))
    }

    /// Draws the status of an error for a request, or none.
    pub(super) fn draw_error(&self) -> Option<u16> {
        pick(self.errors.iter().map(|error| (error.status, error.share)), fastrand::f64())
    }

    pub(super) fn draw_silence(&self) -> bool {
        fastrand::f64() < self.silent
    }

    pub(super) fn draw_lost(&self) -> bool {
        fastrand::f64() < self.lost
    }

    pub(super) fn draw_drop(&self) -> bool {
        fastrand::f64() < self.drop
    }
}

/// Picks the item in whose share the number falls, if it falls in any. `drawn` is from 0 to 1.
pub(super) fn pick<T>(shares: impl Iterator<Item = (T, f64)>, drawn: f64) -> Option<T> {
    let mut end = 0.0;
    for (item, share) in shares {
        end += share;
        if drawn < end {
            return Some(item);
        }
    }
    None
}

/// A status and the share of requests that get it: `503=0.1` or `503=10%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorShare {
    /// 300 to 599.
    pub status: u16,
    /// 0 to 1.
    pub share: f64,
}

impl FromStr for ErrorShare {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let (status, share) = text.split_once('=').ok_or_else(|| {
            ShareError(format!("`{text}` is not STATUS=SHARE, such as 503=0.1 or 503=10%"))
        })?;
        let status = status
            .trim()
            .parse()
            .map_err(|_| ShareError(format!("`{}` is not an HTTP status", status.trim())))?;
        check_status(status)?;
        Ok(ErrorShare { status, share: parse_share(share)? })
    }
}

/// Reads a share such as `0.1` or `10%`.
///
/// # Errors
/// [`ShareError`] if it is not a number from 0 to 1.
pub fn parse_share(text: &str) -> Result<f64, ShareError> {
    let text = text.trim();
    let (number, unit) = match text.strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 100.0),
        None => (text, 1.0),
    };
    let share = number
        .parse::<f64>()
        .map_err(|_| ShareError(format!("`{text}` is not a share, such as 0.1 or 10%")))?
        / unit;
    check_share(share, text)?;
    Ok(share)
}

pub(super) fn check_share(share: f64, what: &str) -> Result<(), ShareError> {
    // No range contains NaN.
    if (0.0..=1.0).contains(&share) {
        Ok(())
    } else {
        Err(ShareError(format!("the share of `{what}` must be from 0 to 1 (or 0% to 100%)")))
    }
}

fn check_status(status: u16) -> Result<(), ShareError> {
    if (300..=599).contains(&status) {
        Ok(())
    } else {
        Err(ShareError(format!("status {status} is not an error: it must be from 300 to 599")))
    }
}

/// Why a share is invalid, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ShareError(pub(super) String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_fraction_or_a_percentage() {
        let share = |text: &str| text.parse::<ErrorShare>();
        assert_eq!(share("503=0.1"), Ok(ErrorShare { status: 503, share: 0.1 }));
        assert_eq!(share("503=10%"), Ok(ErrorShare { status: 503, share: 0.1 }));
        assert_eq!(share("401=1"), Ok(ErrorShare { status: 401, share: 1.0 }));
        assert_eq!(share("429 = 100 %"), Ok(ErrorShare { status: 429, share: 1.0 }));
    }

    #[test]
    fn an_invalid_share_is_refused_with_what_to_write() {
        let message = |text: &str| text.parse::<ErrorShare>().unwrap_err().to_string();
        assert_eq!(message("503"), "`503` is not STATUS=SHARE, such as 503=0.1 or 503=10%");
        assert_eq!(message("x=0.1"), "`x` is not an HTTP status");
        assert_eq!(message("200=0.1"), "status 200 is not an error: it must be from 300 to 599");
        assert_eq!(message("503=often"), "`often` is not a share, such as 0.1 or 10%");
        for out in ["503=10", "503=101%", "503=-0.1", "503=NaN", "503=inf"] {
            assert!(message(out).contains("must be from 0 to 1"), "{out}: {}", message(out));
        }
    }

    #[test]
    fn shares_of_errors_add_up_to_one_at_most() {
        let of = |shares: &[f64]| Faults {
            errors: shares.iter().map(|&share| ErrorShare { status: 503, share }).collect(),
            ..Faults::default()
        };
        assert!(of(&[0.1; 10]).check().is_ok());
        assert!(of(&[0.6, 0.6]).check().is_err());
        assert!(Faults { silent: 1.5, ..Faults::default() }.check().is_err());
    }

    #[test]
    fn errors_are_drawn_about_as_often_as_their_share() {
        let faults = Faults {
            errors: vec![
                ErrorShare { status: 503, share: 0.25 },
                ErrorShare { status: 429, share: 0.5 },
            ],
            ..Faults::default()
        };
        let drawn: Vec<_> = (0..10_000).map(|_| faults.draw_error()).collect();
        let share = |status| drawn.iter().filter(|&&drawn| drawn == status).count() as f64 / 1e4;
        // Five standard deviations and more.
        assert!((share(Some(503)) - 0.25).abs() < 0.03);
        assert!((share(Some(429)) - 0.5).abs() < 0.03);
        assert!((share(None) - 0.25).abs() < 0.03);
    }
}
