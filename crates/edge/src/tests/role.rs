//! The whole role on real sockets, with a fog node of our own that archives by itself.

use crate::{Config, Error, Start, Summary, hold, run, waiting};
use bytes::Bytes;
use commonware_runtime::{Runner as _, Supervisor as _, tokio};
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use voltmesh_control::topics::{Topic, VehicleTopic, may_publish, may_subscribe};
use voltmesh_control::{
    Action, Allowed, ArchiveNotice, ArchivedBatch, Command, CommandAnswer, Epoch, Hello, Lease, Outcome,
};
use voltmesh_identity::{Credentials, Identity, Pki, RevocationWatch};
use voltmesh_ledger::{Trust, public_key, testing};
use voltmesh_mqtt::{Outgoing, Policy, Reason, Server, ServerEvent, ServerEvents, ServerSettings};
use voltmesh_telemetry::{Record, SealedBatch, Timestamp, VehicleId};

/// Batches that arrived, by boot and first record.
type Archive = Arc<Mutex<BTreeMap<(u64, u64), SealedBatch>>>;

struct ByTopic;

impl Policy for ByTopic {
    fn may_publish(&self, peer: &Identity, topic: &str) -> Result<(), Reason> {
        let allowed = topic.parse().is_ok_and(|topic| may_publish(peer.role.as_str(), peer.id(), &topic));
        if allowed { Ok(()) } else { Err(Reason::NOT_AUTHORIZED) }
    }

    fn may_subscribe(&self, peer: &Identity, filter: &str) -> Result<(), Reason> {
        let allowed = filter.parse().is_ok_and(|topic| may_subscribe(peer.role.as_str(), peer.id(), &topic));
        if allowed { Ok(()) } else { Err(Reason::NOT_AUTHORIZED) }
    }
}

fn cloud_key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

/// Certificates, trust file and secrets of one vehicle and one fog node.
fn prepare(folder: &Path) -> Pki {
    let pki = Pki::init(&folder.join("pki")).unwrap();
    for name in ["urn:voltmesh:edge:car-1", "urn:voltmesh:fog:fog-1"] {
        pki.issue(&name.parse().unwrap(), &[], 2).unwrap();
    }
    let mut trust = Trust::from_genesis(testing::Network::new(4).genesis().clone());
    trust.add_cloud(public_key(&cloud_key().verifying_key().to_bytes()).unwrap());
    std::fs::write(folder.join("trust.toml"), trust.to_toml()).unwrap();
    std::fs::write(folder.join("opening.toml"), format!("salt = \"{}\"\n", "ab".repeat(32))).unwrap();
    voltmesh_identity::write_private(&folder.join("secret"), "cd".repeat(32).as_bytes()).unwrap();
    pki
}

fn config(folder: &Path, pki: &Pki, fogs: &[SocketAddr], samples: u64) -> Config {
    let credentials = pki.folder_of(&"urn:voltmesh:edge:car-1".parse().unwrap());
    let text = format!(
        r#"
        data = "data"
        credentials = {credentials:?}
        crl = {:?}
        trust = "trust.toml"
        opening = "opening.toml"
        secret = "secret"
        fogs = {:?}
        http = "127.0.0.1:0"
        new_vehicle = true
        until_archived = true
        batch = {{ max_records = 16, max_age_ms = 200 }}
        [source]
        kind = "sim"
        speed = 0
        samples = {samples}
        start_ms = 0
        "#,
        pki.crl_path(),
        fogs.iter().map(ToString::to_string).collect::<Vec<_>>(),
    );
    Config::parse(&text, folder).unwrap()
}

async fn fog(pki: &Pki) -> (Server, ServerEvents) {
    let folder = pki.folder_of(&"urn:voltmesh:fog:fog-1".parse().unwrap());
    let credentials = Credentials::load(&folder).unwrap();
    let revoked = RevocationWatch::open(&pki.crl_path(), &credentials.ca).unwrap();
    let tls = credentials.server_config(&revoked).unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    Server::bind(any, tls, revoked, Arc::new(ByTopic), ServerSettings::default()).await.unwrap()
}

