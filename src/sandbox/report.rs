//! One line per request on stdout.

use crate::queue::job::Channel;
use crate::spool::{self, Spool, TextOutlet};

/// When too many lines wait for a slow reader, further ones are left out: it must not stop the
/// sandbox.
pub(super) type Report = Spool<String>;

/// Starts the report on stdout.
pub(super) fn start() -> std::io::Result<Report> {
    Spool::start("sandbox-report", TextOutlet(spool::unlocked(&std::io::stdout())?))
}

/// `chat #8289 case 2069 -> 200`: ids and what was answered, never the text.
pub(super) fn line(
    channel: Channel,
    id: Option<i64>,
    case: Option<i64>,
    answered: impl std::fmt::Display,
) -> String {
    let mut line = channel.to_string();
    if let Some(id) = id {
        line += &format!(" #{id}");
    }
    if let Some(case) = case {
        line += &format!(" case {case}");
    }
    format!("{line} -> {answered}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_ids_and_the_answer() {
        assert_eq!(line(Channel::Chat, Some(8289), Some(2069), 200), "chat #8289 case 2069 -> 200");
        assert_eq!(line(Channel::Sms, None, Some(9), 503), "sms case 9 -> 503");
        assert_eq!(line(Channel::Mail, None, None, "dropped"), "mail -> dropped");
    }
}
