//! Evidence: signed votes that no honest authority casts together. Whoever sees them may write them down.
//!
//! **Provided:** two signatures of the accused over votes that exclude each other, checkable by anyone who knows the
//! voters of their epoch.
//!
//! **Not provided:** evidence of being slow, silent or unfair, for there is none that the slow could not be framed with;
//! those cost score. Evidence of votes older than the epoch before the last block's: their voters are forgotten.

use crate::{
    authorities::AuthoritySet,
    keys::namespace,
    types::{Digest, PublicKey, Scheme, Signature},
};
use bytes::BufMut;
use commonware_codec::{Buf, Encode, EncodeSize, Error as CodecError, Read, ReadExt, Write};
use commonware_consensus::{
    Epochable as _, Viewable as _,
    simplex::{
        scheme::Namespace,
        types::{
            Attributable as _, ConflictingFinalize, ConflictingNotarize, Finalize, Notarize, Nullify,
            NullifyFinalize, Subject,
        },
    },
    types::Epoch,
};
use commonware_cryptography::certificate::{Attestation, Subject as _};
use commonware_parallel::Sequential;
use commonware_utils::union_unique;

/// Two votes of one authority in one view that exclude each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EquivocationProof {
    /// It voted for two blocks.
    ConflictingNotarize(Box<ConflictingNotarize<Scheme, Digest>>),
    /// It voted to make two blocks final.
    ConflictingFinalize(Box<ConflictingFinalize<Scheme, Digest>>),
    /// It voted to skip the view and to make its block final.
    NullifyFinalize(Box<NullifyFinalize<Scheme, Digest>>),
}

impl EquivocationProof {
    /// Epoch of the votes.
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::ConflictingNotarize(votes) => votes.epoch(),
            Self::ConflictingFinalize(votes) => votes.epoch(),
            Self::NullifyFinalize(votes) => votes.epoch(),
        }
    }

    /// View of the votes.
    pub fn view(&self) -> u64 {
        match self {
            Self::ConflictingNotarize(votes) => votes.view().get(),
            Self::ConflictingFinalize(votes) => votes.view().get(),
            Self::NullifyFinalize(votes) => votes.view().get(),
        }
    }

    /// What was done, for people.
    pub fn offence(&self) -> Offence {
        match self {
            Self::ConflictingNotarize(_) => Offence::ConflictingNotarize,
            Self::ConflictingFinalize(_) => Offence::ConflictingFinalize,
            Self::NullifyFinalize(_) => Offence::NullifyFinalize,
        }
    }

    /// Who of `voters`, the set of [`Self::epoch`], it accuses.
    pub fn accused<'a>(&self, voters: &'a AuthoritySet) -> Option<&'a PublicKey> {
        let signer = match self {
            Self::ConflictingNotarize(votes) => votes.signer(),
            Self::ConflictingFinalize(votes) => votes.signer(),
            Self::NullifyFinalize(votes) => votes.signer(),
        };
        voters.get(signer.into())
    }

    /// Whether both votes are the accused's, on `chain`, as one of `voters`.
    pub fn verify(&self, chain: &Digest, voters: &AuthoritySet) -> bool {
        let scheme = voters.verifier(chain);
        // Two signatures, each checked by itself: no coefficients are drawn.
        let mut rng = crate::batch_rng::seeded(chain);
        match self {
            Self::ConflictingNotarize(votes) => votes.verify(&mut rng, &scheme, &Sequential),
            Self::ConflictingFinalize(votes) => votes.verify(&mut rng, &scheme, &Sequential),
            Self::NullifyFinalize(votes) => votes.verify(&mut rng, &scheme, &Sequential),
        }
    }
}

impl EquivocationProof {
    /// The two votes, for people who check them with tools of their own. Empty if a signature has no valid form.
    pub fn votes(&self, chain: &Digest) -> Vec<SignedVote> {
        let mut bytes = match self {
            Self::ConflictingNotarize(votes) => votes.encode(),
            Self::ConflictingFinalize(votes) => votes.encode(),
            Self::NullifyFinalize(votes) => votes.encode(),
        };
        let buf = &mut bytes;
        // The pairs keep their halves to themselves; each is encoded as one vote after the other.
        let votes = match self {
            Self::ConflictingNotarize(_) => {
                [SignedVote::notarize(buf, chain), SignedVote::notarize(buf, chain)]
            }
            Self::ConflictingFinalize(_) => {
                [SignedVote::finalize(buf, chain), SignedVote::finalize(buf, chain)]
            }
            Self::NullifyFinalize(_) => [SignedVote::nullify(buf, chain), SignedVote::finalize(buf, chain)],
        };
        votes.into_iter().collect::<Option<_>>().unwrap_or_default()
    }
}

/// One vote of an [`EquivocationProof`], as plain Ed25519 (RFC 8032) sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedVote {
    /// `notarize`, `nullify` or `finalize`.
    pub kind: &'static str,
    /// The block voted for; none of a vote to skip the view.
    pub block: Option<Digest>,
    /// The bytes that were signed: length and name of the vote's namespace, which holds the chain's identity, then epoch,
    /// view and what is voted for.
    pub signed: Vec<u8>,
    /// The accused's signature over them.
    pub signature: Signature,
}

impl SignedVote {
    fn notarize(buf: &mut impl Buf, chain: &Digest) -> Option<Self> {
        let vote = Notarize::<Scheme, Digest>::read(buf).ok()?;
        let subject = Subject::Notarize { proposal: &vote.proposal };
        Self::new("notarize", Some(vote.proposal.payload), &subject, &vote.attestation, chain)
    }

