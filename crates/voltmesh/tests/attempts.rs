//! Attempts on a running system that `docs/security.md` lists: fog nodes, cloud and controller as processes, and whoever has a
//! certificate, or none, at each of their doors. None may get through.

#![cfg(feature = "full")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails should stop, and says what held"
)]

#[path = "attempts/at_doors.rs"]
mod at_doors;
#[path = "attempts/at_http.rs"]
mod at_http;
#[path = "attempts/at_mqtt.rs"]
mod at_mqtt;
#[path = "attempts/floods.rs"]
mod floods;
#[path = "attempts/wire.rs"]
mod wire;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use voltmesh::deploy::{Site, Size};
use voltmesh_identity::{Identity, Role};

/// Headline of the table in the document that names every attempt.
const HEADLINE: &str = "### Attempts at every door";

/// The system, and what was tried on it.
pub struct World {
    site: Site,
    cloud: SocketAddr,
    controller: SocketAddr,
    outcomes: Vec<(&'static str, Result<(), String>)>,
}

impl World {
    async fn start(dir: &Path) -> Self {
        let size =
            Size { fogs: 4, vehicles: 1, cloud: true, epoch_length: 100_000, election: Default::default() };
        let program = Path::new(env!("CARGO_BIN_EXE_voltmesh"));
        let mut site = Site::prepare(program, dir, size, true).await.unwrap();
        site.add_controller().await.unwrap();
        for identity in
            ["client:mallory", "client:meter", "edge:stray", "fog:stray", "cloud:stray", "operator:stray"]
        {
            site.deployment.pki.issue(&named(identity), &[], 30).unwrap();
        }
        site.deployment.pki.issue(&named("controller:stray"), &[], 30).unwrap();
        site.start().await.unwrap();
        let listens = |file: &str| wire::listener(&dir.join(file));
        let (cloud, controller) = (listens("cloud/cloud.toml"), listens("controller/controller.toml"));
        Self { site, cloud, controller, outcomes: Vec::new() }
    }

    fn fog(&self) -> SocketAddr {
        self.site.fog_mqtt[0]
    }

    /// Notes how an attempt went: what got through, if anything.
    pub fn note(&mut self, name: &'static str, through: impl IntoIterator<Item = String>) {
        let through: Vec<String> = through.into_iter().collect();
        println!("{name}: {}", if through.is_empty() { "held".to_owned() } else { through.join("; ") });
        let outcome = if through.is_empty() { Ok(()) } else { Err(through.join("; ")) };
        self.outcomes.push((name, outcome));
    }

    /// A counter of the first fog node.
    async fn counter(&self, name: &str) -> u64 {
        self.site.fogs[0].status(&self.site.http).await.unwrap().counter(name)
    }
}

fn named(text: &str) -> Identity {
    format!("urn:voltmesh:{text}").parse().unwrap()
}

/// A certificate of each role.
const EACH_ROLE: [(Role, &str); 6] = [
    (Role::Client, "client:mallory"),
    (Role::Edge, "edge:stray"),
    (Role::Fog, "fog:stray"),
    (Role::Cloud, "cloud:stray"),
    (Role::Operator, "operator:stray"),
    (Role::Controller, "controller:stray"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: .ci/nightly"]
async fn nothing_gets_through_any_door() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::start(folder.path()).await;
    at_mqtt::all(&mut world).await;
    at_doors::all(&mut world).await;
    at_http::all(&mut world).await;
    floods::all(&mut world).await;
    let last_words = world.site.last_words();
    world.site.stop().await;
    let through: Vec<_> = world.outcomes.iter().filter(|(_, outcome)| outcome.is_err()).collect();
    assert!(through.is_empty(), "{through:#?}\n{last_words}");
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/security.md"))
        .unwrap();
    let table = text.split(HEADLINE).nth(1).unwrap().split("\n#").next().unwrap();
    let listed: BTreeSet<_> =
        table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).skip(1).collect();
    let tried: BTreeSet<_> = world.outcomes.iter().map(|(name, _)| *name).collect();
    assert_eq!(tried, listed, "the attempts that docs/security.md lists");
}
