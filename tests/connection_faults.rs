//! Networks that drop packets, servers that speak another protocol, and proxies.

use crate::support::{Outbox, Refusing, SOON, Server, Setup, eventually};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Serves each connection in its own thread; returns the port.
fn serve(each: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let each = Arc::new(each);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let each = each.clone();
            std::thread::spawn(move || each(stream));
        }
    });
    port
}

/// A port that neither accepts nor refuses connections, as its queue is full.
fn black_hole() -> (TcpListener, Vec<TcpStream>, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // SAFETY: an open socket's own descriptor, and no memory.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let address: SocketAddr = listener.local_addr().unwrap();
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
    let waiting = std::iter::from_fn(|| connect().ok()).take(16).collect();
    (listener, waiting, address.port())
}

/// Each attempt ends like this, and another one follows.
#[track_caller]
fn assert_repeated(outbox: &Outbox, outcome: &str, codes: &[&str]) {
    let id = outbox.chat(1, "hi");
    let daemon = outbox.daemon();
    eventually(SOON, "a second attempt", || outbox.history(id).len() >= 2);
    drop(daemon);
    for attempt in outbox.history(id).iter().take(2) {
        assert_eq!(attempt.text("outcome"), outcome, "{attempt:?}");
        assert!(codes.contains(&attempt.text("error_code")), "{attempt:?}");
    }
}

#[test]
fn a_connection_that_is_never_accepted_is_not_uncertain() {
    let (_listener, _waiting, port) = black_hole();
    let outbox = Setup::sending_to(&format!("http://127.0.0.1:{port}/api/v1"))
        .more("[channels.chat]\nconnect_timeout = \"100ms\"\non_uncertain = \"hold\"")
        .ready();
    assert_repeated(&outbox, "retry", &["timeout"]);
}

#[test]
fn a_server_that_speaks_only_http_2_gets_no_request_over_tls() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], der)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    let port = serve(move |mut stream| {
        let mut connection = ServerConnection::new(config.clone()).unwrap();
        let _ = connection.complete_io(&mut stream);
    });
    let outbox = Setup::sending_to(&format!("https://localhost:{port}/api/v1"))
        .account("ca_file = \"ca.pem\"")
        .written();
    std::fs::write(outbox.folder().join("ca.pem"), certificate.pem()).unwrap();
    outbox.run(&["init"]).expect(0);
    assert_repeated(&outbox, "retry", &["tls"]);
}

#[test]
fn http_2_frames_as_an_answer_leave_the_outcome_unknown() {
    let port = serve(|mut stream| {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        // An empty SETTINGS frame, and GOAWAY.
        let _ = stream.write_all(b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\x01");
    });
    let outbox = Setup::sending_to(&format!("http://127.0.0.1:{port}/api/v1")).ready();
    assert_repeated(&outbox, "uncertain", &["response_unreadable", "connection_lost"]);
}

#[test]
fn https_uses_the_proxy_in_the_environment_which_sees_no_key() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = asked.clone();
    let proxy = serve(move |stream| {
        let head: Vec<_> = BufReader::new(stream)
            .lines()
            .map_while(Result::ok)
            .take_while(|l| !l.is_empty())
            .collect();
        record.lock().unwrap().push(head.join("\n"));
    });
    let outbox = Setup::sending_to("https://acme.example/api/v1").ready();
    let id = outbox.chat(1, "hi");
    let program = outbox.program().env("HTTPS_PROXY", format!("http://127.0.0.1:{proxy}"));
    let daemon = program.start(&["run"]);
    eventually(SOON, "two attempts", || outbox.history(id).len() >= 2);
    drop(daemon);
    let asked = asked.lock().unwrap();
    assert!(asked[0].starts_with("CONNECT acme.example:443 HTTP/1.1"), "{asked:?}");
    assert!(!asked.iter().any(|head| head.contains(crate::support::KEY)), "{asked:?}");
    assert_eq!(outbox.outcomes(id)[0], "retry", "nothing was written to Acquire");
}