    fn finalize(buf: &mut impl Buf, chain: &Digest) -> Option<Self> {
        let vote = Finalize::<Scheme, Digest>::read(buf).ok()?;
        let subject = Subject::Finalize { proposal: &vote.proposal };
        Self::new("finalize", Some(vote.proposal.payload), &subject, &vote.attestation, chain)
    }

    fn nullify(buf: &mut impl Buf, chain: &Digest) -> Option<Self> {
        let vote = Nullify::<Scheme>::read(buf).ok()?;
        let subject = Subject::Nullify { round: vote.round };
        Self::new("nullify", None, &subject, &vote.attestation, chain)
    }

    fn new(
        kind: &'static str,
        block: Option<Digest>,
        subject: &Subject<'_, Digest>,
        attestation: &Attestation<Scheme>,
        chain: &Digest,
    ) -> Option<Self> {
        let namespaces = Namespace::new(&namespace(chain));
        let signed = union_unique(subject.namespace(&namespaces), &subject.message());
        let signature = attestation.signature.get()?.clone();
        Some(Self { kind, block, signed, signature })
    }
}

/// Kind of misbehaviour that an authority is convicted of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offence {
    /// Voted for two blocks in one view.
    ConflictingNotarize,
    /// Voted to make two blocks of one view final.
    ConflictingFinalize,
    /// Voted to skip a view and to make its block final.
    NullifyFinalize,
}

impl std::fmt::Display for Offence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ConflictingNotarize => "two blocks notarised in one view",
            Self::ConflictingFinalize => "two blocks finalised in one view",
            Self::NullifyFinalize => "a view nullified and finalised",
        })
    }
}

impl Write for EquivocationProof {
    fn write(&self, buf: &mut impl BufMut) {
        (self.offence() as u8).write(buf);
        match self {
            Self::ConflictingNotarize(votes) => votes.write(buf),
            Self::ConflictingFinalize(votes) => votes.write(buf),
            Self::NullifyFinalize(votes) => votes.write(buf),
        }
    }
}

impl EncodeSize for EquivocationProof {
    fn encode_size(&self) -> usize {
        1 + match self {
            Self::ConflictingNotarize(votes) => votes.encode_size(),
            Self::ConflictingFinalize(votes) => votes.encode_size(),
            Self::NullifyFinalize(votes) => votes.encode_size(),
        }
    }
}

impl Read for EquivocationProof {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, _: &()) -> Result<Self, CodecError> {
        Ok(match u8::read(buf)? {
            0 => Self::ConflictingNotarize(Box::new(ConflictingNotarize::read(buf)?)),
            1 => Self::ConflictingFinalize(Box::new(ConflictingFinalize::read(buf)?)),
            2 => Self::NullifyFinalize(Box::new(NullifyFinalize::read(buf)?)),
            other => return Err(CodecError::InvalidEnum(other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keys::verifying_key, testing::Network};
    use commonware_consensus::{
        simplex::types::Proposal,
        types::{Round, View},
    };
    use commonware_cryptography::{Hasher as _, Sha256};

    #[test]
    fn any_implementation_of_ed25519_can_check_the_votes() {
        let network = Network::new(4);
        let (genesis, set) = (network.genesis(), &network.genesis().authorities);
        let chain = genesis.digest();
        let scheme = set.signer(&chain, network.authority(2).clone()).expect("an authority");
        let round = Round::new(Epoch::new(3), View::new(7));
        let proposal = |text: &[u8]| Proposal::new(round, View::new(6), Sha256::hash(&[text]));
        let (one, other) = (proposal(b"one"), proposal(b"other"));
        let notarize =
            |proposal: &Proposal<Digest>| Notarize::sign(&scheme, proposal.clone()).expect("a key");
        let finalize =
            |proposal: &Proposal<Digest>| Finalize::sign(&scheme, proposal.clone()).expect("a key");
        let nullify = Nullify::sign::<Digest>(&scheme, round).expect("a key");
        let key = verifying_key(set.get(2).expect("four")).expect("a key");
        let check = |evidence: EquivocationProof, expected: [(&str, Option<Digest>); 2]| {
            assert!(evidence.verify(&chain, set));
            let votes = evidence.votes(&chain);
            assert_eq!(votes.iter().map(|vote| (vote.kind, vote.block)).collect::<Vec<_>>(), expected);
            for vote in votes {
                let signature: [u8; 64] = vote.signature.as_ref().try_into().expect("64 bytes");
                key.verify_strict(&vote.signed, &signature.into()).expect("signed by the accused");
            }
        };
        let (first, second) = (Some(one.payload), Some(other.payload));
        check(
            EquivocationProof::ConflictingNotarize(Box::new(ConflictingNotarize::new(
                notarize(&one),
                notarize(&other),
            ))),
            [("notarize", first), ("notarize", second)],
        );
        check(
            EquivocationProof::ConflictingFinalize(Box::new(ConflictingFinalize::new(
                finalize(&one),
                finalize(&other),
            ))),
            [("finalize", first), ("finalize", second)],
        );
        check(
            EquivocationProof::NullifyFinalize(Box::new(NullifyFinalize::new(nullify, finalize(&one)))),
            [("nullify", None), ("finalize", first)],
        );
    }
}
