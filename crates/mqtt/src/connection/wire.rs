//! Part that both sides share: the protocol library's connection with its timers and its output.

mod publishes;

pub(super) use publishes::Taken;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mqtt_protocol_core::mqtt::connection::role::RoleType;
use mqtt_protocol_core::mqtt::connection::{ConnectionOptions, GenericConnection, GenericEvent, TimerKind};
use mqtt_protocol_core::mqtt::packet::{GenericPacket, GenericPacketTrait};
use mqtt_protocol_core::mqtt::result_code::MqttError;
use mqtt_protocol_core::mqtt::{Version as RawVersion, common::Cursor};

use super::packets::Packet;
use super::{End, Moment, Outgoing, Tag, Version, packets, strict};
use crate::{Reason, Refusal};

/// The library's state of one connection, with what it leaves to its user.
pub(super) struct Wire<R: RoleType> {
    inner: GenericConnection<R, u16>,
    version: Version,
    /// Whether the peer is to be sent reason strings.
    explain: bool,
    /// Largest packet that the peer takes.
    most: u32,
    /// The next byte begins a packet.
    at_start: bool,
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

impl<R: RoleType> Wire<R> {
    pub(super) fn new(version: Version, max_packet: u32, receive_maximum: u16) -> Wire<R> {
        let options = ConnectionOptions::new().maximum_packet_size_recv(max_packet);
        let (raw, options) = match version {
            // A client cannot know of a bound on its publishes: past it, it is not read from.
            Version::V3_1_1 => (RawVersion::V3_1_1, options),
            Version::V5 => (RawVersion::V5_0, options.receive_maximum(receive_maximum)),
        };
        let mut inner = GenericConnection::with_options(raw, options);
        inner.set_auto_pub_response(false);
        inner.set_auto_ping_response(true);
        Wire {
            inner,
            version,
            explain: false,
            most: u32::MAX,
            at_start: true,
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

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Whether the peer is sent reason strings, and how large a packet may be for it; none are sent until then.
    pub(super) fn explain(&mut self, explain: bool, most: Option<u32>) {
        self.explain = explain;
        self.most = most.unwrap_or(u32::MAX);
    }

    /// A DISCONNECT without a text, such as the library's own, with the one for its reason.
    fn explained(&self, packet: Packet) -> Packet {
        let GenericPacket::V5_0Disconnect(plain) = &packet else { return packet };
        if !self.explain || plain.props().is_some() {
            return packet;
        }
        let reason = plain.reason_code().map_or(Reason::SUCCESS, |code| Reason(code as u8));
        match packets::disconnect(&Refusal::new(reason, reason.remedy()), true) {
            Some(longer) if longer.size() <= self.most as usize => longer,
            _ => packet,
        }
    }

    /// Feeds bytes up to the end of one packet; `None` when they are used up.
    pub(super) fn receive(
        &mut self,
        now: Moment,
        cursor: &mut Cursor<&[u8]>,
    ) -> Option<Result<Packet, MqttError>> {
        while self.ended.is_none() && (cursor.position() as usize) < cursor.get_ref().len() {
            if self.at_start {
                let first = cursor.get_ref().get(cursor.position() as usize);
                if first.is_some_and(|first| !strict::may_begin(*first)) {
                    cursor.set_position(cursor.get_ref().len() as u64);
                    return Some(Err(MqttError::MalformedPacket));
                }
            }
            let events = self.inner.recv(cursor);
            // Each packet makes an event; bytes of an unfinished one make none.
            self.at_start = !events.is_empty();
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
                    let packet = self.explained(packet);
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

    /// Time in which a ping must be answered, from the next one on.
    pub(super) fn set_ping_timeout(&mut self, timeout: Duration) {
        self.inner.set_pingresp_recv_timeout(timeout.as_millis() as u64);
    }

    /// Ends the connection from this side, with DISCONNECT if it is open and the version has one.
    pub(super) fn disconnect(&mut self, now: Moment, refusal: impl Into<Refusal>) {
        if self.ended.is_some() {
            return;
        }
        let refusal = refusal.into();
        if self.version == Version::V5 {
            // Before CONNACK there is nothing to send; closing says enough.
            self.send_explained(now, |explain| packets::disconnect(&refusal, explain));
        }
        self.end(End::Here(refusal.reason));
    }

    /// Sends a packet with its reason string, or without if that makes it larger than the peer takes (MQTT-3.4.2-2,
    /// MQTT-3.9.2-1, MQTT-3.14.2-3). False if neither can be sent.
    pub(super) fn send_explained(&mut self, now: Moment, packet: impl Fn(bool) -> Option<Packet>) -> bool {
        let explained = self.explain && packet(true).is_some_and(|packet| self.send(now, packet).is_ok());
        explained || packet(false).is_some_and(|packet| self.send(now, packet).is_ok())
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

    pub(super) fn output(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    pub(super) fn take_bytes(&mut self) -> Bytes {
        self.out.split().freeze()
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
