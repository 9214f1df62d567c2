//! The first packet, looked at before the protocol library sees it.

use mqtt_protocol_core::mqtt::packet::{Property, v5_0};

/// First byte of CONNECT (MQTT 5 3.1.1).
pub(super) const CONNECT: u8 = 0x10;
/// Protocol name, version, flags and keep-alive stand before the properties (MQTT 5 3.1.2).
const BEFORE_PROPERTIES: usize = 10;

/// Whether the packet is whole, or so broken or large that the library should say so.
pub(super) fn is_complete(bytes: &[u8], max_packet: u32) -> bool {
    match variable_length(bytes.get(1..).unwrap_or_default()) {
        Length::Known { value, size } => {
            let total = 1 + size + value;
            total > max_packet as usize || bytes.len() >= total
        }
        Length::Unfinished => false,
        Length::Malformed => true,
    }
}

/// The library (0.7.9) panics at Topic Alias Maximum 0, which MQTT 5 3.1.2.11.5 allows and which means the same as none.
/// It is made 1 here: topic aliases are never sent, so to the client it makes no difference.
pub(super) fn disarm(bytes: &mut [u8]) {
    let Length::Known { value, size } = variable_length(bytes.get(1..).unwrap_or_default()) else { return };
    let body = 1 + size;
    let Some(Ok((connect, _))) = bytes.get(body..body + value).map(v5_0::Connect::parse) else { return };
    let properties = body + BEFORE_PROPERTIES;
    let Length::Known { size, .. } = variable_length(bytes.get(properties..).unwrap_or_default()) else {
        return;
    };
    let mut place = properties + size;
    for property in connect.props() {
        if let (Property::TopicAliasMaximum(maximum), Some([_, high, low])) =
            (property, bytes.get_mut(place..place + 3))
            && maximum.val() == 0
        {
            (*high, *low) = (0, 1);
        }
        place += property.size();
    }
}

enum Length {
    Known { value: usize, size: usize },
    Unfinished,
    Malformed,
}

/// A variable byte integer (MQTT 5 1.5.5).
fn variable_length(bytes: &[u8]) -> Length {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Length::Known { value, size: place + 1 };
        }
    }
    if bytes.len() < 4 { Length::Unfinished } else { Length::Malformed }
}
