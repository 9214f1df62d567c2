//! What both sides share: the protocol library's connection with its timers and its output.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mqtt_protocol_core::mqtt::connection::role::RoleType;
use mqtt_protocol_core::mqtt::connection::{ConnectionOptions, GenericConnection, GenericEvent, TimerKind};
use mqtt_protocol_core::mqtt::packet::{GenericPacket, GenericPacketTrait, Qos as RawQos, v5_0};
use mqtt_protocol_core::mqtt::result_code::{DisconnectReasonCode, MqttError, PubackReasonCode};
use mqtt_protocol_core::mqtt::{ArcPayload, Version, common::Cursor};

use super::{End, Incoming, Moment, Outgoing, Qos, Tag, Token};
use crate::{Reason, is_topic};

pub(super) type Packet = GenericPacket<u16>;

/// The library's state of one connection, with what it leaves to its user.
pub(super) struct Wire<R: RoleType> {
    inner: GenericConnection<R, u16>,
    out: BytesMut,
    timers: [Option<Moment>; 3],
    /// What they were last set to.
    intervals: [Duration; 3],
    ended: Option<End>,
    /// QoS 1 publishes that the application has not decided on: packet id to sequence and size.
    undecided: BTreeMap<u16, (u64, usize)>,
    undecided_bytes: usize,
    sequence: u64,
    /// Most publishes repeat the topic of the one before.
    last_topic: Arc<str>,
    waiting: VecDeque<Outgoing>,
    waiting_bytes: usize,
    /// QoS 1 publishes sent and not yet acknowledged by the peer.
    unacknowledged: BTreeMap<u16, Tag>,
}

/// What became of a received PUBLISH.
pub(super) enum Taken {
    Fresh(Incoming),
    /// The same packet again while the first is undecided.
    Repeated,
    Broken(Reason),
}

