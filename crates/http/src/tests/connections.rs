//! One connection over a pipe in memory, on a clock that tests move: nothing here waits.

use super::*;
use crate::connection::{self, Ends, Shared};
use crate::gate::{Gate, Report, Seat};
use crate::turns::Turns;
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::time::Instant;

const HERE: &str = "127.0.0.1:9100";

/// The client's end of a connection, its server's figures, and the switch that stops the server.
fn pipe(buffer: usize) -> (DuplexStream, Arc<Figures>, watch::Sender<bool>) {
    let (client, server) = tokio::io::duplex(buffer);
    let (stop, stopped) = watch::channel(false);
    let (figures, here) = (Figures::new(), HERE.parse().unwrap());
    let shared = Shared {
        router: router(),
        rules: rules(),
        settings: Settings::default(),
        figures: figures.clone(),
        turns: Turns::new(1),
        listens: here,
        secure: false,
        stop: stopped,
    };
    let seat: Arc<Seat<u8, ()>> = Arc::new(Gate::new(1, 1).enter(0, ()).unwrap().seat);
    let report: Arc<dyn Report> = seat;
    tokio::spawn(connection::serve(
        server,
        Arc::new(shared),
        Ends { local: here, remote: here, peer: None },
        report,
    ));
    (client, figures, stop)
}

/// Seconds until the connection ends, and what was said until then.
async fn seconds<S: AsyncRead + Unpin>(stream: &mut S) -> (u64, String) {
    let start = Instant::now();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.ok();
    (start.elapsed().as_secs(), String::from_utf8_lossy(&all).into_owned())
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_ends() {
    let (mut client, figures, _stop) = pipe(1 << 16);
    assert_eq!(seconds(&mut client).await.0, 10);
    assert_eq!(figure(&figures, "http_timeouts"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_after_its_last_answer() {
    let (mut client, _figures, _stop) = pipe(1 << 16);
    for _ in 0..3 {
        assert_eq!(ask(&mut client, FINE).await.0, 200);
        tokio::time::sleep(Duration::from_secs(9)).await;
    }
    assert_eq!(ask(&mut client, FINE).await.0, 200);
    assert_eq!(seconds(&mut client).await.0, 10);
}

#[tokio::test(start_paused = true)]
async fn a_header_that_trickles_in_ends_the_connection() {
    let (mut client, figures, _stop) = pipe(1 << 16);
    let start = Instant::now();
    for byte in FINE.bytes().cycle() {
        // Never a whole header: one that never ends.
        let byte = if byte == b'\n' || byte == b'\r' { b'a' } else { byte };
        if client.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!((10..13).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert_eq!(figure(&figures, "http_timeouts"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_408() {
    let (mut client, figures, _stop) = pipe(1 << 16);
    let start = Instant::now();
    let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nab";
    let (status, said) = ask(&mut client, head).await;
    assert_eq!((status, start.elapsed().as_secs()), (408, 10), "{said}");
    assert!(said.contains("connection: close"), "{said}");
    assert_eq!(seconds(&mut client).await.0, 0, "the connection ends");
    assert_eq!(figure(&figures, "http_timeouts"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_503() {
    let (mut client, _figures, _stop) = pipe(1 << 16);
    let start = Instant::now();
    let (status, said) = ask(&mut client, "GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!((status, start.elapsed().as_secs()), (503, 60), "{said}");
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_nothing_of_its_answer_is_left() {
    let (mut client, _figures, _stop) = pipe(1 << 12);
    client.write_all(b"GET /much HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_secs(31)).await;
    let (after, said) = seconds(&mut client).await;
    assert!(after == 0 && said.len() <= 1 << 12, "{after} {}", said.len());
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_slowly_gets_everything() {
    let (mut client, _figures, _stop) = pipe(1 << 16);
    client.write_all(b"GET /much HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let (mut total, mut piece) = (0, vec![0; 1 << 16]);
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        match client.read(&mut piece).await.unwrap() {
            0 => break,
            read => total += read,
        }
    }
    assert!(total > 8 << 20, "{total}");
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_the_request_under_way_be_answered() {
    let (mut client, _, stop) = pipe(1 << 16);
    let head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\na";
    client.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    stop.send(true).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ask(&mut client, "b").await.0, 200);
    assert_eq!(seconds(&mut client).await.0, 0);
    // An idle one ends at once.
    let (mut client, _, stop) = pipe(1 << 16);
    assert_eq!(ask(&mut client, FINE).await.0, 200);
    stop.send(true).unwrap();
    assert_eq!(seconds(&mut client).await.0, 0);
}
