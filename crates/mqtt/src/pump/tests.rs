//! A server's machine over a pipe in memory, with time that stands still unless all wait for it.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use voltmesh_identity::Identity;

use super::*;
use crate::{End, Limits, Policy, Reason, ServerConnection, ServerInput, ServerOutput};

struct All;

impl Policy for All {
    fn may_publish(&self, _: &Identity, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn may_subscribe(&self, _: &Identity, _: &str) -> Result<(), Reason> {
        Ok(())
    }
}

/// Reads only while `hungry`; a command switches it.
struct Moody {
    machine: ServerConnection,
    hungry: bool,
    events: VecDeque<ServerOutput>,
    ended: bool,
}

impl Moody {
    fn new(now: Moment) -> Moody {
        let peer = "urn:voltmesh:edge:car-1".parse().unwrap();
        let machine = ServerConnection::new(now, peer, Arc::new(All), Limits::default());
        Moody { machine, hungry: true, events: VecDeque::new(), ended: false }
    }

    fn input(&mut self, now: Moment, input: ServerInput<'_>) {
        let outputs = self.machine.handle(now, input);
        self.ended |= outputs.iter().any(|output| matches!(output, ServerOutput::Ended(_)));
        self.events.extend(outputs);
    }
}

impl Machine for Moody {
    type Command = bool;
    type Event = ServerOutput;

    fn received(&mut self, now: Moment, bytes: &[u8]) {
        self.input(now, ServerInput::Received(bytes));
    }

    fn closed(&mut self, now: Moment, cause: &str) {
        self.input(now, ServerInput::Closed(cause));
    }

    fn tick(&mut self, now: Moment) {
        self.input(now, ServerInput::Tick);
    }

    fn commands(&mut self, _: Moment, commands: Vec<bool>) {
        self.hungry = commands.last().copied().unwrap_or(self.hungry);
    }

    fn excuse(&mut self, now: Moment) {
        self.machine.excuse(now);
    }

    fn orphaned(&mut self, now: Moment) {
        self.input(now, ServerInput::Disconnect(Reason::SERVER_SHUTTING_DOWN.into()));
        self.events.clear();
    }

    fn deadline(&self) -> Option<Moment> {
        self.machine.deadline()
    }

    fn output(&mut self) -> &mut BytesMut {
        self.machine.output()
    }

    fn appetite(&self) -> Appetite {
        if self.hungry { Appetite::Read } else { Appetite::Wait }
    }

    fn events(&mut self) -> &mut VecDeque<ServerOutput> {
        &mut self.events
    }

    fn ended(&self) -> bool {
        self.ended
    }
}

/// CONNECT with keep-alive 10 s.
const CONNECT: &[u8] = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x01a";

struct Rig {
    peer: tokio::io::DuplexStream,
    mailbox: Arc<Mailbox<bool>>,
    events: mpsc::Receiver<ServerOutput>,
    start: Instant,
}

async fn rig() -> Rig {
    let (near, mut peer) = duplex(64 << 10);
    let mailbox = Arc::new(Mailbox::new());
    let (sender, mut events) = mpsc::channel(4);
    let (clock, shared) = (Clock::start(), mailbox.clone());
    tokio::spawn(async move {
        let mut machine = Moody::new(clock.now());
        drive(near, &mut machine, &shared, &sender, clock).await;
    });
    peer.write_all(CONNECT).await.unwrap();
    assert!(matches!(events.recv().await, Some(ServerOutput::Connected { .. })));
    Rig { peer, mailbox, events, start: Instant::now() }
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_session_on_time() {
    let mut rig = rig().await;
    let expected = ServerOutput::Ended(End::Here(Reason::KEEP_ALIVE_TIMEOUT));
    assert_eq!(rig.events.recv().await, Some(expected));
    let waited = rig.start.elapsed();
    assert!((15_000..15_100).contains(&waited.as_millis()), "{waited:?}");
    let mut told = Vec::new();
    rig.peer.read_to_end(&mut told).await.unwrap();
    assert!(told.windows(3).any(|part| part[0] == 0xe0 && part[2] == 0x8d), "{told:02x?}");
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_does_not_come() {
    let (near, mut peer) = duplex(1024);
    let (sender, mut events) = mpsc::channel(4);
    let clock = Clock::start();
    let start = Instant::now();
    tokio::spawn(async move {
        drive(near, &mut Moody::new(clock.now()), &Mailbox::new(), &sender, clock).await;
    });
    peer.write_all(&CONNECT[..5]).await.unwrap();
    assert!(matches!(events.recv().await, Some(ServerOutput::Ended(End::Lost(_)))));
    assert!((5_000..5_100).contains(&start.elapsed().as_millis()));
}

/// A server that does not read for want of room must not take that for the client's silence.
#[tokio::test(start_paused = true)]
async fn back_pressure_is_not_silence() {
    let mut rig = rig().await;
    rig.mailbox.push([false]);
    tokio::time::sleep(Duration::from_secs(100)).await;
    rig.peer.write_all(b"\xc0\x00").await.unwrap();
    assert!(rig.events.try_recv().is_err(), "still open");
    rig.mailbox.push([true]);
    let mut answer = vec![0; 64];
    while !answer.windows(2).any(|part| part == [0xd0, 0x00]) {
        let count = rig.peer.read(&mut answer).await.unwrap();
        assert!(count > 0, "closed");
    }
    assert!(rig.start.elapsed() < Duration::from_secs(110));
}

/// An application that does not take events stops the reading, and loses none of them.
#[tokio::test(start_paused = true)]
async fn a_full_event_queue_holds_the_peer_back() {
    let mut rig = rig().await;
    let mut sent = 0u16;
    // Until the pipe is full: 64 KiB in it, and little more taken out.
    loop {
        sent += 1;
        let mut packet = b"\x32\x87\x08\x00\x01t".to_vec();
        packet.extend(sent.to_be_bytes());
        packet.push(0);
        packet.resize(3 + 1031, b'x');
        let written = timeout(Duration::from_secs(1), rig.peer.write_all(&packet)).await;
        // A part of the last packet may be in; it is not counted.
        if written.is_err() {
            sent -= 1;
            break;
        }
        assert!(sent < 2000, "nothing holds it back");
    }
    let mut seen = 0u16;
    while seen < sent {
        let Some(ServerOutput::Publishes(items)) = rig.events.recv().await else { panic!() };
        seen += items.len() as u16;
    }
    assert_eq!(seen, sent);
}
