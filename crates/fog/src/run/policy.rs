//! What the MQTT server lets through to the core.

use voltmesh_control::topics::{Topic, may_subscribe};
use voltmesh_mqtt::{Identity, Policy, Reason, Refusal, Role};
use voltmesh_telemetry::vss;

/// Publishes are all decided by the core, which keeps what it rejects; subscriptions and wills are bound to the certificate.
pub struct Topics;

impl Policy for Topics {
    fn may_publish(&self, _: &Identity, _: &str) -> Result<(), Reason> {
        Ok(())
    }

    fn may_subscribe(&self, peer: &Identity, filter: &str) -> Result<(), Reason> {
        let topic: Topic = filter.parse().map_err(|_| Reason::TOPIC_FILTER_INVALID)?;
        if may_subscribe(peer.role.as_str(), peer.id(), &topic) {
            Ok(())
        } else {
            Err(Reason::NOT_AUTHORIZED)
        }
    }

    /// A will is a foreign client's sample: anything else would end in the quarantine when nobody is there to be told.
    fn may_leave_will(&self, peer: &Identity, topic: &str, payload: &[u8]) -> Result<(), Refusal> {
        if peer.role != Role::Client {
            return Err(Refusal::new(
                Reason::NOT_AUTHORIZED,
                "only a client of role client may leave a will",
            ));
        }
        let own = format!("v1/{}/sample", peer.id());
        if topic != own {
            let why = format!("a will goes to {own}, as any sample, or is left out");
            return Err(Refusal::new(Reason::TOPIC_NAME_INVALID, why));
        }
        vss::parse(payload).map_err(|error| {
            Refusal::new(Reason::PAYLOAD_FORMAT_INVALID, format!("the will is no sample: {error}"))
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, filter: &str, expected: bool) {
        let peer = format!("urn:voltmesh:{peer}").parse().unwrap();
        assert_eq!(Topics.may_subscribe(&peer, filter).is_ok(), expected, "{peer} {filter}");
    }

    #[test]
    fn a_will_is_a_sample_of_its_own_or_refused_with_the_reason() {
        let sample = r#"{"timestamp":"2026-01-01T00:00:00Z","Vehicle.Powertrain.TractionBattery.CurrentVoltage":352.1,
            "Vehicle.Powertrain.TractionBattery.CurrentCurrent":0}"#;
        for (peer, topic, payload, expected) in [
            ("client:meter-7", "v1/meter-7/sample", sample, ""),
            ("client:meter-7", "v1/meter-8/sample", sample, "goes to v1/meter-7/sample"),
            ("client:meter-7", "status", "offline", "goes to v1/meter-7/sample"),
            ("client:meter-7", "v1/meter-7/sample", "offline", "is no sample"),
            ("edge:car-1", "v1/car-1/sample", sample, "role client"),
        ] {
            let identity = format!("urn:voltmesh:{peer}").parse().unwrap();
            let found = Topics.may_leave_will(&identity, topic, payload.as_bytes());
            match found {
                Ok(()) => assert!(expected.is_empty(), "{peer} {topic} {payload}"),
                Err(refusal) => assert!(!expected.is_empty() && refusal.why.contains(expected), "{refusal}"),
            }
        }
    }

    #[test]
    fn a_peer_hears_only_what_is_its_own() {
        check("edge:car-1", "v1/car-1/receipt", true);
        check("edge:car-1", "v1/car-1/notice", true);
        check("edge:car-1", "v1/car-2/notice", false);
        check("edge:car-1", "v1/+/notice", false);
        check("edge:car-1", "#", false);
        check("client:car-1", "v1/car-1/notice", false);
    }
}
