//! The real `mosquitto_pub` and `mosquitto_sub` against our server. Skipped, saying so, where they are not installed.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::process::{Output, Stdio};

use common::*;
use tokio::process::Command;
use voltmesh_mqtt::*;

fn installed() -> bool {
    let found = std::process::Command::new("mosquitto_pub").arg("--help").output().is_ok();
    if !found {
        println!("skipped: mosquitto_pub is not installed (apt-get install mosquitto-clients)");
    }
    found
}

/// A Mosquitto program with the certificate of a foreign client.
fn mosquitto(program: &str, world: &World, arguments: &[&str]) -> Command {
    let folder = world.credentials("client:car-1").folder().to_path_buf();
    let mut command = Command::new(program);
    command
        .args(["-h", "127.0.0.1", "-p", &world.server.address().port().to_string()])
        .arg("--cafile")
        .arg(folder.join("ca.crt"))
        .arg("--cert")
        .arg(folder.join("tls.crt"))
        .arg("--key")
        .arg(folder.join("tls.key"))
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[tokio::test]
async fn mosquitto_pub_waits_for_our_word() {
    if !installed() {
        return;
    }
    let mut world = world(ServerSettings::default()).await;
    let sample = r#"{"Vehicle.Powertrain.TractionBattery.CurrentVoltage":352.1}"#;
    // The last is what it does when it is told nothing.
    for version in [&["-V", "5"][..], &["-V", "311"], &[]] {
        let arguments = [version, &["-q", "1", "-t", "v1/car-1/sample", "-m", sample]].concat();
        let mut child = mosquitto("mosquitto_pub", &world, &arguments).spawn().unwrap();
        let (session, items) = world.publishes().await;
        assert_eq!((&items[0].payload[..], items[0].qos), (sample.as_bytes(), Qos::AtLeastOnce));
        assert!(child.try_wait().unwrap().is_none(), "it waits for PUBACK");
        session.accept(items[0].token);
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[tokio::test]
async fn mosquitto_pub_is_refused() {
    if !installed() {
        return;
    }
    let world = world(ServerSettings::default()).await;
    let run = async |arguments: &[&str]| {
        text(&mosquitto("mosquitto_pub", &world, arguments).output().await.unwrap())
    };
    let told = run(&["-d", "-V", "5", "-q", "1", "-t", "v1/car-2/sample", "-m", "x"]).await;
    assert!(told.contains("Not authorized") || told.contains("RC:135"), "{told}");
    let told = run(&["-d", "-V", "5", "-q", "2", "-t", "v1/car-1/sample", "-m", "x"]).await;
    assert!(!told.contains("PUBCOMP"), "{told}");
    let told = run(&["-d", "-V", "31", "-q", "1", "-t", "v1/car-1/sample", "-m", "x"]).await;
    assert!(told.contains("protocol version"), "{told}");
}

#[tokio::test]
async fn mosquitto_sub_gets_what_is_its_own() {
    if !installed() {
        return;
    }
    let mut world = world(ServerSettings::default()).await;
    let arguments = ["-V", "5", "-q", "1", "-t", "v1/car-1/receipt", "-C", "1"];
    let child = mosquitto("mosquitto_sub", &world, &arguments).spawn().unwrap();
    loop {
        if let ServerEvent::Subscribed { session, .. } = world.next().await {
            session.publish(Outgoing::new("v1/car-1/receipt", "it is stored".into(), 1)).unwrap();
            break;
        }
    }
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(text(&output).trim(), "it is stored");
    let arguments = ["-V", "5", "-q", "1", "-t", "v1/#", "-C", "1"];
    let output = mosquitto("mosquitto_sub", &world, &arguments).output().await.unwrap();
    assert!(
        text(&output).contains("denied") || text(&output).contains("Not authorized"),
        "{}",
        text(&output)
    );
}
