//! Rules of both versions that the protocol library (0.7.9) does not hold packets to. CONNECT is held to them in
//! [`super::greeting`].

use mqtt_protocol_core::mqtt::packet::{Property, SubEntry, v5_0};

use super::Version;
use crate::{Reason, Refusal, is_topic};

/// Whether a packet may begin with this byte: all but PUBLISH have fixed flags (MQTT-2.1.3-1; 3.1.1: MQTT-2.2.2-2).
pub(super) fn may_begin(first: u8) -> bool {
    match first >> 4 {
        3 => true,
        6 | 8 | 10 => first & 0x0f == 2,
        _ => first & 0x0f == 0,
    }
}

fn malformed(why: &'static str) -> Refusal {
    Refusal::new(Reason::MALFORMED_PACKET, why)
}

fn has_nul(properties: &[Property]) -> bool {
    properties.iter().any(|property| match property {
        Property::UserProperty(pair) => pair.key().contains('\0') || pair.val().contains('\0'),
        Property::ContentType(text) => text.val().contains('\0'),
        Property::ReasonString(text) => text.val().contains('\0'),
        _ => false,
    })
}

/// Properties of a client's PUBLISH.
pub(super) fn publish(packet: &v5_0::GenericPublish<u16>) -> Result<(), Refusal> {
    let properties = packet.props();
    if has_nul(properties) {
        return Err(malformed("PUBLISH: a property with U+0000"));
    }
    for property in properties.iter() {
        match property {
            // MQTT-3.3.4-6
            Property::SubscriptionIdentifier(_) => {
                let why = "PUBLISH: only a server may send a subscription identifier";
                return Err(Refusal::new(Reason::PROTOCOL_ERROR, why));
            }
            // MQTT-3.3.2-14
            Property::ResponseTopic(topic) if !is_topic(topic.val()) => {
                return Err(Refusal::new(
                    Reason::TOPIC_NAME_INVALID,
                    "PUBLISH: the response topic is no topic name",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A SUBSCRIBE's packet id and entries.
pub(super) fn subscribe(version: Version, packet_id: u16, entries: &[SubEntry]) -> Result<(), Refusal> {
    filters(packet_id, entries.iter().map(SubEntry::topic_filter))?;
    for entry in entries {
        let options = entry.sub_opts();
        // MQTT 3.1.1 knows only the QoS (MQTT-3-8.3-4).
        if version == Version::V3_1_1 && options.to_buffer()[0] & 0xfc != 0 {
            return Err(malformed("SUBSCRIBE: reserved bits are set"));
        }
        // MQTT-3.8.3-4
        if options.nl() && entry.topic_filter().starts_with("$share/") {
            return Err(Refusal::new(Reason::PROTOCOL_ERROR, "SUBSCRIBE: No Local on a shared subscription"));
        }
    }
    Ok(())
}

/// The packet id and filters of SUBSCRIBE and UNSUBSCRIBE.
pub(super) fn filters<'a>(packet_id: u16, mut filters: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    if packet_id == 0 {
        return Err(malformed("SUBSCRIBE or UNSUBSCRIBE: packet identifier 0"));
    }
    if filters.any(|filter| filter.contains('\0')) {
        return Err(malformed("SUBSCRIBE or UNSUBSCRIBE: a filter with U+0000"));
    }
    Ok(())
}
