//! Parts of the cases: bytes to send, and answers as text.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use voltmesh_mqtt::Version;

use crate::PATIENCE;

/// Case of a conformance test: what is sent, step by step, with the answers that follow, and whether the connection is open
/// in the end.
pub struct Case {
    /// The statements that it shows, without `MQTT-`.
    pub ids: &'static str,
    pub what: &'static str,
    pub steps: Vec<(Vec<u8>, &'static str)>,
    pub open: bool,
}

pub fn case(ids: &'static str, what: &'static str) -> Case {
    Case { ids, what, steps: Vec::new(), open: true }
}

impl Case {
    pub fn send(mut self, bytes: impl AsRef<[u8]>, answers: &'static str) -> Case {
        self.steps.push((bytes.as_ref().to_vec(), answers));
        self
    }

    /// The server closes it.
    pub fn closed(mut self) -> Case {
        self.open = false;
        self
    }
}

/// A control packet.
pub fn packet(first: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = vec![first];
    let mut rest = body.len();
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

/// Bytes with their length before them.
pub fn field(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

/// A client's connection.
pub struct Line {
    pub stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Line {
    pub fn new(stream: TlsStream<TcpStream>) -> Line {
        Line { stream, buffer: Vec::new() }
    }

    /// The next packet; none when the server has closed.
    pub async fn packet(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(size) = size(&self.buffer)
                && self.buffer.len() >= size
            {
                return Some(self.buffer.drain(..size).collect());
            }
            let mut more = [0; 4096];
            let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut more)).await;
            match read.expect("an answer in time") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.buffer.extend(&more[..count]),
            }
        }
    }
}

fn size(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    for (place, byte) in bytes.get(1..)?.iter().enumerate().take(4) {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(2 + place + length);
        }
    }
    None
}

/// A server's packet as text: its name, packet identifier, codes in hex, and marks for what else it has.
pub fn render(version: Version, bytes: &[u8]) -> String {
    let header = bytes.iter().skip(1).position(|byte| byte & 0x80 == 0).unwrap_or(0) + 2;
    let body = &bytes[header..];
    let id = || u16::from_be_bytes([body[0], body[1]]);
    let codes = |codes: &[u8]| codes.iter().map(|code| format!(" {code:02x}")).collect::<String>();
    let why = |properties: &[u8]| if properties.contains(&0x1f) { " why" } else { "" };
    let five = version == Version::V5;
    match bytes[0] >> 4 {
        2 => {
            let present = if body[0] == 0 { "" } else { " present" };
            let properties = body.get(2..).unwrap_or_default();
            let assigned = if properties.contains(&0x12) { " assigned" } else { "" };
            let why = if body[1] >= 0x80 { why(properties) } else { "" };
            format!("CONNACK{}{present}{assigned}{why}", codes(&body[1..2]))
        }
        3 => {
            let length = usize::from(id());
            let topic = String::from_utf8_lossy(&body[2..2 + length]);
            let qos = bytes[0] >> 1 & 3;
            let marks = [(8, " dup"), (1, " retain")];
            let marks: String =
                marks.iter().filter(|(bit, _)| bytes[0] & bit != 0).map(|(_, mark)| *mark).collect();
            let mut rest = &body[2 + length..];
            let mut number = String::new();
            if qos > 0 {
                number = format!("#{}", u16::from_be_bytes([rest[0], rest[1]]));
                rest = &rest[2..];
            }
            if five {
                rest = &rest[1..];
            }
            format!("PUBLISH {topic} q{qos}{number}{marks} {}", String::from_utf8_lossy(rest))
        }
        4 if five => {
            let code = body.get(2).copied().unwrap_or(0);
            format!("PUBACK {}{}{}", id(), codes(&[code]), why(body.get(3..).unwrap_or_default()))
        }
        4 => format!("PUBACK {}", id()),
        9 | 11 => {
            let kind = if bytes[0] >> 4 == 9 { "SUBACK" } else { "UNSUBACK" };
            let properties = if five { usize::from(body[2]) + 1 } else { 0 };
            format!(
                "{kind} {}{}{}",
                id(),
                codes(&body[2 + properties..]),
                why(&body[2..2 + properties.min(2)])
            )
        }
        13 => "PINGRESP".to_owned(),
        14 => {
            let code = body.first().copied().unwrap_or(0);
            format!("DISCONNECT{}{}", codes(&[code]), why(body.get(1..).unwrap_or_default()))
        }
        kind => format!("packet type {kind}"),
    }
}
