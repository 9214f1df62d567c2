//! Two controllers by processes: the ledger gives the term to one of them, and the other one copies what operators decide there. It
//! is stopped; the other one takes over what runs, and the stopped one that goes on gives no order.
#![cfg(feature = "full")]
#![allow(clippy::unwrap_used, reason = "a test that fails should stop")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use voltmesh::args::ElectionArgs;
use voltmesh::deploy::{EdgePlan, Pace, Recording, STANDBY, Site, Size, Tuning};

/// Longest wait for anything: a loaded machine with one core.
const PATIENCE: Duration = Duration::from_secs(180);

/// The function that begins with charging.
const FUNCTION: &str = "charging-control";

/// What an interface answers, as JSON; `null` while it does not.
async fn get(http: &reqwest::Client, at: SocketAddr, path: &str) -> Value {
    let asked = http.get(format!("http://{at}{path}")).timeout(Duration::from_secs(2)).send();
    let Ok(answer) = asked.await else { return Value::Null };
    serde_json::from_str(&answer.text().await.unwrap_or_default()).unwrap_or(Value::Null)
}

/// Asks again and again until the answer is enough.
async fn until(
    what: &str,
    http: &reqwest::Client,
    (at, path): (SocketAddr, &str),
    site: &Site,
    enough: impl Fn(&Value) -> bool,
) -> Value {
    let begun = Instant::now();
    loop {
        let said = get(http, at, path).await;
        if enough(&said) {
            return said;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {said}\n{}", site.last_words());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Terms of the leases under which functions run at a fog node.
fn terms(said: &Value) -> Vec<u64> {
    let functions = said["functions"].as_array().into_iter().flatten();
    functions.filter_map(|one| one["epoch"][0].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_over_and_a_stopped_controller_that_goes_on_gives_no_order() {
    let folder = tempfile::tempdir().unwrap();
    let size =
        Size { fogs: 4, vehicles: 1, cloud: true, epoch_length: 1_000, election: ElectionArgs::default() };
    let program = Path::new(env!("CARGO_BIN_EXE_voltmesh"));
    let mut site = Site::prepare(program, folder.path(), size, false).await.unwrap();
    site.add_controller().await.unwrap();
    site.add_standby().await.unwrap();
    let at = site.deployment.dir.clone();
    let policy = format!("{}\n[[battery]]\ncapacity_ah = 60.0\ncells = 96\n", voltmesh_sdn::policy::DEFAULTS);
    for name in ["controller", STANDBY] {
        std::fs::write(at.join(name).join("policy.toml"), &policy).unwrap();
        let config = at.join(name).join("controller.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, format!("policy = \"policy.toml\"\n{text}")).unwrap();
    }
    // Whom fog nodes believe is the ledger's to say.
    for n in 1..=4 {
        let config = at.join(format!("fog-{n}/fog.toml"));
        let text = std::fs::read_to_string(&config).unwrap();
        let keys = text.split("keys = [").nth(1).unwrap().split(']').next().unwrap();
        std::fs::write(&config, text.replace(&format!("keys = [{keys}]"), "keys = []")).unwrap();
    }
    site.start().await.unwrap();
    let http = reqwest::Client::new();
    let both = [&site.controller, &site.standby].map(|one| one.as_ref().unwrap().http);

    // One of them holds the term.
    let begun = Instant::now();
    let active = loop {
        let mut ready = Vec::new();
        for (n, controller) in both.into_iter().enumerate() {
            if get(&http, controller, "/status").await["ready"] == true {
                ready.push(n);
            }
        }
        match ready[..] {
            [active] => break active,
            // Both by turns, if the machine stands still in between.
            _ => assert!(begun.elapsed() < PATIENCE, "nobody holds the term\n{}", site.last_words()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let standby = 1 - active;
    let (active_at, standby_at) = (both[active], both[standby]);

    // Operators publish and deploy at the one that commands: the other one copies it, and refuses to be asked itself.
    let package = at.join("package");
    let signed = Command::new(program)
        .args(["function", "sign", "--key", "pki/operator-op-1/sign.key", "--publisher", "op-1", "-o"])
        .arg(&package)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions").join(FUNCTION))
        .current_dir(&at)
        .output()
        .unwrap();
    assert!(signed.status.success(), "{}", String::from_utf8_lossy(&signed.stderr));
    let deployment = format!(r#"{{"name":"always","function":"{FUNCTION}"}}"#).into_bytes();
    let asked = [
        ("releases", "application/octet-stream", std::fs::read(&package).unwrap()),
        ("deployments", "application/json", deployment),
    ];
    for (controller, expected) in [(active, 201), (standby, 409)] {
        let token =
            std::fs::read_to_string(at.join(["controller", STANDBY][controller]).join("token")).unwrap();
        for (what, kind, body) in asked.clone() {
            let answer = http
                .post(format!("http://{}/functions/{what}", both[controller]))
                .bearer_auth(token.trim())
                .header("content-type", kind)
                .body(body)
                .send()
                .await
                .unwrap();
            let status = answer.status();
            let said = answer.text().await.unwrap();
            assert_eq!(status, expected, "{said}");
            assert!(status == 201 || said.contains("stands by"), "{said}");
        }
    }
    until("the release is copied", &http, (standby_at, "/functions/releases"), &site, |said| {
        said["releases"][0]["function"] == FUNCTION
    })
    .await;
    until("the deployment is copied", &http, (standby_at, "/functions/deployments"), &site, |said| {
        said["deployments"][0]["name"] == "always"
    })
    .await;

    // An empty battery that begins to charge.
    let recording = Recording { file: None, seed: 1, series: None, pace: Pace::Unlimited, samples: Some(0) };
    let edge_http = site.reserve_port().unwrap();
    let plan =
        EdgePlan { n: 1, http: edge_http, fogs: site.fog_mqtt.clone(), recording, tuning: Tuning::DEMO };
    let path = site.deployment.write_edge(&plan).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let head = text.split("[source]").next().unwrap();
    let keys = ["controller", STANDBY].map(|name| {
        let key = voltmesh_identity::read_signing_key(&at.join(format!("pki/controller-{name}/sign.key")));
        format!("\"{}\"", hex::encode(key.unwrap().verifying_key().to_bytes()))
    });
    let source = "[twin]\nchemistry = \"nmc\"\n\n[source]\nkind = \"sim\"\nsoc = 15.0\nrate_hz = 2.0\n";
    let keys = keys.join(", ");
    std::fs::write(&path, format!("{head}[commands]\ncontrollers = [{keys}]\n\n{source}")).unwrap();
    let mut edge = site.process("edge-1", "edge", &path, edge_http);
    edge.start().unwrap();
    let placed = until("a function is placed", &http, (active_at, "/placements"), &site, |said| {
        said["placements"][0]["phase"] == "running"
    })
    .await;
    let fog = placed["placements"][0]["fog"].as_str().unwrap().trim_start_matches("fog-").to_owned();
    let fog_at = site.fogs[fog.parse::<usize>().unwrap() - 1].http;
    let before = get(&http, fog_at, "/functions").await;
    let term = terms(&before)[0];

    // Its decision is on the ledger, with a proof.
    let decided = until("a decision is on the ledger", &http, (active_at, "/decisions"), &site, |said| {
        said["decisions"].as_array().is_some_and(|all| all.iter().any(|one| one["receipt"]["act"].is_u64()))
    })
    .await;
    let decided = decided["decisions"].as_array().unwrap();
    let decided = decided.iter().find(|one| one["receipt"]["act"].is_u64()).unwrap();
    let number = decided["number"].as_u64().unwrap();
    let run = |line: String| {
        let output = Command::new(program).args(line.split(' ')).current_dir(&at).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    for (line, expected) in [
        (format!("chain trust --genesis genesis.toml --fog {fog_at} -o trust-now.toml"), ""),
        (format!("prove --decision {number} --controller {active_at} -o decision.proof"), "decision.proof"),
        ("verify --event decision.proof --trust trust-now.toml --json".to_owned(), "\"kind\":\"decision\""),
        (format!("controller decisions --controller {active_at}"), "on the ledger: act"),
    ] {
        let (code, said) = run(line.clone());
        assert!(code == Some(0) && said.contains(expected), "{line}: {said}");
    }

    // It stands still: the other one takes the next term, and what runs goes on under it.
    let pause = |site: &mut Site, stop| {
        let process = if active == 0 { &mut site.controller } else { &mut site.standby };
        process.as_mut().unwrap().pause(stop).unwrap();
    };
    let orders = get(&http, active_at, "/status").await["counters"]["orders"].clone();
    pause(&mut site, true);
    let stopped = Instant::now();
    until("the standby holds the term", &http, (standby_at, "/status"), &site, |said| said["ready"] == true)
        .await;
    let took = stopped.elapsed();
    println!("the standby held the term {:.1} s after the active controller was stopped", took.as_secs_f64());
    let after = until("it runs under the new term", &http, (fog_at, "/functions"), &site, |said| {
        !terms(said).is_empty() && terms(said).iter().all(|now| *now > term)
    })
    .await;
    println!("and functions ran under its leases after {:.1} s", stopped.elapsed().as_secs_f64());
    let calls = |said: &Value| said["functions"][0]["calls"].as_u64().unwrap();
    assert!(calls(&after) > calls(&before), "it was not begun anew: {after}");

    // The stopped one goes on, notices, and gives no order.
    pause(&mut site, false);
    let said =
        until("it stands by", &http, (active_at, "/status"), &site, |said| said["ready"] == false).await;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let said = get(&http, active_at, "/status").await;
        assert_eq!((&said["ready"], &said["counters"]["orders"]), (&Value::Bool(false), &orders), "{said}");
    }
    assert_eq!(said["counters"]["orders"], orders, "{said}");
    assert_eq!(get(&http, standby_at, "/status").await["ready"], true);
    edge.kill().await.unwrap();
    site.stop().await;
}
