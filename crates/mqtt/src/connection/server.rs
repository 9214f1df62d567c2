//! The server's side of one connection.

mod connect;
mod limits;
mod subscriptions;

pub use limits::Limits;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::role;
use mqtt_protocol_core::mqtt::packet::{GenericPacket, Property, v5_0};
use voltmesh_identity::Identity;

use super::greeting::{self, Frame, Will};
use super::packets::Packet;
use super::received::Publish;
use super::wire::{Taken, Wire, reason_of};
use super::{End, Incoming, Moment, Outgoing, Qos, Tag, Token, Version, strict};
use crate::{Reason, Refusal};

/// Rights of each peer. The identity is the certificate's.
pub trait Policy: Send + Sync + 'static {
    /// May this peer publish to this topic? A refusal is the PUBACK's reason, thus permanent: the client must not try
    /// again. QoS 0 publishes that are refused vanish.
    fn may_publish(&self, peer: &Identity, topic: &str) -> Result<(), Reason>;

    /// May this peer subscribe with this filter? Decide on the filter's text: a wildcard may match what others are sent.
    fn may_subscribe(&self, peer: &Identity, filter: &str) -> Result<(), Reason>;

    /// May this peer leave this will? It is asked in CONNECT, and a refusal is CONNACK's: a will that is let in is
    /// published like any other message once the session ends without the client's word. By default, what may be published
    /// may be left.
    fn may_leave_will(&self, peer: &Identity, topic: &str, _payload: &[u8]) -> Result<(), Refusal> {
        self.may_publish(peer, topic)
            .map_err(|reason| Refusal::new(reason, format!("{} may not publish the will's topic", peer)))
    }
}

/// Decides on a session by its client id, once, before CONNACK.
pub type Door = Box<dyn FnMut(&str) -> Result<(), Refusal> + Send>;

/// All that can happen to a server's side of a connection.
#[derive(Clone, Debug)]
pub enum ServerInput<'a> {
    /// Bytes from the peer, cut anywhere.
    Received(&'a [u8]),
    /// The transport is gone, and why.
    Closed(&'a str),
    /// The deadline has come.
    Tick,
    /// The application has made the publish durable: PUBACK with success.
    Accept(Token),
    /// The application will never take this publish, and keeps it elsewhere: PUBACK with this reason. MQTT 3.1.1 has only
    /// PUBACK. For a transient failure, disconnect.
    Reject(Token, Refusal),
    /// Send to the peer, if it has subscribed.
    Publish(Outgoing),
    /// End it.
    Disconnect(Refusal),
}

/// All that a server's side asks for or tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerOutput {
    /// CONNECT was accepted.
    Connected {
        /// The client's own, or one assigned to it.
        client_id: String,
        /// As in force.
        keep_alive: Duration,
        /// What it speaks.
        version: Version,
    },
    /// Publishes that the policy allows, in order; all those of one input together. A will comes last, before the end.
    Publishes(Vec<Incoming>),
    /// The policy refused this many publishes; their PUBACKs say so. Of MQTT 3.1.1, which cannot be told, the connection
    /// ends. So are wills of peers that are no longer let in.
    Refused(usize),
    /// The peer will now get what matches this filter.
    Subscribed(String),
    /// And no longer what matches this one.
    Unsubscribed(String),
    /// Publishes to the peer that are over: acknowledged, or impossible.
    Completed(Vec<(Tag, Reason)>),
    /// Nothing follows. Write out the bytes that are left, then close.
    Ended(End),
}

/// The server's side of one connection. See the crate's example.
pub struct ServerConnection {
    wire: Wire<role::Server>,
    peer: Identity,
    policy: Arc<dyn Policy>,
    limits: Limits,
    /// While CONNECT is awaited.
    connect_by: Option<Moment>,
    door: Option<Door>,
    /// For a peer that names no client id.
    assigned: String,
    will: Option<Will>,
    /// As CONNECT asked for; zero forbids another in DISCONNECT.
    session_expiry: u32,
    /// Filters with the QoS that was granted.
    subscriptions: Vec<(String, Qos)>,
    /// The policy's last answer: most publishes repeat the topic.
    allowed: Option<Arc<str>>,
    /// What came before CONNECT was complete.
    greeting: Option<Vec<u8>>,
    told_end: bool,
}