/// Takes batches in and sends a notice for each.
async fn archive(mut events: ServerEvents, archive: Archive) {
    while let Some(event) = events.next().await {
        let ServerEvent::Publishes { session, items } = event else { continue };
        for item in items {
            let Ok(Topic::Vehicle(vehicle, kind)) = item.topic.parse() else {
                panic!("topic {}", item.topic)
            };
            session.accept(item.token);
            if kind == VehicleTopic::Hello {
                Hello::decode(&item.payload).unwrap();
                continue;
            }
            let batch = SealedBatch::parse(item.payload).unwrap();
            let archived = ArchivedBatch::of(batch.header(), batch.id());
            let place = (archived.boot.get(), archived.first.get());
            archive.lock().unwrap().insert(place, batch);
            let notice = ArchiveNotice {
                vehicle: vehicle.clone(),
                batches: vec![archived],
                archived: Timestamp::default(),
            };
            let topic = Topic::Vehicle(vehicle, VehicleTopic::Notice).to_string();
            let _ = session.publish(Outgoing::new(topic, Bytes::from(notice.sign(&cloud_key())), 1));
        }
    }
}

fn runner(folder: &Path) -> tokio::Runner {
    tokio::Runner::new(
        tokio::Config::new().with_storage_directory(folder.join("data")).with_worker_threads(1),
    )
}

/// Times of all records in the archive, in the order of boots and numbers.
fn times(archive: &Archive) -> Vec<u64> {
    let archive = archive.lock().unwrap();
    archive.values().flat_map(|b| b.open().unwrap()).map(|r| r.sample.time.as_millis() / 1000).collect()
}

#[test]
fn a_source_is_archived_over_real_sockets_and_resumed_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let pki = prepare(folder.path());
    let received: Archive = Archive::default();

    // First boot: nobody listens where it sends; the process ends when some batches are in its spool.
    let nobody = "127.0.0.1:9".parse().unwrap();
    let mut killed = config(folder.path(), &pki, &[nobody], 1000);
    killed.source.speed = 500.0; // two seconds for all
    let file = folder.path().join("data/spool_0_data/0000000000000000");
    runner(folder.path()).start(|context| async move {
        let agent = run(context.child("edge"), killed, Start::default());
        let spooled = async {
            let mut ticks = ::tokio::time::interval(std::time::Duration::from_millis(5));
            while std::fs::metadata(&file).map_or(0, |m| m.len()) < 16 << 10 {
                ticks.tick().await;
            }
        };
        ::tokio::select! {
            ended = agent => panic!("ended without a fog node: {ended:?}"),
            () = spooled => {} // dropped in the middle of whatever it did
        }
    });

    // Second boot: goes on where the spool ends, and ends when all is archived.
    let arrived = received.clone();
    let (path, authority) = (folder.path().to_path_buf(), pki.clone());
    let summary: Summary = runner(folder.path()).start(|context| async move {
        let (server, events) = fog(&authority).await;
        ::tokio::spawn(archive(events, arrived));
        let config = config(&path, &authority, &[nobody, server.address()], 1000);
        run(context.child("edge"), config, Start::default()).await.unwrap()
    });
    let sampled = summary.status.counter("sampled");
    assert!(sampled < 1000, "the first boot had spooled something: {summary}");
    assert_eq!(summary.status.counter("held"), 0, "{summary}");
    assert_eq!(times(&received), (0..1000).collect::<Vec<_>>(), "every sample once, in order");
    let boots: Vec<u64> = received.lock().unwrap().keys().map(|(boot, _)| *boot).collect();
    assert!(boots.contains(&1) && boots.contains(&2), "{boots:?}");
    assert_eq!(std::fs::read_to_string(folder.path().join("data/boot")).unwrap(), "2");
    assert_eq!(summary.status.latencies["archive"].count, received.lock().unwrap().len() as u64);

    // Third boot: nothing is left.
    let third = config(folder.path(), &pki, &[nobody], 1000);
    let summary =
        runner(folder.path()).start(|context| run(context.child("edge"), third, Start::default())).unwrap();
    assert_eq!((summary.status.counter("sampled"), summary.status.counter("held")), (0, 0));
}

