//! Bytes of MQTT 5 and 3.1.1 and of HTTP, as no library would send them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use voltmesh_identity::{Credentials, Expected, Role, server_name};

use super::{World, named};

/// Longest wait for an answer that must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Wait for what should not come.
pub const SILENCE: Duration = Duration::from_millis(500);

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A packet: its first byte, and what follows its length.
    Packet(u8, Vec<u8>),
    Closed,
    Nothing,
}

impl Answer {
    /// Reason code of CONNACK, PUBACK or DISCONNECT; those of an MQTT 5 SUBACK in a row.
    pub fn reasons(&self) -> Vec<u8> {
        match self {
            Answer::Packet(0x20, body) => body.get(1).copied().into_iter().collect(),
            Answer::Packet(0x40, body) => vec![body.get(2).copied().unwrap_or(0)],
            Answer::Packet(0xe0, body) => vec![body.first().copied().unwrap_or(0)],
            Answer::Packet(0x90, body) => {
                let properties = usize::from(body.get(2).copied().unwrap_or(0));
                body.get(3 + properties..).unwrap_or_default().to_vec()
            }
            _ => Vec::new(),
        }
    }

    /// Whether it says no, or ends the connection.
    pub fn refuses(&self) -> bool {
        match self {
            Answer::Packet(0x20 | 0x40 | 0x90, _) => {
                let reasons = self.reasons();
                !reasons.is_empty() && reasons.iter().all(|reason| *reason >= 0x80)
            }
            Answer::Packet(0xe0, _) | Answer::Closed => true,
            Answer::Packet(..) | Answer::Nothing => false,
        }
    }
}

pub struct Line<S>(pub S, Vec<u8>);

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    pub fn new(stream: S) -> Self {
        Line(stream, Vec::new())
    }

    /// Sends, and takes the next packet.
    pub async fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        if self.0.write_all(bytes.as_ref()).await.is_err() {
            return Answer::Closed;
        }
        self.next(PATIENCE).await
    }

    pub async fn next(&mut self, wait: Duration) -> Answer {
        let read = async {
            loop {
                if let Some((length, from)) = length(&self.1)
                    && self.1.len() >= from + length
                {
                    let packet: Vec<u8> = self.1.drain(..from + length).collect();
                    return Answer::Packet(packet[0], packet[from..].to_vec());
                }
                if !matches!(self.0.read_buf(&mut self.1).await, Ok(1..)) {
                    return Answer::Closed;
                }
            }
        };
        timeout(wait, read).await.unwrap_or(Answer::Nothing)
    }
}

/// Length of what follows a packet's fixed header, and where that begins.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for place in 0..4 {
        let byte = *bytes.get(1 + place)?;
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((length, 2 + place));
        }
    }
    None
}

pub async fn tls(world: &World, who: &str, at: SocketAddr, server: Role) -> Option<TlsStream<TcpStream>> {
    let own = Credentials::load(&world.site.deployment.pki.folder_of(&named(who))).unwrap();
    let config = own.client_config(Expected::role(server), None).unwrap();
    let stream = TcpStream::connect(at).await.ok()?;
    TlsConnector::from(config).connect(server_name(), stream).await.ok()
}

/// A session after CONNECT, and what was answered to it.
pub async fn session(
    world: &World,
    who: &str,
    (at, server): (SocketAddr, Role),
    connect: impl AsRef<[u8]>,
) -> (Option<Line<TlsStream<TcpStream>>>, Answer) {
    let Some(stream) = tls(world, who, at, server).await else { return (None, Answer::Closed) };
    let mut line = Line::new(stream);
    let answer = line.ask(connect).await;
    (Some(line), answer)
}

pub fn packet(first: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let (mut bytes, mut rest) = (vec![first], body.len());
    loop {
        let more = rest > 127;
        bytes.push((rest % 128) as u8 | if more { 0x80 } else { 0 });
        rest /= 128;
        if !more {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

pub fn field(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

/// CONNECT of a version, with flags, properties and what follows the client id.
pub fn connect(version: u8, flags: u8, properties: &[u8], id: &str, more: &[u8]) -> Vec<u8> {
    let mut body = [&field("MQTT")[..], &[version, flags, 0, 60]].concat();
    if version == 5 {
        body.push(properties.len() as u8);
        body.extend(properties);
    }
    body.extend(field(id));
    body.extend(more);
    packet(0x10, body)
}

pub fn connect_5(id: &str) -> Vec<u8> {
    connect(5, 2, &[], id, &[])
}

pub fn connect_3(id: &str) -> Vec<u8> {
    connect(4, 2, &[], id, &[])
}

/// A QoS 1 publish of MQTT 5, with properties.
pub fn publish(topic: &str, payload: impl AsRef<[u8]>, properties: &[u8]) -> Vec<u8> {
    packet(0x32, [&field(topic)[..], &[0, 7, properties.len() as u8], properties, payload.as_ref()].concat())
}

/// The same of MQTT 3.1.1.
pub fn publish_3(topic: &str, payload: impl AsRef<[u8]>) -> Vec<u8> {
    packet(0x32, [&field(topic)[..], &[0, 7], payload.as_ref()].concat())
}

pub fn subscribe(version: u8, filters: &[&str]) -> Vec<u8> {
    let filters: Vec<u8> = filters.iter().flat_map(|filter| [field(filter), vec![1]].concat()).collect();
    let head: &[u8] = if version == 5 { &[0, 9, 0] } else { &[0, 9] };
    packet(0x82, [head, &filters].concat())
}

pub fn sample() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!(
        "{{\"timestamp\":{},\"Vehicle.Powertrain.TractionBattery.CurrentVoltage\":352.1,\
         \"Vehicle.Powertrain.TractionBattery.CurrentCurrent\":1.0}}",
        since.as_millis()
    )
}

/// Sends bytes on a plain connection, and reads until the other end closes or is silent.
pub async fn plain(at: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let mut all = Vec::new();
    // What is too large is answered before it is read to its end.
    let (mut reads, mut writes) = stream.split();
    let talk = async { tokio::join!(writes.write_all(bytes.as_ref()), reads.read_to_end(&mut all)) };
    let _ = timeout(Duration::from_secs(2), talk).await;
    all
}

/// Where a role listens for MQTT, by its configuration.
pub fn listener(config: &Path) -> SocketAddr {
    let config: toml::Table = toml::from_str(&std::fs::read_to_string(config).unwrap()).unwrap();
    config["mqtt"]["listen"].as_str().unwrap().parse().unwrap()
}
