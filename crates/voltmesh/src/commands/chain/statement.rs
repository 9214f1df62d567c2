//! `voltmesh chain statement`: what the cloud's archive holds, as its cloud signed it and the ledger's log has it.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use voltmesh_control::ArchiveStatement;
use voltmesh_ledger::{Anchored, AnchoredStatement, Trust, verifying_key};

use super::trust_file::read_trust;
use crate::http::{Http, Refused};
use crate::output::{self, row};
use crate::{Outcome, args};

/// What a statement says, for programs.
#[derive(Serialize)]
struct Said {
    cloud: String,
    sequence: u64,
    time_ms: u64,
    versions: Versions,
    records: u64,
    batches: u64,
    batches_root: String,
    quarantine: u64,
    quarantine_root: String,
    /// SHA-256 of the signed bytes: what the log holds.
    digest: String,
    /// Where it is in the log, and since when.
    index: u64,
    height: u64,
    anchored_ms: u64,
    /// Whether signature and evidence hold under the trust file; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    valid: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct Versions {
    records: u64,
    batches: u64,
    quarantine: u64,
}

pub async fn run(http: &Http, options: &args::Statement) -> Result<Outcome> {
    let trust = options.trust.as_deref().map(read_trust).transpose()?;
    let Some(anchored) = ask(http, options.ask.fog.fog).await? else {
        bail!(
            "no statement of an archive is in the log yet: the cloud makes one after it has archived something"
        );
    };
    let said = ArchiveStatement::peek(&anchored.statement).context("the fog node's statement")?;
    let checked = trust.as_ref().map(|trust| check(trust, &anchored));
    let outcome = if matches!(checked, Some(Err(_))) { Outcome::Wrong } else { Outcome::Done };
    show(&anchored, said, checked, options.ask.json)?;
    Ok(outcome)
}

fn show(
    anchored: &AnchoredStatement,
    said: ArchiveStatement,
    checked: Option<Result<(ArchiveStatement, Anchored)>>,
    as_json: bool,
) -> Result<()> {
    let header = &anchored.evidence.header;
    let reason =
        checked.as_ref().and_then(|checked| checked.as_ref().err()).map(|error| format!("{error:#}"));
    let [records, batches, quarantine] = said.versions;
    let said = Said {
        cloud: said.cloud,
        sequence: said.sequence,
        time_ms: said.time.as_millis(),
        versions: Versions { records, batches, quarantine },
        records: said.records,
        batches: said.batches.size,
        batches_root: said.batches.root.to_string(),
        quarantine: said.quarantine.size,
        quarantine_root: said.quarantine.root.to_string(),
        digest: AnchoredStatement::leaf(&anchored.statement).to_string(),
        index: anchored.evidence.inclusion.index,
        height: header.height.get(),
        anchored_ms: header.time.as_millis(),
        valid: checked.as_ref().map(Result::is_ok),
        reason,
    };
    if as_json {
        return output::json(&said);
    }
    let time = |ms: u64| output::rfc3339((ms / 1000) as i64);
    let check = match (&said.valid, &said.reason) {
        (Some(true), _) => "the cloud's signature and the log's evidence hold".into(),
        (Some(false), reason) => format!("FAILS: {}", reason.as_deref().unwrap_or_default()),
        (None, _) => "not checked: name a trust file with --trust".into(),
    };
    output::table(
        &["archive", "value"],
        &[
            row("cloud", &said.cloud),
            row("statement", format!("{} of {}", said.sequence, time(said.time_ms))),
            row("records", said.records),
            row("batches", said.batches),
            row("root over them", &said.batches_root),
            row("quarantined", said.quarantine),
            row("root over them", &said.quarantine_root),
            row(
                "versions of the tables",
                format!("records {records}, batches {batches}, quarantine {quarantine}"),
            ),
            row(
                "in the log",
                format!("leaf {}, block {} of {}", said.index, said.height, time(said.anchored_ms)),
            ),
            row("check", check),
        ],
    );
    Ok(())
}

/// The newest statement that a fog node keeps, if there is one.
pub async fn ask(http: &Http, fog: SocketAddr) -> Result<Option<AnchoredStatement>> {
    let bytes = match http.get(fog, "/archive/statement").await {
        Ok(bytes) => bytes,
        Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 404) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    AnchoredStatement::from_bytes(&bytes).context("the answer is no statement of an archive").map(Some)
}

/// Checks that a cloud of the trust file signed the statement and that the log holds it.
pub fn check(trust: &Trust, anchored: &AnchoredStatement) -> Result<(ArchiveStatement, Anchored)> {
    let evidence = anchored.verify(trust)?;
    for key in trust.cloud_keys() {
        if let Ok(said) = ArchiveStatement::verify(&anchored.statement, &verifying_key(key)?) {
            return Ok((said, evidence));
        }
    }
    bail!("no cloud of the trust file signed the statement ({} keys)", trust.cloud_keys().len())
}

