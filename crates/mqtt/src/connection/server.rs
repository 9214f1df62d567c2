use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::role;
use mqtt_protocol_core::mqtt::packet::{
    AssignedClientIdentifier, GenericPacket, MaximumQos, Properties, Property, Qos as RawQos,
    RetainAvailable, ServerKeepAlive, SessionExpiryInterval, SharedSubscriptionAvailable,
    SubscriptionIdentifierAvailable, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{
    ConnectReasonCode, MqttError, SubackReasonCode, UnsubackReasonCode,
};
use voltmesh_identity::Identity;

use super::greeting;
use super::wire::{Packet, Taken, Wire, reason_of};
use super::{End, Incoming, Moment, Outgoing, Tag, Token};
use crate::{Reason, filter_matches, is_filter};

/// What each peer may do. The identity is the certificate's.
pub trait Policy: Send + Sync + 'static {
    /// May this peer publish to this topic? A refusal is the PUBACK's reason, thus permanent: the client must not try
    /// again. QoS 0 publishes that are refused vanish.
    fn may_publish(&self, peer: &Identity, topic: &str) -> Result<(), Reason>;

    /// May this peer subscribe with this filter? Decide on the filter's text: a wildcard may match what others are sent.
    fn may_subscribe(&self, peer: &Identity, filter: &str) -> Result<(), Reason>;
}

/// Decides on a session by its client id, once, before CONNACK.
pub type Door = Box<dyn FnMut(&str) -> Result<(), Reason> + Send>;

