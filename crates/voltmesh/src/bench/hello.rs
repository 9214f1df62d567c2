//! A vehicle's hello, as the vehicles of benchmarks say it.

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use voltmesh_control::{Hello, Opening};
use voltmesh_mqtt::{Client, ClientEvent, ClientEvents, Outgoing};
use voltmesh_telemetry::Boot;

/// The message.
pub fn hello(opening: Opening, boot: Boot) -> Bytes {
    let client_version = concat!("bench/", env!("CARGO_PKG_VERSION")).into();
    Hello { opening, boot, client_version }.encode().into()
}

/// Says hello, and waits until the fog node has taken it.
pub async fn say(client: &Client, events: &mut ClientEvents, topic: &str, hello: Bytes) -> Result<()> {
    client.publish(Outgoing::new(topic, hello, 0))?;
    loop {
        match events.next().await {
            Some(ClientEvent::Completed(done)) => {
                let (_, reason) = done.first().context("an empty completion")?;
                ensure!(reason.is_success(), "the fog node refuses the hello: {reason}");
                return Ok(());
            }
            Some(ClientEvent::Ended(end)) => bail!("the fog node ends the session at the hello: {end}"),
            Some(_) => {}
            None => bail!("the connection is gone at the hello"),
        }
    }
}