/// Puts a statement into the trust file, in the place of an older one of the same archive. Without a cloud's key in the
/// trust file there is nothing to check it with, and it is left out.
pub fn take_over(trust: &mut Trust, anchored: AnchoredStatement) -> Result<()> {
    if trust.cloud_keys().is_empty() {
        return Ok(());
    }
    let (said, _) =
        check(trust, &anchored).context("what the fog node shows of the archive does not hold")?;
    let mut kept = Vec::new();
    for known in trust.archives() {
        let (before, _) = check(trust, known).context("a statement in the trust file")?;
        if before.cloud != said.cloud {
            kept.push(known.clone());
            continue;
        }
        let (earlier, later) =
            if before.sequence <= said.sequence { (&before, &said) } else { (&said, &before) };
        if !earlier.may_become(later) {
            bail!(
                "THE ARCHIVE of {} WENT BACK: statement {} says that it holds {} batches, statement {} that it holds {}; \
                 both are signed and in the log: keep the trust file as evidence",
                said.cloud,
                earlier.sequence,
                earlier.batches.size,
                later.sequence,
                later.batches.size,
            );
        }
        if before.sequence >= said.sequence {
            return Ok(());
        }
    }
    kept.push(anchored);
    trust.set_archives(kept)?;
    Ok(())
}

/// One line for people.
pub fn sentence(anchored: &AnchoredStatement) -> Result<String> {
    let said = ArchiveStatement::peek(&anchored.statement)?;
    let at = output::rfc3339((said.time.as_millis() / 1000) as i64);
    Ok(format!(
        "The archive of {} had {} records in {} batches and {} quarantined deliveries at {at} (leaf {} of the log).",
        said.cloud, said.records, said.batches.size, said.quarantine.size, anchored.evidence.inclusion.index
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use voltmesh_control::Tree;
    use voltmesh_ledger::testing::{Chain, Vehicle, key};
    use voltmesh_ledger::{public_key, signing_key};
    use voltmesh_telemetry::{Digest, Timestamp};

    fn said(sequence: u64, batches: u64) -> ArchiveStatement {
        let tree = |size| Tree { size, root: Digest::new([size as u8; 32]) };
        ArchiveStatement {
            cloud: "cloud".into(),
            sequence,
            time: Timestamp::from_millis(1_000),
            versions: [1; 3],
            records: batches,
            batches: tree(batches),
            quarantine: tree(0),
            audit: None,
        }
    }

    struct World {
        chain: Chain,
        fog: Vehicle,
    }

    impl World {
        fn new() -> Self {
            let (mut chain, fog) = (Chain::new(4), Vehicle::new("fog-1"));
            chain.enrol(&[fog.commitment()]);
            Self { chain, fog }
        }

        fn anchor(&mut self, statement: &ArchiveStatement, signer: u64) -> AnchoredStatement {
            let statement = statement.sign(&signing_key(&key(signer)));
            let leaf = AnchoredStatement::leaf(&statement);
            let evidence = self.chain.anchor(&[leaf]).evidence(&leaf, &self.fog.commitment()).unwrap();
            AnchoredStatement { statement: statement.into(), evidence }
        }

        fn trust(&self) -> Trust {
            let mut trust = self.chain.trust();
            let cloud = signing_key(&key(70)).verifying_key();
            assert!(trust.add_cloud(public_key(cloud.as_bytes()).unwrap()));
            trust
        }
    }

    fn sequences(trust: &Trust) -> Vec<u64> {
        trust.archives().iter().map(|one| ArchiveStatement::peek(&one.statement).unwrap().sequence).collect()
    }

    #[test]
    fn the_newest_statement_is_kept_and_one_that_goes_back_is_not() {
        let mut world = World::new();
        let mut all: Vec<_> = [(1, 5), (2, 9), (3, 8)]
            .iter()
            .map(|(n, batches)| world.anchor(&said(*n, *batches), 70))
            .collect();
        let (back, second, first) = (all.pop().unwrap(), all.pop().unwrap(), all.pop().unwrap());
        let mut trust = world.trust();
        take_over(&mut trust, first.clone()).unwrap();
        take_over(&mut trust, second.clone()).unwrap();
        take_over(&mut trust, first).unwrap();
        assert_eq!(sequences(&trust), [2]);
        let error = take_over(&mut trust, back).unwrap_err().to_string();
        assert!(error.contains("WENT BACK"), "{error}");
        assert_eq!(sequences(&trust), [2]);
        let other = world.anchor(&ArchiveStatement { cloud: "cloud-2".into(), ..said(1, 1) }, 70);
        let mut trust = world.trust();
        take_over(&mut trust, second.clone()).unwrap();
        take_over(&mut trust, other).unwrap();
        assert_eq!(sequences(&trust), [2, 1]);
        assert!(sentence(&second).unwrap().contains("9 batches"));
    }

    #[test]
    fn what_nobody_trusted_signed_or_anchored_is_refused() {
        let mut world = World::new();
        let stranger = world.anchor(&said(1, 5), 71);
        let error = take_over(&mut world.trust(), stranger.clone()).unwrap_err();
        assert!(format!("{error:#}").contains("no cloud of the trust file signed"), "{error:#}");
        let mut without = world.chain.trust();
        take_over(&mut without, stranger).unwrap();
        assert!(without.archives().is_empty(), "nothing to check it with");
        let mut altered = world.anchor(&said(1, 5), 70);
        altered.statement = said(1, 6).sign(&signing_key(&key(70))).into();
        assert!(take_over(&mut world.trust(), altered).is_err());
    }
}
