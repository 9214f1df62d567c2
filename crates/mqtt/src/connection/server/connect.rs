//! Answer to CONNECT: the decision on who is let in.

use std::time::Duration;

use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::packet::{
    AssignedClientIdentifier, MaximumQos, Properties, Property, RetainAvailable, ServerKeepAlive,
    SessionExpiryInterval, SharedSubscriptionAvailable, SubscriptionIdentifierAvailable, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{ConnectReasonCode, ConnectReturnCode, MqttError};

use super::super::greeting::{Connect, Unread};
use super::super::wire::Wire;
use super::super::{End, Moment, Version, packets};
use super::{ServerConnection, ServerOutput};
use crate::{Reason, Refusal};

/// CONNACK with return code 1, which clients of MQTT 3.1 and 3.1.1 understand (3.1.1: MQTT-3.1.2-2).
const VERSION_NOT_SPOKEN: [u8; 4] = [0x20, 0x02, 0x00, 0x01];

impl ServerConnection {
    pub(super) fn connect(&mut self, now: Moment, packet: &[u8], outputs: &mut Vec<ServerOutput>) {
        let mut connect = match Connect::parse(packet) {
            Ok(connect) => connect,
            Err(Unread::Stranger) => return self.wire.end(End::Here(Reason::PROTOCOL_ERROR)),
            Err(Unread::Version) => {
                self.wire.raw(&VERSION_NOT_SPOKEN);
                return self.wire.end(End::Here(Reason::UNSUPPORTED_VERSION));
            }
            // 3.1.1: MQTT-3.1.4-1, closed without CONNACK.
            Err(Unread::Broken(Version::V3_1_1, refusal)) => {
                return self.wire.end(End::Here(refusal.reason));
            }
            // Whether it wants reason strings is not known, and the default is that it does.
            Err(Unread::Broken(version, refusal)) => return self.refuse(version, &refusal, true, None),
        };
        let client_id = match connect.client_id.as_str() {
            "" => self.assigned.clone(),
            given => given.to_owned(),
        };
        if let Err(refusal) = self.may_enter(&connect, &client_id) {
            return self.refuse(connect.version, &refusal, connect.wants_problems, connect.max_packet);
        }
        let keep_alive = self.keep_alive(&connect);
        self.wire = Wire::new(connect.version, self.limits.max_packet, self.limits.receive_maximum.max(1));
        self.wire.explain(connect.wants_problems, connect.max_packet);
        self.session_expiry = connect.session_expiry;
        self.will = connect.will.take();
        if !self.welcome(now, &connect, &client_id, keep_alive) {
            // Nobody was let in, so there is nothing to publish.
            self.will = None;
            return self.wire.end(End::Here(Reason::PACKET_TOO_LARGE));
        }
        self.connect_by = None;
        let keep_alive = Duration::from_secs(keep_alive.into());
        outputs.push(ServerOutput::Connected { client_id, keep_alive, version: connect.version });
    }

    fn refuse(&mut self, version: Version, refusal: &Refusal, explain: bool, most: Option<u32>) {
        let fits = |connack: &Vec<u8>| most.is_none_or(|most| connack.len() <= most as usize);
        // MQTT-3.2.2-19
        let connack = packets::refused(version, refusal, explain).filter(fits);
        if let Some(connack) = connack.or_else(|| packets::refused(version, refusal, false)).filter(fits) {
            self.wire.raw(&connack);
        }
        self.wire.end(End::Here(refusal.reason));
    }

    fn may_enter(&mut self, connect: &Connect, client_id: &str) -> Result<(), Refusal> {
        let mut door = self.door.take();
        if let Some(method) = &connect.authentication {
            // MQTT-4.12.0-1
            let method: String = method.chars().take(64).collect();
            let why = format!("authentication method {method:?} is not offered: the certificate suffices");
            return Err(Refusal::new(Reason::BAD_AUTHENTICATION_METHOD, why));
        }
        if connect.version == Version::V3_1_1 && connect.client_id.is_empty() && !connect.clean {
            // 3.1.1: MQTT-3.1.3-8
            return Err(Reason::CLIENT_IDENTIFIER_NOT_VALID.into()); // which is all that it can be told
        }
        if let Some(will) = &connect.will {
            // MQTT 5 3.2.2.3.4 and 3.2.2.3.5: neither is offered. MQTT 3.1.1 cannot know, and neither changes what
            // becomes of the will here.
            if connect.version == Version::V5 && will.retain {
                let why = "nothing is retained: leave a will without Will Retain";
                return Err(Refusal::new(Reason::RETAIN_NOT_SUPPORTED, why));
            }
            if connect.version == Version::V5 && will.qos == 2 {
                let why = "QoS 2 is not offered: leave a will with QoS 1 or 0";
                return Err(Refusal::new(Reason::QOS_NOT_SUPPORTED, why));
            }
            if will.payload.len() > self.limits.max_will {
                let why = format!("a will has at most {} bytes of payload", self.limits.max_will);
                return Err(Refusal::new(Reason::PACKET_TOO_LARGE, why));
            }
            self.policy.may_leave_will(&self.peer, &will.topic, &will.payload)?;
        }
        match door.as_mut() {
            Some(door) => door(client_id),
            None => Ok(()),
        }
    }

    /// The keep-alive in force, in seconds.
    fn keep_alive(&self, connect: &Connect) -> u16 {
        let longest = match connect.version {
            // It counts one and a half times.
            Version::V3_1_1 => self.limits.max_silence.as_secs() * 2 / 3,
            Version::V5 => self.limits.max_keep_alive.as_secs(),
        };
        let longest = longest.clamp(1, u16::MAX.into()) as u16;
        match connect.keep_alive {
            0 => longest,
            asked => asked.min(longest),
        }
    }

    /// Tells the library of the CONNECT, and sends CONNACK. False if that cannot be sent.
    fn welcome(&mut self, now: Moment, connect: &Connect, client_id: &str, keep_alive: u16) -> bool {
        let Some(bytes) = connect.for_library(keep_alive) else { return false };
        if !matches!(self.wire.receive(now, &mut Cursor::new(&bytes[..])), Some(Ok(_))) {
            return false;
        }
        let sent = match connect.version {
            Version::V3_1_1 => v3_1_1::Connack::builder()
                .session_present(false)
                .return_code(ConnectReturnCode::Accepted)
                .build()
                .and_then(|packet| self.wire.send(now, packet)),
            Version::V5 => v5_0::Connack::builder()
                .session_present(false)
                .reason_code(ConnectReasonCode::Success)
                .props(connack(connect, client_id, keep_alive))
                .build()
                .and_then(|packet| self.wire.send(now, packet)),
        };
        sent.is_ok()
    }
}

/// What MQTT 5's CONNACK tells the client of this server.
fn connack(connect: &Connect, client_id: &str, keep_alive: u16) -> Properties {
    let mut properties = Properties::new();
    let mut add = |property: Result<Property, MqttError>| properties.extend(property.ok());
    add(MaximumQos::new(1).map(Property::from));
    add(RetainAvailable::new(0).map(Property::from));
    add(SharedSubscriptionAvailable::new(0).map(Property::from));
    add(SubscriptionIdentifierAvailable::new(0).map(Property::from));
    if connect.session_expiry != 0 {
        add(SessionExpiryInterval::new(0).map(Property::from));
    }
    if keep_alive != connect.keep_alive {
        add(ServerKeepAlive::new(keep_alive).map(Property::from));
    }
    if connect.client_id.is_empty() {
        add(AssignedClientIdentifier::new(client_id).map(Property::from));
    }
    properties
}
