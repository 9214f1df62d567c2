//! An archive as the product writes it.

use voltmesh_cloud::{
    Archive, Archivist, Grouping, Input, Location, Output, Settings, Token, testing::Fleet,
};
use voltmesh_telemetry::Timestamp;

/// Two vehicles, two batches each, a commit per batch.
pub async fn fill(location: &Location, settings: Settings) -> Fleet {
    let mut fleet = Fleet::new(2);
    let (mut archive, marks) = Archive::open(location, settings).await.unwrap();
    let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
    let mut core = Archivist::new(fleet.trust(), key, Grouping::default(), &marks);
    let mut clock = 1_780_300_000_000;
    for vehicle in 0..2 {
        for batch in fleet.boot(vehicle, 1, &[12, 8]) {
            clock += 5000;
            let bytes = fleet.envelope(0, &batch);
            let delivery = Input::Envelope { fog: "fog-0".into(), token: Token(clock), bytes };
            core.handle(Timestamp::from_millis(clock), delivery);
            let late = Timestamp::from_millis(clock + 2000);
            for output in core.handle(late, Input::Tick) {
                let Output::Commit(commit) = output else { continue };
                archive.commit(&commit).await.unwrap();
                core.handle(late, Input::Committed { ticket: commit.ticket });
            }
        }
    }
    fleet
}
