//! A received PUBLISH, whichever version wrote it.

use bytes::Bytes;
use mqtt_protocol_core::mqtt::ArcPayload;
use mqtt_protocol_core::mqtt::packet::{Qos as RawQos, v3_1_1, v5_0};

/// Content of a PUBLISH that both versions have.
pub(super) struct Publish<'a> {
    pub(super) topic: &'a str,
    pub(super) qos: RawQos,
    pub(super) retain: bool,
    pub(super) duplicate: bool,
    /// Zero if it has none.
    pub(super) packet_id: u16,
    payload: &'a ArcPayload,
}

impl<'a> From<&'a v5_0::GenericPublish<u16>> for Publish<'a> {
    fn from(packet: &'a v5_0::GenericPublish<u16>) -> Self {
        Publish {
            topic: packet.topic_name(),
            qos: packet.qos(),
            retain: packet.retain(),
            duplicate: packet.dup(),
            packet_id: packet.packet_id().unwrap_or(0),
            payload: packet.payload(),
        }
    }
}

impl<'a> From<&'a v3_1_1::GenericPublish<u16>> for Publish<'a> {
    fn from(packet: &'a v3_1_1::GenericPublish<u16>) -> Self {
        Publish {
            topic: packet.topic_name(),
            qos: packet.qos(),
            retain: packet.retain(),
            duplicate: packet.dup(),
            packet_id: packet.packet_id().unwrap_or(0),
            payload: packet.payload(),
        }
    }
}

impl Publish<'_> {
    /// Without a copy.
    pub(super) fn payload(&self) -> Bytes {
        if self.payload.is_empty() { Bytes::new() } else { Bytes::from_owner(Shared(self.payload.clone())) }
    }
}

struct Shared(ArcPayload);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}
