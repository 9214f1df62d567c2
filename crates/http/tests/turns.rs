//! Requests that cost much: few at a time, so that others are answered.
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use voltmesh_http::{Figures, Names, Rules, Settings, serve};

/// Longer than anything here takes, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks from an address of this machine; the status of the answer.
async fn ask(from: &str, at: SocketAddr, path: &str) -> u16 {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(at).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_for_much_many_times_waits_for_itself() {
    let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let dear = {
        let (begun, go) = (begun.clone(), go.clone());
        move || async move {
            begun.fetch_add(1, Ordering::SeqCst);
            go.acquire().await.unwrap().forget();
        }
    };
    let router = Router::new().route("/dear", get(dear)).route("/fine", get(|| async {}));
    let settings = Settings { costly: &["/dear"], costly_at_once: 4, ..Settings::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let figures = Figures::new();
    let server =
        serve(listener, router, Rules::new(Names::default()), settings, None, figures.clone()).unwrap();
    let at = server.address();
    let waited = || figures.snapshot().into_iter().find(|(name, _)| *name == "http_costly_waits").unwrap().1;
    let until = async |is_so: &dyn Fn() -> bool| {
        timeout(PATIENCE, async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await
        .expect("it comes about");
    };

    let flood: Vec<_> = (0..20).map(|_| tokio::spawn(ask("127.0.0.1", at, "/dear"))).collect();
    until(&|| waited() == 18).await;
    assert_eq!(begun.load(Ordering::SeqCst), 2, "half of the turns are one source's");
    // What costs little has no turn to wait for, and another source has its own.
    assert_eq!(ask("127.0.0.1", at, "/fine").await, 200);
    let others: Vec<_> =
        ["127.0.0.2", "127.0.0.3", "127.0.0.4"].map(|from| tokio::spawn(ask(from, at, "/dear"))).into();
    until(&|| waited() == 19 && begun.load(Ordering::SeqCst) == 4).await;
    go.add_permits(23);
    for answer in flood.into_iter().chain(others) {
        assert_eq!(answer.await.unwrap(), 200);
    }
    // Whoever goes away while it waits leaves nothing behind.
    let gone: Vec<_> = (0..5).map(|_| tokio::spawn(ask("127.0.0.1", at, "/dear"))).collect();
    until(&|| waited() == 22).await;
    for task in &gone {
        task.abort();
    }
    go.add_permits(6);
    assert_eq!(ask("127.0.0.1", at, "/dear").await, 200);
    server.shutdown().await;
}
