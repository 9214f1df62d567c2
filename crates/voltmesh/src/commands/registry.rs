//! `voltmesh registry …`: what operators decide, as transactions that m of n of them sign.

mod operators;
mod replace;
mod rotate;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use commonware_codec::Encode as _;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use voltmesh_control::Opening;
use voltmesh_fog::answers::Status;
use voltmesh_identity::{Pki, Role, Signer, write_private, write_public};
use voltmesh_ledger::{
    Action, Block, Commitment, Genesis, Height, MAX_GENESIS_BYTES, PublicKey, RegistryTx, Signature,
    Transaction, Trust, commitment, public_key, public_key_from_hex, signature,
};
use voltmesh_telemetry::{Digest, Timestamp, VehicleId};

use super::public_key::{raw_key, read_public};
use super::{block_on, read_limited, read_text};
use crate::http::{Http, Refused};
use crate::{Outcome, args, output};

/// An opening or a public key is a few lines.
const MAX_SMALL_FILE: usize = 4096;

/// Largest component of a function: shipped ones have up to 300 kB.
const MAX_COMPONENT: usize = 16 << 20;

/// How often a fog node is asked whether a decision is final.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Longest wait for a decision to be final.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the command.
pub fn run(command: args::Registry) -> Result<Outcome> {
    match command {
        args::Registry::Genesis(options) => genesis(&options)?,
        args::Registry::Opening { key, output: path } => {
            let opening = Opening { salt: salt(), key: raw_key(&key)? };
            write_opening(&path, &opening)?;
            output::line(format!("{}: keep it where only the vehicle can read it", path.display()));
        }
        args::Registry::Enrol { vehicle, opening, pki, submit } => {
            if let Some(folder) = pki {
                Pki::open(&folder)?.check_one_role(&vehicle, &[Role::Edge, Role::Fog])?;
            }
            let commitment = commitment_of(&vehicle, &opening)?;
            decide(&submit, Action::EnrolVehicle { commitment }, &format!("{vehicle} is enrolled"))?;
        }
        args::Registry::EnrolFog { id, pki, submit } => {
            if let Some(folder) = pki {
                Pki::open(&folder)?.check_one_role(&id, &[Role::Fog])?;
            }
            let commitment = commitment_of_fog(&id, submit.fog.fog)?;
            decide(&submit, Action::EnrolVehicle { commitment }, &format!("fog node {id} is enrolled"))?;
        }
        args::Registry::Revoke { vehicle, opening, submit } => {
            let commitment = commitment_of(&vehicle, &opening)?;
            decide(&submit, Action::RevokeVehicle { commitment }, &format!("{vehicle}'s key is revoked"))?;
        }
        args::Registry::RotateVehicle(options) => rotate::vehicle(&options)?,
        args::Registry::RotateOpening { vehicle, opening, new_opening, submit } => {
            rotate::opening(&vehicle, &opening, &new_opening, &submit)?;
        }
        args::Registry::SetOperators(options) => operators::run(&options)?,
        args::Registry::AdmitAuthority { key, submit } => {
            let key = authority(&key)?;
            decide(&submit, Action::AdmitAuthority { key }, "the authority is admitted")?;
        }
        args::Registry::RemoveAuthority { key, submit } => {
            let key = authority(&key)?;
            decide(&submit, Action::RemoveAuthority { key }, "the authority is removed")?;
        }
        args::Registry::RotateAuthority { old, new, submit } => {
            let action = Action::RotateAuthority { old: authority(&old)?, new: authority(&new)? };
            decide(&submit, action, "the key is rotated")?;
        }
        args::Registry::PardonAuthority { key, submit } => {
            let key = authority(&key)?;
            decide(&submit, Action::PardonAuthority { key }, "the authority is pardoned")?;
        }
        args::Registry::AdmitController { key, submit } => {
            let key = authority(&key)?;
            decide(&submit, Action::AdmitController { key }, "the controller is admitted")?;
        }
        args::Registry::RemoveController { key, submit } => {
            let key = authority(&key)?;
            decide(&submit, Action::RemoveController { key }, "the controller is removed")?;
        }
        args::Registry::PublishFunction { component, publisher, submit } => {
            let (component, publisher) = (digest_of(&component)?, authority(&publisher)?);
            let done = format!("function {component} is released");
            decide(&submit, Action::PublishFunction { component, publisher }, &done)?;
        }
        args::Registry::WithdrawFunction { component, submit } => {
            let component = digest_of(&component)?;
            let done = format!("function {component} is withdrawn");
            decide(&submit, Action::WithdrawFunction { component }, &done)?;
        }
        args::Registry::ReplaceCommittee(options) => replace::run(&options)?,
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
    let genesis = elect(genesis, options.election)?;
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

/// Sets how a chain elects leaders and voters.
pub fn elect(genesis: Genesis, election: args::ElectionArgs) -> Result<Genesis> {
    let genesis = genesis.with_terms(election.term_length)?.with_committee(election.committee)?;
    let authorities = genesis.authorities.len();
    if let Some(committee) = genesis.committee {
        ensure!(
            usize::from(committee) <= authorities,
            "a committee of {committee} cannot be elected among {authorities} authorities"
        );
    }
    Ok(genesis)
}

/// Signs an action, submits it, waits until it is final, and says so.
fn decide(submit: &args::Submit, action: Action, done: &str) -> Result<()> {
    let later = serves_later(&action);
    block_on(async {
        let decider = Decider::new(submit).await?;
        let height = decider.finish(&decider.sign(vec![action])?).await?;
        let genesis = &decider.genesis;
        let from = genesis.epoch_of(Height::new(height)).get() + 2;
        let when = if later {
            format!("; it counts from epoch {from} on, block {}", from * genesis.epoch_length)
        } else {
            String::new()
        };
        output::line(format!("{done}: final in block {height}{when}"));
        Ok(())
    })
}

/// The operators whose keys are given, and the fog node through which they decide.
struct Decider<'a> {
    http: Http,
    genesis: Genesis,
    submit: &'a args::Submit,
    status: Status,
}

impl<'a> Decider<'a> {
    /// Asks the fog node how far the ledger is, and checks that it follows the chain of the genesis.
    async fn new(submit: &'a args::Submit) -> Result<Self> {
        let genesis = Genesis::from_toml(&read_text(&submit.genesis, MAX_GENESIS_BYTES)?)?;
        let (http, fog) = (Http::new()?, submit.fog.fog);
        let status = super::chain::status(&http, fog).await?;
        ensure!(
            status.chain == genesis.digest().to_string(),
            "{} is not the genesis of the chain {} that {fog} follows",
            submit.genesis.display(),
            status.chain
        );
        Ok(Self { http, genesis, submit, status })
    }

    /// What the fog node said at the beginning.
    fn status(&self) -> &Status {
        &self.status
    }

    /// The newest final block at the beginning: a later one holds what is decided now.
    fn height(&self) -> u64 {
        self.status.height
    }

    /// The next decision, signed by all operators that are given.
    fn sign(&self, actions: Vec<Action>) -> Result<RegistryTx> {
        let mut transaction = RegistryTx::new(self.genesis.digest(), self.status.nonce, actions);
        for operator in &self.submit.operators {
            let signer = Signer::open(operator)?;
            let (by, signature) = signed(&signer, &transaction.to_be_signed())?;
            transaction = transaction.with_signature(by, signature)?;
        }
        Ok(transaction)
    }

    /// Submits a decision; returns the block in which it is final.
    async fn finish(&self, transaction: &RegistryTx) -> Result<u64> {
        let fog = self.submit.fog.fog;
        let last = offer(&self.http, fog, transaction, PATIENCE, Refusals::Final).await?;
        let digest = Transaction::Registry(transaction.clone()).digest().to_string();
        let found = find(&self.http, fog, &digest, self.height()..=last).await?;
        found.with_context(|| {
            format!("another decision has taken number {}; repeat the command", transaction.nonce)
        })
    }

    /// The block that holds an earlier decision, if one after this height does.
    async fn find(&self, decision: &str, after: u64) -> Result<Option<u64>> {
        find(&self.http, self.submit.fog.fog, decision, after..=self.height()).await
    }
}

/// An operator's key and its signature over a message, wherever the key is kept.
fn signed(signer: &Signer, message: &[u8]) -> Result<(PublicKey, Signature)> {
    let by = public_key(&signer.verifying_key()?.to_bytes())?;
    Ok((by, signature(&signer.sign(message)?.to_bytes())))
}

/// Whether an action changes who serves, which is settled two epochs ahead.
fn serves_later(action: &Action) -> bool {
    matches!(
        action,
        Action::AdmitAuthority { .. }
            | Action::RemoveAuthority { .. }
            | Action::RotateAuthority { .. }
            | Action::PardonAuthority { .. }
    )
}

/// The block that holds a decision, given by its digest.
async fn find(
    http: &Http,
    fog: SocketAddr,
    decision: &str,
    heights: RangeInclusive<u64>,
) -> Result<Option<u64>> {
    for height in heights {
        let bytes = http.get(fog, &format!("/chain/block/{height}")).await?;
        let block = Block::decode_bounded(&bytes).context("the answer is no block")?;
        if block.transactions().iter().any(|other| other.digest().to_string() == decision) {
            return Ok(Some(height));
        }
    }
    Ok(None)
}

/// Offers a decision to a fog node until the ledger's nonce has passed it; returns the height at which that was seen.
pub async fn submit_until_final(
    http: &Http,
    fog: SocketAddr,
    transaction: &RegistryTx,
    patience: Duration,
) -> Result<u64> {
    offer(http, fog, transaction, patience, Refusals::Passing).await
}

/// What a refusal means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refusals {
    /// The node may be behind: it is asked again.
    Passing,
    /// The decision can never be.
    Final,
}

