//! The server that messages are sent to. It is cheap, because it shares the cores with the measured
//! client. It runs in a separate process and reports when requests arrived.

use crate::process::Process;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};
use std::io::{self, BufRead};
use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(10);
/// Room for one request; none is half as long.
const REQUEST_BYTES: usize = 16 * 1024;

/// Which of the vendor's published answers the server gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Answer {
    /// 3 KB, the id in `data.id`
    Chat,
    /// 28 KB, the id in `data.data.id`
    Sms,
    /// The chat's with status 503, so that a job fails
    Unavailable,
}

impl Answer {
    pub fn name(self) -> &'static str {
        match self {
            Answer::Chat => "chat",
            Answer::Sms => "sms",
            Answer::Unavailable => "unavailable",
        }
    }

    fn body(self) -> Result<Vec<u8>> {
        let published = match self {
            Answer::Chat | Answer::Unavailable => {
                include_str!("../../tests/requests/published/chat-answer.json")
            }
            Answer::Sms => include_str!("../../tests/requests/published/sms-answer.json"),
        };
        // Indented by one space they have the size that the vendor's pages show.
        let mut body = Vec::new();
        let mut serializer =
            Serializer::with_formatter(&mut body, PrettyFormatter::with_indent(b" "));
        serde_json::from_str::<Value>(published)?.serialize(&mut serializer)?;
        Ok(body)
    }

    fn response(self) -> Result<Vec<u8>> {
        let body = self.body()?;
        let length = body.len();
        let status = if self == Answer::Unavailable { "503 Service Unavailable" } else { "200 OK" };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json; charset=utf-8\r\n\
             content-length: {length}\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n"
        );
        Ok([head.into_bytes(), body].concat())
    }
}

/// Nanoseconds of the wall clock, which all processes share.
pub fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The requests since the start or the last `reset`; times as of [`now_ns`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    pub count: u64,
    pub first: u64,
    pub last: u64,
    /// Case and time of each request, if the server records them.
    pub arrivals: Vec<(i64, u64)>,
}

impl Seen {
    /// Requests per second from the first arrival to the last.
    pub fn per_second(&self) -> f64 {
        let seconds = self.last.saturating_sub(self.first) as f64 / 1e9;
        self.count.saturating_sub(1) as f64 / seconds
    }
}

#[derive(clap::Args)]
pub struct Args {
    #[arg(long, value_enum)]
    answer: Answer,
    #[arg(long)]
    record: bool,
    /// How long it takes to answer, milliseconds
    #[arg(long, default_value_t = 0)]
    delay: u64,
}

/// The server's process: prints its port, answers `count`, `report` and `reset` on standard
/// input, and ends with it.
pub fn serve(args: &Args) -> Result<()> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let response: Rc<[u8]> = args.answer.response()?.into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let delay = Duration::from_millis(args.delay);
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        let counted = Arc::clone(&seen);
        std::thread::spawn(move || obey(&counted));
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (response, seen, record) = (Rc::clone(&response), Arc::clone(&seen), args.record);
            tokio::task::spawn_local(async move {
                // A client that goes away is not an error.
                let _ = converse(stream, &response, &seen, record, delay).await;
            });
        }
    })
}

fn obey(seen: &Mutex<Seen>) {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let mut seen = seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let answer = match line.as_str() {
            "count" => Seen { arrivals: Vec::new(), ..*seen },
            "report" => seen.clone(),
            _ => std::mem::take(&mut *seen),
        };
        drop(seen);
        println!("{}", serde_json::to_string(&answer).unwrap_or_default());
    }
    std::process::exit(0);
}

/// One connection, request after request.
async fn converse(
    mut stream: TcpStream,
    response: &[u8],
    seen: &Mutex<Seen>,
    record: bool,
    delay: Duration,
) -> io::Result<()> {
    let mut buffer = vec![0; REQUEST_BYTES];
    let mut filled = 0;
    // When the head of the request in the buffer was complete.
    let mut arrived = None;
    loop {
        let body = body(&buffer[..filled]);
        if body.is_some() && arrived.is_none() {
            arrived = Some(now_ns());
        }
        match (body, arrived) {
            (Some(body), Some(at)) if body.end <= filled => {
                note(seen, at, record.then(|| case(&buffer[body.clone()])).flatten());
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                stream.write_all(response).await?;
                buffer.copy_within(body.end..filled, 0);
                filled -= body.end;
                arrived = None;
            }
            _ => match stream.read(&mut buffer[filled..]).await? {
                0 => return Ok(()),
                count => filled += count,
            },
        }
    }
}

fn note(seen: &Mutex<Seen>, at: u64, case: Option<i64>) {
    let mut seen = seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    seen.count += 1;
    seen.first = if seen.first == 0 { at } else { seen.first };
    seen.last = at;
    seen.arrivals.extend(case.map(|case| (case, at)));
}

/// The position of the request's body, once its head is complete.
fn body(request: &[u8]) -> Option<Range<usize>> {
    let start = request.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let name = b"content-length:";
    let length = request[..start].split(|&byte| byte == b'\n').find_map(|line| {
        let (start, value) = line.split_at_checked(name.len())?;
        start
            .eq_ignore_ascii_case(name)
            .then(|| std::str::from_utf8(value).ok()?.trim().parse().ok())?
    });
    Some(start..start + length.unwrap_or(0))
}

/// The number of a body's conversation.
fn case(body: &[u8]) -> Option<i64> {
    let (_, after) = std::str::from_utf8(body).ok()?.split_once("\"caseId\":")?;
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    after[..end].parse().ok()
}

/// The server's process, for the benchmark.
pub struct Target {
    process: Process,
    port: u16,
}

impl Target {
    pub fn start(answer: Answer) -> Result<Target> {
        Target::spawn(answer, &[])
    }

    /// A server that records the time of each request.
    pub fn recording(answer: Answer) -> Result<Target> {
        Target::spawn(answer, &["--record"])
    }

    /// A server that answers this much later.
    pub fn slow(delay: Duration) -> Result<Target> {
        Target::spawn(Answer::Chat, &["--delay", &delay.as_millis().to_string()])
    }

    fn spawn(answer: Answer, more: &[&str]) -> Result<Target> {
        let mut command = crate::this_program("target-server")?;
        command.args(["--answer", answer.name()]).args(more);
        let mut process = Process::spawn("the target server", &mut command)?;
        let port = process.line(SOON)?.parse().context("the target server's port")?;
        Ok(Target { process, port })
    }

    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1", self.port)
    }

    /// Without the arrivals.
    pub fn count(&mut self) -> Result<Seen> {
        self.ask("count")
    }

    pub fn report(&mut self) -> Result<Seen> {
        self.ask("report")
    }

    pub fn reset(&mut self) -> Result<()> {
        self.ask("reset").map(drop)
    }

    /// Waits until this many requests have arrived since the last reset. It polls rarely enough to
    /// cost nothing.
    pub fn wait_for(&mut self, count: u64, limit: Duration) -> Result<Seen> {
        crate::poll(&format!("{count} requests"), limit, || {
            let seen = self.count()?;
            Ok((seen.count >= count).then_some(seen))
        })
    }

    fn ask(&mut self, what: &str) -> Result<Seen> {
        self.process.tell(what)?;
        serde_json::from_str(&self.process.line(SOON)?).context("the target server's report")
    }
}