/// Runs the agent in a folder to its end.
fn ended(folder: &Path, config: Config, start: Start) -> Result<Summary, Error> {
    runner(folder).start(|context| run(context.child("edge"), config, start))
}

#[test]
fn a_drained_agent_takes_no_samples_and_ends_once_all_is_archived() {
    let folder = tempfile::tempdir().unwrap();
    let pki = prepare(folder.path());
    let nobody = "127.0.0.1:9".parse().unwrap();
    let mut first = config(folder.path(), &pki, &[nobody], 1000);
    first.source.speed = 500.0;
    let spooled = folder.path().join("data/spool_0_data/0000000000000000");
    runner(folder.path()).start(|context| async move {
        let agent = run(context.child("edge"), first, Start::default());
        let full = async {
            let mut ticks = ::tokio::time::interval(std::time::Duration::from_millis(5));
            while std::fs::metadata(&spooled).map_or(0, |found| found.len()) < 16 << 10 {
                ticks.tick().await;
            }
        };
        ::tokio::select! { ended = agent => panic!("{ended:?}"), () = full => {} }
    });
    let waiting = |config: Config| {
        runner(folder.path()).start(|context| async move {
            let held = hold(&config)?;
            waiting(context, &config, &held).await
        })
    };
    assert!(waiting(config(folder.path(), &pki, &[nobody], 100)).unwrap() > 0);

    let received = Archive::default();
    let (arrived, authority, path) = (received.clone(), pki.clone(), folder.path().to_path_buf());
    let summary: Summary = runner(folder.path()).start(|context| async move {
        let (server, events) = fog(&authority).await;
        ::tokio::spawn(archive(events, arrived));
        // A source without end: only a drained agent ends.
        let mut config = config(&path, &authority, &[server.address()], 1_000_000);
        (config.source.speed, config.until_archived) = (1.0, false);
        run(context.child("edge"), config, Start { drain: true, ..Start::default() }).await.unwrap()
    });
    assert_eq!((summary.status.counter("sampled"), summary.status.counter("held")), (0, 0), "{summary}");
    assert!(!times(&received).is_empty());
    assert_eq!(waiting(config(folder.path(), &pki, &[nobody], 100)).unwrap(), 0);
}

#[test]
fn a_data_folder_has_one_agent_and_an_opening_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let pki = prepare(folder.path());
    let nobody = "127.0.0.1:9".parse().unwrap();
    let settings = config(folder.path(), &pki, &[nobody], 100);
    let held = hold(&settings).unwrap();
    let refused = ended(folder.path(), settings.clone(), Start::default()).unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    drop(held);
    let opening = |key: &str| {
        let text = format!("salt = \"{}\"\nkey = \"{key}\"\n", "ab".repeat(32));
        std::fs::write(folder.path().join("opening.toml"), text).unwrap();
        // With nothing to send it ends at once.
        ended(folder.path(), settings.clone(), Start { drain: true, ..Start::default() })
    };
    let refused = opening(&"00".repeat(32)).unwrap_err().to_string();
    assert!(refused.contains("rotate-vehicle") && refused.contains("opening.toml"), "{refused}");
    let own = voltmesh_identity::read_signing_key(&settings.credentials.join("sign.key")).unwrap();
    let key: String = own.verifying_key().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    opening(&key).unwrap();
}