async fn offer(
    http: &Http,
    fog: SocketAddr,
    transaction: &RegistryTx,
    patience: Duration,
    refusals: Refusals,
) -> Result<u64> {
    let bytes = Transaction::Registry(transaction.clone()).encode().to_vec();
    let start = Instant::now();
    let (mut taken, mut refusal) = (false, None);
    loop {
        match super::chain::status(http, fog).await {
            Ok(status) if status.nonce > transaction.nonce => {
                // Someone else's decision may have taken the number before the node took ours. Once it has, a refusal
                // says only that it became final between our two questions.
                return match refusal {
                    Some(error) if !taken => Err(error),
                    _ => Ok(status.height),
                };
            }
            Ok(_) => match http.post(fog, "/tx", bytes.clone()).await {
                Ok(_) => taken = true,
                Err(error) if refusals == Refusals::Final && !taken && is_final(&error) => return Err(error),
                Err(error) => refusal = Some(error),
            },
            Err(error) => refusal = Some(error),
        }
        if start.elapsed() > patience {
            let late = anyhow::anyhow!("the decision is not final after {patience:?}");
            return Err(refusal.map_or(late, |error| error.context("the decision is not final")));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

fn is_final(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(Refused::is_final)
}

/// `opening.toml`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpeningFile {
    salt: String,
    key: String,
}

impl OpeningFile {
    fn of(opening: &Opening) -> Self {
        Self { salt: hex::encode(opening.salt), key: hex::encode(opening.key) }
    }

    /// What it says; `path` is the file that held it.
    fn opening(&self, path: &Path) -> Result<Opening> {
        let bytes = |text: &str| -> Result<[u8; 32]> {
            let mut out = [0; 32];
            hex::decode_to_slice(text, &mut out)
                .with_context(|| format!("{}: salt and key want 64 hex digits", path.display()))?;
            Ok(out)
        };
        Ok(Opening { salt: bytes(&self.salt)?, key: bytes(&self.key)? })
    }
}

/// Reads an opening.
pub fn read_opening(path: &Path) -> Result<Opening> {
    let file: OpeningFile = toml::from_str(&read_text(path, MAX_SMALL_FILE)?)
        .with_context(|| format!("{} is no opening: it wants salt and key", path.display()))?;
    file.opening(path)
}

/// Writes an opening with mode 0600: who has it can tell whose the commitment is.
pub fn write_opening(path: &Path, opening: &Opening) -> Result<()> {
    Ok(write_private(path, toml::to_string(&OpeningFile::of(opening))?.as_bytes())?)
}

/// A salt that was never used.
fn salt() -> [u8; 32] {
    let mut salt = [0; 32];
    rand::rng().fill(&mut salt[..]);
    salt
}

fn commitment_of(vehicle: &str, opening: &Path) -> Result<Commitment> {
    let vehicle: VehicleId = vehicle.parse()?;
    let opening = read_opening(opening)?;
    Ok(commitment(vehicle.as_str(), &opening.salt, &opening.key))
}

/// What `/chain/opening` of a fog node answers, as far as it is read.
#[derive(Deserialize)]
struct FogOpening {
    id: String,
    salt: String,
    key: String,
}

/// The commitment of a fog node, by the opening that it tells itself.
fn commitment_of_fog(id: &str, fog: SocketAddr) -> Result<Commitment> {
    let bytes = block_on(async { Http::new()?.get(fog, "/chain/opening").await })?;
    let told: FogOpening = serde_json::from_slice(&bytes)
        .with_context(|| format!("what {fog} answers is no opening; is it a fog node of this version?"))?;
    ensure!(told.id == id, "the node at {fog} is {}, not {id}: name the node with --fog", told.id);
    let hash = |text: &str| -> Result<[u8; 32]> {
        let mut out = [0; 32];
        hex::decode_to_slice(text, &mut out)
            .with_context(|| format!("{fog} answers with no 64 hex digits"))?;
        Ok(out)
    };
    Ok(commitment(id, &hash(&told.salt)?, &hash(&told.key)?))
}

/// The digest of the component that the command line names.
fn digest_of(named: &args::Component) -> Result<Digest> {
    match named {
        args::Component::Hex(digest) => Ok(Digest::new(*digest)),
        args::Component::File(path) => Ok(Digest::of(&read_limited(path, MAX_COMPONENT)?)),
    }
}

/// The authority or controller that the command line names.
fn authority(named: &args::AuthorityKey) -> Result<PublicKey> {
    match named {
        args::AuthorityKey::Hex(key) => Ok(public_key_from_hex(key)?),
        args::AuthorityKey::File(path) => read_public(path),
    }
}
