//! What this machine has run out of, if that is why a request could not be begun.

use crate::queue::outcome::{Fault, Outcome, Scarce};
use rustix::io::Errno;
use std::any::Any;
use std::error::Error as StdError;
use std::fs::File;
use std::io;

/// How many descriptors a name lookup may need at once: its files and its sockets.
const LOOKUP_DESCRIPTORS: usize = 4;

impl Scarce {
    /// By the operating system's error.
    fn of(error: &io::Error) -> Option<Scarce> {
        match Errno::from_io_error(error)? {
            Errno::MFILE | Errno::NFILE => Some(Scarce::Descriptors),
            Errno::NOMEM | Errno::NOBUFS => Some(Scarce::Memory),
            Errno::ADDRNOTAVAIL => Some(Scarce::Ports),
            _ => None,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Scarce::Descriptors => {
                "this process has no file descriptors left for another connection; raise its limit \
                 (LimitNOFILE= in the unit, `ulimit -n` in a shell)"
            }
            Scarce::Memory => "this machine has no memory left for another connection",
            Scarce::Threads => {
                "this process cannot start a thread to look up a name; raise its task limit \
                 (TasksMax= in the unit, `ulimit -u` in a shell)"
            }
            Scarce::Ports => {
                "this machine has no free local port for another connection to this address"
            }
        }
    }

    pub(super) fn outcome(self) -> Outcome {
        let fault = Fault::new(self.code(), self.sentence());
        Outcome::Shortage { fault, scarce: self }
    }
}

/// What was missing when no connection could be made. `in_lookup`: it failed during a name lookup,
/// whose errors do not say what was missing.
pub(super) fn cause_of<'a>(
    mut chain: impl Iterator<Item = &'a (dyn StdError + 'static)>,
    in_lookup: bool,
) -> Option<Scarce> {
    let known = chain.find_map(|error| {
        let error = error.downcast_ref::<io::Error>()?;
        let by_name = || error.to_string().contains("Memory allocation failure");
        Scarce::of(error).or_else(|| (in_lookup && by_name()).then_some(Scarce::Memory))
    });
    known.or_else(|| (in_lookup && no_descriptors_left()).then_some(Scarce::Descriptors))
}

/// The runtime panics when it has no thread for a lookup and cannot start one.
pub fn of_panic(panic: &(dyn Any + Send)) -> Option<Outcome> {
    let words = panic.downcast_ref::<String>()?;
    words.starts_with("OS can't spawn worker thread").then(|| Scarce::Threads.outcome())
}

fn no_descriptors_left() -> bool {
    let opened: io::Result<Vec<File>> =
        (0..LOOKUP_DESCRIPTORS).map(|_| File::open("/dev/null")).collect();
    opened.is_err_and(|error| Scarce::of(&error) == Some(Scarce::Descriptors))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(error: io::Error, in_lookup: bool) -> Option<Scarce> {
        let error: &(dyn StdError + 'static) = &error;
        cause_of(std::iter::once(error), in_lookup)
    }

    #[test]
    fn an_error_of_the_machine_is_told_from_one_of_the_network() {
        for (errno, scarce) in [
            (Errno::MFILE, Some(Scarce::Descriptors)),
            (Errno::NFILE, Some(Scarce::Descriptors)),
            (Errno::NOMEM, Some(Scarce::Memory)),
            (Errno::NOBUFS, Some(Scarce::Memory)),
            (Errno::ADDRNOTAVAIL, Some(Scarce::Ports)),
            (Errno::CONNREFUSED, None),
            (Errno::NETUNREACH, None),
            (Errno::TIMEDOUT, None),
        ] {
            assert_eq!(cause(errno.into(), false), scarce, "{errno}");
        }
        let lookup = "failed to lookup address information: Memory allocation failure";
        assert_eq!(cause(io::Error::other(lookup), true), Some(Scarce::Memory));
        assert_eq!(cause(io::Error::other("Name or service not known"), true), None);
    }

    #[test]
    fn only_the_panic_for_want_of_a_thread_is_a_shortage() {
        let panic = |words: &str| -> Box<dyn Any + Send> { Box::new(words.to_owned()) };
        let threads = of_panic(&*panic("OS can't spawn worker thread: Resource unavailable"));
        assert!(matches!(threads, Some(Outcome::Shortage { scarce: Scarce::Threads, .. })));
        assert_eq!(of_panic(&*panic("index out of bounds")), None);
    }
}
