//! What the MQTT server lets through to the core.

use voltmesh_control::topics::{Topic, may_subscribe};
use voltmesh_mqtt::{Identity, Policy, Reason};

/// Publishes are all decided by the core, which keeps what it rejects; subscriptions are bound to the certificate.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, filter: &str, expected: bool) {
        let peer = format!("urn:voltmesh:{peer}").parse().unwrap();
        assert_eq!(Topics.may_subscribe(&peer, filter).is_ok(), expected, "{peer} {filter}");
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
