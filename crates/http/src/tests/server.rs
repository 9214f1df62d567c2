//! A server on loopback: what is refused and said, and how many may come.

use super::*;
use axum::http::StatusCode;

#[tokio::test]
async fn requests_are_bounded_and_every_error_has_one_form() {
    let (server, figures) = start(Settings::default(), None).await;
    let (localhost, json) = ("Host: localhost\r\n", "Content-Type: application/json\r\n");
    let long = |size: usize| "a".repeat(size);
    for (request, status, words) in [
        (FINE.to_owned(), 200, "fine"),
        (format!("GET /nothing HTTP/1.1\r\n{localhost}\r\n"), 404, "nothing at this path"),
        (format!("DELETE /fine HTTP/1.1\r\n{localhost}{json}\r\n"), 405, "does not know this method"),
        ("GET /fine HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(), 421, "http.hosts"),
        ("GET /fine HTTP/1.1\r\n\r\n".to_owned(), 400, "names none"),
        ("GET /fine HTTP/1.0\r\n\r\n".to_owned(), 400, "names none"),
        (
            format!("GET /fine HTTP/1.1\r\n{localhost}Origin: http://evil.example\r\n\r\n"),
            403,
            "http.origins",
        ),
        // An offset that is not escaped, as people type it.
        (
            format!("GET /query?from=2025-03-01T10:00:00+00:00 HTTP/1.1\r\n{localhost}\r\n"),
            200,
            "{\"from\": \"2025-03-01T10:00:00+00:00\"}",
        ),
        (format!("GET /query?x=1&x=2 HTTP/1.1\r\n{localhost}\r\n"), 200, "\"2\""),
        (format!("POST /echo HTTP/1.1\r\n{localhost}{json}Content-Length: 2\r\n\r\nab"), 200, "ab"),
        (format!("POST /echo HTTP/1.1\r\n{localhost}Content-Length: 2\r\n\r\nab"), 415, "application/json"),
        (
            format!(
                "POST /echo HTTP/1.1\r\n{localhost}{json}Content-Length: 100000\r\n\r\n{}",
                long(100_000)
            ),
            413,
            "65536 bytes",
        ),
        (
            format!(
                "POST /echo HTTP/1.1\r\n{localhost}{json}Transfer-Encoding: chunked\r\n\r\n186a0\r\n{}\r\n0\r\n\r\n",
                long(100_000)
            ),
            413,
            "limit",
        ),
        (
            format!("POST /echo HTTP/1.1\r\n{localhost}{json}Content-Length: 9223372036854775807\r\n\r\n"),
            413,
            "65536 bytes",
        ),
        (format!("GET /fine HTTP/1.1\r\n{localhost}X: {}\r\n\r\n", long(20_000)), 431, "16384 bytes"),
        (format!("GET /fine HTTP/1.1\r\n{localhost}{}\r\n", "X: 1\r\n".repeat(70)), 431, "64 fields"),
        ("nonsense\r\n\r\n".to_owned(), 400, "(RFC 9112)"),
    ] {
        let mut stream = connect(server.address()).await;
        let (found, said) = timeout(PATIENCE, ask(&mut stream, &request)).await.unwrap();
        let shown = &request[..request.len().min(120)];
        assert!(found == status && said.contains(words), "{shown:?}: {found} {said}");
        if found != 200 {
            assert!(said.contains("application/problem+json") && said.contains("\"detail\":"), "{said}");
        }
        // The parser's own refusals have no fields for browsers.
        if said.contains("(RFC 9112)") || found == 431 {
            continue;
        }
        for header in [
            "x-content-type-options: nosniff",
            "cache-control: no-store",
            "default-src 'none'",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(said.contains(header), "{shown}: {said}");
        }
    }
    for (name, count) in [
        ("http_refused_host", 3),
        ("http_refused_origin", 1),
        ("http_refused_content_type", 1),
        ("http_refused_body", 2),
        ("http_requests", 14),
        ("http_malformed", 3),
        ("http_connections_bound", 256),
    ] {
        assert_eq!(figure(&figures, name), count, "{name}");
    }
    server.shutdown().await;
}

/// Requests that two readers could take for different ones.
#[tokio::test]
async fn smuggled_requests_are_not_served() {
    let (server, _) = start(Settings::default(), None).await;
    let (localhost, json) = ("Host: localhost\r\n", "Content-Type: application/json\r\n");
    for request in [
        format!("POST /echo HTTP/1.1\r\n{localhost}{json}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        format!("POST /echo HTTP/1.1\r\n{localhost}{json}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        format!(
            "POST /echo HTTP/1.1\r\n{localhost}{json}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc"
        ),
    ] {
        let mut stream = connect(server.address()).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let said = ends(&mut stream).await;
        assert!(!said.starts_with(b"HTTP/1.1 2"), "{request:?}: {}", String::from_utf8_lossy(&said));
    }
}

fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_client_gets_in_beside_a_thousand_silent_ones() {
    raise_descriptors();
    let (server, figures) = start(Settings::default(), None).await;
    let mut silent = Vec::new();
    for round in 0..10 {
        for _ in 0..100 {
            silent.push(connect(server.address()).await);
        }
        let honest = async {
            let mut stream = connect(server.address()).await;
            ask(&mut stream, FINE).await.0
        };
        // Within a second on an idle machine; this one may do much else.
        assert_eq!(timeout(PATIENCE, honest).await.expect("an answer"), 200, "{round}");
        assert!(figure(&figures, "http_connections") <= 64, "one source's share");
    }
    assert!(figure(&figures, "http_gave_way") >= 900);
    // The first ones are closed, the last ones are open and can still ask.
    assert!(ends(&mut silent[0]).await.is_empty());
    assert_eq!(ask(silent.last_mut().unwrap(), FINE).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sends_half_a_request_gives_way_like_the_silent() {
    let settings = Settings { connections_per_source: 4, ..Settings::default() };
    let (server, _) = start(settings, None).await;
    let mut half = Vec::new();
    for part in [
        "GET /fine HTT",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\na",
    ] {
        for _ in 0..20 {
            let mut stream = connect(server.address()).await;
            stream.write_all(part.as_bytes()).await.unwrap();
            half.push(stream);
        }
    }
    for _ in 0..10 {
        let mut stream = connect(server.address()).await;
        assert_eq!(timeout(PATIENCE, ask(&mut stream, FINE)).await.unwrap().0, 200);
        half.push(stream);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_work_are_never_cut_off() {
    let settings = Settings { connections_per_source: 2, ..Settings::default() };
    let (server, figures) = start(settings, None).await;
    let mut at_work = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(server.address()).await;
        stream.write_all(b"GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        at_work.push(stream);
        while figure(&figures, "http_requests") < at_work.len() as u64 {
            tokio::task::yield_now().await;
        }
    }
    let mut late = connect(server.address()).await;
    let (status, said) = read(&mut late).await.expect("a refusal");
    assert!(status == 503 && said.contains("retry-after: 1") && said.contains("in use"), "{said}");
    assert_eq!(figure(&figures, "http_refused_full"), 1);
    // As soon as one ends, there is room.
    drop(at_work.pop());
    let again = async {
        loop {
            let mut stream = connect(server.address()).await;
            stream.write_all(FINE.as_bytes()).await.ok();
            if read(&mut stream).await.is_some_and(|(status, _)| status == 200) {
                return;
            }
        }
    };
    timeout(PATIENCE, again).await.expect("there is room again");
}

#[tokio::test]
async fn a_server_that_is_shut_down_or_dropped_listens_no_more() {
    for dropped in [false, true] {
        let (server, _) = start(Settings::default(), None).await;
        let address = server.address();
        let mut idle = connect(address).await;
        assert_eq!(ask(&mut idle, FINE).await.0, 200);
        if dropped {
            drop(server)
        } else {
            timeout(PATIENCE, server.shutdown()).await.expect("it stops")
        }
        assert!(ends(&mut idle).await.is_empty());
        TcpStream::connect(address).await.expect_err("nobody listens");
    }
}

#[test]
fn all_descriptors_of_a_server_are_a_third_of_the_usual_limit() {
    assert!(Settings::default().descriptors() <= 1024 / 2 - 128, "{}", Settings::default().descriptors());
    assert_eq!(StatusCode::MISDIRECTED_REQUEST.as_u16(), 421);
}

/// What was read by whom, and what was refused, is in the audit log; what shows nothing of vehicles is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_and_refusals_are_entered() {
    let folder = tempfile::tempdir().unwrap();
    let audit = voltmesh_audit::Recorder::open(folder.path()).unwrap();
    let figures = Figures::of(crate::Process { audit: audit.clone(), ..Default::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Settings { recorded: &["/fine", "/absent"], ..Settings::default() };
    let server = serve(listener, router(), rules(), settings, None, figures).unwrap();
    let mut stream = connect(server.address()).await;
    for (request, status) in [
        (FINE.to_owned(), 200),
        (FINE.replace("/fine", "/fine?token=secret"), 200),
        (FINE.replace("/fine", "/absent"), 404),
        (FINE.replace("/fine", "/much"), 200),
        (FINE.replace("localhost", "elsewhere.example"), 421),
    ] {
        assert_eq!(ask_for(&mut stream, &request).await, status, "{request}");
    }
    server.shutdown().await;
    audit.close();
    let mut entries = Vec::new();
    voltmesh_audit::read(folder.path(), |entry| {
        entries.push((entry.kind.as_str(), entry.who.clone(), entry.what.clone(), entry.count));
    })
    .unwrap();
    let (here, read) = ("127.0.0.1".to_owned(), "GET /fine".to_owned());
    assert_eq!(
        entries,
        [
            ("read", here.clone(), read.clone(), 1),
            ("refusal", here.clone(), "http_refused_host".to_owned(), 1),
            ("read", here, read, 1),
        ]
    );
}

/// The status of an answer of any body.
async fn ask_for(stream: &mut TcpStream, request: &str) -> u16 {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut body = vec![0; length.unwrap_or("0").parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    head.split(' ').nth(1).unwrap().parse().unwrap()
}
