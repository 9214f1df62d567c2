//! The loop is closed by processes: a controller sees a vehicle, orders a shipped function to a fog node, the function commands
//! less charging current, the vehicle obeys and says so.
#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use voltmesh::args::ElectionArgs;
use voltmesh::deploy::{EdgePlan, Pace, Recording, Site, Size, Tuning};

/// Longest wait for anything: a loaded machine with one core.
const PATIENCE: Duration = Duration::from_secs(180);

/// The shipped functions.
const FUNCTIONS: [&str; 7] = [
    "cell-balancing",
    "charging-control",
    "discharge-control",
    "down-sampling",
    "plating-guard",
    "soc-soh-estimation",
    "temperature-regulation",
];

fn root() -> std::path::PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../..")
}

/// What an interface answers, as JSON; `null` while it does not.
async fn get(http: &reqwest::Client, at: SocketAddr, path: &str) -> Value {
    let Ok(answer) = http.get(format!("http://{at}{path}")).send().await else { return Value::Null };
    let text = answer.text().await.unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shipped_function_limits_a_vehicles_charging() {
    let folder = tempfile::tempdir().unwrap();
    let size =
        Size { fogs: 4, vehicles: 1, cloud: true, epoch_length: 1_000, election: ElectionArgs::default() };
    let program = Path::new(env!("CARGO_BIN_EXE_voltmesh"));
    let mut site = Site::prepare(program, folder.path(), size, false).await.unwrap();
    site.add_controller().await.unwrap();
    let at = site.deployment.dir.clone();

    // The battery of the simulated vehicle, which no vehicle says of itself yet.
    let policy = format!("{}\n[[battery]]\ncapacity_ah = 60.0\ncells = 96\n", voltmesh_sdn::policy::DEFAULTS);
    std::fs::write(at.join("controller/policy.toml"), policy).unwrap();
    let config = at.join("controller/controller.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("policy = \"policy.toml\"\n{text}")).unwrap();
    site.start().await.unwrap();
    let controller = site.controller.as_ref().unwrap().http;

    let http = reqwest::Client::new();
    let token = std::fs::read_to_string(at.join("controller/token")).unwrap();
    for name in FUNCTIONS {
        let package = at.join(format!("{name}.package"));
        let signed = Command::new(program)
            .args(["function", "sign", "--key", "pki/operator-op-1/sign.key", "--publisher", "op-1", "-o"])
            .arg(&package)
            .arg(root().join("functions").join(name))
            .current_dir(&at)
            .output()
            .unwrap();
        assert!(signed.status.success(), "{name}: {}", String::from_utf8_lossy(&signed.stderr));
        let url = format!("http://{controller}/functions/releases");
        let published = http
            .post(&url)
            .bearer_auth(token.trim())
            .header("content-type", "application/octet-stream")
            .body(std::fs::read(&package).unwrap());
        let published = published.send().await.unwrap();
        assert_eq!(published.status(), 201, "{name}: {}", published.text().await.unwrap());
    }

    // An empty battery that begins to charge with 2.4 C.
    let recording = Recording { file: None, seed: 1, series: None, pace: Pace::Unlimited, samples: Some(0) };
    let edge_http = site.reserve_port().unwrap();
    let plan =
        EdgePlan { n: 1, http: edge_http, fogs: site.fog_mqtt.clone(), recording, tuning: Tuning::DEMO };
    let path = site.deployment.write_edge(&plan).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let head = text.split("[source]").next().unwrap();
    let key = hex::encode(
        voltmesh_identity::read_signing_key(&at.join("pki/controller-controller/sign.key"))
            .unwrap()
            .verifying_key()
            .to_bytes(),
    );
    let source = "[twin]\nchemistry = \"nmc\"\n\n[source]\nkind = \"sim\"\nsoc = 15.0\nrate_hz = 2.0\n";
    std::fs::write(&path, format!("{head}[commands]\ncontrollers = [\"{key}\"]\n\n{source}")).unwrap();
    let mut edge = site.process("edge-1", "edge", &path, edge_http);
    edge.start().unwrap();

    let begun = Instant::now();
    let said = loop {
        let said = get(&http, edge_http, "/commands").await;
        if said["in_force"]["charge_ma"].is_u64() {
            break said;
        }
        assert!(
            begun.elapsed() < PATIENCE,
            "no command is in force: {said}\nplacements {}\nlogs {}\n{}\n{}",
            get(&http, controller, "/placements").await,
            get(&http, controller, "/functions/logs").await,
            site.controller.as_ref().unwrap().last_words(),
            site.fogs[0].last_words(),
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    // What is in force is what the function asked for, within the vehicle's own limit.
    let [command] = &said["commands"].as_array().unwrap()[..] else { panic!("{said}") };
    assert_eq!(command["kind"], "charge-limit", "{said}");
    let limit = said["in_force"]["charge_ma"].as_u64().unwrap();
    assert!(limit <= said["own_limits"]["charge_ma"].as_u64().unwrap(), "{said}");

    // Why is on record at the controller, and the fog node that the decision names runs the function.
    let function = command["function"].as_str().unwrap();
    let decisions = get(&http, controller, "/decisions").await;
    let decisions = decisions["decisions"].as_array().unwrap();
    assert!(decisions.iter().any(|decision| decision.to_string().contains(function)), "{decisions:?}");
    // A fog node that compiles for long confirms late: it is asked again.
    let begun = Instant::now();
    let placed = loop {
        let placements = get(&http, controller, "/placements").await;
        let all = placements["placements"].as_array().unwrap();
        let placed = all.iter().find(|placed| placed["function"] == function).unwrap().clone();
        if placed["phase"] == "running" {
            assert_eq!(placed["fog"], command["fog"], "{placements}");
            break placed;
        }
        assert!(begun.elapsed() < PATIENCE, "{placements}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    let fog = placed["fog"].as_str().unwrap();
    event_is_proven(&http, &site, &at, fog, function).await;
    events_are_there_once_after_a_kill(&http, &mut site, fog).await;
    edge.kill().await.unwrap();
    site.stop().await;
}

/// An event of the placed function is on the ledger, with a receipt that anyone can check; an altered one is refused.
async fn event_is_proven(http: &reqwest::Client, site: &Site, at: &Path, fog: &str, function: &str) {
    let number: usize = fog.trim_start_matches("fog-").parse().unwrap();
    let fog = site.fogs[number - 1].http;
    let begun = Instant::now();
    let position = loop {
        let said = get(http, fog, "/events?vehicle=edge-1").await;
        let events = said["events"].as_array().cloned().unwrap_or_default();
        let on_ledger =
            |event: &&Value| event["event"]["function"] == function && event["ledger"]["height"].is_u64();
        if let Some(event) = events.iter().find(on_ledger) {
            assert!(event["ledger"]["act"].is_u64(), "{event}");
            break event["position"].as_u64().unwrap();
        }
        assert!(begun.elapsed() < PATIENCE, "no event is on the ledger: {said}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    };
    let voltmesh = |args: Vec<String>| {
        let program = env!("CARGO_BIN_EXE_voltmesh");
        let output = Command::new(program).args(&args).current_dir(at).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let words = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let trust = format!("chain trust --genesis genesis.toml --fog {fog} -o events-trust.toml");
    let (code, said) = voltmesh(words(trust));
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = voltmesh(words(format!("prove --event {position} --fog {fog} -o event.proof")));
    assert_eq!(code, Some(0), "{said}");
    let verify =
        |file: &str| voltmesh(words(format!("verify --event {file} --trust events-trust.toml --json")));
    let (code, said) = verify("event.proof");
    let proven: Value = serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!((code, &proven["valid"]), (Some(0), &Value::Bool(true)), "{said}");
    assert_eq!(
        (&proven["event"]["vehicle"], &proven["event"]["function"]),
        (&Value::from("edge-1"), &Value::from(function)),
        "{said}"
    );
    // One letter of what was said.
    let mut altered = std::fs::read(at.join("event.proof")).unwrap();
    let name = altered.windows(6).position(|six| six == b"edge-1").unwrap();
    altered[name + 5] = b'2';
    std::fs::write(at.join("altered.proof"), &altered).unwrap();
    let (code, said) = verify("altered.proof");
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("\"valid\":false"), "{said}");
}

/// The fog node is killed and starts again: every event that it has ends up on the ledger, and no event is there twice.
async fn events_are_there_once_after_a_kill(http: &reqwest::Client, site: &mut Site, fog: &str) {
    let number: usize = fog.trim_start_matches("fog-").parse().unwrap();
    let authority = site.deployment.authorities[number - 1].to_string();
    let fog = &mut site.fogs[number - 1];
    fog.kill().await.unwrap();
    fog.start().unwrap();
    let fog = fog.http;
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "{}", site.fogs[number - 1].last_words());
        tokio::time::sleep(Duration::from_millis(250)).await;
        let events = |said: &Value| said["events"].as_array().cloned().unwrap_or_default();
        let here = events(&get(http, fog, "/events").await);
        if here.is_empty() || here.iter().any(|event| event["ledger"].is_null()) {
            continue;
        }
        let mut there = 0;
        let height = get(http, fog, "/chain/status").await["height"].as_u64().unwrap_or_default();
        for height in 1..=height {
            let block = get(http, fog, &format!("/chain/block/{height}/explained")).await;
            let text = block.to_string();
            assert!(block.is_object(), "block {height}: {text}");
            let lists = block["transactions"].as_array().cloned().unwrap_or_default();
            let ours = |list: &&Value| list["authority"] == authority.as_str() && list["lane"] == "functions";
            there += lists.iter().filter(ours).map(|list| list["events"].as_u64().unwrap()).sum::<u64>();
        }
        // Unless another was said meanwhile.
        if events(&get(http, fog, "/events").await).len() == here.len() {
            assert_eq!(there, here.len() as u64, "{here:?}");
            return;
        }
    }
}
