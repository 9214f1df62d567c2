//! A connection to a server, as its application uses it.

mod event;
mod settings;

pub use event::ClientEvent;
pub use settings::ClientSettings;

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsConnector;
use voltmesh_identity::{Peer, RevocationWatch, server_name};

use crate::pump::{Appetite, Clock, Machine, Mailbox, drive};
use crate::standing::{Standing, unix_now_s};
use crate::{ClientConnection, ClientInput, ClientOutput, End, Error, Moment, Outgoing, Reason, Token};

/// Ciphertext is read from the socket in pieces of up to this size.
const SOCKET_READ: usize = 32 << 10;

/// A connection to a server. Cheap to clone; dropping the events ends it.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    mailbox: Mailbox<Command>,
    server: Peer,
    window: u16,
    max_packet: u32,
    queued: AtomicUsize,
    max_queue: usize,
    space: Notify,
    round_trip_us: AtomicU64,
}

/// The application's end of a connection.
pub struct ClientEvents(mpsc::Receiver<ClientEvent>);

impl ClientEvents {
    /// The next event; none after [`ClientEvent::Ended`].
    pub async fn next(&mut self) -> Option<ClientEvent> {
        self.0.recv().await
    }

    /// The next event if one is waiting.
    pub fn try_next(&mut self) -> Option<ClientEvent> {
        self.0.try_recv().ok()
    }
}

enum Command {
    Publish(Outgoing),
    Subscribe(Vec<String>),
    Accept(Token),
    Reject(Token, Reason),
    Ping,
    Disconnect(Reason),
}

impl Client {
    /// Connects to `host:port`, inside a tokio runtime, and waits until the server has let us in. `tls` is
    /// [`voltmesh_identity::Credentials::client_config`]. Does not connect again by itself: which server to use next is
    /// the caller's choice.
    pub async fn connect(
        address: &str,
        tls: Arc<rustls::ClientConfig>,
        settings: ClientSettings,
    ) -> Result<(Client, ClientEvents), Error> {
        let limit = settings.options.connect_timeout;
        let connecting = Client::open(address, tls, settings);
        match timeout(limit, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(Error::Timeout { address: address.to_owned(), limit }),
        }
    }

    async fn open(
        address: &str,
        tls: Arc<rustls::ClientConfig>,
        settings: ClientSettings,
    ) -> Result<(Client, ClientEvents), Error> {
        let named = || address.to_owned();
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|source| Error::Unreachable { address: named(), source })?;
        let _ = stream.set_nodelay(true);
        let stream = BufReader::with_capacity(SOCKET_READ, stream);
        let stream = TlsConnector::from(tls).connect(server_name(), stream).await;
        let mut stream = stream.map_err(|source| Error::Tls { address: named(), source })?;
        let Some(standing) = Standing::of(stream.get_ref().1.peer_certificates()) else {
            let source = std::io::Error::other("the server has shown no certificate");
            return Err(Error::Tls { address: named(), source });
        };
        let server = standing.peer.clone();

