//! CONNECT of both versions, read before the protocol library sees anything: which version it is, whether it keeps every
//! rule, and what the library is told instead.
//!
//! The library (0.7.9) lets reserved flags, NUL characters and flags without their field pass, refuses a password without
//! a user name (which MQTT 5 allows), and panics at Topic Alias Maximum 0. So CONNECT is read here, strictly, and the
//! library gets one of our own with what it has to know.

use bytes::Bytes;
use mqtt_protocol_core::mqtt::packet::{
    MaximumPacketSize, Properties, Property, ReceiveMaximum, v3_1_1, v5_0,
};

use super::{Qos, Version};
use crate::{Reason, Refusal, is_topic};

/// First byte of CONNECT (MQTT 5 3.1.1).
pub(super) const CONNECT: u8 = 0x10;

/// Progress of a packet that arrives piece by piece.
pub(super) enum Frame {
    Unfinished,
    /// So many bytes are the packet.
    Whole(usize),
    TooLarge,
    Malformed,
}

/// Looks at the fixed header alone.
pub(super) fn frame(bytes: &[u8], max_packet: u32) -> Frame {
    let mut fields = Fields(bytes.get(1..).unwrap_or_default());
    let before = fields.0.len();
    match fields.variable() {
        Ok(length) => {
            let total = 1 + (before - fields.0.len()) + length;
            match total {
                _ if total > max_packet as usize => Frame::TooLarge,
                _ if bytes.len() >= total => Frame::Whole(total),
                _ => Frame::Unfinished,
            }
        }
        Err(_) if before < 4 => Frame::Unfinished,
        Err(_) => Frame::Malformed,
    }
}

/// Content of a CONNECT.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Connect {
    pub(super) version: Version,
    /// Clean Start, or Clean Session.
    pub(super) clean: bool,
    pub(super) keep_alive: u16,
    pub(super) client_id: String,
    pub(super) will: Option<Will>,
    /// Zero asks for a session that ends with the connection.
    pub(super) session_expiry: u32,
    /// Whether reason strings may be sent.
    pub(super) wants_problems: bool,
    pub(super) authentication: Option<String>,
    receive_maximum: Option<u16>,
    /// Largest packet that the client takes.
    pub(super) max_packet: Option<u32>,
}

/// Will message: published if the session ends without the client's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Will {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    /// 0, 1 or 2.
    pub(super) qos: u8,
    pub(super) retain: bool,
}

impl Will {
    pub(super) fn delivered_as(&self) -> Qos {
        if self.qos == 0 { Qos::AtMostOnce } else { Qos::AtLeastOnce }
    }
}

/// Reason why a CONNECT is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Another protocol: nothing is answered.
    Stranger,
    /// MQTT of a version that is not spoken here.
    Version,
    /// It breaks a rule of its version.
    Broken(Version, Refusal),
}

type Read<T> = Result<T, Refusal>;

fn malformed<T>(why: &'static str) -> Read<T> {
    Err(Refusal::new(Reason::MALFORMED_PACKET, why))
}

fn protocol<T>(why: &'static str) -> Read<T> {
    Err(Refusal::new(Reason::PROTOCOL_ERROR, why))
}

impl Connect {
    /// Reads a whole packet.
    pub(super) fn parse(packet: &[u8]) -> Result<Connect, Unread> {
        let mut fields = Fields(packet.get(1..).unwrap_or_default());
        let name = fields.variable().and_then(|_| fields.binary());
        let (Ok(name), Ok(level)) = (name, fields.u8()) else { return Err(Unread::Stranger) };
        let version = match (name, level) {
            (b"MQTT", 5) => Version::V5,
            (b"MQTT", 4) => Version::V3_1_1,
            // MQIsdp is MQTT 3.1. Bridges set the highest bit of the level, and leave it out when they are told.
            (b"MQTT" | b"MQIsdp", _) => return Err(Unread::Version),
            _ => return Err(Unread::Stranger),
        };
        Connect::fields(version, fields).map_err(|refusal| Unread::Broken(version, refusal))
    }

    fn fields(version: Version, mut fields: Fields<'_>) -> Read<Connect> {
        let flags = fields.u8()?;
        if flags & 0x01 != 0 {
            return malformed("CONNECT: the reserved flag is set");
        }
        let (has_will, has_name, has_password) = (flags & 0x04 != 0, flags & 0x80 != 0, flags & 0x40 != 0);
        let (will_qos, will_retain) = (flags >> 3 & 3, flags & 0x20 != 0);
        if will_qos == 3 {
            return malformed("CONNECT: the will has QoS 3");
        }
        if !has_will && (will_qos != 0 || will_retain) {
            return malformed("CONNECT: QoS or retain of a will that is not there");
        }
        if version == Version::V3_1_1 && has_password && !has_name {
            return malformed("CONNECT: a password without a user name");
        }
        let mut connect = Connect {
            version,
            clean: flags & 0x02 != 0,
            keep_alive: fields.u16()?,
            client_id: String::new(),
            will: None,
            session_expiry: 0,
            wants_problems: version == Version::V5,
            authentication: None,
            receive_maximum: None,
            max_packet: None,
        };
        if version == Version::V5 {
            connect.properties(fields.properties()?)?;
        }
        connect.client_id = fields.text()?.to_owned();
        if has_will {
            if version == Version::V5 {
                will_properties(fields.properties()?)?;
            }
            let topic = fields.text()?.to_owned();
            if !is_topic(&topic) {
                return Err(Refusal::new(
                    Reason::TOPIC_NAME_INVALID,
                    "CONNECT: the will's topic is no topic name",
                ));
            }
            let payload = Bytes::copy_from_slice(fields.binary()?);
            connect.will = Some(Will { topic, payload, qos: will_qos, retain: will_retain });
        }
        if has_name {
            fields.text()?;
        }
        if has_password {
            fields.binary()?;
        }
        if fields.0.is_empty() { Ok(connect) } else { malformed("CONNECT: bytes after its last field") }
    }

