//! Receipts from the ledger of an audit log's heads: what they prove, and what the log has of it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use voltmesh_audit::{Hash, Head, HeadStatement};
use voltmesh_control::ArchiveStatement;
use voltmesh_ledger::{
    Act, AnchoredStatement, EventProof, Lane, MAX_ANCHORED_STATEMENT_BYTES, MAX_EVENT_PROOF_BYTES,
    ProofError, Stage, Trust, verifying_key,
};

use super::super::read_limited;
use crate::output;

/// Ending of the receipts of a cloud's log: statements of its archive that name the head.
const STATEMENT: &str = "statement";

/// Most receipts that are read: those of ten years of days.
const MAX_RECEIPTS: usize = 3_660;

/// Head of which a final block vouches.
pub(super) struct Vouched {
    file: String,
    pub head: Head,
    node: String,
    by: Voucher,
    height: u64,
    time_ms: u64,
}

/// Whose word a receipt holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Voucher {
    /// A fog node's own, which put the head onto the ledger under this key.
    Authority(String),
    /// A cloud's, which signed a statement with this key that a fog node put onto the ledger.
    Cloud(String),
}

/// Receipts of a folder, checked against a trust file.
pub(super) struct Receipts {
    pub proven: Vec<Vouched>,
    problems: Vec<String>,
    unknown: Vec<String>,
}

/// What the ledger says of a log.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    /// Receipts that hold, and whose entries the log has or had in files that have gone.
    receipts: usize,
    /// Number of the last entry that the ledger vouches for.
    up_to: Option<u64>,
    /// Block by which it was there.
    height: Option<u64>,
    /// That block's time, milliseconds since 1970.
    time_ms: Option<u64>,
    /// The node that it names as the log's.
    node: Option<String>,
    /// Key of the authority that put it onto the ledger as its own.
    authority: Option<String>,
    /// Key of the cloud that signed it.
    cloud_key: Option<String>,
    /// What does not hold.
    pub problems: Vec<String>,
    /// Receipts of epochs that the trust file does not know.
    pub unknown: Vec<String>,
}

impl Receipts {
    /// Reads and checks all receipts; `node` is whose they must be, if that is known.
    pub(super) fn read(folder: &Path, trust: &Trust, node: Option<&str>) -> Result<Self> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
            .with_context(|| {
                format!("no receipts in {}: has this node put a head onto the ledger yet?", folder.display())
            })?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| {
                path.extension().is_some_and(|extension| extension == "event" || extension == STATEMENT)
            })
            .collect();
        files.sort();
        anyhow::ensure!(!files.is_empty(), "no receipts in {}", folder.display());
        anyhow::ensure!(
            files.len() <= MAX_RECEIPTS,
            "{} receipts in {}, at most {MAX_RECEIPTS} are read: move the oldest away",
            files.len(),
            folder.display()
        );
        let mut receipts = Self { proven: Vec::new(), problems: Vec::new(), unknown: Vec::new() };
        for path in files {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_statement = path.extension().is_some_and(|extension| extension == STATEMENT);
            let max = if is_statement { MAX_ANCHORED_STATEMENT_BYTES } else { MAX_EVENT_PROOF_BYTES };
            let bytes = read_limited(&path, max)?;
            let read = if is_statement { of_cloud(&bytes, trust) } else { of_fog(&bytes, trust) };
            receipts.take(&file, read, node);
        }
        Ok(receipts)
    }

    fn take(&mut self, file: &str, read: Result<Vouched, Refused>, node: Option<&str>) {
        let vouched = match read {
            Ok(vouched) => Vouched { file: file.to_owned(), ..vouched },
            Err(Refused::Unknown(why)) => return self.unknown.push(format!("{file}: {why}")),
            Err(Refused::Wrong(why)) => return self.problems.push(format!("{file} is {why}")),
        };
        if node.is_some_and(|node| node != vouched.node) {
            return self.problems.push(format!("{file} is of node {}", vouched.node));
        }
        // A cloud's key may have been replaced meanwhile; the trust file names both.
        let same = |first: &Vouched| match (&first.by, &vouched.by) {
            (Voucher::Cloud(_), Voucher::Cloud(_)) => first.node == vouched.node,
            (one, other) => first.node == vouched.node && one == other,
        };
        if let Some(first) = self.proven.first().filter(|first| !same(first)) {
            let text = format!("{file} is of node {}, {} of node {}", vouched.node, first.file, first.node);
            return self.problems.push(text);
        }
        self.proven.push(vouched);
    }

    /// Compares with a log whose first entry has the number `first`; `has` says whether an entry with this hash is there.
    pub(super) fn against(self, has: impl Fn(Head) -> bool, first: u64) -> Verdict {
        let (mut problems, mut newest, mut held) = (self.problems, None::<&Vouched>, 0);
        for one in &self.proven {
            if has(one.head) {
                newest = newest.filter(|newest| newest.head.seq > one.head.seq).or(Some(one));
            } else if one.head.seq >= first {
                problems.push(format!(
                    "{}: the log was cut or replaced: block {} vouches for entry {}, which is not here",
                    one.file, one.height, one.head
                ));
                continue;
            }
            held += 1;
        }
        Verdict {
            receipts: held,
            up_to: newest.map(|one| one.head.seq),
            height: newest.map(|one| one.height),
            time_ms: newest.map(|one| one.time_ms),
            node: newest.map(|one| one.node.clone()),
            authority: newest.and_then(|one| match &one.by {
                Voucher::Authority(key) => Some(key.clone()),
                Voucher::Cloud(_) => None,
            }),
            cloud_key: newest.and_then(|one| match &one.by {
                Voucher::Cloud(key) => Some(key.clone()),
                Voucher::Authority(_) => None,
            }),
            problems,
            unknown: self.unknown,
        }
    }
}

