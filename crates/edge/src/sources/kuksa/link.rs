//! The connection to a databroker: metadata, then values as they change; again after each failure.

use super::super::period::now_ms;
use super::config::KuksaConfig;
use super::held::Held;
use super::messages::{
    ListMetadataRequest, ListMetadataResponse, Metadata, SERVICE, SubscribeRequest, SubscribeResponse,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use voltmesh_identity::read_token;
use voltmesh_telemetry::error_chain;

/// Longest time to connect, and until metadata are there.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection without an answer to a ping for so long is lost.
const PING: Duration = Duration::from_secs(5);
/// First and longest pause before the next attempt.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// A connection that has lasted so long was a good one: the next pause is the first again.
const GOOD: Duration = Duration::from_secs(60);
/// Largest message: a thousand values with their paths are 100 kB.
const MAX_MESSAGE: usize = 1 << 20;
/// Largest token.
const MAX_TOKEN: usize = 16 << 10;
/// Messages that the broker keeps for this reader; its own bound is 1,000.
const BUFFER: u32 = 100;

/// What both sides of the thread share.
#[derive(Debug)]
pub struct Shared {
    pub held: Mutex<Held>,
}

impl Shared {
    pub fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the broker for ever.
pub async fn follow(config: KuksaConfig, shared: Arc<Shared>) {
    let mut pause = PAUSES.0;
    loop {
        let started = tokio::time::Instant::now();
        if let Err(why) = session(&config, &shared).await {
            tracing::warn!(
                address = config.address,
                why,
                again_in_s = pause.as_secs_f64(),
                "the databroker gives no values"
            );
        }
        if started.elapsed() > GOOD {
            pause = PAUSES.0;
        }
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(PAUSES.1);
    }
}

/// One connection; ends with the reason.
async fn session(config: &KuksaConfig, shared: &Shared) -> Result<(), String> {
    let token = token(config)?;
    let mut client = connect(config).await?;
    let wanted: Vec<String> = shared.held().paths().map(str::to_owned).collect();
    let known = tokio::time::timeout(PATIENCE, metadata(&mut client, &wanted, token.as_ref()));
    let known = known.await.map_err(|_| "no metadata came in time".to_owned())??;
    let signal_paths = shared.held().describe(&known);
    if signal_paths.is_empty() {
        return Err(shared.held().said().join("; "));
    }
    tracing::info!(address = config.address, signals = signal_paths.len(), "connected to the databroker");
    ready(&mut client).await?;
    let request = with_token(SubscribeRequest { signal_paths, buffer_size: BUFFER }, token.as_ref());
    let codec: ProstCodec<SubscribeRequest, SubscribeResponse> = ProstCodec::default();
    let answer = client.server_streaming(request, method("Subscribe")?, codec).await.map_err(said)?;
    let mut values = answer.into_inner();
    while let Some(message) = values.message().await.map_err(said)? {
        let now = now_ms();
        let mut held = shared.held();
        for (path, point) in &message.entries {
            held.take(path, point, now);
        }
    }
    Err("the databroker has ended the subscription".into())
}

/// The token of the file, if one is configured.
fn token(config: &KuksaConfig) -> Result<Option<MetadataValue<Ascii>>, String> {
    let Some(path) = &config.token_file else { return Ok(None) };
    let problem = |why: String| format!("token_file {}: {why}", path.display());
    let text = read_token(path).map_err(|error| error_chain(&error))?;
    if text.len() > MAX_TOKEN {
        return Err(problem(format!("has {} bytes, at most {MAX_TOKEN} are sent", text.len())));
    }
    let mut value: MetadataValue<Ascii> =
        format!("Bearer {}", text.trim()).parse().map_err(|_| problem("holds no token".into()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

async fn connect(config: &KuksaConfig) -> Result<Grpc<Channel>, String> {
    let mut endpoint = Endpoint::from_shared(config.address.clone())
        .map_err(|error| error.to_string())?
        .connect_timeout(PATIENCE)
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .keep_alive_while_idle(true);
    if let Some(ca) = &config.ca {
        let pem = std::fs::read(ca).map_err(|error| format!("ca {}: {error}", ca.display()))?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
        endpoint = endpoint.tls_config(tls).map_err(|error| error.to_string())?;
    }
    let channel = endpoint.connect().await.map_err(|error| error_chain(&error))?;
    Ok(Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE))
}

/// What the broker knows of these signals. One that it has not, or does not show, is left out.
async fn metadata(
    client: &mut Grpc<Channel>,
    paths: &[String],
    token: Option<&MetadataValue<Ascii>>,
) -> Result<Vec<Metadata>, String> {
    let mut known = Vec::new();
    for path in paths {
        ready(client).await?;
        let request = with_token(ListMetadataRequest { root: path.clone(), filter: String::new() }, token);
        let codec: ProstCodec<ListMetadataRequest, ListMetadataResponse> = ProstCodec::default();
        match client.unary(request, method("ListMetadata")?, codec).await {
            Ok(answer) => known.extend(answer.into_inner().metadata),
            Err(status) if matches!(status.code(), Code::NotFound | Code::PermissionDenied) => {}
            Err(status) => return Err(said(status)),
        }
    }
    Ok(known)
}

async fn ready(client: &mut Grpc<Channel>) -> Result<(), String> {
    client.ready().await.map_err(|error| error.to_string())
}

fn method(name: &str) -> Result<PathAndQuery, String> {
    PathAndQuery::try_from(format!("/{SERVICE}/{name}")).map_err(|error| error.to_string())
}

fn with_token<T>(message: T, token: Option<&MetadataValue<Ascii>>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", token.clone());
    }
    request
}

fn said(status: Status) -> String {
    format!("{}: {}", status.code(), status.message())
}
