//! Commands and their leases: what is signed comes back, and nothing else does.

use crate::{Action, ActionKind, Allowed, Command, Epoch, Lease};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use voltmesh_telemetry::Timestamp;

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32])
}

fn lease(until: u64) -> Lease {
    Lease {
        vehicle: "car-1".parse().expect("a name"),
        function: "charging-control".to_owned(),
        fog: "fog-1".to_owned(),
        fog_key: key(2).verifying_key().to_bytes(),
        epoch: Epoch { term: 3, count: 7 },
        until: Timestamp::from_millis(until),
        allowed: Allowed {
            ranges: [(ActionKind::TargetTemperature, (-500, 4_500)), (ActionKind::Derate, (0, 1_000_000))]
                .into(),
            commands_per_min: 12,
        },
    }
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        any::<u32>().prop_map(Action::ChargeLimit),
        any::<u32>().prop_map(Action::DischargeLimit),
        (-100_000..100_000).prop_map(Action::TargetTemperature),
        prop::collection::btree_set(any::<u16>(), 0..96)
            .prop_map(|set| Action::Balance(set.into_iter().collect())),
        any::<u32>().prop_map(Action::SamplingRate),
        (0..=1_000_000u32).prop_map(Action::Derate),
        Just(Action::StopCharging),
    ]
}

proptest! {
    #[test]
    fn a_signed_command_comes_back_and_an_altered_one_does_not(
        action in actions(), number: u64, reason in "[a-z ]{0,60}", valid in 1u64..3_600_000, flip: prop::sample::Index,
    ) {
        let controller = key(1);
        let signed_lease = lease(5_000_000).sign("ctl-1", &controller);
        let issued = Timestamp::from_millis(1_000);
        let expires = Timestamp::from_millis(1_000 + valid);
        let vehicle = "car-1".parse().expect("a name");
        let command = Command { vehicle, number, issued, expires, action, reason };
        let bytes = command.sign("fog-1", &signed_lease, &key(2));
        let trusted = [key(9).verifying_key(), controller.verifying_key()];
        let read = Command::verify(&bytes, &trusted);
        prop_assert_eq!(read.expect("genuine"), (command.clone(), lease(5_000_000)));
        prop_assert!(Command::verify(&bytes, &trusted[..1]).is_err(), "signed under a stranger's lease");
        let forged = command.sign("fog-1", &signed_lease, &key(3));
        prop_assert!(Command::verify(&forged, &trusted).is_err(), "signed by another than the holder");
        let mut altered = bytes.clone();
        altered[flip.index(bytes.len())] ^= 1;
        prop_assert!(Command::verify(&altered, &trusted).is_err());
    }
}
