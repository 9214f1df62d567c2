use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::role;
use mqtt_protocol_core::mqtt::packet::{GenericPacket, Property, Qos as RawQos, SubEntry, SubOpts, v5_0};
use mqtt_protocol_core::mqtt::result_code::ConnectReasonCode;

use super::packets::Packet;
use super::wire::{Taken, Wire, reason_of};
use super::{End, Incoming, Moment, Outgoing, Tag, Token, Version};
use crate::{Error, Reason, is_filter};

/// A ping may take so many round trips of CONNECT, if that is longer than the configured time.
const PING_ROUND_TRIPS: u32 = 4;

/// Options that a client asks of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// Tells several sessions of one identity apart; empty lets the server choose. Default empty.
    pub client_id: String,
    /// The server gives up after one and a half times this silence, 0 to 65,535 s. Default 10 s.
    pub keep_alive: Duration,
    /// Ping after so much silence from this side. Default 5 s.
    pub ping_every: Duration,
    /// Give up when a ping is not answered in this time. Default 5 s.
    pub ping_timeout: Duration,
    /// From the transport's start to CONNACK. Default 5 s.
    pub connect_timeout: Duration,
    /// Largest packet accepted, in bytes. Default 1 MiB + 4 KiB.
    pub max_packet: u32,
    /// QoS 1 publishes accepted without PUBACK. Default 256.
    pub receive_maximum: u16,
    /// Subscribed to as soon as the connection is open. Default none.
    pub subscriptions: Vec<String>,
}

impl Default for ClientOptions {
    fn default() -> ClientOptions {
        ClientOptions {
            client_id: String::new(),
            keep_alive: Duration::from_secs(10),
            ping_every: Duration::from_secs(5),
            ping_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            max_packet: (1 << 20) + (4 << 10),
            receive_maximum: 256,
            subscriptions: Vec::new(),
        }
    }
}

/// All that can happen to a client's side of a connection.
#[derive(Clone, Debug)]
pub enum ClientInput<'a> {
    /// Bytes from the server, cut anywhere.
    Received(&'a [u8]),
    /// The transport is gone, and why.
    Closed(&'a str),
    /// The deadline has come.
    Tick,
    /// Send; waits for the window and, before CONNACK, for the connection.
    Publish(Outgoing),
    /// Ask for what matches these filters.
    Subscribe(Vec<String>),
    /// The application has dealt with a message.
    Accept(Token),
    /// The application cannot use a message.
    Reject(Token, Reason),
    /// Measure the round trip.
    Ping,
    /// End it.
    Disconnect(Reason),
}

/// All that a client's side asks for or tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientOutput {
    /// The server let us in.
    Connected {
        /// From CONNECT to CONNACK.
        round_trip: Duration,
        /// QoS 1 publishes that may be on their way at once.
        window: u16,
        /// Largest packet the server takes, in bytes.
        max_packet: u32,
    },
    /// Messages, in order; all those of one input together.
    Messages(Vec<Incoming>),
    /// Publishes that are over: acknowledged with a reason, written (QoS 0), or impossible.
    Completed(Vec<(Tag, Reason)>),
    /// The server's answer to each filter.
    Subscribed(Vec<(String, Reason)>),
    /// From PINGREQ to PINGRESP.
    RoundTrip(Duration),
    /// Nothing follows. Write out the bytes that are left, then close. What was not completed may not have arrived.
    Ended(End),
}

/// The client's side of one connection. See the crate's example.
pub struct ClientConnection {
    wire: Wire<role::Client>,
    options: ClientOptions,
    started: Moment,
    connected: bool,
    pinged: Option<Moment>,
    /// Packet ids of SUBSCRIBEs without SUBACK.
    subscribing: Vec<(u16, Vec<String>)>,
    told_end: bool,
}

