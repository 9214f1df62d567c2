//! `voltmesh registry replace-committee`: a decree instead of a transaction, since no block becomes final.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use commonware_codec::Encode as _;
use voltmesh_fog::answers::{Decreed, Succession};
use voltmesh_identity::Signer;
use voltmesh_ledger::{
    AuthoritySet, Block, Decree, Digest, Epoch, EpochOpening, Genesis, Height, MAX_GENESIS_BYTES,
    public_key_from_hex,
};

use super::decide::{ASK_EVERY, PATIENCE, signed};
use super::named::authority;
use crate::commands::{block_on, read_text};
use crate::http::Http;
use crate::{args, output};

/// Runs the command.
pub fn run(options: &args::ReplaceCommittee) -> Result<()> {
    let genesis = Genesis::from_toml(&read_text(&options.genesis, MAX_GENESIS_BYTES)?)?;
    ensure!(genesis.has_committee(), "all authorities vote in this chain: there is no committee to replace");
    block_on(async {
        let http = Http::new()?;
        let answers = ask_all(&http, &options.fogs, &genesis).await?;
        let furthest = furthest(&answers).context("no fog node was asked")?;
        check(furthest)?;
        if !furthest.stalled {
            output::note("the chain does not seem to stand still: nodes follow once it has for 10 s");
        }
        let voters = match options.voters.as_slice() {
            [] => best(furthest)?,
            named => AuthoritySet::new(named.iter().map(authority).collect::<Result<Vec<_>>>()?)?,
        };
        let mut decree = unsigned(&answers, furthest, voters)?;
        for operator in &options.operators {
            let signer = Signer::open(operator)?;
            let (by, signature) = signed(&signer, &decree.to_be_signed())?;
            decree = decree.with_signature(by, signature)?;
        }
        say(&decree, furthest);
        let fogs: Vec<SocketAddr> = answers.iter().map(|(fog, _)| *fog).collect();
        submit(&http, &fogs, &decree).await?;
        watch(&http, &fogs, &decree).await
    })
}

/// What each fog node says that can be reached.
async fn ask_all(
    http: &Http,
    fogs: &[SocketAddr],
    genesis: &Genesis,
) -> Result<Vec<(SocketAddr, Succession)>> {
    let (mut answers, mut failure) = (Vec::new(), None);
    for fog in fogs {
        match ask(http, *fog).await {
            Ok(answer) => {
                ensure!(
                    answer.chain == genesis.digest().to_string(),
                    "the genesis is not that of the chain {} that {fog} follows",
                    answer.chain
                );
                answers.push((*fog, answer));
            }
            Err(error) => {
                output::note(&format!("{fog} is left out: {error:#}"));
                failure = Some(error);
            }
        }
    }
    match failure {
        Some(error) if answers.is_empty() => Err(error.context("no fog node answers")),
        _ => Ok(answers),
    }
}

async fn ask(http: &Http, fog: SocketAddr) -> Result<Succession> {
    let bytes = http.get(fog, "/chain/decree").await?;
    serde_json::from_slice(&bytes)
        .context("the answer to /chain/decree is of another kind; is it a fog node of this version?")
}

/// The answer with the newest final block.
fn furthest(answers: &[(SocketAddr, Succession)]) -> Option<&Succession> {
    answers.iter().map(|(_, answer)| answer).max_by_key(|answer| answer.height)
}

/// Whether there is anything to decide.
fn check(furthest: &Succession) -> Result<()> {
    if let Some(decree) = furthest.decree.filter(Decreed::is_in_force) {
        bail!(
            "the decree of epoch {} is in force already: wait for block {}",
            decree.epoch,
            decree.after + 1
        );
    }
    let reachable = furthest.authorities.iter().filter(|one| one.reachable).count();
    if reachable < furthest.needed {
        output::note(&format!(
            "{reachable} authorities can be reached and {} must promise to follow: bring more of them back",
            furthest.needed
        ));
    }
    Ok(())
}

fn best(furthest: &Succession) -> Result<AuthoritySet> {
    let keys = furthest.best().context("fewer than four authorities can be reached: nobody could vote")?;
    Ok(AuthoritySet::new(keys.into_iter().map(public_key_from_hex).collect::<Result<Vec<_>, _>>()?)?)
}

/// The decree after the newest block, for an epoch later than of any decree that a node knows: the later one counts.
fn unsigned(
    answers: &[(SocketAddr, Succession)],
    furthest: &Succession,
    voters: AuthoritySet,
) -> Result<Decree> {
    ensure!(voters.len() % 3 == 1, "{} voters are not 3 f + 1: want 4, 7, 10 and so on", voters.len());
    for key in voters.keys().map(ToString::to_string) {
        ensure!(
            furthest.authorities.iter().any(|one| one.key == key),
            "{key} is no authority in epoch {}",
            furthest.epoch
        );
    }
    let known = answers.iter().filter_map(|(_, answer)| answer.decree).map(|decree| decree.epoch).max();
    let epoch = known.unwrap_or(0).max(furthest.epoch) + 1;
    let (height, nonce) = (Height::new(furthest.height), furthest.nonce);
    Ok(Decree::new(
        digest(&furthest.chain)?,
        nonce,
        Epoch::new(epoch),
        height,
        digest(&furthest.block)?,
        voters,
    ))
}