    fn properties(&mut self, mut fields: Fields<'_>) -> Read<()> {
        let mut seen = Seen::default();
        let mut has_data = false;
        while let Some(id) = fields.property(&mut seen)? {
            match id {
                0x11 => self.session_expiry = fields.u32()?,
                0x21 => self.receive_maximum = Some(nonzero(fields.u16()?)?),
                0x27 => self.max_packet = Some(nonzero(fields.u32()?)?),
                0x22 => drop(fields.u16()?),
                0x19 => drop(fields.flag()?),
                0x17 => self.wants_problems = fields.flag()?,
                0x15 => self.authentication = Some(fields.text()?.to_owned()),
                0x16 => (_, has_data) = (fields.binary()?, true),
                0x26 => fields.pair()?,
                _ => return protocol("CONNECT: a property that does not belong there"),
            }
        }
        if has_data && self.authentication.is_none() {
            return protocol("CONNECT: authentication data without a method");
        }
        Ok(())
    }

    /// The CONNECT that the library is given, with the keep-alive that is in force.
    pub(super) fn for_library(&self, keep_alive: u16) -> Option<Vec<u8>> {
        // The library only looks at whether there is one.
        const CLIENT_ID: &str = "a";
        Some(match self.version {
            Version::V3_1_1 => {
                let packet = v3_1_1::Connect::builder().client_id(CLIENT_ID).ok()?;
                packet.clean_session(true).keep_alive(keep_alive).build().ok()?.to_continuous_buffer()
            }
            Version::V5 => {
                let mut properties = Properties::new();
                let receive = self.receive_maximum.and_then(|most| ReceiveMaximum::new(most).ok());
                properties.extend(receive.map(Property::from));
                let size = self.max_packet.and_then(|most| MaximumPacketSize::new(most).ok());
                properties.extend(size.map(Property::from));
                let packet = v5_0::Connect::builder().client_id(CLIENT_ID).ok()?.clean_start(true);
                packet.keep_alive(keep_alive).props(properties).build().ok()?.to_continuous_buffer()
            }
        })
    }
}

fn nonzero<T: Default + PartialEq>(value: T) -> Read<T> {
    if value == T::default() { protocol("CONNECT: a maximum of 0") } else { Ok(value) }
}

fn will_properties(mut fields: Fields<'_>) -> Read<()> {
    let mut seen = Seen::default();
    while let Some(id) = fields.property(&mut seen)? {
        match id {
            0x18 | 0x02 => drop(fields.u32()?),
            0x01 => drop(fields.flag()?),
            0x03 => drop(fields.text()?),
            0x08 if !is_topic(fields.text()?) => {
                return Err(Refusal::new(
                    Reason::TOPIC_NAME_INVALID,
                    "CONNECT: the will's response topic is no topic name",
                ));
            }
            0x08 => {}
            0x09 => drop(fields.binary()?),
            0x26 => fields.pair()?,
            _ => return protocol("CONNECT: a property that does not belong to a will"),
        }
    }
    Ok(())
}

/// Properties that came already: only user properties (0x26) may come again.
#[derive(Default)]
struct Seen(u64);

/// Rest of a packet that is not parsed yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let Some((taken, rest)) = self.0.split_at_checked(count) else {
            return malformed("CONNECT: it ends within a field");
        };
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Read<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Read<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Read<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A byte that is 0 or 1.
    fn flag(&mut self) -> Read<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => protocol("CONNECT: a flag that is neither 0 nor 1"),
        }
    }

    fn binary(&mut self) -> Read<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// UTF-8 without U+0000 (MQTT-1.5.4-1, MQTT-1.5.4-2).
    fn text(&mut self) -> Read<&'a str> {
        match std::str::from_utf8(self.binary()?) {
            Ok(text) if !text.contains('\0') => Ok(text),
            Ok(_) => malformed("CONNECT: a text with U+0000"),
            Err(_) => malformed("CONNECT: a text that is not UTF-8"),
        }
    }

    fn pair(&mut self) -> Read<()> {
        self.text()?;
        self.text()?;
        Ok(())
    }

    /// A variable byte integer (MQTT 5 1.5.5).
    fn variable(&mut self) -> Read<usize> {
        let mut value = 0;
        for place in 0..4 {
            let byte = self.u8()?;
            value |= usize::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        malformed("CONNECT: a length of more than four bytes")
    }

    /// The block of properties that begins here.
    fn properties(&mut self) -> Read<Fields<'a>> {
        let length = self.variable()?;
        self.take(length).map(Fields)
    }

    /// The next property's identifier; none at the end of the block.
    fn property(&mut self, seen: &mut Seen) -> Read<Option<u8>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let id = self.u8()?;
        if id >= 64 {
            return malformed("CONNECT: an unknown property");
        }
        if id != 0x26 && seen.0 >> id & 1 != 0 {
            return protocol("CONNECT: a property twice");
        }
        seen.0 |= 1 << id;
        Ok(Some(id))
    }
}
