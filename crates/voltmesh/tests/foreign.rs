//! A client that is not ours, the real `mosquitto_pub`, delivers a JSON sample over mutual TLS; it ends in the archive,
//! and its proof holds offline.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use voltmesh::deploy::{Site, Size};
use voltmesh_identity::{Identity, Role};

const PATIENCE: Duration = Duration::from_secs(60);

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
    let program = Path::new(env!("CARGO_BIN_EXE_voltmesh"));
    let election = Default::default();
    let size = Size { fogs: 4, vehicles: 0, cloud: true, epoch_length: 1000, election };
    let mut site = Site::prepare(program, folder.path(), size, true).await.unwrap();
    let client = Identity::new(Role::Client, "meter-7").unwrap();
    let keys = site.deployment.pki.issue(&client, &[], 1).unwrap().folder;
    site.start().await.unwrap();

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
