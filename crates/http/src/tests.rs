mod connections;
mod rules;
mod server;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Query;
use axum::routing::{get, post};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::{Figures, Names, Rules, Server, Settings, Tls, serve};

/// Longer than any honest answer here takes, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(30);

/// Routes that answer at once, never, with all that was sent, and with much.
fn router() -> Router {
    Router::new()
        .route("/fine", get(|| async { "fine" }))
        .route("/never", get(|| async { std::future::pending::<()>().await }))
        .route("/echo", post(|body: Bytes| async move { body }))
        .route(
            "/query",
            get(|Query(query): Query<BTreeMap<String, String>>| async move { format!("{query:?}") }),
        )
        .route("/much", get(|| async { vec![7_u8; 8 << 20] }))
}

fn rules() -> Rules {
    Rules::new(Names::default())
}

async fn start(settings: Settings, tls: Option<Tls>) -> (Server, Arc<Figures>) {
    let figures = Figures::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (serve(listener, router(), rules(), settings, tls, figures.clone()).unwrap(), figures)
}

fn figure(figures: &Figures, name: &str) -> u64 {
    figures.snapshot().into_iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name}")).1
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Sends a request and reads one answer of known length: its status and body.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, request: &str) -> (u16, String) {
    stream.write_all(request.as_bytes()).await.unwrap();
    read(stream).await.expect("an answer")
}

/// The next answer of known length; none if the connection ends first.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<(u16, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut body = vec![0; length.unwrap_or("0").parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some((status, head + &String::from_utf8_lossy(&body)))
}

/// Reads until the other end closes, in whatever way.
async fn ends<S: AsyncRead + Unpin>(stream: &mut S) -> Vec<u8> {
    let mut all = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("it ends").ok();
    all
}

const FINE: &str = "GET /fine HTTP/1.1\r\nHost: localhost\r\n\r\n";