/// What one session may take up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest packet accepted, in bytes; checked before any of it is buffered. Default 1 MiB + 4 KiB: one batch.
    pub max_packet: u32,
    /// QoS 1 publishes without PUBACK, 1 to 65,535. Default 2,048: 50 ms at 40,000/s.
    pub receive_maximum: u16,
    /// Payload bytes without PUBACK after which the session is not read from. Default 8 MiB.
    pub max_undecided_bytes: usize,
    /// From the transport's start to CONNECT. Default 5 s.
    pub connect_timeout: Duration,
    /// Longest keep-alive granted; who asks for more, or for none, is told this. Default 60 s.
    pub max_keep_alive: Duration,
    /// Subscriptions of one session. Default 16.
    pub max_subscriptions: usize,
    /// Publishes queued for the peer beyond its window. Default 1,024.
    pub max_outbound: usize,
    /// Their payload bytes. Default 4 MiB.
    pub max_outbound_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_packet: (1 << 20) + (4 << 10),
            receive_maximum: 2048,
            max_undecided_bytes: 8 << 20,
            connect_timeout: Duration::from_secs(5),
            max_keep_alive: Duration::from_secs(60),
            max_subscriptions: 16,
            max_outbound: 1024,
            max_outbound_bytes: 4 << 20,
        }
    }
}

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
    /// The application will never take this publish: PUBACK with this reason. For a transient failure, disconnect.
    Reject(Token, Reason),
    /// Send to the peer, if it has subscribed.
    Publish(Outgoing),
    /// End it.
    Disconnect(Reason),
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
    },
    /// Publishes that the policy allows, in order; all those of one input together.
    Publishes(Vec<Incoming>),
    /// The policy refused this many publishes; their PUBACKs say so.
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
    subscriptions: Vec<String>,
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
            wire: Wire::new(limits.max_packet, limits.receive_maximum.max(1)),
            peer,
            policy,
            connect_by: Some(now.after(limits.connect_timeout)),
            limits,
            door: None,
            subscriptions: Vec::new(),
            allowed: None,
            greeting: Some(Vec::new()),
            told_end: false,
        }
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
            ServerInput::Reject(token, reason) => self.wire.decide(now, token, reason),
            ServerInput::Publish(item) => self.publish(now, item, &mut outputs),
            ServerInput::Disconnect(reason) => self.wire.disconnect(now, reason),
        }
        if let (Some(end), false) = (self.wire.ended(), self.told_end) {
            outputs.push(ServerOutput::Ended(end.clone()));
            self.told_end = true;
        }
        outputs
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

    /// Publishes queued for the peer beyond its window, and their payload bytes.
    pub fn outbound(&self) -> (usize, usize) {
        self.wire.waiting()
    }

    /// Whether the peer has subscribed to what this topic is under.
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.subscriptions.iter().any(|filter| filter_matches(filter, topic))
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
        if greeting::is_complete(greeting, self.limits.max_packet) {
            let mut bytes = std::mem::take(greeting);
            self.greeting = None;
            greeting::disarm(&mut bytes);
            self.process(now, &bytes, outputs);
        }
    }

    fn process(&mut self, now: Moment, bytes: &[u8], outputs: &mut Vec<ServerOutput>) {
        let mut cursor = Cursor::new(bytes);
        let mut publishes = Vec::new();
        let mut refused = 0;
        let mut completed = Vec::new();
        while let Some(found) = self.wire.receive(now, &mut cursor) {
            match found {
                Ok(GenericPacket::V5_0Connect(packet)) if self.connect_by.is_some() => {
                    self.connect(now, &packet, outputs);
                }
                Ok(_) if self.connect_by.is_some() => self.wire.end(End::Here(Reason::PROTOCOL_ERROR)),
                Ok(GenericPacket::V5_0Publish(packet)) => match self.wire.take_publish(packet) {
                    Taken::Fresh(item) => match self.may_publish(&item.topic) {
                        Ok(()) => publishes.push(item),
                        Err(reason) => {
                            refused += 1;
                            self.wire.decide(now, item.token, reason);
                        }
                    },
                    Taken::Repeated => {}
                    Taken::Broken(reason) => self.wire.disconnect(now, reason),
                },
                Ok(GenericPacket::V5_0Puback(packet)) => {
                    completed.extend(self.wire.take_puback(&packet));
                    self.wire.flow(now, &mut completed);
                }
                Ok(packet) => self.other(now, packet, outputs),
                Err(error) => self.fail(now, error),
            }
        }
        // Those before a packet that broke the connection are whole; the peer will send them again, too.
        if !publishes.is_empty() {
            outputs.push(ServerOutput::Publishes(publishes));
        }
        if refused > 0 {
            outputs.push(ServerOutput::Refused(refused));
        }
        if !completed.is_empty() {
            outputs.push(ServerOutput::Completed(completed));
        }
    }

    fn other(&mut self, now: Moment, packet: Packet, outputs: &mut Vec<ServerOutput>) {
        match packet {
            GenericPacket::V5_0Subscribe(packet) => self.subscribe(now, &packet, outputs),
            GenericPacket::V5_0Unsubscribe(packet) => self.unsubscribe(now, &packet, outputs),
            GenericPacket::V5_0Pingreq(_) => {}
            GenericPacket::V5_0Disconnect(packet) => {
                let reason = packet.reason_code().map_or(Reason::SUCCESS, |code| Reason(code as u8));
                self.wire.end(End::Peer(reason));
            }
            _ => self.wire.disconnect(now, Reason::PROTOCOL_ERROR),
        }
    }

    fn connect(&mut self, now: Moment, packet: &v5_0::Connect, outputs: &mut Vec<ServerOutput>) {
        let mut door = self.door.take();
        let client_id = self.client_id(packet);
        let refuse = match () {
            // MQTT 5 3.2.2.3.4 and 3.2.2.3.5: neither is offered, so neither may be asked for.
            () if packet.will_flag() && packet.will_retain() => Some(Reason::RETAIN_NOT_SUPPORTED),
            () if packet.will_flag() && packet.will_qos() == RawQos::ExactlyOnce => {
                Some(Reason::QOS_NOT_SUPPORTED)
            }
            () => door.as_mut().and_then(|door| door(&client_id).err()),
        };
        if let Some(reason) = refuse {
            let code = ConnectReasonCode::try_from(reason.0).unwrap_or(ConnectReasonCode::UnspecifiedError);
            if let Ok(packet) = v5_0::Connack::builder().session_present(false).reason_code(code).build() {
                let _ = self.wire.send(now, packet);
            }
            self.wire.end(End::Here(reason));
            return;
        }
        let (connack, keep_alive) = self.connack(packet, &client_id);
        let sent = connack.map(|packet| self.wire.send(now, packet));
        if !matches!(sent, Ok(Ok(()))) {
            self.wire.end(End::Here(Reason::PACKET_TOO_LARGE));
            return;
        }
        self.connect_by = None;
        outputs.push(ServerOutput::Connected { client_id, keep_alive });
    }

    /// One unnamed session per peer: the next takes it over.
    fn client_id(&self, packet: &v5_0::Connect) -> String {
        match packet.client_id() {
            "" => self.peer.folder(),
            given => given.to_owned(),
        }
    }

    fn connack(
        &self,
        packet: &v5_0::Connect,
        client_id: &str,
    ) -> (Result<v5_0::Connack, MqttError>, Duration) {
        let mut properties = Properties::new();
        let mut add = |property: Result<Property, MqttError>| properties.extend(property.ok());
        add(MaximumQos::new(1).map(Property::from));
        add(RetainAvailable::new(0).map(Property::from));
        add(SharedSubscriptionAvailable::new(0).map(Property::from));
        add(SubscriptionIdentifierAvailable::new(0).map(Property::from));
        let lasting = packet
            .props()
            .iter()
            .any(|p| matches!(p, Property::SessionExpiryInterval(time) if time.val() != 0));
        if lasting {
            add(SessionExpiryInterval::new(0).map(Property::from));
        }
        let max = self.limits.max_keep_alive.as_secs().clamp(1, u16::MAX.into()) as u16;
        let asked = packet.keep_alive();
        let granted = if asked == 0 || asked > max { max } else { asked };
        if granted != asked {
            add(ServerKeepAlive::new(granted).map(Property::from));
        }
        if packet.client_id().is_empty() {
            add(AssignedClientIdentifier::new(client_id).map(Property::from));
        }
        let connack = v5_0::Connack::builder()
            .session_present(false)
            .reason_code(ConnectReasonCode::Success)
            .props(properties)
            .build();
        (connack, Duration::from_secs(granted.into()))
    }

    fn may_publish(&mut self, topic: &Arc<str>) -> Result<(), Reason> {
        if self.allowed.as_ref().is_some_and(|allowed| Arc::ptr_eq(allowed, topic)) {
            return Ok(());
        }
        self.policy.may_publish(&self.peer, topic)?;
        self.allowed = Some(topic.clone());
        Ok(())
    }

    fn subscribe(&mut self, now: Moment, packet: &v5_0::Subscribe, outputs: &mut Vec<ServerOutput>) {
        if packet.props().iter().any(|p| matches!(p, Property::SubscriptionIdentifier(_))) {
            self.wire.disconnect(now, Reason::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED);
            return;
        }
        let mut codes = Vec::new();
        for entry in packet.entries() {
            let filter = entry.topic_filter();
            let code = match self.may_subscribe(filter) {
                Ok(()) => {
                    if !self.subscriptions.iter().any(|known| known == filter) {
                        self.subscriptions.push(filter.to_owned());
                    }
                    outputs.push(ServerOutput::Subscribed(filter.to_owned()));
                    match entry.sub_opts().qos() {
                        RawQos::AtMostOnce => SubackReasonCode::GrantedQos0,
                        _ => SubackReasonCode::GrantedQos1,
                    }
                }
                Err(reason) => {
                    SubackReasonCode::try_from(reason.0).unwrap_or(SubackReasonCode::UnspecifiedError)
                }
            };
            codes.push(code);
        }
        let suback = v5_0::Suback::builder().packet_id(packet.packet_id()).reason_codes(codes).build();
        if !matches!(suback.map(|suback| self.wire.send(now, suback)), Ok(Ok(()))) {
            self.wire.disconnect(now, Reason::PROTOCOL_ERROR);
        }
    }

    fn may_subscribe(&self, filter: &str) -> Result<(), Reason> {
        if filter.starts_with("$share/") {
            return Err(Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED);
        }
        if !is_filter(filter) {
            return Err(Reason::TOPIC_FILTER_INVALID);
        }
        let known = self.subscriptions.iter().any(|known| known == filter);
        if !known && self.subscriptions.len() >= self.limits.max_subscriptions {
            return Err(Reason::QUOTA_EXCEEDED);
        }
        self.policy.may_subscribe(&self.peer, filter)
    }

    fn unsubscribe(&mut self, now: Moment, packet: &v5_0::Unsubscribe, outputs: &mut Vec<ServerOutput>) {
        let mut codes = Vec::new();
        for filter in packet.entries() {
            let place = self.subscriptions.iter().position(|known| known == filter.as_str());
            codes.push(match place {
                Some(place) => {
                    outputs.push(ServerOutput::Unsubscribed(self.subscriptions.remove(place)));
                    UnsubackReasonCode::Success
                }
                None => UnsubackReasonCode::NoSubscriptionExisted,
            });
        }
        let unsuback = v5_0::Unsuback::builder().packet_id(packet.packet_id()).reason_codes(codes).build();
        if !matches!(unsuback.map(|unsuback| self.wire.send(now, unsuback)), Ok(Ok(()))) {
            self.wire.disconnect(now, Reason::PROTOCOL_ERROR);
        }
    }

    fn publish(&mut self, now: Moment, item: Outgoing, outputs: &mut Vec<ServerOutput>) {
        let mut done = Vec::new();
        let (count, bytes) = self.wire.waiting();
        if !self.is_subscribed(&item.topic) {
            done.push((item.tag, Reason::NO_MATCHING_SUBSCRIBERS));
        } else if count >= self.limits.max_outbound
            || bytes + item.payload.len() > self.limits.max_outbound_bytes
        {
            done.push((item.tag, Reason::QUOTA_EXCEEDED));
        } else {
            self.wire.enqueue(item);
            self.wire.flow(now, &mut done);
        }
        if !done.is_empty() {
            outputs.push(ServerOutput::Completed(done));
        }
    }

    fn fail(&mut self, now: Moment, error: MqttError) {
        if error == MqttError::UnsupportedProtocolVersion {
            // An MQTT 3 client reads only its own CONNACK: return code 1, unacceptable protocol version.
            self.wire.clear_output();
            self.wire.raw(&[0x20, 0x02, 0x00, 0x01]);
        }
        self.wire.disconnect(now, reason_of(error));
    }
}
