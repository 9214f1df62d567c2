//! Clients that are not ours deliver JSON samples over mutual TLS; they end in the archive, and a proof holds offline. A
//! client that is not installed is skipped, saying so.

#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use voltmesh::deploy::{Site, Size};
use voltmesh_identity::{Identity, Role};
use voltmesh_telemetry::vss;

const PATIENCE: Duration = Duration::from_secs(60);

const PROGRAM: &str = env!("CARGO_BIN_EXE_voltmesh");

/// Four fog nodes and a cloud that run, and the folders with the keys of these clients.
async fn site(folder: &Path, clients: &[&str]) -> (Site, Vec<PathBuf>) {
    let election = Default::default();
    let size = Size { fogs: 4, vehicles: 0, cloud: true, epoch_length: 1000, election };
    let mut site = Site::prepare(Path::new(PROGRAM), folder, size, true).await.unwrap();
    let keys = |name: &&str| {
        let identity = Identity::new(Role::Client, name).unwrap();
        site.deployment.pki.issue(&identity, &[], 1).unwrap().folder
    };
    let keys = clients.iter().map(keys).collect();
    site.start().await.unwrap();
    (site, keys)
}

fn has_mosquitto() -> bool {
    Command::new("mosquitto_pub").arg("--help").output().is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mosquitto_pub_delivers_a_sample_that_ends_in_the_archive() {
    if !has_mosquitto() {
        eprintln!("skipped: mosquitto_pub is not installed (Debian: mosquitto-clients)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(PROGRAM);
    let (mut site, keys) = site(folder.path(), &["meter-7"]).await;
    let keys = &keys[0];

    let sample = r#"{"timestamp":"2026-01-01T00:00:00Z","Vehicle.Powertrain.TractionBattery.CurrentVoltage":352.1,"Vehicle.Powertrain.TractionBattery.CurrentCurrent":-12.5}"#;
    // Delivered twice, as after a lost connection: it must be archived once.
    for fog in [0, 1] {
        let start = Instant::now();
        let publish = || {
            Command::new("mosquitto_pub")
                .args(["-V", "5", "-q", "1", "-h", "localhost", "-p", &site.fog_mqtt[fog].port().to_string()])
                .arg("--cafile")
                .arg(keys.join("ca.crt"))
                .arg("--cert")
                .arg(keys.join("tls.crt"))
                .arg("--key")
                .arg(keys.join("tls.key"))
                .args(["-t", "v1/meter-7/sample", "-m", sample])
                .output()
                .unwrap()
        };
        // A node whose ledger is still catching up ends the session with 0x97: try again, as any client does.
        loop {
            let output = publish();
            if output.status.success() {
                break;
            }
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(start.elapsed() < PATIENCE, "{said}\n{}", site.last_words());
        }
    }

    let api = site.cloud.as_ref().unwrap().http;
    let start = Instant::now();
    let record = loop {
        let answer = site.http.get(api, "/v1/vehicles/meter-7/latest").await;
        if let Ok(body) = answer {
            break serde_json::from_slice::<serde_json::Value>(&body).unwrap();
        }
        assert!(start.elapsed() < PATIENCE, "not archived: {:?}\n{}", answer, site.last_words());
        tokio::task::yield_now().await;
    };
    assert_eq!(record["pack_voltage_v"], 352.1, "{record}");
    assert_eq!(record["pack_current_a"], -12.5, "{record}");
    assert_eq!(record["boot"], 0, "{record}");
    assert!(record["attested_by"].as_str().unwrap().starts_with("fog-"), "{record}");

    // The proof, by the same commands that a person types.
    let id = format!("meter-7/0/{}", record["number"]);
    let run = |args: &[&str]| Command::new(program).args(args).current_dir(folder.path()).output().unwrap();
    let proved = run(&["prove", "--record", &id, "--cloud", &format!("http://{api}"), "-o", "r.cose"]);
    assert!(proved.status.success(), "{}", String::from_utf8_lossy(&proved.stderr));
    let verified = run(&["verify", "r.cose", "--trust", "trust.toml"]);
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success() && said.contains("meter-7"), "{said}");
    let mut bytes = std::fs::read(folder.path().join("r.cose")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(folder.path().join("r.cose"), bytes).unwrap();
    assert_eq!(run(&["verify", "r.cose", "--trust", "trust.toml"]).status.code(), Some(3));

    let stages: serde_json::Value =
        serde_json::from_slice(&site.http.get(api, "/v1/stages").await.unwrap()).unwrap();
    let rows = site.http.get(api, "/v1/vehicles/meter-7/records?from=0").await.unwrap();
    let rows: serde_json::Value = serde_json::from_slice(&rows).unwrap();
    assert_eq!(rows["records"].as_array().unwrap().len(), 1, "{rows} {stages}");
    site.stop().await;
}

/// The payload of README's own `mosquitto_pub`.
fn readme_sample() -> &'static str {
    let readme = include_str!("../../../README.md");
    let after = readme.split_once("-t v1/meter-7/sample -m '").expect("README shows mosquitto_pub").1;
    after.split_once('\'').expect("its payload ends").0
}

#[test]
fn readme_shows_a_sample_that_is_read() {
    let sample = vss::parse(readme_sample().as_bytes()).unwrap();
    assert_eq!(sample.time.as_millis(), 1_767_225_600_000);
}

/// A foreign client: its name, how to see whether it is there, how to run it before PORT FOLDER TOPIC PAYLOAD, and where
/// it comes from.
type Foreign = (&'static str, &'static [&'static str], &'static [&'static str], &'static str);

const CLIENTS: [Foreign; 5] = [
    ("mosquitto", &["mosquitto_pub", "--help"], &[], "apt-get install mosquitto-clients"),
    (
        "paho",
        &["python3", "-c", "import paho.mqtt.client"],
        &["python3", "with_paho.py"],
        "pip install paho-mqtt",
    ),
    ("aiomqtt", &["python3", "-c", "import aiomqtt"], &["python3", "with_aiomqtt.py"], "pip install aiomqtt"),
    ("gmqtt", &["python3", "-c", "import gmqtt"], &["python3", "with_gmqtt.py"], "pip install gmqtt"),
    (
        "mqttjs",
        &["node", "-e", "require('mqtt')"],
        &["node", "with_mqttjs.js"],
        "npm install mqtt, and NODE_PATH",
    ),
];

fn is_there(look: &[&str]) -> bool {
    let said = Command::new(look[0]).args(&look[1..]).output();
    // mosquitto_pub ends its help with 1.
    said.is_ok_and(|said| said.status.success() || look[0] == "mosquitto_pub")
}

fn publish(client: &Foreign, port: u16, keys: &Path, topic: &str, sample: &str) -> std::process::Output {
    let (_, _, run, _) = client;
    let port = port.to_string();
    let Some((program, script)) = run.split_first() else {
        return Command::new("mosquitto_pub")
            .args(["-q", "1", "-h", "localhost", "-p", &port, "-t", topic, "-m", sample])
            .arg("--cafile")
            .arg(keys.join("ca.crt"))
            .arg("--cert")
            .arg(keys.join("tls.crt"))
            .arg("--key")
            .arg(keys.join("tls.key"))
            .output()
            .unwrap();
    };
    let folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("tests/clients");
    Command::new(program)
        .args(script.iter().map(|name| folder.join(name)))
        .arg(port)
        .arg(keys)
        .args([topic, sample])
        .output()
        .unwrap()
}

/// Samples at the edges of the rules, each with the reason code of its PUBACK.
fn what_mosquitto_is_told(port: u16, keys: &Path) {
    let ahead =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() + 7_200_000;
    let ahead = ahead.to_string();
    for (time, further, code) in [
        ("\"2026-01-01T00:00:01+0000\"", "", 0),
        ("\"2026-01-01T00:00:02Z\"", ",\"vin\":\"XX0000000000000XX\"", 0),
        ("\"2026-01-01T00:00:03Z\"", ",\"Vehicle.Powertrain.TractionBattery.IsPowerConnected\":1", 0),
        ("\"2026-01-01T00:00:04.250\"", "", 0x99),
        ("\"2026-01-01T00:00:05Z\"", ",\"Timestamp\":1", 0x99),
        (&*ahead, "", 0x99),
    ] {
        let sample = format!(
            "{{\"timestamp\":{time},\"Vehicle.Powertrain.TractionBattery.CurrentVoltage\":352.1,\
             \"Vehicle.Powertrain.TractionBattery.CurrentCurrent\":-10.0{further}}}"
        );
        let output = Command::new("mosquitto_pub")
            .args(["-d", "-V", "5", "-q", "1", "-h", "localhost", "-p", &port.to_string()])
            .arg("--cafile")
            .arg(keys.join("ca.crt"))
            .arg("--cert")
            .arg(keys.join("tls.crt"))
            .arg("--key")
            .arg(keys.join("tls.key"))
            .args(["-t", "v1/mosquitto/sample", "-m", &sample])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        assert!(said.contains(&format!("RC:{code})")), "{sample}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_clients_with_default_settings_deliver_samples_that_end_in_the_archive() {
    let there: Vec<&Foreign> = CLIENTS
        .iter()
        .filter(|(name, look, _, install)| {
            let there = is_there(look);
            if !there {
                eprintln!("skipped: {name} is not installed ({install})");
            }
            there
        })
        .collect();
    if there.is_empty() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<&str> = there.iter().map(|(name, ..)| *name).collect();
    let (mut site, keys) = site(folder.path(), &names).await;
    for (client, keys) in there.iter().zip(&keys) {
        let (name, start) = (client.0, Instant::now());
        let topic = format!("v1/{name}/sample");
        loop {
            let port = site.fog_mqtt[0].port();
            let output = publish(client, port, keys, &topic, readme_sample());
            if output.status.success() {
                break;
            }
            // As of a node whose ledger is still catching up, which ends the session.
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(start.elapsed() < PATIENCE, "{name}: {said}\n{}", site.last_words());
        }
        println!("{name}: acknowledged after {:?}", start.elapsed());
    }
    if there[0].0 == "mosquitto" {
        what_mosquitto_is_told(site.fog_mqtt[0].port(), &keys[0]);
    }
    let api = site.cloud.as_ref().unwrap().http;
    for (name, ..) in there {
        let start = Instant::now();
        let record = loop {
            match site.http.get(api, &format!("/v1/vehicles/{name}/latest")).await {
                Ok(body) => break serde_json::from_slice::<serde_json::Value>(&body).unwrap(),
                Err(error) => {
                    assert!(start.elapsed() < PATIENCE, "{name}: {error}\n{}", site.last_words());
                    tokio::task::yield_now().await;
                }
            }
        };
        assert_eq!(
            (&record["pack_voltage_v"], &record["boot"]),
            (&352.1.into(), &0.into()),
            "{name}: {record}"
        );
    }
    site.stop().await;
}