impl ClientConnection {
    /// For a fresh transport; CONNECT is in [`ClientConnection::take_bytes`].
    pub fn new(now: Moment, options: ClientOptions) -> Result<ClientConnection, Error> {
        let invalid = |problem: String| Error::Invalid { problem };
        for filter in &options.subscriptions {
            if !is_filter(filter) {
                return Err(invalid(format!("{filter:?} is not a topic filter")));
            }
        }
        let mut wire = Wire::new(Version::V5, options.max_packet, options.receive_maximum.max(1));
        wire.set_ping(now, Some(options.ping_every), options.ping_timeout);
        let connect = v5_0::Connect::builder()
            .client_id(&*options.client_id)
            .map_err(|_| invalid(format!("{:?} is not a client id", options.client_id)))?
            .clean_start(true)
            .keep_alive(options.keep_alive.as_secs().min(u16::MAX.into()) as u16)
            .build()
            .map_err(|error| invalid(format!("{error:?}")))?;
        wire.send(now, connect).map_err(|error| invalid(format!("{error:?}")))?;
        Ok(ClientConnection {
            wire,
            options,
            started: now,
            connected: false,
            pinged: None,
            subscribing: Vec::new(),
            told_end: false,
        })
    }

    /// Takes an input; bytes to send are then in [`ClientConnection::take_bytes`].
    pub fn handle(&mut self, now: Moment, input: ClientInput<'_>) -> Vec<ClientOutput> {
        let mut outputs = Vec::new();
        if self.wire.ended().is_some() {
            return outputs;
        }
        match input {
            ClientInput::Received(bytes) => self.receive(now, bytes, &mut outputs),
            ClientInput::Closed(cause) => self.wire.end(End::Lost(cause.to_owned())),
            ClientInput::Tick => self.tick(now),
            ClientInput::Publish(item) => {
                self.wire.enqueue(item);
                self.flow(now, &mut outputs);
            }
            ClientInput::Subscribe(filters) => self.subscribe(now, filters, &mut outputs),
            ClientInput::Accept(token) => self.wire.decide(now, token, Reason::SUCCESS),
            ClientInput::Reject(token, reason) => self.wire.decide(now, token, reason),
            ClientInput::Ping => self.ping(now),
            ClientInput::Disconnect(reason) => self.wire.disconnect(now, reason),
        }
        if let (Some(end), false) = (self.wire.ended(), self.told_end) {
            outputs.push(ClientOutput::Ended(end.clone()));
            self.told_end = true;
        }
        outputs
    }

    /// When [`ClientInput::Tick`] is due.
    pub fn deadline(&self) -> Option<Moment> {
        if self.wire.ended().is_some() {
            return None;
        }
        if !self.connected {
            return Some(self.started.after(self.options.connect_timeout));
        }
        self.wire.deadline()
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

    /// Publishes that wait for the window, and their payload bytes.
    pub fn waiting(&self) -> (usize, usize) {
        self.wire.waiting()
    }

    /// Publishes sent and not yet acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.wire.unacknowledged()
    }

    /// Messages that await a decision, and their payload bytes.
    pub fn undecided(&self) -> (usize, usize) {
        self.wire.undecided()
    }

    fn tick(&mut self, now: Moment) {
        if !self.connected {
            if self.started.after(self.options.connect_timeout) <= now {
                self.wire.end(End::Lost("no CONNACK came in time".to_owned()));
            }
            return;
        }
        let before = self.wire.ping_sent();
        self.wire.tick(now);
        if !before && self.wire.ping_sent() {
            self.pinged = Some(now);
        }
    }

    fn ping(&mut self, now: Moment) {
        // One at a time: answers carry no number.
        if !self.connected || self.pinged.is_some() {
            return;
        }
        if self.wire.send(now, v5_0::Pingreq::new()).is_ok() {
            self.pinged = Some(now);
        }
    }

    fn receive(&mut self, now: Moment, bytes: &[u8], outputs: &mut Vec<ClientOutput>) {
        let mut cursor = Cursor::new(bytes);
        let mut messages = Vec::new();
        let mut completed = Vec::new();
        while let Some(found) = self.wire.receive(now, &mut cursor) {
            match found {
                Ok(GenericPacket::V5_0Puback(packet)) if self.connected => {
                    completed.extend(self.wire.take_puback(&packet));
                }
                Ok(GenericPacket::V5_0Publish(packet)) if self.connected => {
                    match self.wire.take_publish(&packet) {
                        Taken::Fresh(item) => messages.push(item),
                        Taken::Repeated => {}
                        Taken::Broken(refusal) => self.wire.disconnect(now, refusal),
                    }
                }
                Ok(packet) => self.other(now, packet, outputs),
                Err(error) => self.wire.disconnect(now, reason_of(error)),
            }
        }
        if self.connected {
            self.wire.flow(now, &mut completed);
        }
        if !completed.is_empty() {
            outputs.push(ClientOutput::Completed(completed));
        }
        if !messages.is_empty() {
            outputs.push(ClientOutput::Messages(messages));
        }
    }

