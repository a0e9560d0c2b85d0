//! HTTPS: which certificates are trusted, and that nothing is sent to a server that is not.

use crate::support::{Outbox, SOON, Setup, eventually};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A certificate authority that no system trusts.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A server with a certificate for `name`, valid until the given year.
    fn server(&self, name: &str, until: i32) -> TlsServer {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsServer::start(Arc::new(config))
    }
}

/// Accepts every message over TLS, and counts the requests.
struct TlsServer {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl TlsServer {
    fn start(config: Arc<ServerConfig>) -> TlsServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, counter) = (config.clone(), counter.clone());
                std::thread::spawn(move || serve(stream, config, &counter));
            }
        });
        TlsServer { port, requests }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/api/v1", self.port)
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Ends at the first error: a client that does not trust the certificate closes the connection.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, counter: &AtomicUsize) -> Option<()> {
    let connection = ServerConnection::new(config).ok()?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).ok()?;
        let id = 8289 + counter.fetch_add(1, Ordering::SeqCst);
        let body = format!(r#"{{"data":{{"id":{id}}}}}"#);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.get_mut().write_all(answer.as_bytes()).ok()?;
    }
}

/// An outbox that trusts `authority`, if any, in addition to the system's certificates.
fn outbox(server: &TlsServer, authority: Option<&Authority>) -> Outbox {
    let setup = Setup::sending_to(&server.url());
    let Some(authority) = authority else { return setup.ready() };
    let outbox = setup.account("ca_file = \"ca.pem\"").written();
    fs::write(outbox.folder().join("ca.pem"), &authority.pem).unwrap();
    outbox.run(&["init"]).expect(0);
    outbox
}

/// The job is tried repeatedly, is never uncertain, and the server receives no request.
#[track_caller]
fn assert_not_trusted(outbox: &Outbox, server: &TlsServer) {
    let id = outbox.chat(1, "hi");
    let daemon = outbox.daemon();
    eventually(SOON, "a second attempt", || outbox.row(id).int("attempts") >= 2);
    drop(daemon);
    let row = outbox.row(id);
    assert_eq!(row.text("error_code"), "tls", "{row:?}");
    assert_eq!(outbox.outcomes(id)[0], "retry");
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_ca_file_is_trusted_and_the_message_arrives() {
    let authority = Authority::new();
    let server = authority.server("localhost", 2090);
    let outbox = outbox(&server, Some(&authority));
    let id = outbox.chat(1, "hi");
    outbox.run_until_empty();
    assert_eq!(
        (outbox.row(id).text("status"), outbox.row(id).text("message_id")),
        ("sent", "8289")
    );
    assert_eq!(server.requests(), 1, "one message");
    outbox.run(&["check"]);
    assert!(server.requests() > 1, "it asks for the account and what can be read of it");
}

#[test]
fn an_unknown_authority_is_not_trusted() {
    let server = Authority::new().server("localhost", 2090);
    assert_not_trusted(&outbox(&server, None), &server);
    assert_not_trusted(&outbox(&server, Some(&Authority::new())), &server);
}

#[test]
fn a_certificate_of_another_name_is_not_trusted() {
    let authority = Authority::new();
    let server = authority.server("acme.example", 2090);
    assert_not_trusted(&outbox(&server, Some(&authority)), &server);
}

#[test]
fn an_expired_certificate_is_not_trusted() {
    let authority = Authority::new();
    let server = authority.server("localhost", 2021);
    assert_not_trusted(&outbox(&server, Some(&authority)), &server);
}

#[test]
fn a_ca_file_without_certificates_is_a_configuration_error() {
    let outbox =
        Setup::sending_to("https://localhost:9/api/v1").account("ca_file = \"ca.pem\"").written();
    let said = |program: &Outbox| program.run(&["run"]).expect(78).stderr;
    assert!(said(&outbox).contains("ca.pem"));
    fs::write(outbox.folder().join("ca.pem"), "no certificate").unwrap();
    assert!(said(&outbox).contains("no PEM certificates"));
}
