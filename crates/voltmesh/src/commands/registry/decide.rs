//! Decisions: signed by operators, and offered to a fog node until they are final.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use commonware_codec::Encode as _;
use voltmesh_fog::answers::Status;
use voltmesh_identity::Signer;
use voltmesh_ledger::{
    Action, Block, Genesis, Height, MAX_GENESIS_BYTES, PublicKey, RegistryTx, Signature, Transaction,
    public_key, signature,
};

use crate::commands::{block_on, chain, read_text};
use crate::http::{Http, Refused};
use crate::{args, output};

/// How often a fog node is asked whether a decision is final.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(200);

/// Longest wait for a decision to be final.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Signs an action, submits it, waits until it is final, and says so.
pub(super) fn decide(submit: &args::Submit, action: Action, done: &str) -> Result<()> {
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
pub(super) struct Decider<'a> {
    http: Http,
    genesis: Genesis,
    submit: &'a args::Submit,
    status: Status,
}

impl<'a> Decider<'a> {
    /// Asks the fog node how far the ledger is, and checks that it follows the chain of the genesis.
    pub(super) async fn new(submit: &'a args::Submit) -> Result<Self> {
        let genesis = Genesis::from_toml(&read_text(&submit.genesis, MAX_GENESIS_BYTES)?)?;
        let (http, fog) = (Http::new()?, submit.fog.fog);
        let status = chain::status(&http, fog).await?;
        ensure!(
            status.chain == genesis.digest().to_string(),
            "{} is not the genesis of the chain {} that {fog} follows",
            submit.genesis.display(),
            status.chain
        );
        Ok(Self { http, genesis, submit, status })
    }

    /// What the fog node said at the beginning.
    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    /// The newest final block at the beginning: a later one holds what is decided now.
    pub(super) fn height(&self) -> u64 {
        self.status.height
    }

    /// The next decision, signed by all operators that are given.
    pub(super) fn sign(&self, actions: Vec<Action>) -> Result<RegistryTx> {
        let mut transaction = RegistryTx::new(self.genesis.digest(), self.status.nonce, actions);
        for operator in &self.submit.operators {
            let signer = Signer::open(operator)?;
            let (by, signature) = signed(&signer, &transaction.to_be_signed())?;
            transaction = transaction.with_signature(by, signature)?;
        }
        Ok(transaction)
    }

    /// Submits a decision; returns the block in which it is final.
    pub(super) async fn finish(&self, transaction: &RegistryTx) -> Result<u64> {
        let fog = self.submit.fog.fog;
        let last = offer(&self.http, fog, transaction, PATIENCE, Refusals::Final).await?;
        let digest = Transaction::Registry(transaction.clone()).digest().to_string();
        let found = find(&self.http, fog, &digest, self.height()..=last).await?;
        found.with_context(|| {
            format!("another decision has taken number {}; repeat the command", transaction.nonce)
        })
    }

    /// The block that holds an earlier decision, if one after this height does.
    pub(super) async fn find(&self, decision: &str, after: u64) -> Result<Option<u64>> {
        find(&self.http, self.submit.fog.fog, decision, after..=self.height()).await
    }
}

/// An operator's key and its signature over a message, wherever the key is kept.
pub(super) fn signed(signer: &Signer, message: &[u8]) -> Result<(PublicKey, Signature)> {
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
        match chain::status(http, fog).await {
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
