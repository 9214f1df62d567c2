//! Who may publish and subscribe to what here.

use voltmesh_control::topics::{self, Topic};
use voltmesh_identity::Identity;
use voltmesh_mqtt::{Policy, Reason};

/// The topics that may be used here: fog nodes publish envelopes and hand-overs under their own name, and subscribe to
/// their notices; nobody else does anything.
pub struct FogsOnly;

impl Policy for FogsOnly {
    fn may_publish(&self, peer: &Identity, topic: &str) -> Result<(), Reason> {
        let parsed: Topic = topic.parse().map_err(|_| Reason::TOPIC_NAME_INVALID)?;
        let allowed = topics::may_publish(peer.role.as_str(), peer.id(), &parsed) && is_of_cloud(&parsed);
        allowed.then_some(()).ok_or(Reason::NOT_AUTHORIZED)
    }

    fn may_subscribe(&self, peer: &Identity, filter: &str) -> Result<(), Reason> {
        let parsed: Topic = filter.parse().map_err(|_| Reason::TOPIC_FILTER_INVALID)?;
        let allowed = topics::may_subscribe(peer.role.as_str(), peer.id(), &parsed) && is_of_cloud(&parsed);
        allowed.then_some(()).ok_or(Reason::NOT_AUTHORIZED)
    }
}

/// What the controller and its fog nodes tell each other is not for the cloud.
fn is_of_cloud(topic: &Topic) -> bool {
    matches!(topic, Topic::Fog(_, kind) if !kind.is_of_controller())
}