    fn other(&mut self, now: Moment, packet: Packet, outputs: &mut Vec<ClientOutput>) {
        match packet {
            GenericPacket::V5_0Connack(packet) if !self.connected => self.connack(now, &packet, outputs),
            GenericPacket::V5_0Suback(packet) if self.connected => {
                let Some(place) = self.subscribing.iter().position(|(id, _)| *id == packet.packet_id())
                else {
                    return;
                };
                let (_, filters) = self.subscribing.swap_remove(place);
                let codes = packet.reason_codes().into_iter().map(|code| Reason(code as u8));
                let codes = codes.chain(std::iter::repeat(Reason::UNSPECIFIED));
                outputs.push(ClientOutput::Subscribed(filters.into_iter().zip(codes).collect()));
            }
            GenericPacket::V5_0Pingresp(_) if self.connected => {
                self.wire.ping_answered(now, self.options.ping_every);
                if let Some(pinged) = self.pinged.take() {
                    outputs.push(ClientOutput::RoundTrip(now.since(pinged)));
                }
            }
            GenericPacket::V5_0Disconnect(packet) => {
                let reason = packet.reason_code().map_or(Reason::SUCCESS, |code| Reason(code as u8));
                self.wire.end(End::Peer(reason));
            }
            _ => self.wire.disconnect(now, Reason::PROTOCOL_ERROR),
        }
    }

    fn connack(&mut self, now: Moment, packet: &v5_0::Connack, outputs: &mut Vec<ClientOutput>) {
        if packet.reason_code() != ConnectReasonCode::Success {
            self.wire.end(End::Peer(Reason(packet.reason_code() as u8)));
            return;
        }
        self.connected = true;
        let (mut window, mut max_packet) = (u16::MAX, u32::MAX);
        for property in packet.props() {
            match property {
                Property::ReceiveMaximum(value) => window = value.val(),
                Property::MaximumPacketSize(value) => max_packet = value.val(),
                _ => {}
            }
        }
        let round_trip = now.since(self.started);
        // On a slow path the configured time would end every session.
        self.wire.set_ping_timeout(self.options.ping_timeout.max(round_trip * PING_ROUND_TRIPS));
        outputs.push(ClientOutput::Connected { round_trip, window, max_packet });
        let filters = std::mem::take(&mut self.options.subscriptions);
        if !filters.is_empty() {
            self.subscribe(now, filters, outputs);
        }
    }

    fn subscribe(&mut self, now: Moment, filters: Vec<String>, outputs: &mut Vec<ClientOutput>) {
        if !self.connected {
            self.options.subscriptions.extend(filters);
            return;
        }
        let options = SubOpts::new().set_qos(RawQos::AtLeastOnce);
        let entries: Result<Vec<_>, _> =
            filters.iter().map(|filter| SubEntry::new(&**filter, options)).collect();
        let packet = entries.ok().zip(self.wire.acquire_packet_id()).and_then(|(entries, id)| {
            let packet = v5_0::Subscribe::builder().packet_id(id).entries(entries).build().ok()?;
            self.wire.send(now, packet).ok()?;
            Some(id)
        });
        match packet {
            Some(id) => self.subscribing.push((id, filters)),
            None => {
                let refused = filters.into_iter().map(|filter| (filter, Reason::TOPIC_FILTER_INVALID));
                outputs.push(ClientOutput::Subscribed(refused.collect()));
            }
        }
    }

    fn flow(&mut self, now: Moment, outputs: &mut Vec<ClientOutput>) {
        if !self.connected {
            return;
        }
        let mut done = Vec::new();
        self.wire.flow(now, &mut done);
        if !done.is_empty() {
            outputs.push(ClientOutput::Completed(done));
        }
    }
}