/// Why a receipt does not count.
enum Refused {
    /// The trust file does not know the block's authorities.
    Unknown(ProofError),
    /// It does not hold, or is of something else.
    Wrong(String),
}

impl From<ProofError> for Refused {
    fn from(error: ProofError) -> Self {
        match error.stage {
            Stage::Authorities => Self::Unknown(error),
            _ => Self::Wrong(format!("not proven: {error}")),
        }
    }
}

/// The head that a fog node put onto the ledger.
fn of_fog(bytes: &[u8], trust: &Trust) -> Result<Vouched, Refused> {
    let proven = EventProof::from_bytes(bytes).and_then(|proof| proof.verify(trust))?;
    // What a function says of an audit log is no head of one.
    let Act::Events { authority, lane: Lane::Audit, .. } = &proven.act else {
        return Err(Refused::Wrong("proven, but not as the head of an audit log".into()));
    };
    let Some(statement) = HeadStatement::from_bytes(&proven.bytes) else {
        return Err(Refused::Wrong("proven, but names no head".into()));
    };
    Ok(Vouched {
        file: String::new(),
        head: statement.head,
        node: statement.node,
        by: Voucher::Authority(authority.to_string()),
        height: proven.height.get(),
        time_ms: proven.time.as_millis(),
    })
}

/// The head in a statement of a cloud, which a fog node put onto the ledger.
fn of_cloud(bytes: &[u8], trust: &Trust) -> Result<Vouched, Refused> {
    let receipt = AnchoredStatement::from_bytes(bytes)?;
    let anchored = receipt.verify(trust)?;
    let signed = trust.cloud_keys().iter().find_map(|key| {
        let statement = ArchiveStatement::verify(&receipt.statement, &verifying_key(key).ok()?).ok()?;
        Some((statement, key.to_string()))
    });
    let Some((statement, key)) = signed else {
        let why = "proven, but not signed by a cloud's key of the trust file: name its key to `voltmesh chain trust`";
        return Err(Refused::Wrong(why.into()));
    };
    let Some(head) = statement.audit else {
        return Err(Refused::Wrong("proven, but names no head".into()));
    };
    Ok(Vouched {
        file: String::new(),
        head: Head { seq: head.seq, hash: Hash::new(head.hash.to_bytes()) },
        node: statement.cloud,
        by: Voucher::Cloud(key),
        height: anchored.height.get(),
        time_ms: anchored.time.as_millis(),
    })
}

