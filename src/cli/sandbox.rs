//! `sandbox`: the stand-in for Acquire, with switches for faults.

use super::{duration, flush_log, output};
use crate::daemon;
use crate::sandbox::{
    ErrorShare, Faults, ODD, OddShare, ReadingFaults, Rewriting, Sandbox, Settings, ShareError,
    parse_share,
};
use anyhow::Result;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  acquire-outbox sandbox
  acquire-outbox sandbox --latency 200ms --error 503=10% --retry-after 5s
  acquire-outbox sandbox --lost 10% --drop 10%
  acquire-outbox sandbox --lost 20% --shown-after 20s --clock -3
  acquire-outbox sandbox --odd bom
  acquire-outbox sandbox --odd page-404=5% --odd gzip=10% --odd short-body=10%

Send to it from another terminal:
  export ACQUIRE_BASE_URL=http://127.0.0.1:8787/api/v1 ACQUIRE_API_KEY=any
  acquire-outbox run

The messages that it received: curl http://127.0.0.1:8787/sandbox/messages

Cases (sms: threadId) with a fixed outcome:
  900400 400 ERROR_INVALID_INPUT     900404 404 ERROR_RECORD_NOT_FOUND
  900403 403, a firewall's page
  900429 429 with Retry-After, once  900503 503, twice
  900000 accepted, then silent       900001 accepted, connection dropped
  900021 sms: 200 with a provider's error inside

If ACQUIRE_API_KEY is set, only that key is accepted; otherwise any is.")]
pub struct SandboxArgs {
    /// Address on this machine; port 0 takes a free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787", value_parser = address)]
    listen: SocketAddr,
    /// Answer after this long, as in 200ms
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s")]
    latency: Duration,
    /// Answer this share of requests with an error, as in 503=10%; may be repeated
    #[arg(long, value_name = "STATUS=SHARE")]
    error: Vec<ErrorShare>,
    /// Send Retry-After with each 429 and 503 of --error, as in 5s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    retry_after: Option<Duration>,
    /// Accept this share of requests and never answer, as in 2%
    #[arg(long, value_name = "SHARE", value_parser = parse_share, default_value = "0%")]
    silent: f64,
    /// Accept this share of requests and close the connection without an answer, as in 2%
    #[arg(long, value_name = "SHARE", value_parser = parse_share, default_value = "0%")]
    lost: f64,
    /// Drop this share of connections without accepting, as in 2%
    #[arg(long, value_name = "SHARE", value_parser = parse_share, default_value = "0%")]
    drop: f64,
    /// Answer in an odd way, like bom or bom=10%; may be repeated; `--odd list` prints the kinds
    #[arg(long, value_name = "KIND[=SHARE]", value_parser = odd_flag)]
    odd: Vec<OddFlag>,
    #[command(flatten)]
    reading: ReadingFlags,
}

#[derive(clap::Args)]
#[command(next_help_heading = "Reading back")]
struct ReadingFlags {
    /// Show a message only this long after it was accepted, as in 20s
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s")]
    shown_after: Duration,
    /// Show this share of messages twice, with different ids
    #[arg(long, value_name = "SHARE", value_parser = parse_share, default_value = "0%")]
    twice: f64,
    /// Write ids as text
    #[arg(long)]
    text_ids: bool,
    /// Answer in a shape that is not documented
    #[arg(long)]
    unknown_shape: bool,
    /// Refuse to read with 403
    #[arg(long)]
    no_reading: bool,
    /// Answer with an error, but with a success status
    #[arg(long)]
    says_no: bool,
    /// Change texts: `text` trims and escapes them, `html` rewrites their HTML
    #[arg(long, value_name = "text|html")]
    rewrite: Option<Rewriting>,
    /// Set the sandbox's clock ahead by this many seconds; a negative number sets it back
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true, default_value = "0")]
    clock: i64,
    /// Deliver emails and SMS after this time, and have everything seen after twice that time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    delivered_after: Option<Duration>,
    /// Return this share of emails, and fail this share of SMS, instead of delivering them
    #[arg(long, value_name = "SHARE", value_parser = parse_share, default_value = "0%")]
    bounced: f64,
}

impl ReadingFlags {
    fn faults(self) -> ReadingFaults {
        ReadingFaults {
            shown_after: self.shown_after,
            twice: self.twice,
            text_ids: self.text_ids,
            unknown_shape: self.unknown_shape,
            forbidden: self.no_reading,
            says_no: self.says_no,
            rewriting: self.rewrite,
            clock: self.clock,
            delivered_after: self.delivered_after,
            bounced: self.bounced,
        }
    }
}

#[derive(Clone, Copy)]
enum OddFlag {
    List,
    Odd(OddShare),
}

fn odd_flag(text: &str) -> Result<OddFlag, ShareError> {
    if text == "list" { Ok(OddFlag::List) } else { text.parse().map(OddFlag::Odd) }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "must be an address and a port, like 127.0.0.1:8787".to_owned())?;
    match address.ip().to_canonical().is_loopback() {
        true => Ok(address),
        false => {
            Err("anyone may write to a sandbox, so it can only listen on 127.0.0.1 or [::1]".into())
        }
    }
}

/// Prints the kinds of `--odd`, one per line.
fn list() -> Result<ExitCode> {
    for odd in ODD {
        output::line(format!("{:22}{}", odd.name, odd.about))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn run(args: SandboxArgs) -> Result<ExitCode> {
    let odd = args.odd.iter().map(|flag| match flag {
        OddFlag::List => None,
        OddFlag::Odd(share) => Some(*share),
    });
    let Some(odd) = odd.collect() else { return list() };
    let stop = daemon::stop_signal(flush_log)?;
    let faults = Faults {
        latency: args.latency,
        errors: args.error,
        retry_after: args.retry_after,
        silent: args.silent,
        lost: args.lost,
        drop: args.drop,
        odd,
        reading: args.reading.faults(),
    };
    let key = std::env::var("ACQUIRE_API_KEY").ok().filter(|key| !key.is_empty());
    let api_key = key.map(SecretString::from);
    let sandbox =
        Sandbox::bind(Settings { listen: args.listen, api_key, faults, report: true }).await?;
    sandbox.serve(stop).await;
    Ok(ExitCode::SUCCESS)
}