        let clock = Clock::start();
        let mut machine = ClientConnection::new(clock.now(), settings.options)?;
        let outputs = greet(&mut stream, &mut machine, clock).await;
        let mut outputs = VecDeque::from(outputs.map_err(|source| Error::Tls { address: named(), source })?);
        let (round_trip, window, max_packet) = match outputs.pop_front() {
            Some(ClientOutput::Connected { round_trip, window, max_packet }) => {
                (round_trip, window, max_packet)
            }
            Some(ClientOutput::Ended(end)) => return Err(Error::Refused { address: named(), end }),
            _ => return Err(Error::Refused { address: named(), end: End::Here(Reason::PROTOCOL_ERROR) }),
        };
        let shared = Arc::new(Shared {
            mailbox: Mailbox::new(),
            server,
            window,
            max_packet,
            queued: AtomicUsize::new(0),
            max_queue: settings.max_queue.max(1),
            space: Notify::new(),
            round_trip_us: AtomicU64::new(round_trip.as_micros() as u64),
        });
        let (events, receiver) = mpsc::channel(settings.event_queue.max(1));
        let mut side = ClientSide {
            machine,
            shared: shared.clone(),
            events: VecDeque::new(),
            max_undecided: settings.max_undecided_bytes,
            ended: false,
        };
        side.take(outputs.into());
        tokio::spawn(async move {
            let shared = side.shared.clone();
            tokio::select! {
                () = drive(stream, &mut side, &shared.mailbox, &events, clock) => {}
                () = guard(&shared, &standing, settings.revoked, settings.revocation_poll) => {}
            }
        });
        Ok((Client(shared), ClientEvents(receiver)))
    }

    /// Who the server is, from its certificate.
    pub fn server(&self) -> &Peer {
        &self.0.server
    }

    /// QoS 1 publishes that may be on their way at once (the server's Receive Maximum).
    pub fn window(&self) -> u16 {
        self.0.window
    }

    /// Largest packet the server takes, in bytes; topic and headers count.
    pub fn max_packet(&self) -> u32 {
        self.0.max_packet
    }

    /// The last measured round trip: of connecting, or of the last ping.
    pub fn round_trip(&self) -> Duration {
        Duration::from_micros(self.0.round_trip_us.load(Ordering::Relaxed))
    }

    /// Publishes handed over and not yet sent.
    pub fn queued(&self) -> usize {
        self.0.queued.load(Ordering::Acquire)
    }

    /// Hands a publish over; [`ClientEvent::Completed`] gives its tag back. [`Error::Full`] when too many wait: see
    /// [`Client::ready`].
    pub fn publish(&self, item: Outgoing) -> Result<(), Error> {
        self.publish_all([item])
    }

    /// The same for many at once, at the cost of one: all of them or, if the queue is full already, none.
    pub fn publish_all(&self, items: impl IntoIterator<Item = Outgoing>) -> Result<(), Error> {
        if self.0.mailbox.is_closed() {
            return Err(Error::Closed);
        }
        if self.queued() >= self.0.max_queue {
            return Err(Error::Full);
        }
        let commands: Vec<_> = items.into_iter().map(Command::Publish).collect();
        self.0.queued.fetch_add(commands.len(), Ordering::AcqRel);
        if self.0.mailbox.push(commands) { Ok(()) } else { Err(Error::Closed) }
    }

    /// Waits until a publish can be handed over, or the connection is gone.
    pub async fn ready(&self) {
        loop {
            let space = self.0.space.notified();
            if self.queued() < self.0.max_queue || self.0.mailbox.is_closed() {
                return;
            }
            space.await;
        }
    }

    /// Asks for what matches these filters; [`ClientEvent::Subscribed`] has the answer.
    pub fn subscribe(&self, filters: Vec<String>) {
        self.0.mailbox.push([Command::Subscribe(filters)]);
    }

    /// The message is dealt with: acknowledge it.
    pub fn accept(&self, token: Token) {
        self.0.mailbox.push([Command::Accept(token)]);
    }

    /// The message is of no use: acknowledge it with this reason.
    pub fn reject(&self, token: Token, reason: Reason) {
        self.0.mailbox.push([Command::Reject(token, reason)]);
    }

    /// Measures the round trip; [`ClientEvent::RoundTrip`] has it.
    pub fn ping(&self) {
        self.0.mailbox.push([Command::Ping]);
    }

    /// Ends the connection, telling the server why ([`Reason::SUCCESS`] for the normal end).
    pub fn disconnect(&self, reason: Reason) {
        self.0.mailbox.push([Command::Disconnect(reason)]);
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        self.0.mailbox.is_closed()
    }
}

/// Ends the connection when the server may no longer be believed; never returns.
async fn guard(shared: &Shared, standing: &Standing, revoked: Option<RevocationWatch>, every: Duration) {
    let Some(revoked) = revoked else { return pending().await };
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        revoked.poll();
        if let Some(problem) = standing.problem(&revoked, unix_now_s()) {
            let peer = &standing.peer;
            tracing::warn!(server = %peer.identity, serial = %peer.serial, "session ended: {problem}");
            shared.mailbox.push([Command::Disconnect(Reason::ADMINISTRATIVE_ACTION)]);
            return pending().await;
        }
    }
}