impl ServerConnection {
    /// For a transport on which the peer has proven its identity.
    pub fn new(now: Moment, peer: Identity, policy: Arc<dyn Policy>, limits: Limits) -> ServerConnection {
        ServerConnection {
            // The version is known with CONNECT.
            wire: Wire::new(Version::V5, limits.max_packet, limits.receive_maximum.max(1)),
            assigned: peer.folder(),
            peer,
            policy,
            connect_by: Some(now.after(limits.connect_timeout)),
            limits,
            door: None,
            will: None,
            session_expiry: 0,
            subscriptions: Vec::new(),
            allowed: None,
            greeting: Some(Vec::new()),
            told_end: false,
        }
    }

    /// The client id for a peer that names none; unlike that of any other session of the peer (MQTT-3.2.2-16). Default: the
    /// peer's name.
    pub fn assign(&mut self, client_id: String) {
        self.assigned = client_id;
    }

    /// Asks the door when CONNECT has come, and answers with its reason instead of letting the peer in.
    pub fn ask_door(&mut self, door: Door) {
        self.door = Some(door);
    }

    /// Takes an input; bytes to send are then in [`ServerConnection::take_bytes`].
    pub fn handle(&mut self, now: Moment, input: ServerInput<'_>) -> Vec<ServerOutput> {
        let mut outputs = Vec::new();
        if self.wire.ended().is_some() {
            return outputs;
        }
        match input {
            ServerInput::Received(bytes) => self.receive(now, bytes, &mut outputs),
            ServerInput::Closed(cause) => self.wire.end(End::Lost(cause.to_owned())),
            ServerInput::Tick => {
                self.wire.tick(now);
                if self.connect_by.is_some_and(|by| by <= now) {
                    self.wire.end(End::Lost("no CONNECT came in time".to_owned()));
                }
            }
            ServerInput::Accept(token) => self.wire.decide(now, token, Reason::SUCCESS),
            ServerInput::Reject(token, refusal) => self.wire.decide(now, token, refusal),
            ServerInput::Publish(item) => self.publish(now, item, &mut outputs),
            ServerInput::Disconnect(refusal) => self.wire.disconnect(now, refusal),
        }
        if let (Some(end), false) = (self.wire.ended().cloned(), self.told_end) {
            self.publish_will(&end, &mut outputs);
            outputs.push(ServerOutput::Ended(end));
            self.told_end = true;
        }
        outputs
    }

    /// What the peer left in CONNECT, unless it took it back by DISCONNECT (MQTT-3.1.2-8, MQTT-3.14.4-3). Sessions end with
    /// their connections, so a delay that was asked for has passed (MQTT 5 3.1.3.2.2).
    fn publish_will(&mut self, end: &End, outputs: &mut Vec<ServerOutput>) {
        let Some(will) = self.will.take() else { return };
        match end {
            End::Peer(Reason::SUCCESS) => {}
            // Its certificate no longer counts, or it may not be here.
            End::Here(Reason::ADMINISTRATIVE_ACTION | Reason::NOT_AUTHORIZED) => {
                outputs.push(ServerOutput::Refused(1));
            }
            _ => outputs.push(ServerOutput::Publishes(vec![Incoming {
                token: Token::from_bits(0),
                topic: will.topic.as_str().into(),
                payload: will.payload.clone(),
                qos: will.delivered_as(),
                duplicate: false,
                will: true,
            }])),
        }
    }

