//! Packets of both versions, as this side writes them.

use mqtt_protocol_core::mqtt::packet::{
    GenericPacket, Properties, Property, Qos as RawQos, ReasonString, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::result_code::{
    ConnectReasonCode, ConnectReturnCode, DisconnectReasonCode, PubackReasonCode, SubackReasonCode,
    SubackReturnCode, UnsubackReasonCode,
};

use super::{Outgoing, Version};
use crate::{Reason, Refusal};

/// A packet of either version.
pub(super) type Packet = GenericPacket<u16>;

/// Longest reason string, in bytes: what, where and the remedy fit, and a thousand of them into half a mebibyte.
const MAX_REASON_STRING: usize = 512;

/// The reason string for a text, if it is to be sent.
fn reason_string(why: &str, wanted: bool) -> Option<Property> {
    if why.is_empty() || !wanted {
        return None;
    }
    let text: String = why.chars().filter(|c| *c != '\0').collect();
    let cut = text.floor_char_boundary(MAX_REASON_STRING);
    ReasonString::new(&text[..cut]).ok().map(Property::from)
}

/// CONNACK of a refusal. MQTT 3.1.1 has five return codes for it.
pub(super) fn refused(version: Version, refusal: &Refusal, explain: bool) -> Option<Vec<u8>> {
    match version {
        Version::V3_1_1 => {
            let code = match refusal.reason {
                Reason::UNSUPPORTED_VERSION => ConnectReturnCode::UnacceptableProtocolVersion,
                Reason::CLIENT_IDENTIFIER_NOT_VALID => ConnectReturnCode::IdentifierRejected,
                Reason::SERVER_BUSY
                | Reason::SERVER_UNAVAILABLE
                | Reason::SERVER_SHUTTING_DOWN
                | Reason::QUOTA_EXCEEDED => ConnectReturnCode::ServerUnavailable,
                _ => ConnectReturnCode::NotAuthorized,
            };
            let packet = v3_1_1::Connack::builder().session_present(false).return_code(code).build().ok()?;
            Some(packet.to_continuous_buffer())
        }
        Version::V5 => {
            let code =
                ConnectReasonCode::try_from(refusal.reason.0).unwrap_or(ConnectReasonCode::UnspecifiedError);
            let properties: Properties = reason_string(&refusal.why, explain).into_iter().collect();
            let packet = v5_0::Connack::builder().session_present(false).reason_code(code).props(properties);
            Some(packet.build().ok()?.to_continuous_buffer())
        }
    }
}

/// PUBACK. MQTT 3.1.1 knows only success.
pub(super) fn puback(version: Version, packet_id: u16, refusal: &Refusal, explain: bool) -> Option<Packet> {
    match version {
        Version::V3_1_1 => {
            Some(v3_1_1::GenericPuback::<u16>::builder().packet_id(packet_id).build().ok()?.into())
        }
        Version::V5 => {
            let code = PubackReasonCode::try_from(refusal.reason.0)
                .unwrap_or(PubackReasonCode::ImplementationSpecificError);
            let mut packet = v5_0::GenericPuback::<u16>::builder().packet_id(packet_id);
            if code != PubackReasonCode::Success {
                packet = packet.reason_code(code);
                if let Some(text) = reason_string(&refusal.why, explain) {
                    packet = packet.props(vec![text]);
                }
            }
            Some(packet.build().ok()?.into())
        }
    }
}

/// DISCONNECT, which only MQTT 5 has in this direction.
pub(super) fn disconnect(refusal: &Refusal, explain: bool) -> Option<Packet> {
    let code =
        DisconnectReasonCode::try_from(refusal.reason.0).unwrap_or(DisconnectReasonCode::UnspecifiedError);
    let mut packet = v5_0::Disconnect::builder().reason_code(code);
    if let Some(text) = reason_string(&refusal.why, explain) {
        packet = packet.props(vec![text]);
    }
    Some(packet.build().ok()?.into())
}

/// SUBACK with the granted QoS or the refusal of each filter, in order; `why` is of the first that is refused.
pub(super) fn suback(
    version: Version,
    packet_id: u16,
    codes: &[Reason],
    why: &str,
    explain: bool,
) -> Option<Packet> {
    match version {
        Version::V3_1_1 => {
            let code = |reason: &Reason| match reason.0 {
                0 => SubackReturnCode::SuccessMaximumQos0,
                1 => SubackReturnCode::SuccessMaximumQos1,
                _ => SubackReturnCode::Failure,
            };
            let codes = codes.iter().map(code).collect();
            let packet = v3_1_1::GenericSuback::<u16>::builder().packet_id(packet_id).return_codes(codes);
            Some(packet.build().ok()?.into())
        }
        Version::V5 => {
            let code = |reason: &Reason| {
                SubackReasonCode::try_from(reason.0).unwrap_or(SubackReasonCode::UnspecifiedError)
            };
            let codes = codes.iter().map(code).collect();
            let properties: Properties = reason_string(why, explain).into_iter().collect();
            let packet = v5_0::GenericSuback::<u16>::builder().packet_id(packet_id).reason_codes(codes);
            Some(packet.props(properties).build().ok()?.into())
        }
    }
}

/// UNSUBACK; of each filter, whether there was such a subscription.
pub(super) fn unsuback(version: Version, packet_id: u16, existed: &[bool]) -> Option<Packet> {
    match version {
        Version::V3_1_1 => {
            Some(v3_1_1::GenericUnsuback::<u16>::builder().packet_id(packet_id).build().ok()?.into())
        }
        Version::V5 => {
            let code = |existed: &bool| match existed {
                true => UnsubackReasonCode::Success,
                false => UnsubackReasonCode::NoSubscriptionExisted,
            };
            let codes = existed.iter().map(code).collect();
            let packet = v5_0::GenericUnsuback::<u16>::builder().packet_id(packet_id).reason_codes(codes);
            Some(packet.build().ok()?.into())
        }
    }
}

/// PUBLISH; with a packet id it has QoS 1.
pub(super) fn publish(version: Version, item: &Outgoing, packet_id: Option<u16>) -> Result<Packet, Reason> {
    let bad = |_| Reason::TOPIC_NAME_INVALID;
    match version {
        Version::V3_1_1 => {
            let mut packet =
                v3_1_1::GenericPublish::<u16>::builder().topic_name(&*item.topic).map_err(bad)?;
            packet = packet.payload(&item.payload[..]);
            if let Some(id) = packet_id {
                packet = packet.qos(RawQos::AtLeastOnce).packet_id(id).dup(item.duplicate);
            }
            packet.build().map(Packet::from).map_err(bad)
        }
        Version::V5 => {
            let mut packet = v5_0::GenericPublish::<u16>::builder().topic_name(&*item.topic).map_err(bad)?;
            packet = packet.payload(&item.payload[..]);
            if let Some(id) = packet_id {
                packet = packet.qos(RawQos::AtLeastOnce).packet_id(id).dup(item.duplicate);
            }
            packet.build().map(Packet::from).map_err(bad)
        }
    }
}
