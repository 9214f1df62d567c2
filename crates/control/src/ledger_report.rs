//! Fog → controller: what the ledger says, each with what proves it. Opaque here: the meaning is the ledger's.

use crate::{Error, Handovers, MAX_CONTROLLER_MESSAGE_BYTES};
use bytes::Bytes;

/// Largest policy transaction that a controller sends to a fog node: it has some 200 bytes.
pub const MAX_POLICY_MESSAGE_BYTES: usize = 1_024;

const HANDOVERS: u8 = 1;
const TERM: u8 = 2;
const ACT: u8 = 3;

/// What a fog node says of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerReport {
    /// Changes of the authorities, before anything that they vouch for.
    Handovers(Handovers),
    /// Who commands as of a final block: the ledger's evidence of it.
    Term(Bytes),
    /// A controller's decision, or the beginning of a term, is in a final block: the ledger's evidence of it.
    Act(Bytes),
}

impl LedgerReport {
    /// The message: its kind in one byte, and the content.
    pub fn encode(&self) -> Bytes {
        let with = |kind: u8, content: &[u8]| [&[kind], content].concat().into();
        match self {
            Self::Handovers(handovers) => with(HANDOVERS, &handovers.encode()),
            Self::Term(evidence) => with(TERM, evidence),
            Self::Act(evidence) => with(ACT, evidence),
        }
    }

    /// Reads a message of at most [`MAX_CONTROLLER_MESSAGE_BYTES`].
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        const WHAT: &str = "report of the ledger";
        Error::limit(WHAT, bytes.len(), MAX_CONTROLLER_MESSAGE_BYTES)?;
        let content = || bytes.slice(1..);
        match bytes.first() {
            Some(&HANDOVERS) => Ok(Self::Handovers(Handovers::decode(&content())?)),
            Some(&TERM) => Ok(Self::Term(content())),
            Some(&ACT) => Ok(Self::Act(content())),
            _ => Err(Error::Json { what: WHAT, problem: "its kind is unknown".to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_back_and_rubbish_is_refused() {
        let bytes = || Bytes::from_static(b"evidence");
        let handovers = Handovers { items: vec![bytes(), Bytes::new()] };
        for report in
            [LedgerReport::Handovers(handovers), LedgerReport::Term(bytes()), LedgerReport::Act(Bytes::new())]
        {
            assert_eq!(LedgerReport::decode(&report.encode()).expect("ours"), report);
        }
        for rubbish in [&b""[..], b"\x00", b"\x04x", b"\x01\x82"] {
            assert!(LedgerReport::decode(&Bytes::copy_from_slice(rubbish)).is_err(), "{rubbish:?}");
        }
        let large = vec![TERM; MAX_CONTROLLER_MESSAGE_BYTES + 1];
        assert!(LedgerReport::decode(&large.into()).is_err());
    }
}