impl Verdict {
    /// Prints it.
    pub(super) fn show(&self) {
        for problem in self.problems.iter().chain(&self.unknown) {
            output::line(problem.escape_debug().to_string());
        }
        let (Some(up_to), Some(height), Some(time_ms)) = (self.up_to, self.height, self.time_ms) else {
            return output::line("the ledger vouches for no entry that is here");
        };
        let at = output::rfc3339(i64::try_from(time_ms / 1_000).unwrap_or(i64::MAX));
        let node = self.node.as_deref().unwrap_or("");
        let by = match (&self.authority, &self.cloud_key) {
            (Some(key), _) => format!("authority {key}"),
            (None, Some(key)) => format!("the cloud's key {key}"),
            (None, None) => "nobody".to_owned(),
        };
        output::line(format!(
            "the ledger vouches for entries up to number {up_to} of {node}, in block {height} of {at}, by {by}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use voltmesh_control::{AuditHead, Tree};
    use voltmesh_ledger::{
        EventList, State, Transaction, public_key, salted_digest,
        testing::{Chain, Vehicle},
    };
    use voltmesh_telemetry::{Digest, Timestamp};

    fn head(seq: u64, tag: char) -> Head {
        format!("{seq}:{}", tag.to_string().repeat(64)).parse().expect("a head")
    }

    /// The receipt of a head that authority 1 put onto the ledger.
    fn receipt(chain: &mut Chain, lane: Lane, node: &str, head: Head) -> Vec<u8> {
        use commonware_cryptography::Signer as _;
        let bytes = HeadStatement { node: node.into(), head }.to_bytes();
        let digest = salted_digest(&[3; 16], &bytes);
        let key = chain.network.authority(1).clone();
        let state: &State = &chain.state;
        let number = state.next_event_sequence(&key.public_key(), lane);
        let list = EventList::sign(&state.chain(), &key, lane, number, vec![digest]);
        chain.push(vec![Transaction::Events(list)]);
        let evidence = chain.act_evidence(chain.state.height().get(), 0).expect("one act");
        EventProof::of_event([3; 16], bytes.into(), &[digest], 0, evidence).expect("one event").to_bytes()
    }

    #[test]
    fn a_cut_or_replaced_log_is_proven() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut chain = Chain::new(4);
        for (seq, tag) in [(4, 'a'), (9, 'b'), (14, 'c')] {
            let bytes = receipt(&mut chain, Lane::Audit, "fog-1", head(seq, tag));
            std::fs::write(folder.path().join(format!("head-{seq:020}.event")), bytes).expect("written");
        }
        let trust = chain.trust();
        let against = |has: &[Head], first, node| {
            let receipts = Receipts::read(folder.path(), &trust, node).expect("read");
            receipts.against(|head| has.contains(&head), first)
        };
        let all = [head(4, 'a'), head(9, 'b'), head(14, 'c')];
        let whole = against(&all, 0, Some("fog-1"));
        assert!(whole.problems.is_empty(), "{whole:?}");
        assert_eq!((whole.receipts, whole.up_to, whole.height), (3, Some(14), Some(3)));
        // The oldest file has gone; that is no cut.
        assert!(against(&all[1..], 5, None).problems.is_empty());
        let cut = against(&all[..2], 0, None);
        assert_eq!((cut.up_to, cut.problems.len()), (Some(9), 1));
        assert!(cut.problems[0].contains("cut or replaced"), "{cut:?}");
        let replaced = against(&[head(4, 'd'), head(9, 'e'), head(14, 'f')], 0, None);
        assert_eq!((replaced.up_to, replaced.problems.len()), (None, 3));
        assert_eq!(against(&all, 0, Some("fog-2")).problems.len(), 3, "another node's receipts");
    }

    /// The receipt of a head that a cloud named in a statement.
    fn statement(chain: &mut Chain, key: &SigningKey, head: Option<Head>) -> Vec<u8> {
        let fog = Vehicle::new("fog-1");
        let none = Tree { size: 0, root: Digest::of(&[]) };
        let audit = head.map(|head| AuditHead { seq: head.seq, hash: Digest::new(head.hash.to_bytes()) });
        let said = ArchiveStatement {
            cloud: "cloud-1".into(),
            sequence: 1,
            time: Timestamp::from_millis(1),
            versions: [0; 3],
            records: 0,
            batches: none,
            quarantine: none,
            audit,
        };
        let bytes = said.sign(key);
        let leaf = AnchoredStatement::leaf(&bytes);
        let evidence = chain.anchor(&[leaf]).evidence(&leaf, &fog.commitment()).expect("anchored");
        AnchoredStatement { statement: bytes.into(), evidence }.to_bytes().to_vec()
    }

    #[test]
    fn a_clouds_log_is_proven_by_its_statements() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut chain = Chain::new(4);
        chain.enrol(&[Vehicle::new("fog-1").commitment()]);
        let (old, new, other) = (1, 2, 3);
        let key = |n: u8| SigningKey::from_bytes(&[n; 32]);
        let files = [
            ("head-1", statement(&mut chain, &key(old), Some(head(4, 'a')))),
            ("head-2", statement(&mut chain, &key(new), Some(head(9, 'b')))),
            ("head-3", statement(&mut chain, &key(other), Some(head(14, 'c')))),
            ("head-4", statement(&mut chain, &key(new), None)),
        ];
        for (name, bytes) in &files {
            std::fs::write(folder.path().join(format!("{name}.statement")), bytes).expect("written");
        }
        let mut trust = chain.trust();
        for n in [old, new] {
            trust.add_cloud(public_key(key(n).verifying_key().as_bytes()).expect("a key"));
        }
        let read = |trust: &Trust| Receipts::read(folder.path(), trust, Some("cloud-1")).expect("read");
        let whole = read(&trust).against(|one| [head(4, 'a'), head(9, 'b')].contains(&one), 0);
        assert_eq!((whole.receipts, whole.up_to, whole.problems.len()), (2, Some(9), 2), "{whole:?}");
        assert!(whole.cloud_key.is_some() && whole.authority.is_none());
        for (found, expected) in whole.problems.iter().zip(["not signed by a cloud", "names no head"]) {
            assert!(found.contains(expected), "{found}");
        }
        let cut = read(&trust).against(|one| one == head(4, 'a'), 0);
        assert!(cut.problems.iter().any(|found| found.contains("cut or replaced")), "{cut:?}");
        assert_eq!(read(&chain.trust()).proven.len(), 0, "a trust file without the cloud's key");
    }

    #[test]
    fn what_is_no_head_of_this_log_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut chain = Chain::new(4);
        let put = |name: &str, bytes: Vec<u8>| {
            std::fs::write(folder.path().join(format!("{name}.event")), bytes).expect("written");
        };
        put("1", receipt(&mut chain, Lane::Audit, "fog-1", head(1, 'a')));
        put("2", receipt(&mut chain, Lane::Functions, "fog-1", head(2, 'a')));
        put("3", receipt(&mut chain, Lane::Audit, "fog-2", head(3, 'a')));
        let mut broken = receipt(&mut chain, Lane::Audit, "fog-1", head(4, 'a'));
        broken[30] ^= 1;
        put("4", broken);
        let receipts = Receipts::read(folder.path(), &chain.trust(), None).expect("read");
        let verdict = receipts.against(|_| true, 0);
        assert_eq!((verdict.receipts, verdict.up_to), (1, Some(1)));
        for (found, expected) in
            verdict.problems.iter().zip(["not as the head", "of node fog-2", "not proven"])
        {
            assert!(found.contains(expected), "{found}");
        }
        assert_eq!(verdict.problems.len(), 3);
        assert!(Receipts::read(&folder.path().join("none"), &chain.trust(), None).is_err());
    }
}
