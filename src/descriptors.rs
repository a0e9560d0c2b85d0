//! How many files this process may have open at once, and how many of them are for requests.

use crate::config::{Account, Config};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeSet;

/// For the database and its readers, the dashboard's connections, the log and the service manager.
const RESERVE: u64 = 128;

/// Raises the soft limit to the hard one. Where that is forbidden the soft one stays, and is kept to.
pub fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// What the descriptors of this process are divided into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Requests that may be out at once.
    pub requests: u32,
    /// Idle connections that are kept for each host.
    pub idle_per_host: usize,
}

impl Share {
    /// Of the limit as it is now.
    pub fn of_this_process(config: &Config) -> Share {
        let host = |account: &Account| account.base_url.authority().to_owned();
        let hosts: BTreeSet<String> = config.accounts.values().map(host).collect();
        Share::of(getrlimit(Resource::Nofile).current, hosts.len() as u64)
    }

    /// Half of what is left after the reserve is for requests, half for connections that are idle.
    fn of(limit: Option<u64>, hosts: u64) -> Share {
        let half = limit.map_or(u64::from(u32::MAX), |limit| {
            // Of a very low limit each gets something: a request that finds none left waits.
            limit.saturating_sub(RESERVE).max(limit / 4) / 2
        });
        let requests = u32::try_from(half).unwrap_or(u32::MAX).max(1);
        let idle = half / hosts.max(1);
        Share { requests, idle_per_host: usize::try_from(idle).unwrap_or(usize::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_idle_connections_together_stay_below_the_limit() {
        for (limit, hosts, requests, idle_per_host) in [
            (1024, 1, 448, 448),
            (1024, 400, 448, 1),
            (1024, 1200, 448, 0),
            (524_288, 400, 262_080, 655),
            (64, 1, 8, 8),
            (3, 1, 1, 0),
        ] {
            let share = Share { requests, idle_per_host };
            assert_eq!(Share::of(Some(limit), hosts), share, "{limit} for {hosts}");
            let idle = idle_per_host as u64 * hosts;
            assert!(limit < 128 || u64::from(requests) + idle + RESERVE <= limit);
        }
        assert_eq!(Share::of(None, 2).requests, u32::MAX);
    }
}
