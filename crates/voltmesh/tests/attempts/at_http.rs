//! At the HTTP interfaces of fog node, cloud and controller: hosts, origins, targets, lengths, protocols, credentials.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::World;
use super::wire::plain;

/// Fields of a change that is well formed.
const JSON: &str = "Content-Type: application/json\r\n";

pub async fn all(world: &mut World) {
    let controller = world.site.controller.as_ref().unwrap().http;
    let doors = [
        (world.site.fogs[0].http, "/status"),
        (world.site.cloud.as_ref().unwrap().http, "/v1/vehicles"),
        (controller, "/status"),
    ];
    let mut through: [Vec<String>; 6] = Default::default();
    for (at, path) in doors {
        for (all, some) in through.iter_mut().zip([
            hosts(at, path).await,
            origins(at, path).await,
            targets(at, path).await,
            protocols(at, path).await,
            lengths(at, path).await,
            sizes(at, path).await,
        ]) {
            all.extend(some.into_iter().map(|what| format!("{at}{path}: {what}")));
        }
    }
    let names = [
        "HTTP: hosts that are not its own",
        "HTTP: origins that are not its own, null among them",
        "HTTP: targets, methods and fields that name another host or method",
        "HTTP: HTTP/2, upgrades to it and to WebSocket, TLS, MQTT",
        "HTTP: lengths and fields that can be read in two ways",
        "HTTP: fields, targets and bodies past their bounds",
    ];
    for (name, through) in names.into_iter().zip(through) {
        world.note(name, through);
    }
    let through = trickled(world.site.fogs[0].http).await;
    world.note("HTTP: a chunked body of one byte a second", through);
    let mut through = Vec::new();
    for (at, path) in doors {
        through.extend(pipelined(at, path).await);
    }
    world.note("HTTP: 10,000 requests in a row, answers not read", through);
    let through = credentials(controller).await;
    world.note("controller: changes with credentials that are none", through);
    let token = world.site.deployment.dir.join("controller/token");
    let token = std::fs::read_to_string(token).unwrap();
    let through = bodies(controller, &token).await;
    world.note("controller: deployments, rules and releases that are none", through);
}

