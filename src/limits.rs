//! Limits of this process: how many files it may have open and what they are for, and no huge pages.

use crate::config::{Config, OnUncertain};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::disable_transparent_huge_pages;
use std::collections::BTreeSet;

/// For the database and its readers, the dashboard's connections, the log and the service manager.
const RESERVE: u64 = 128;

/// Sets the limits. Call it once at the start.
///
/// The soft limit on open files becomes the hard one; if that is forbidden, it stays. Where the kernel gives
/// huge pages to everybody, the allocator's memory would be resident 2 MiB at a time.
pub fn set() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    let _ = disable_transparent_huge_pages(true);
}

/// How the file descriptors of this process are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// Requests in flight at the same time.
    pub requests: u32,
    /// Idle connections that each account's endpoint may keep.
    pub idle_connections: usize,
}

impl Descriptors {
    /// By the current limit of this process.
    pub fn of_this_process(config: &Config) -> Descriptors {
        // Channels with the same connection settings share their connections.
        let policies = config.channels.values();
        let settings: BTreeSet<_> = policies
            .map(|policy| (policy.connect_timeout, policy.on_uncertain != OnUncertain::Retry))
            .collect();
        let pools = config.accounts.len() * settings.len();
        Descriptors::divide(getrlimit(Resource::Nofile).current, pools as u64)
    }

    /// Half of what is left after the reserve is for requests, the other half for idle connections.
    fn divide(limit: Option<u64>, pools: u64) -> Descriptors {
        let half = limit.map_or(u64::from(u32::MAX), |limit| {
            // With a very low limit both still get some: a request that finds none left waits.
            limit.saturating_sub(RESERVE).max(limit / 4) / 2
        });
        let requests = u32::try_from(half).unwrap_or(u32::MAX).max(1);
        let idle = half / pools.max(1);
        Descriptors { requests, idle_connections: usize::try_from(idle).unwrap_or(usize::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_idle_connections_together_stay_below_the_limit() {
        for (limit, pools, requests, idle_connections) in [
            (1024, 1, 448, 448),
            (1024, 400, 448, 1),
            (1024, 1200, 448, 0),
            (524_288, 400, 262_080, 655),
            (64, 1, 8, 8),
            (3, 1, 1, 0),
        ] {
            let divided = Descriptors { requests, idle_connections };
            assert_eq!(Descriptors::divide(Some(limit), pools), divided, "{limit} for {pools}");
            let idle = idle_connections as u64 * pools;
            assert!(limit < 128 || u64::from(requests) + idle + RESERVE <= limit);
        }
        assert_eq!(Descriptors::divide(None, 2).requests, u32::MAX);
    }
}