#[test]
fn plain_http_to_this_machine_uses_no_proxy() {
    let server = Server::start();
    let outbox = Outbox::new(&server);
    let id = outbox.chat(1, "hi");
    let program = outbox.program();
    let program = ["HTTP_PROXY", "http_proxy", "ALL_PROXY"]
        .iter()
        .fold(program, |program, name| program.env(name, "http://127.0.0.1:9"));
    program.run(&["run", "--until-empty"]).expect(0);
    assert_eq!(outbox.status(id), "sent");
}

/// A proxy that answers CONNECT with this, and an outbox for it.
fn proxied(says: &'static str) -> (Outbox, String) {
    let port = serve(move |mut stream| {
        let mut head = [0; 4096];
        let _ = stream.read(&mut head);
        let _ = stream.write_all(says.as_bytes());
    });
    (Setup::sending_to("https://acme.example/api/v1").ready(), format!("127.0.0.1:{port}"))
}

#[test]
fn an_error_of_the_proxy_names_the_proxy() {
    let nobody = Refusing::new();
    for (says, words) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "valid user name and password (407)",
        ),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "refuses to connect to Acquire"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", "refuses to connect to Acquire"),
        ("", "closed the connection"),
        ("unreachable", "cannot be reached"),
    ] {
        let (outbox, mut proxy) = proxied(says);
        if says == "unreachable" {
            proxy = nobody.address.to_string();
        }
        let id = outbox.chat(1, "hi");
        let value = format!("http://me:pa%23ss-never-shown@{proxy}");
        let program = outbox.program().env("https_proxy", &value);
        let daemon = program.start(&["run"]);
        let row = outbox.when(id, "an attempt", |row| !row.is_null("error_code"));
        assert_eq!(row["error_code"], "proxy", "{row:?}");
        let error = row.text("error");
        let named = format!("http://{proxy} (https_proxy)");
        assert!(error.contains(&named) && error.contains(words), "{error}");
        assert_eq!(outbox.outcomes(id)[0], "retry");

        let checked = program.run(&["check"]).expect(1).output();
        assert!(checked.contains(&named) && checked.contains(words), "{checked}");
        for text in [error, &checked, &daemon.stderr()] {
            assert!(!text.contains("never-shown"), "{text}");
        }
    }
}

#[test]
fn a_proxy_variable_that_cannot_be_used_is_an_error_that_names_it() {
    let outbox = Setup::sending_to("https://acme.example/api/v1").ready();
    for (name, value) in [
        ("HTTPS_PROXY", "http://me:never#shown@127.0.0.1:9"),
        ("https_proxy", "me:never/shown@127.0.0.1:9"),
        ("ALL_PROXY", "socks5://me:never-shown@127.0.0.1:9"),
        ("all_proxy", "http://127.0.0.1:never-shown"),
        ("HTTP_PROXY", "http://me:never?shown@127.0.0.1:9"),
        ("http_proxy", "never shown"),
    ] {
        for command in [&["run", "--until-empty"][..], &["check"]] {
            let refused = outbox.program().env(name, value).run(command).expect(78).output();
            assert!(refused.contains(&format!("variable {name}")), "{refused}");
            assert!(!refused.contains("never"), "{refused}");
        }
        // Commands that send nothing do not use the variable.
        outbox.program().env(name, value).run(&["status"]).expect(0);
    }
}

#[test]
fn a_host_in_no_proxy_is_reached_directly() {
    let outbox = Setup::sending_to("https://localhost:9/api/v1").ready();
    let program = outbox.program().env("HTTPS_PROXY", "http://127.0.0.1:9");
    let checked = program.env("no_proxy", "localhost").run(&["check"]).expect(1).output();
    assert!(checked.contains("localhost") && !checked.contains("proxy"), "{checked}");
}