/// Status of the first answer; 0 for none.
fn status(answer: &[u8]) -> u16 {
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

fn get(at: SocketAddr, path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n{fields}Connection: close\r\n\r\n")
}

async fn hosts(at: SocketAddr, path: &str) -> Vec<String> {
    let port = at.port();
    let control = status(&plain(at, get(at, path, "")).await);
    let mut through: Vec<String> =
        (control != 200).then(|| format!("its own host: {control}")).into_iter().collect();
    for host in [
        "localhost.evil.example".to_owned(),
        "127.0.0.1.".to_owned(),
        "127.1".to_owned(),
        "0x7f000001".to_owned(),
        "2130706433".to_owned(),
        "0".to_owned(),
        "0.0.0.0".to_owned(),
        format!("evil.example:{port}"),
        format!("127.0.0.1:{port}@evil.example"),
        format!("evil.example@127.0.0.1:{port}"),
        format!("127.0.0.1:{port}:80"),
        "127.0.0.1:99999".to_owned(),
        "[::1%25lo]".to_owned(),
        "[::ffff:7f00:1]x".to_owned(),
        "127.0.0.1,evil.example".to_owned(),
        "127.0.0.1/x".to_owned(),
        "127.0.0.1%00".to_owned(),
        "①27.0.0.1".to_owned(),
        String::new(),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let found = status(&plain(at, request).await);
        through.extend((!matches!(found, 400 | 421)).then(|| format!("{host:?}: {found}")));
    }
    through
}

async fn origins(at: SocketAddr, path: &str) -> Vec<String> {
    let mut through = Vec::new();
    for fields in [
        "Origin: null\r\n".to_owned(),
        "Origin: file://\r\n".to_owned(),
        "Origin: http://127.0.0.1\r\n".to_owned(),
        "Origin: http://localhost:1\r\n".to_owned(),
        format!("Origin: http://{at}.evil.example\r\n"),
        format!("Origin: https://{at}\r\n"),
        format!("Origin: http://{at}/\r\n"),
        format!("Origin: http://{at}\r\nOrigin: http://evil.example\r\n"),
        format!("Origin: http://{at} http://evil.example\r\n"),
        "Origin:\r\n".to_owned(),
        "Sec-Fetch-Site: same-site\r\n".to_owned(),
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n".to_owned(),
    ] {
        let found = status(&plain(at, get(at, path, &fields)).await);
        through.extend((found != 403).then(|| format!("{fields:?}: {found}")));
    }
    through
}

async fn targets(at: SocketAddr, path: &str) -> Vec<String> {
    let mut through = Vec::new();
    for (line, fields) in [
        (format!("GET http://evil.example{path} HTTP/1.1"), format!("Host: {at}\r\n")),
        (format!("GET http://{at}{path} HTTP/1.1"), "Host: evil.example\r\n".to_owned()),
        (format!("GET {path} HTTP/1.1"), format!("Host: {at}\r\nHost: {at}\r\n")),
        ("CONNECT 127.0.0.1:22 HTTP/1.1".to_owned(), "Host: 127.0.0.1:22\r\n".to_owned()),
        ("OPTIONS * HTTP/1.1".to_owned(), format!("Host: {at}\r\n")),
        (format!("TRACE {path} HTTP/1.1"), format!("Host: {at}\r\n")),
        (format!("BREW {path} HTTP/1.1"), format!("Host: {at}\r\n")),
        (format!("GET {path} HTTP/3.0"), format!("Host: {at}\r\n")),
        (format!("GET {path} HTTP/1.0"), String::new()),
        (format!("POST {path} HTTP/1.1"), format!("Host: {at}\r\n{JSON}X-HTTP-Method-Override: GET\r\n")),
        (format!("GET {path} HTTP/1.1"), "Host: evil.example\r\nX-Forwarded-Host: localhost\r\n".to_owned()),
        (format!("GET {path} HTTP/1.1"), "Host: evil.example\r\nForwarded: host=localhost\r\n".to_owned()),
    ] {
        let found = status(&plain(at, format!("{line}\r\n{fields}Connection: close\r\n\r\n")).await);
        through.extend((200..300).contains(&found).then(|| format!("{line:?} {fields:?}: {found}")));
    }
    through
}

async fn protocols(at: SocketAddr, path: &str) -> Vec<String> {
    let upgrade = |fields: &str| format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n{fields}\r\n").into_bytes();
    let mut through = Vec::new();
    for (what, bytes) in [
        ("preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        (
            "h2c",
            upgrade(
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
            ),
        ),
        (
            "WebSocket",
            upgrade(
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            ),
        ),
        ("TLS", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00".to_vec()),
        ("MQTT", super::wire::connect_5("a")),
    ] {
        let answer = plain(at, bytes).await;
        // HTTP/1.1, or nothing.
        let spoken = status(&answer) == 101 || !(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "));
        through.extend(spoken.then(|| format!("{what}: {:?}", String::from_utf8_lossy(&answer))));
    }
    through
}

async fn lengths(at: SocketAddr, path: &str) -> Vec<String> {
    let mut through = Vec::new();
    for rest in [
        "Content-Length: +5\r\n\r\n12345",
        "Content-Length: 5, 6\r\n\r\n12345",
        "Content-Length: 0x5\r\n\r\n12345",
        "Content-Length: -1\r\n\r\n",
        "Content-Length : 5\r\n\r\n12345",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: identity\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        "X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        "X: a\0b\r\nContent-Length: 0\r\n\r\n",
        "X: a\rContent-Length: 0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n+5\r\n12345\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /status HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let answer = plain(at, format!("POST {path} HTTP/1.1\r\nHost: {at}\r\n{JSON}{rest}")).await;
        let text = String::from_utf8_lossy(&answer);
        let answers = text.lines().filter(|line| line.starts_with("HTTP/1.1 ")).count();
        let taken = answers > 1 || (200..300).contains(&status(&answer));
        through.extend(taken.then(|| format!("{rest:?}: {answers} answers, {}", status(&answer))));
    }
    through
}

async fn sizes(at: SocketAddr, path: &str) -> Vec<String> {
    let long = |size: usize| "a".repeat(size);
    let mut through = Vec::new();
    for (what, request) in [
        ("65 fields", get(at, path, &"X: 1\r\n".repeat(65))),
        ("a field of 20 kB", get(at, path, &format!("X: {}\r\n", long(20_000)))),
        ("a target of 70 kB", get(at, &format!("{path}?{}", long(70_000)), "")),
        (
            "extensions of chunks",
            format!(
                "POST {path} HTTP/1.1\r\nHost: {at}\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n1;{}\r\na\r\n0\r\n\r\n",
                long(100_000)
            ),
        ),
        (
            "trailers",
            format!(
                "POST {path} HTTP/1.1\r\nHost: {at}\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n0\r\n{}\r\n",
                "X: 1\r\n".repeat(20_000)
            ),
        ),
    ] {
        let found = status(&plain(at, request).await);
        through.extend((200..300).contains(&found).then(|| format!("{what}: {found}")));
    }
    through
}

/// The whole body has 10 s, however it comes.
async fn trickled(at: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let head = format!("POST /tx HTTP/1.1\r\nHost: {at}\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(30) {
        if stream.write_all(b"1\r\nx\r\n").await.is_err() {
            return None;
        }
        let answered = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut [0; 64])).await;
        if answered.is_ok() {
            return None;
        }
    }
    Some(format!("a body is waited for after {:?}", begun.elapsed()))
}

async fn pipelined(at: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let many = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n").repeat(10_000);
    let flood = tokio::spawn(async move { stream.write_all(many.as_bytes()).await });
    let found = status(&plain(at, get(at, path, "")).await);
    flood.abort();
    (found != 200).then(|| format!("{at}{path}: another client: {found}"))
}

async fn credentials(at: SocketAddr) -> Vec<String> {
    let mut through = Vec::new();
    for line in [
        "POST /pause",
        "POST /resume",
        "PUT /rules",
        "POST /functions/releases",
        "POST /functions/deployments",
        "DELETE /functions/deployments/x",
        "DELETE /functions/releases/00",
        "POST /decisions/1/undo",
    ] {
        for fields in [
            "",
            "Authorization: Bearer \r\n",
            "Authorization: Basic eDp4\r\n",
            "Authorization: Bearer wrong-wrong-wrong-wrong\r\n",
            "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n",
            "Cookie: token=x\r\n",
            "X-Forwarded-For: 127.0.0.1\r\n",
        ] {
            let request = format!(
                "{line} HTTP/1.1\r\nHost: {at}\r\n{JSON}{fields}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
            );
            let found = status(&plain(at, request).await);
            through.extend((found != 401).then(|| format!("{line} {fields:?}: {found}")));
        }
    }
    through
}

/// With the right token: what is no deployment, rule or release is refused, and nothing falls over.
async fn bodies(at: SocketAddr, token: &str) -> Vec<String> {
    let mut through = Vec::new();
    for (line, kind, body) in [
        ("POST /functions/deployments", "application/json", "[".repeat(60_000)),
        ("POST /functions/deployments", "application/json", "{\"a\":".repeat(10_000)),
        ("POST /functions/deployments", "application/json", "{\"name\":\"a\",\"name\":\"b\"}".to_owned()),
        ("POST /functions/deployments", "application/json", "x".repeat(1_000_000)),
        ("POST /functions/deployments", "application/x-www-form-urlencoded", "name=a".to_owned()),
        ("POST /functions/deployments", "multipart/form-data; boundary=x", "--x--".to_owned()),
        ("POST /functions/deployments", "text/plain", "{}".to_owned()),
        ("PUT /rules", "application/toml", "[[condition]]\n".repeat(4_000)),
        ("PUT /rules", "application/toml", format!("a = {}", "[".repeat(30_000))),
        ("PUT /rules", "application/toml", format!("{}x = 1", "a.".repeat(30_000))),
        ("POST /functions/releases", "application/octet-stream", "\0asm".repeat(100_000)),
    ] {
        let length = body.len();
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {at}\r\nContent-Type: {kind}\r\nAuthorization: Bearer {}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
            token.trim()
        );
        let found = status(&plain(at, head + &body).await);
        through.extend(
            (!(400..500).contains(&found)).then(|| format!("{line} {kind} of {length} bytes: {found}")),
        );
    }
    let found = status(&plain(at, get(at, "/status", "")).await);
    through.extend((found != 200).then(|| format!("afterwards: {found}")));
    through
}
