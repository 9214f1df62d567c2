//! Publishes of both directions: those that the application has not decided on, and those that the peer has not acknowledged.

use mqtt_protocol_core::mqtt::connection::role::RoleType;
use mqtt_protocol_core::mqtt::packet::{Qos as RawQos, v5_0};
use mqtt_protocol_core::mqtt::result_code::MqttError;

use super::Wire;
use crate::connection::packets;
use crate::connection::received::Publish;
use crate::{Incoming, Moment, Outgoing, Qos, Reason, Refusal, Tag, Token, Version, is_topic};

/// QoS 1 publishes on their way to an MQTT 3.1.1 client, which cannot state a window: what common clients keep for
/// themselves is 20.
const WINDOW_3_1_1: usize = 64;

/// Outcome of a received PUBLISH.
pub(crate) enum Taken {
    Fresh(Incoming),
    /// The same packet again while the first is undecided.
    Repeated,
    Broken(Refusal),
}

impl<R: RoleType> Wire<R> {
    pub(crate) fn undecided(&self) -> (usize, usize) {
        (self.undecided.len(), self.undecided_bytes)
    }

    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.waiting.len(), self.waiting_bytes)
    }

    pub(crate) fn unacknowledged(&self) -> usize {
        self.unacknowledged.len()
    }

    /// Takes a PUBLISH that the library has let through.
    pub(crate) fn take_publish<'a>(&mut self, packet: impl Into<Publish<'a>>) -> Taken {
        let publish = packet.into();
        let payload = publish.payload();
        let Publish { topic, qos, retain, duplicate, packet_id, .. } = publish;
        let broken = |reason, why: &str| Taken::Broken(Refusal::new(reason, why));
        let qos = match qos {
            RawQos::AtMostOnce => Qos::AtMostOnce,
            RawQos::AtLeastOnce => Qos::AtLeastOnce,
            RawQos::ExactlyOnce => {
                return broken(Reason::QOS_NOT_SUPPORTED, "QoS 2 is not offered: publish with QoS 1 or 0");
            }
        };
        // MQTT 3.1.1 cannot be told that nothing is retained. The message is taken; there is nobody to retain it for.
        if retain && self.version == Version::V5 {
            return broken(Reason::RETAIN_NOT_SUPPORTED, "nothing is retained: publish without RETAIN");
        }
        if duplicate && qos == Qos::AtMostOnce {
            return broken(Reason::MALFORMED_PACKET, "PUBLISH: DUP with QoS 0");
        }
        if topic.is_empty() || *self.last_topic != *topic {
            if topic.contains('\0') {
                return broken(Reason::MALFORMED_PACKET, "PUBLISH: a topic with U+0000");
            }
            if !is_topic(topic) {
                return broken(Reason::TOPIC_NAME_INVALID, "PUBLISH: a topic is not empty and has no + or #");
            }
            self.last_topic = topic.into();
        }
        self.sequence += 1;
        if qos == Qos::AtLeastOnce {
            if packet_id == 0 {
                return broken(Reason::MALFORMED_PACKET, "PUBLISH: packet identifier 0");
            }
            if self.undecided.contains_key(&packet_id) {
                // MQTT 5 2.2.1: an id in use may come again only as a repetition of the same message.
                return match duplicate {
                    true => Taken::Repeated,
                    false => broken(Reason::PROTOCOL_ERROR, "PUBLISH: a packet identifier that is in use"),
                };
            }
            let size = payload.len();
            self.undecided.insert(packet_id, (self.sequence, size));
            self.undecided_bytes += size;
        }
        Taken::Fresh(Incoming {
            token: Token { sequence: self.sequence, packet_id },
            topic: self.last_topic.clone(),
            payload,
            qos,
            duplicate,
            will: false,
        })
    }

    /// Acknowledges a publish. A token that is unknown or decided already changes nothing.
    pub(crate) fn decide(&mut self, now: Moment, token: Token, refusal: impl Into<Refusal>) {
        let known =
            self.undecided.get(&token.packet_id).is_some_and(|(sequence, _)| *sequence == token.sequence);
        if !known || self.ended.is_some() {
            return;
        }
        if let Some((_, size)) = self.undecided.remove(&token.packet_id) {
            self.undecided_bytes -= size;
        }
        let (version, refusal) = (self.version, refusal.into());
        self.send_explained(now, |explain| packets::puback(version, token.packet_id, &refusal, explain));
    }

    /// Queues a publish; [`Wire::flow`] sends it when the peer's window allows.
    pub(crate) fn enqueue(&mut self, item: Outgoing) {
        self.waiting_bytes += item.payload.len();
        self.waiting.push_back(item);
    }

    /// Sends what the window allows. QoS 0 and impossible publishes are completed at once.
    pub(crate) fn flow(&mut self, now: Moment, done: &mut Vec<(Tag, Reason)>) {
        while self.ended.is_none() {
            let Some(item) = self.waiting.front() else { return };
            let vacancy = self.inner.get_receive_maximum_vacancy_for_send().unwrap_or(u16::MAX);
            let window = match self.version {
                Version::V3_1_1 => WINDOW_3_1_1,
                Version::V5 => usize::from(u16::MAX) - 64,
            };
            if item.qos == Qos::AtLeastOnce && (vacancy == 0 || self.unacknowledged.len() >= window) {
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
        let mut id = None;
        if item.qos == Qos::AtLeastOnce {
            id = Some(self.inner.acquire_packet_id().map_err(|_| Reason::QUOTA_EXCEEDED)?);
        }
        let sent = packets::publish(self.version, &item, id).and_then(|packet| {
            self.send(now, packet).map_err(|error| match error {
                MqttError::PacketTooLarge => Reason::PACKET_TOO_LARGE,
                _ => Reason::UNSPECIFIED,
            })
        });
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
    pub(crate) fn take_puback(&mut self, packet: &v5_0::GenericPuback<u16>) -> Option<(Tag, Reason)> {
        let reason = packet.reason_code().map_or(Reason::SUCCESS, |code| Reason(code as u8));
        self.acknowledged(packet.packet_id(), reason)
    }

    /// The peer has answered a publish.
    pub(crate) fn acknowledged(&mut self, packet_id: u16, reason: Reason) -> Option<(Tag, Reason)> {
        self.unacknowledged.remove(&packet_id).map(|tag| (tag, reason))
    }
}