    /// When [`ServerInput::Tick`] is due.
    pub fn deadline(&self) -> Option<Moment> {
        match (self.connect_by, self.wire.deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Call when bytes of the peer were left unread on purpose, for want of room: its silence meanwhile is not its own.
    pub fn excuse(&mut self, now: Moment) {
        self.wire.excuse(now);
    }

    /// The bytes to send now.
    pub fn take_bytes(&mut self) -> Bytes {
        self.wire.take_bytes()
    }

    /// The same, to write from in place.
    pub fn output(&mut self) -> &mut BytesMut {
        self.wire.output()
    }

    /// Publishes that await a decision, and their payload bytes.
    pub fn undecided(&self) -> (usize, usize) {
        self.wire.undecided()
    }

    /// Whether the peer has as many publishes without PUBACK as it may, and cannot know.
    pub fn is_full(&self) -> bool {
        self.wire.version() == Version::V3_1_1
            && self.undecided().0 >= usize::from(self.limits.receive_maximum)
    }

    /// Publishes queued for the peer beyond its window, and their payload bytes.
    pub fn outbound(&self) -> (usize, usize) {
        self.wire.waiting()
    }

    fn receive(&mut self, now: Moment, bytes: &[u8], outputs: &mut Vec<ServerOutput>) {
        let Some(greeting) = &mut self.greeting else {
            self.process(now, bytes, outputs);
            return;
        };
        greeting.extend_from_slice(bytes);
        // MQTT 5 3.1: the first packet is CONNECT. What is not even that is not waited for.
        if greeting.first().is_some_and(|first| *first != greeting::CONNECT) {
            self.wire.end(End::Here(Reason::PROTOCOL_ERROR));
            return;
        }
        match greeting::frame(greeting, self.limits.max_packet.min(self.limits.max_connect)) {
            Frame::Unfinished => {}
            Frame::TooLarge => self.wire.end(End::Here(Reason::PACKET_TOO_LARGE)),
            Frame::Malformed => self.wire.end(End::Here(Reason::MALFORMED_PACKET)),
            Frame::Whole(size) => {
                let bytes = std::mem::take(greeting);
                self.greeting = None;
                let (packet, rest) = bytes.split_at(size);
                self.connect(now, packet, outputs);
                self.process(now, rest, outputs);
            }
        }
    }

    fn process(&mut self, now: Moment, bytes: &[u8], outputs: &mut Vec<ServerOutput>) {
        let mut cursor = Cursor::new(bytes);
        let mut heard = Heard::default();
        while let Some(found) = self.wire.receive(now, &mut cursor) {
            match found {
                Ok(GenericPacket::V5_0Publish(packet)) => match strict::publish(&packet) {
                    Ok(()) => self.take_publish(now, &packet, &mut heard),
                    Err(refusal) => self.wire.disconnect(now, refusal),
                },
                Ok(GenericPacket::V3_1_1Publish(packet)) => self.take_publish(now, &packet, &mut heard),
                Ok(GenericPacket::V5_0Puback(packet)) => {
                    heard.completed.extend(self.wire.take_puback(&packet));
                    self.wire.flow(now, &mut heard.completed);
                }
                Ok(GenericPacket::V3_1_1Puback(packet)) => {
                    heard.completed.extend(self.wire.acknowledged(packet.packet_id(), Reason::SUCCESS));
                    self.wire.flow(now, &mut heard.completed);
                }
                Ok(packet) => self.other(now, packet, outputs),
                Err(error) => self.wire.disconnect(now, reason_of(error)),
            }
        }
        // Those before a packet that broke the connection are whole; the peer will send them again, too.
        if !heard.publishes.is_empty() {
            outputs.push(ServerOutput::Publishes(heard.publishes));
        }
        if heard.refused > 0 {
            outputs.push(ServerOutput::Refused(heard.refused));
        }
        if !heard.completed.is_empty() {
            outputs.push(ServerOutput::Completed(heard.completed));
        }
    }

    fn take_publish<'a>(&mut self, now: Moment, packet: impl Into<Publish<'a>>, heard: &mut Heard) {
        match self.wire.take_publish(packet) {
            Taken::Fresh(item) => match self.may_publish(&item.topic) {
                Ok(()) => heard.publishes.push(item),
                Err(reason) => {
                    heard.refused += 1;
                    let why = format!("{} may not publish to this topic", self.peer);
                    let refusal = Refusal::new(reason, why);
                    match self.wire.version() {
                        // Nobody keeps it, so an acknowledgement would say what is not so (3.1.1: MQTT-3.3.5-2).
                        Version::V3_1_1 => self.wire.disconnect(now, refusal),
                        Version::V5 => self.wire.decide(now, item.token, refusal),
                    }
                }
            },
            Taken::Repeated => {}
            Taken::Broken(refusal) => self.wire.disconnect(now, refusal),
        }
    }

    fn other(&mut self, now: Moment, packet: Packet, outputs: &mut Vec<ServerOutput>) {
        match packet {
            GenericPacket::V5_0Subscribe(packet) => {
                // MQTT 5 3.2.2.3.12: not offered, so not to be asked for.
                if packet.props().iter().any(|p| matches!(p, Property::SubscriptionIdentifier(_))) {
                    let why = "SUBSCRIBE: subscription identifiers are not offered";
                    let refusal = Refusal::new(Reason::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED, why);
                    return self.wire.disconnect(now, refusal);
                }
                self.subscribe(now, packet.packet_id(), packet.entries(), outputs);
            }
            GenericPacket::V3_1_1Subscribe(packet) => {
                self.subscribe(now, packet.packet_id(), packet.entries(), outputs);
            }
            GenericPacket::V5_0Unsubscribe(packet) => {
                let filters = packet.entries().iter().map(|filter| filter.as_str().to_owned()).collect();
                self.unsubscribe(now, packet.packet_id(), filters, outputs);
            }
            GenericPacket::V3_1_1Unsubscribe(packet) => {
                let filters = packet.entries().iter().map(|filter| filter.as_str().to_owned()).collect();
                self.unsubscribe(now, packet.packet_id(), filters, outputs);
            }
            GenericPacket::V5_0Pingreq(_) | GenericPacket::V3_1_1Pingreq(_) => {}
            GenericPacket::V5_0Disconnect(packet) => self.disconnected(now, &packet),
            GenericPacket::V3_1_1Disconnect(_) => self.wire.end(End::Peer(Reason::SUCCESS)),
            GenericPacket::V5_0Auth(_) => {
                let why = "AUTH: no authentication was agreed on in CONNECT";
                self.wire.disconnect(now, Refusal::new(Reason::PROTOCOL_ERROR, why));
            }
            _ => self.wire.disconnect(now, Reason::PROTOCOL_ERROR),
        }
    }

    fn disconnected(&mut self, now: Moment, packet: &v5_0::Disconnect) {
        let mut properties = packet.props().iter().flatten();
        let lasting =
            properties.any(|p| matches!(p, Property::SessionExpiryInterval(time) if time.val() != 0));
        if lasting && self.session_expiry == 0 {
            let why = "DISCONNECT: a session expiry interval though CONNECT had none";
            return self.wire.disconnect(now, Refusal::new(Reason::PROTOCOL_ERROR, why));
        }
        let reason = packet.reason_code().map_or(Reason::SUCCESS, |code| Reason(code as u8));
        self.wire.end(End::Peer(reason));
    }

    fn may_publish(&mut self, topic: &Arc<str>) -> Result<(), Reason> {
        if self.allowed.as_ref().is_some_and(|allowed| Arc::ptr_eq(allowed, topic)) {
            return Ok(());
        }
        self.policy.may_publish(&self.peer, topic)?;
        self.allowed = Some(topic.clone());
        Ok(())
    }
}

/// Publishes and completions that one input brought.
#[derive(Default)]
struct Heard {
    publishes: Vec<Incoming>,
    refused: usize,
    completed: Vec<(Tag, Reason)>,
}
