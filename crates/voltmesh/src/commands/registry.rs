//! `voltmesh registry …`: what operators decide, as transactions that m of n of them sign.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use commonware_codec::Encode as _;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use voltmesh_control::Opening;
use voltmesh_identity::{read_signing_key, write_private, write_public};
use voltmesh_ledger::{
    Action, Commitment, Genesis, MAX_GENESIS_BYTES, PublicKey, RegistryTx, Transaction, Trust, commitment,
    private_key, public_key,
};
use voltmesh_telemetry::{Timestamp, VehicleId};

use super::{block_on, read_text};
use crate::http::Http;
use crate::{Outcome, args, output};

/// An opening or a public key is a few lines.
const MAX_SMALL_FILE: usize = 4096;

/// How often a fog node is asked whether a decision is final.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Longest wait for a decision to be final.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the command.
pub fn run(command: args::Registry) -> Result<Outcome> {
    match command {
        args::Registry::Genesis(options) => genesis(&options)?,
        args::Registry::Opening { key, output: path } => {
            let mut salt = [0; 32];
            rand::rng().fill(&mut salt[..]);
            let opening = Opening { salt, key: raw_key(&key)? };
            write_opening(&path, &opening)?;
            output::line(format!("{}: keep it where only the vehicle can read it", path.display()));
        }
        args::Registry::Enrol { vehicle, opening, submit } => {
            let commitment = commitment_of(&vehicle, &opening)?;
            decide(&submit, Action::EnrolVehicle { commitment }, &format!("{vehicle} is enrolled"))?;
        }
        args::Registry::Revoke { vehicle, opening, submit } => {
            let commitment = commitment_of(&vehicle, &opening)?;
            decide(&submit, Action::RevokeVehicle { commitment }, &format!("{vehicle}'s key is revoked"))?;
        }
        args::Registry::RotateAuthority { old, new, submit } => {
            let action = Action::RotateAuthority { old: read_public(&old)?, new: read_public(&new)? };
            decide(&submit, action, "the key is rotated; it votes from the next-but-one epoch on")?;
        }
    }
    Ok(Outcome::Done)
}

fn genesis(options: &args::GenesisArgs) -> Result<()> {
    let keys =
        |files: &[std::path::PathBuf]| files.iter().map(|file| read_public(file)).collect::<Result<Vec<_>>>();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let genesis = Genesis::new(
        options.chain.clone(),
        Timestamp::from_millis(since.as_millis() as u64),
        keys(&options.authorities)?,
        keys(&options.operators)?,
        options.threshold,
        options.epoch_length,
    )?;
    write_public(&options.output, genesis.to_toml().as_bytes())?;
    let mut trust = Trust::from_genesis(genesis);
    if let Some(cloud) = &options.cloud {
        trust.add_cloud(read_public(cloud)?);
    }
    write_public(&options.trust, trust.to_toml().as_bytes())?;
    output::line(format!(
        "chain {}: {} and {}",
        trust.chain(),
        options.output.display(),
        options.trust.display()
    ));
    Ok(())
}

/// Signs an action, submits it, and waits until it is final.
fn decide(submit: &args::Submit, action: Action, done: &str) -> Result<()> {
    let genesis = Genesis::from_toml(&read_text(&submit.genesis, MAX_GENESIS_BYTES)?)?;
    block_on(async {
        let http = Http::new()?;
        let nonce = super::chain::status(&http, submit.fog.fog).await?.nonce;
        let mut transaction = RegistryTx::new(genesis.digest(), nonce, vec![action]);
        for operator in &submit.operators {
            transaction = transaction.sign(&private_key(&read_signing_key(operator)?.to_bytes()));
        }
        let height = submit_until_final(&http, submit.fog.fog, &transaction, PATIENCE).await?;
        output::line(format!("{done}: final by block {height}"));
        Ok(())
    })
}

/// Offers a decision to a fog node until the ledger's nonce has passed it; returns the height at which that was seen.
pub async fn submit_until_final(
    http: &Http,
    fog: SocketAddr,
    transaction: &RegistryTx,
    patience: Duration,
) -> Result<u64> {
    let bytes = Transaction::Registry(transaction.clone()).encode().to_vec();
    let start = Instant::now();
    let mut refusal = None;
    loop {
        match super::chain::status(http, fog).await {
            Ok(status) if status.nonce > transaction.nonce => {
                // Someone else's decision may have taken the number.
                return match refusal {
                    None => Ok(status.height),
                    Some(error) => Err(error),
                };
            }
            Ok(_) => refusal = http.post(fog, "/tx", bytes.clone()).await.err(),
            Err(error) => refusal = Some(error),
        }
        if start.elapsed() > patience {
            let late = anyhow::anyhow!("the decision is not final after {patience:?}");
            return Err(refusal.map_or(late, |error| error.context("the decision is not final")));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// `opening.toml`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpeningFile {
    salt: String,
    key: String,
}

/// Reads an opening.
pub fn read_opening(path: &Path) -> Result<Opening> {
    let file: OpeningFile = toml::from_str(&read_text(path, MAX_SMALL_FILE)?)
        .with_context(|| format!("{} is no opening: it wants salt and key", path.display()))?;
    let bytes = |text: &str| -> Result<[u8; 32]> {
        let mut out = [0; 32];
        hex::decode_to_slice(text, &mut out)
            .with_context(|| format!("{}: salt and key want 64 hex digits", path.display()))?;
        Ok(out)
    };
    Ok(Opening { salt: bytes(&file.salt)?, key: bytes(&file.key)? })
}

/// Writes an opening with mode 0600: who has it can tell whose the commitment is.
pub fn write_opening(path: &Path, opening: &Opening) -> Result<()> {
    let file = OpeningFile { salt: hex::encode(opening.salt), key: hex::encode(opening.key) };
    Ok(write_private(path, toml::to_string(&file)?.as_bytes())?)
}

fn commitment_of(vehicle: &str, opening: &Path) -> Result<Commitment> {
    let vehicle: VehicleId = vehicle.parse()?;
    let opening = read_opening(opening)?;
    Ok(commitment(vehicle.as_str(), &opening.salt, &opening.key))
}

fn raw_key(path: &Path) -> Result<[u8; 32]> {
    let pem = read_text(path, MAX_SMALL_FILE)?;
    let key = ed25519_dalek::VerifyingKey::from_public_key_pem(&pem)
        .with_context(|| format!("{} is no Ed25519 public key in PEM; use a `sign.pub`", path.display()))?;
    Ok(key.to_bytes())
}

fn read_public(path: &Path) -> Result<PublicKey> {
    let key = raw_key(path)?;
    match public_key(&key) {
        Ok(key) => Ok(key),
        Err(error) => bail!("{}: {error}", path.display()),
    }
}
