//! The topics that may be used at a controller.

use voltmesh_control::topics::{self, Topic};
use voltmesh_mqtt::{Identity, Policy, Reason};

/// Fog nodes publish summaries and reports under their own name, and subscribe to their orders and releases; controllers that stand
/// by subscribe to their copy, and say what they want. Nobody else does anything, and what is for the cloud is refused.
pub struct Topics;

impl Policy for Topics {
    fn may_publish(&self, peer: &Identity, topic: &str) -> Result<(), Reason> {
        let parsed: Topic = topic.parse().map_err(|_| Reason::TOPIC_NAME_INVALID)?;
        let allowed = topics::may_publish(peer.role.as_str(), peer.id(), &parsed) && is_ours(&parsed);
        allowed.then_some(()).ok_or(Reason::NOT_AUTHORIZED)
    }

    fn may_subscribe(&self, peer: &Identity, filter: &str) -> Result<(), Reason> {
        let parsed: Topic = filter.parse().map_err(|_| Reason::TOPIC_FILTER_INVALID)?;
        let allowed = topics::may_subscribe(peer.role.as_str(), peer.id(), &parsed) && is_ours(&parsed);
        allowed.then_some(()).ok_or(Reason::NOT_AUTHORIZED)
    }
}

fn is_ours(topic: &Topic) -> bool {
    match topic {
        Topic::Fog(_, kind) => kind.is_of_controller(),
        Topic::Controller(..) => true,
        Topic::Vehicle(..) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, topic: &str, publish: bool, subscribe: bool) {
        let identity: Identity = format!("urn:voltmesh:{peer}").parse().expect("an identity");
        assert_eq!(Topics.may_publish(&identity, topic).is_ok(), publish, "{peer} publishes {topic}");
        assert_eq!(Topics.may_subscribe(&identity, topic).is_ok(), subscribe, "{peer} subscribes {topic}");
    }

    #[test]
    fn a_fog_node_has_its_own_topics_and_nobody_else_any() {
        check("fog:fog-1", "v1/fog/fog-1/summary", true, false);
        check("fog:fog-1", "v1/fog/fog-1/function", true, false);
        check("fog:fog-1", "v1/fog/fog-1/order", false, true);
        check("fog:fog-1", "v1/fog/fog-1/release", false, true);
        check("fog:fog-1", "v1/fog/fog-1/ledger", true, false);
        check("fog:fog-1", "v1/fog/fog-1/policy", false, true);
        check("fog:fog-2", "v1/fog/fog-1/policy", false, false);
        check("fog:fog-1", "v1/fog/fog-2/summary", false, false);
        check("fog:fog-1", "v1/fog/fog-2/order", false, false);
        check("fog:fog-1", "v1/fog/+/order", false, false);
        check("fog:fog-1", "#", false, false);
        check("edge:fog-1", "v1/fog/fog-1/summary", false, false);
        check("controller:fog-1", "v1/fog/fog-1/order", false, false);
        check("controller:controller-2", "v1/controller/controller-2/copy", false, true);
        check("controller:controller-2", "v1/controller/controller-2/release", false, true);
        check("controller:controller-2", "v1/controller/controller-2/wanted", true, false);
        check("controller:controller-3", "v1/controller/controller-2/copy", false, false);
        check("fog:controller-2", "v1/controller/controller-2/copy", false, false);
        check("edge:car-1", "v1/car-1/answer", false, false);
        // What is the cloud's.
        for kind in ["envelope", "trust", "anchored", "notice", "statement"] {
            check("fog:fog-1", &format!("v1/fog/fog-1/{kind}"), false, false);
        }
    }
}
