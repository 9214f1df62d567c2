//! Subscriptions of a peer.

use mqtt_protocol_core::mqtt::packet::{Qos as RawQos, SubEntry};

use super::super::{Moment, Outgoing, Qos, packets, strict};
use super::{ServerConnection, ServerOutput};
use crate::{Reason, Refusal, filter_matches, is_filter};

impl ServerConnection {
    /// Whether the peer has subscribed to what this topic is under.
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.granted(topic).is_some()
    }

    /// The highest QoS that was granted for a topic.
    fn granted(&self, topic: &str) -> Option<Qos> {
        let matching = self.subscriptions.iter().filter(|(filter, _)| filter_matches(filter, topic));
        matching.map(|(_, qos)| *qos).max()
    }

    pub(super) fn subscribe(
        &mut self,
        now: Moment,
        packet_id: u16,
        entries: &[SubEntry],
        outputs: &mut Vec<ServerOutput>,
    ) {
        let version = self.wire.version();
        if let Err(refusal) = strict::subscribe(version, packet_id, entries) {
            return self.wire.disconnect(now, refusal);
        }
        let (mut codes, mut why) = (Vec::new(), String::new());
        for entry in entries {
            let filter = entry.topic_filter();
            let code = match self.may_subscribe(filter) {
                Ok(()) => {
                    let qos = match entry.sub_opts().qos() {
                        RawQos::AtMostOnce => Qos::AtMostOnce,
                        _ => Qos::AtLeastOnce,
                    };
                    // MQTT-3.8.4-3: the same filter again replaces the subscription.
                    match self.subscriptions.iter_mut().find(|(known, _)| known == filter) {
                        Some((_, granted)) => *granted = qos,
                        None => self.subscriptions.push((filter.to_owned(), qos)),
                    }
                    outputs.push(ServerOutput::Subscribed(filter.to_owned()));
                    Reason(u8::from(qos == Qos::AtLeastOnce))
                }
                Err(refusal) => {
                    if why.is_empty() {
                        why = refusal.why;
                    }
                    refusal.reason
                }
            };
            codes.push(code);
        }
        if !self
            .wire
            .send_explained(now, |explain| packets::suback(version, packet_id, &codes, &why, explain))
        {
            self.wire.disconnect(now, Reason::PACKET_TOO_LARGE);
        }
    }

    fn may_subscribe(&self, filter: &str) -> Result<(), Refusal> {
        let short = || filter.chars().take(128).collect::<String>();
        if filter.starts_with("$share/") {
            let why = "shared subscriptions are not offered";
            return Err(Refusal::new(Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED, why));
        }
        if !is_filter(filter) {
            let why = format!("{:?}: + and # stand alone in their level, # in the last one", short());
            return Err(Refusal::new(Reason::TOPIC_FILTER_INVALID, why));
        }
        let known = self.subscriptions.iter().any(|(known, _)| known == filter);
        if !known && self.subscriptions.len() >= self.limits.max_subscriptions {
            let why = format!("a session has at most {} subscriptions", self.limits.max_subscriptions);
            return Err(Refusal::new(Reason::QUOTA_EXCEEDED, why));
        }
        self.policy.may_subscribe(&self.peer, filter).map_err(|reason| {
            Refusal::new(reason, format!("{} may not subscribe to {:?}", self.peer, short()))
        })
    }

    pub(super) fn unsubscribe(
        &mut self,
        now: Moment,
        packet_id: u16,
        filters: Vec<String>,
        outputs: &mut Vec<ServerOutput>,
    ) {
        if let Err(refusal) = strict::filters(packet_id, filters.iter().map(String::as_str)) {
            return self.wire.disconnect(now, refusal);
        }
        let mut existed = Vec::new();
        for filter in filters {
            let place = self.subscriptions.iter().position(|(known, _)| *known == filter);
            existed.push(place.is_some());
            if let Some(place) = place {
                outputs.push(ServerOutput::Unsubscribed(self.subscriptions.remove(place).0));
            }
        }
        let version = self.wire.version();
        if !self.wire.send_explained(now, |_| packets::unsuback(version, packet_id, &existed)) {
            self.wire.disconnect(now, Reason::PACKET_TOO_LARGE);
        }
    }

    pub(super) fn publish(&mut self, now: Moment, mut item: Outgoing, outputs: &mut Vec<ServerOutput>) {
        let mut done = Vec::new();
        let (count, bytes) = self.wire.waiting();
        match self.granted(&item.topic) {
            None => done.push((item.tag, Reason::NO_MATCHING_SUBSCRIBERS)),
            Some(_)
                if count >= self.limits.max_outbound
                    || bytes + item.payload.len() > self.limits.max_outbound_bytes =>
            {
                done.push((item.tag, Reason::QUOTA_EXCEEDED));
            }
            Some(granted) => {
                // MQTT-3.8.4-8
                item.qos = item.qos.min(granted);
                self.wire.enqueue(item);
                self.wire.flow(now, &mut done);
            }
        }
        if !done.is_empty() {
            outputs.push(ServerOutput::Completed(done));
        }
    }
}