impl<R: RoleType> Wire<R> {
    pub(super) fn new(max_packet: u32, receive_maximum: u16) -> Wire<R> {
        let options =
            ConnectionOptions::new().maximum_packet_size_recv(max_packet).receive_maximum(receive_maximum);
        let mut inner = GenericConnection::with_options(Version::V5_0, options);
        inner.set_auto_pub_response(false);
        inner.set_auto_ping_response(true);
        Wire {
            inner,
            out: BytesMut::new(),
            timers: [None; 3],
            intervals: [Duration::ZERO; 3],
            ended: None,
            undecided: BTreeMap::new(),
            undecided_bytes: 0,
            sequence: 0,
            last_topic: "".into(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            unacknowledged: BTreeMap::new(),
        }
    }

    /// Feeds bytes up to the end of one packet; `None` when they are used up.
    pub(super) fn receive(
        &mut self,
        now: Moment,
        cursor: &mut Cursor<&[u8]>,
    ) -> Option<Result<Packet, MqttError>> {
        while self.ended.is_none() && (cursor.position() as usize) < cursor.get_ref().len() {
            let events = self.inner.recv(cursor);
            if let Some(found) = self.apply(now, events) {
                return Some(found);
            }
        }
        None
    }

    pub(super) fn send(&mut self, now: Moment, packet: impl Into<Packet>) -> Result<(), MqttError> {
        let events = self.inner.send(packet.into());
        match self.apply(now, events) {
            Some(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn apply(&mut self, now: Moment, events: Vec<GenericEvent<u16>>) -> Option<Result<Packet, MqttError>> {
        let mut found = None;
        for event in events {
            match event {
                GenericEvent::NotifyPacketReceived(packet) => found = Some(Ok(packet)),
                GenericEvent::RequestSendPacket { packet, .. } => {
                    self.out.extend_from_slice(&packet.to_continuous_buffer());
                }
                GenericEvent::RequestTimerReset { kind, duration_ms } => {
                    self.intervals[slot(kind)] = Duration::from_millis(duration_ms);
                    self.timers[slot(kind)] = Some(now.after(self.intervals[slot(kind)]));
                }
                GenericEvent::RequestTimerCancel(kind) => self.timers[slot(kind)] = None,
                GenericEvent::NotifyError(error) => found = Some(Err(error)),
                // The reason follows as an error, or is known to whoever asked for the end.
                GenericEvent::RequestClose | GenericEvent::NotifyPacketIdReleased(_) => {}
            }
        }
        found
    }

    /// Lets timers that are due do their work.
    pub(super) fn tick(&mut self, now: Moment) {
        for kind in [TimerKind::PingreqSend, TimerKind::PingreqRecv, TimerKind::PingrespRecv] {
            if self.ended.is_some() || self.timers[slot(kind)].is_none_or(|due| due > now) {
                continue;
            }
            self.timers[slot(kind)] = None;
            if kind == TimerKind::PingreqSend && self.ping_sent() {
                // Another ping would put off the timeout of the first for ever.
                continue;
            }
            let events = self.inner.notify_timer_fired(kind);
            self.apply(now, events);
            if !matches!(kind, TimerKind::PingreqSend) {
                self.ended = Some(End::Here(Reason::KEEP_ALIVE_TIMEOUT));
            }
        }
    }

    /// The peer was not listened to: its silence so far does not count.
    pub(super) fn excuse(&mut self, now: Moment) {
        for kind in [TimerKind::PingreqRecv, TimerKind::PingrespRecv] {
            if let Some(due) = &mut self.timers[slot(kind)] {
                *due = now.after(self.intervals[slot(kind)]);
            }
        }
    }

    /// Ping again after so much silence, counted from the answer to the last one.
    pub(super) fn ping_answered(&mut self, now: Moment, every: Duration) {
        self.timers[slot(TimerKind::PingreqSend)].get_or_insert(now.after(every));
    }

    /// Whether an answer to a ping is due.
    pub(super) fn ping_sent(&self) -> bool {
        self.timers[slot(TimerKind::PingrespRecv)].is_some()
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        if self.ended.is_some() { None } else { self.timers.iter().flatten().min().copied() }
    }

    pub(super) fn set_ping(&mut self, now: Moment, every: Option<Duration>, timeout: Duration) {
        let events = self.inner.set_pingreq_send_interval(every.map(|every| every.as_millis() as u64));
        self.apply(now, events);
        self.inner.set_pingresp_recv_timeout(timeout.as_millis() as u64);
    }

    /// Ends the connection from this side, with DISCONNECT if it is open.
    pub(super) fn disconnect(&mut self, now: Moment, reason: Reason) {
        if self.ended.is_some() {
            return;
        }
        let code = DisconnectReasonCode::try_from(reason.0).unwrap_or(DisconnectReasonCode::UnspecifiedError);
        if let Ok(packet) = v5_0::Disconnect::builder().reason_code(code).build() {
            // Before CONNACK there is nothing to send; closing says enough.
            let _ = self.send(now, packet);
        }
        self.end(End::Here(reason));
    }

    pub(super) fn end(&mut self, end: End) {
        self.ended.get_or_insert(end);
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    pub(super) fn ended(&self) -> Option<&End> {
        self.ended.as_ref()
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(super) fn clear_output(&mut self) {
        self.out.clear();
    }

    pub(super) fn output(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    pub(super) fn take_bytes(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    pub(super) fn undecided(&self) -> (usize, usize) {
        (self.undecided.len(), self.undecided_bytes)
    }

    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.waiting.len(), self.waiting_bytes)
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.unacknowledged.len()
    }

    /// Takes a PUBLISH that the library has let through.
    pub(super) fn take_publish(&mut self, packet: v5_0::GenericPublish<u16>) -> Taken {
        let qos = match packet.qos() {
            RawQos::AtMostOnce => Qos::AtMostOnce,
            RawQos::AtLeastOnce => Qos::AtLeastOnce,
            RawQos::ExactlyOnce => return Taken::Broken(Reason::QOS_NOT_SUPPORTED),
        };
        if packet.retain() {
            return Taken::Broken(Reason::RETAIN_NOT_SUPPORTED);
        }
        let topic = packet.topic_name();
        if *self.last_topic != *topic {
            if !is_topic(topic) {
                return Taken::Broken(Reason::TOPIC_NAME_INVALID);
            }
            self.last_topic = topic.into();
        }
        let packet_id = packet.packet_id().unwrap_or(0);
        self.sequence += 1;
        if qos == Qos::AtLeastOnce {
            if packet_id == 0 {
                return Taken::Broken(Reason::MALFORMED_PACKET);
            }
            if self.undecided.contains_key(&packet_id) {
                // MQTT 5 2.2.1: an id in use may come again only as a repetition of the same message.
                return if packet.dup() { Taken::Repeated } else { Taken::Broken(Reason::PROTOCOL_ERROR) };
            }
            let size = packet.payload().len();
            self.undecided.insert(packet_id, (self.sequence, size));
            self.undecided_bytes += size;
        }
        Taken::Fresh(Incoming {
            token: Token { sequence: self.sequence, packet_id },
            topic: self.last_topic.clone(),
            payload: payload(packet.payload()),
            qos,
            duplicate: packet.dup(),
        })
    }

    /// Acknowledges a publish. A token that is unknown or decided already changes nothing.
    pub(super) fn decide(&mut self, now: Moment, token: Token, reason: Reason) {
        let known =
            self.undecided.get(&token.packet_id).is_some_and(|(sequence, _)| *sequence == token.sequence);
        if !known || self.ended.is_some() {
            return;
        }
        if let Some((_, size)) = self.undecided.remove(&token.packet_id) {
            self.undecided_bytes -= size;
        }
        let code =
            PubackReasonCode::try_from(reason.0).unwrap_or(PubackReasonCode::ImplementationSpecificError);
        let mut packet = v5_0::GenericPuback::<u16>::builder().packet_id(token.packet_id);
        if code != PubackReasonCode::Success {
            packet = packet.reason_code(code);
        }
        if let Ok(packet) = packet.build() {
            let _ = self.send(now, packet);
        }
    }

    /// Queues a publish; [`Wire::flow`] sends it when the peer's window allows.
    pub(super) fn enqueue(&mut self, item: Outgoing) {
        self.waiting_bytes += item.payload.len();
        self.waiting.push_back(item);
    }

    /// Sends what the window allows. QoS 0 and impossible publishes are completed at once.
    pub(super) fn flow(&mut self, now: Moment, done: &mut Vec<(Tag, Reason)>) {
        while self.ended.is_none() {
            let Some(item) = self.waiting.front() else { return };
            let vacancy = self.inner.get_receive_maximum_vacancy_for_send().unwrap_or(u16::MAX);
            if item.qos == Qos::AtLeastOnce
                && (vacancy == 0 || self.unacknowledged.len() >= usize::from(u16::MAX) - 64)
            {
                return;
            }
            let Some(item) = self.waiting.pop_front() else { return };
            self.waiting_bytes -= item.payload.len();
            let tag = item.tag;
            match (self.publish(now, item), done.len()) {
                (Ok(true), _) => {}
                (Ok(false), _) => done.push((tag, Reason::SUCCESS)),
                (Err(reason), _) => done.push((tag, reason)),
            }
        }
    }

    /// True when an acknowledgement is to follow.
    fn publish(&mut self, now: Moment, item: Outgoing) -> Result<bool, Reason> {
        let mut packet = v5_0::GenericPublish::<u16>::builder()
            .topic_name(&*item.topic)
            .map_err(|_| Reason::TOPIC_NAME_INVALID)?
            .payload(&item.payload[..]);
        let mut id = None;
        if item.qos == Qos::AtLeastOnce {
            let fresh = self.inner.acquire_packet_id().map_err(|_| Reason::QUOTA_EXCEEDED)?;
            id = Some(fresh);
            packet = packet.qos(RawQos::AtLeastOnce).packet_id(fresh).dup(item.duplicate);
        }
        let sent = match packet.build() {
            Ok(packet) => self.send(now, packet).map_err(|error| match error {
                MqttError::PacketTooLarge => Reason::PACKET_TOO_LARGE,
                _ => Reason::UNSPECIFIED,
            }),
            Err(_) => Err(Reason::TOPIC_NAME_INVALID),
        };
        match (sent, id) {
            (Ok(()), Some(id)) => {
                self.unacknowledged.insert(id, item.tag);
                Ok(true)
            }
            (Ok(()), None) => Ok(false),
            (Err(reason), id) => {
                if let Some(id) = id {
                    self.inner.release_packet_id(id);
                }
                Err(reason)
            }
        }
    }

    /// Takes a PUBACK that the library has let through.
    pub(super) fn take_puback(&mut self, packet: &v5_0::GenericPuback<u16>) -> Option<(Tag, Reason)> {
        let reason = packet.reason_code().map_or(Reason::SUCCESS, |code| Reason(code as u8));
        self.unacknowledged.remove(&packet.packet_id()).map(|tag| (tag, reason))
    }

    pub(super) fn acquire_packet_id(&mut self) -> Option<u16> {
        self.inner.acquire_packet_id().ok()
    }
}

/// The reason to give a peer for an error of the library.
pub(super) fn reason_of(error: MqttError) -> Reason {
    match error as u16 {
        code @ 0x80..=0xff => Reason(code as u8),
        _ => Reason::PROTOCOL_ERROR,
    }
}

fn slot(kind: TimerKind) -> usize {
    match kind {
        TimerKind::PingreqSend => 0,
        TimerKind::PingreqRecv => 1,
        TimerKind::PingrespRecv => 2,
    }
}

struct Shared(ArcPayload);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

fn payload(payload: &ArcPayload) -> Bytes {
    if payload.is_empty() { Bytes::new() } else { Bytes::from_owner(Shared(payload.clone())) }
}
