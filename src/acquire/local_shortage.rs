//! Whether a request failed because this machine ran out of something, and of what.

use crate::queue::outcome::{Fault, LocalResource, Outcome};
use rustix::io::Errno;
use std::any::Any;
use std::error::Error as StdError;
use std::fs::File;
use std::io;

/// The descriptors that a name lookup may need at the same time, for its files and sockets.
const LOOKUP_DESCRIPTORS: usize = 4;

impl LocalResource {
    fn of_errno(error: &io::Error) -> Option<LocalResource> {
        match Errno::from_io_error(error)? {
            Errno::MFILE | Errno::NFILE => Some(LocalResource::Descriptors),
            Errno::NOMEM | Errno::NOBUFS => Some(LocalResource::Memory),
            Errno::ADDRNOTAVAIL => Some(LocalResource::Ports),
            _ => None,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            LocalResource::Descriptors => {
                "this process has no file descriptors left for another connection; raise its limit \
                 (LimitNOFILE= in the unit, `ulimit -n` in a shell)"
            }
            LocalResource::Memory => "this machine has no memory left for another connection",
            LocalResource::Threads => {
                "this process cannot start a thread to look up a name; raise its task limit \
                 (TasksMax= in the unit, `ulimit -u` in a shell)"
            }
            LocalResource::Ports => {
                "this machine has no free local port for another connection to this address"
            }
        }
    }

    pub(super) fn outcome(self) -> Outcome {
        let fault = Fault::new(self.code(), self.sentence());
        Outcome::Shortage { fault, resource: self }
    }
}

/// What was missing when no connection could be made. `in_lookup`: the failure was in a name lookup,
/// whose errors do not say what was missing.
pub(super) fn missing_resource<'a>(
    mut chain: impl Iterator<Item = &'a (dyn StdError + 'static)>,
    in_lookup: bool,
) -> Option<LocalResource> {
    let known = chain.find_map(|error| {
        let error = error.downcast_ref::<io::Error>()?;
        let by_text = || error.to_string().contains("Memory allocation failure");
        LocalResource::of_errno(error)
            .or_else(|| (in_lookup && by_text()).then_some(LocalResource::Memory))
    });
    known.or_else(|| (in_lookup && no_descriptors_left()).then_some(LocalResource::Descriptors))
}

/// The runtime panics if it needs a thread for a name lookup and cannot start one.
pub fn outcome_of_panic(panic: &(dyn Any + Send)) -> Option<Outcome> {
    let message = panic.downcast_ref::<String>()?;
    message.starts_with("OS can't spawn worker thread").then(|| LocalResource::Threads.outcome())
}

fn no_descriptors_left() -> bool {
    let opened: io::Result<Vec<File>> =
        (0..LOOKUP_DESCRIPTORS).map(|_| File::open("/dev/null")).collect();
    opened.is_err_and(|error| LocalResource::of_errno(&error) == Some(LocalResource::Descriptors))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(error: io::Error, in_lookup: bool) -> Option<LocalResource> {
        let error: &(dyn StdError + 'static) = &error;
        missing_resource(std::iter::once(error), in_lookup)
    }

    #[test]
    fn a_local_shortage_is_distinguished_from_a_network_error() {
        for (errno, resource) in [
            (Errno::MFILE, Some(LocalResource::Descriptors)),
            (Errno::NFILE, Some(LocalResource::Descriptors)),
            (Errno::NOMEM, Some(LocalResource::Memory)),
            (Errno::NOBUFS, Some(LocalResource::Memory)),
            (Errno::ADDRNOTAVAIL, Some(LocalResource::Ports)),
            (Errno::CONNREFUSED, None),
            (Errno::NETUNREACH, None),
            (Errno::TIMEDOUT, None),
        ] {
            assert_eq!(missing(errno.into(), false), resource, "{errno}");
        }
        let lookup = "failed to lookup address information: Memory allocation failure";
        assert_eq!(missing(io::Error::other(lookup), true), Some(LocalResource::Memory));
        assert_eq!(missing(io::Error::other("Name or service not known"), true), None);
    }

    #[test]
    fn only_a_panic_about_a_missing_thread_is_a_shortage() {
        let panic = |message: &str| -> Box<dyn Any + Send> { Box::new(message.to_owned()) };
        let threads =
            outcome_of_panic(&*panic("OS can't spawn worker thread: Resource unavailable"));
        assert!(matches!(
            threads,
            Some(Outcome::Shortage { resource: LocalResource::Threads, .. })
        ));
        assert_eq!(outcome_of_panic(&*panic("index out of bounds")), None);
    }
}