/// Asks for less discharging and for more samples once the vehicle has said hello; ends with the answers and the first batch
/// that shows that the vehicle obeys.
async fn command(mut events: ServerEvents) -> (Vec<CommandAnswer>, Vec<Record>) {
    let (controller, key) = (SigningKey::from_bytes(&[5; 32]), SigningKey::from_bytes(&[6; 32]));
    let now = |later_ms: u64| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_millis(since.as_millis() as u64 + later_ms)
    };
    let asked = |number: u64, vehicle: &str, action: Action| {
        let vehicle: VehicleId = vehicle.parse().unwrap();
        let lease = Lease {
            vehicle: vehicle.clone(),
            function: "charging-control".to_owned(),
            fog: "fog-1".to_owned(),
            fog_key: key.verifying_key().to_bytes(),
            epoch: Epoch { term: 1, count: 1 },
            until: now(120_000),
            allowed: Allowed::everything(),
        };
        let (issued, expires) = (now(0), now(60_000));
        let reason = "a test".to_owned();
        let command = Command { vehicle, number, issued, expires, action, reason };
        Bytes::from(command.sign("fog-1", &lease.sign("ctl-1", &controller), &key))
    };
    let mut answers: Vec<CommandAnswer> = Vec::new();
    while let Some(event) = events.next().await {
        let ServerEvent::Publishes { session, items } = event else { continue };
        for item in items {
            session.accept(item.token);
            let Ok(Topic::Vehicle(vehicle, kind)) = item.topic.parse() else { panic!("{}", item.topic) };
            match kind {
                VehicleTopic::Hello => {
                    let topic = Topic::Vehicle(vehicle, VehicleTopic::Command).to_string();
                    for (tag, message) in [
                        asked(1, "car-1", Action::DischargeLimit(4_000)),
                        asked(2, "car-1", Action::SamplingRate(50_000)),
                        asked(3, "car-2", Action::StopCharging),
                    ]
                    .into_iter()
                    .enumerate()
                    {
                        session.publish(Outgoing::new(topic.clone(), message, tag as u64)).unwrap();
                    }
                }
                VehicleTopic::Answer => answers.push(serde_json::from_slice(&item.payload).unwrap()),
                VehicleTopic::Batch => {
                    let records = SealedBatch::parse(item.payload).unwrap().open().unwrap();
                    let fast = records
                        .windows(2)
                        .all(|pair| pair[1].sample.time.millis_since(pair[0].sample.time) == 20);
                    if answers.len() == 3 && records.len() > 1 && fast {
                        return (answers, records);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
    panic!("the server has ended")
}

#[test]
fn a_signed_command_arrives_over_tls_is_obeyed_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    let pki = prepare(folder.path());
    let controller = SigningKey::from_bytes(&[5; 32]).verifying_key();
    let hex = controller.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let (path, authority) = (folder.path().to_path_buf(), pki.clone());
    let (answers, records) = runner(folder.path()).start(|context| async move {
        let (server, events) = fog(&authority).await;
        let mut config = config(&path, &authority, &[server.address()], 1_000_000);
        config.commands.controllers = vec![hex];
        config.source.speed = 1.0;
        ::tokio::select! {
            ended = run(context.child("edge"), config, Start::default()) => panic!("{ended:?}"),
            obeyed = command(events) => obeyed,
        }
    });
    let outcomes: Vec<_> = answers.iter().map(|answer| (answer.number, &answer.outcome)).collect();
    let applied = |value| Outcome::Applied { value: Some(value), why_less: None };
    assert_eq!(outcomes[..2], [(1, &applied(4_000)), (2, &applied(50_000))]);
    assert!(
        matches!(outcomes[2], (3, Outcome::Refused { reason }) if reason.contains("for car-2")),
        "{outcomes:?}"
    );
    assert!(records.iter().all(|record| record.sample.pack_current.get() >= -4_000));
    // What was taken is on disk, for the next start.
    let kept = std::fs::read_to_string(folder.path().join("data/commands.json")).unwrap();
    assert!(kept.contains("charging-control"), "{kept}");
}