fn digest(text: &str) -> Result<Digest> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).with_context(|| format!("{text:?} is no digest"))?;
    Ok(Digest::from(bytes))
}

fn say(decree: &Decree, furthest: &Succession) {
    let names: BTreeMap<&str, Option<&String>> =
        furthest.authorities.iter().map(|one| (one.key.as_str(), one.name.as_ref())).collect();
    let called = |key: String| match names.get(key.as_str()) {
        Some(Some(name)) => (*name).clone(),
        _ => key.chars().take(16).collect(),
    };
    let voters: Vec<String> = decree.voters.keys().map(|key| called(key.to_string())).collect();
    output::line(format!(
        "decree: after block {}, in epoch {}, these vote: {}",
        decree.after,
        decree.epoch,
        voters.join(" ")
    ));
}

/// Gives the decree to all; one that takes it is enough, since it tells the others.
async fn submit(http: &Http, fogs: &[SocketAddr], decree: &Decree) -> Result<()> {
    let bytes = decree.encode().to_vec();
    let (mut taken, mut refusal) = (false, None);
    for fog in fogs {
        match http.post(*fog, "/chain/decree", bytes.clone()).await {
            Ok(_) => taken = true,
            Err(error) => refusal = Some(error),
        }
    }
    match refusal {
        Some(error) if !taken => Err(error.context("no fog node takes the decree")),
        _ => Ok(()),
    }
}

/// Says how many have promised, until the decree's first block is final.
async fn watch(http: &Http, fogs: &[SocketAddr], decree: &Decree) -> Result<()> {
    let (start, first) = (Instant::now(), decree.first().get());
    let mut said = None;
    loop {
        for fog in fogs {
            let Ok(answer) = ask(http, *fog).await else { continue };
            if answer.height >= first {
                let path = format!("/chain/block/{first}");
                let Ok(bytes) = http.get(*fog, &path).await else { continue };
                let block = Block::decode_bounded(&bytes).context("the answer is no block")?;
                let begun = block.mandate().and_then(EpochOpening::decree).map(Decree::digest);
                ensure!(
                    begun == Some(decree.digest()),
                    "block {first} became final without the decree; if the chain stalls again, repeat the command"
                );
                output::line(format!(
                    "the committee is replaced: block {first} begins epoch {}",
                    decree.epoch
                ));
                return Ok(());
            }
            let ours = answer.decree.filter(|known| known.epoch == decree.epoch.get());
            if let Some(known) = ours.filter(|known| Some(known.followed) > said) {
                said = Some(known.followed);
                output::line(format!("promises: {} of {}", known.followed, known.needed));
            }
        }
        if start.elapsed() > PATIENCE {
            bail!("the decree is not in force after {PATIENCE:?}: {} promises", said.unwrap_or(0));
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use commonware_cryptography::Signer as _;
    use voltmesh_fog::answers::Names;
    use voltmesh_ledger::{State, Timestamp, testing::Network};

    /// What authority 0 of seven says, four of which vote.
    fn answer() -> (Network, State, Succession) {
        let network = Network::with_epochs(7, 5);
        let genesis = network.genesis().clone().with_committee(Some(4)).unwrap();
        let network = network.with_genesis(genesis);
        let state = State::new(network.genesis());
        let me = network.authority(0).public_key();
        let said = Succession::new(&state, &me, &[], None, &Names::default(), Timestamp::from_millis(0));
        (network, state, said)
    }

    #[test]
    fn what_is_signed_holds() {
        let (network, state, said) = answer();
        let voters = AuthoritySet::new((3..7).map(|i| network.authority(i).public_key())).unwrap();
        let answers = [("127.0.0.1:9100".parse().unwrap(), said)];
        let furthest = furthest(&answers).unwrap();
        let sign = |decree: Decree| decree.sign(network.operator(0)).sign(network.operator(1));
        state.check_decree(&sign(unsigned(&answers, furthest, voters.clone()).unwrap())).unwrap();
        // After a decree that led nowhere the next one is for a later epoch.
        let mut again = answers.clone();
        again[0].1.decree = Some(Decreed { after: 0, epoch: 1, followed: 2, needed: 5 });
        let decree = sign(unsigned(&again, furthest, voters.clone()).unwrap());
        assert_eq!(decree.epoch, Epoch::new(2));
        state.check_decree(&decree).unwrap();
        let five = voters.with(network.authority(0).public_key()).unwrap();
        assert!(unsigned(&answers, furthest, five).unwrap_err().to_string().contains("3 f + 1"));
        assert!(best(furthest).unwrap_err().to_string().contains("fewer than four"));
    }

    #[test]
    fn answers_that_make_no_sense_are_refused() {
        let (network, _, mut said) = answer();
        let voters = AuthoritySet::new((3..7).map(|i| network.authority(i).public_key())).unwrap();
        said.block = "no digest".into();
        assert!(unsigned(&[], &said, voters.clone()).unwrap_err().to_string().contains("no digest"));
        said.authorities.clear();
        assert!(unsigned(&[], &said, voters).unwrap_err().to_string().contains("no authority"));
        said.decree = Some(Decreed { after: 0, epoch: 1, followed: 5, needed: 5 });
        assert!(check(&said).unwrap_err().to_string().contains("in force"));
    }
}