/// Sends CONNECT and reads until the machine says something.
async fn greet<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    stream: &mut S,
    machine: &mut ClientConnection,
    clock: Clock,
) -> std::io::Result<Vec<ClientOutput>> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream.write_all_buf(machine.output()).await?;
    stream.flush().await?;
    let mut buffer = vec![0; 4 << 10];
    loop {
        let outputs = match stream.read(&mut buffer).await? {
            0 => machine.handle(clock.now(), ClientInput::Closed("the server closed it")),
            count => machine.handle(clock.now(), ClientInput::Received(&buffer[..count])),
        };
        if !outputs.is_empty() {
            return Ok(outputs);
        }
    }
}

/// A connection's task: the state machine and what it shares with its handle.
struct ClientSide {
    machine: ClientConnection,
    shared: Arc<Shared>,
    events: VecDeque<ClientEvent>,
    max_undecided: usize,
    ended: bool,
}

impl ClientSide {
    fn take(&mut self, outputs: Vec<ClientOutput>) {
        for output in outputs {
            self.events.push_back(match output {
                ClientOutput::Connected { .. } => continue,
                ClientOutput::Messages(items) => ClientEvent::Messages(items),
                ClientOutput::Completed(done) => ClientEvent::Completed(done),
                ClientOutput::Subscribed(answers) => ClientEvent::Subscribed(answers),
                ClientOutput::RoundTrip(time) => {
                    self.shared.round_trip_us.store(time.as_micros() as u64, Ordering::Relaxed);
                    ClientEvent::RoundTrip(time)
                }
                ClientOutput::Ended(end) => {
                    self.ended = true;
                    self.shared.mailbox.close();
                    ClientEvent::Ended(end)
                }
            });
        }
    }

    /// Items that left the queue make room.
    fn release(&self, before: usize) {
        let sent = before.saturating_sub(self.machine.waiting().0);
        if sent > 0 || self.ended {
            self.shared.queued.fetch_sub(sent, Ordering::AcqRel);
            self.shared.space.notify_waiters();
        }
    }
}

impl Machine for ClientSide {
    type Command = Command;
    type Event = ClientEvent;

    fn received(&mut self, now: Moment, bytes: &[u8]) {
        let before = self.machine.waiting().0;
        let outputs = self.machine.handle(now, ClientInput::Received(bytes));
        self.take(outputs);
        self.release(before);
    }

    fn closed(&mut self, now: Moment, cause: &str) {
        let outputs = self.machine.handle(now, ClientInput::Closed(cause));
        self.take(outputs);
        self.release(0);
    }

    fn tick(&mut self, now: Moment) {
        let outputs = self.machine.handle(now, ClientInput::Tick);
        self.take(outputs);
        self.release(0);
    }

    fn commands(&mut self, now: Moment, commands: Vec<Command>) {
        let mut before = self.machine.waiting().0;
        let mut outputs = Vec::new();
        for command in commands {
            outputs.extend(match command {
                Command::Publish(item) => {
                    before += 1;
                    self.machine.handle(now, ClientInput::Publish(item))
                }
                Command::Subscribe(filters) => self.machine.handle(now, ClientInput::Subscribe(filters)),
                Command::Accept(token) => self.machine.handle(now, ClientInput::Accept(token)),
                Command::Reject(token, reason) => {
                    self.machine.handle(now, ClientInput::Reject(token, reason))
                }
                Command::Ping => self.machine.handle(now, ClientInput::Ping),
                Command::Disconnect(reason) => self.machine.handle(now, ClientInput::Disconnect(reason)),
            });
        }
        self.take(outputs);
        self.release(before);
    }

    fn excuse(&mut self, now: Moment) {
        self.machine.excuse(now);
    }

    fn orphaned(&mut self, now: Moment) {
        let outputs = self.machine.handle(now, ClientInput::Disconnect(Reason::SUCCESS));
        self.take(outputs);
        self.events.clear();
    }

    fn deadline(&self) -> Option<Moment> {
        self.machine.deadline()
    }

    fn output(&mut self) -> &mut BytesMut {
        self.machine.output()
    }

    fn appetite(&self) -> Appetite {
        if self.machine.undecided().1 >= self.max_undecided { Appetite::Wait } else { Appetite::Read }
    }

    fn events(&mut self) -> &mut VecDeque<ClientEvent> {
        &mut self.events
    }

    fn ended(&self) -> bool {
        self.ended
    }
}

impl Drop for ClientSide {
    /// Also when its task is dropped with the runtime.
    fn drop(&mut self) {
        self.shared.mailbox.close();
        self.shared.space.notify_waiters();
    }
}
