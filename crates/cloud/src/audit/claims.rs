//! Claims: statements that others hold about this archive, and what must therefore be in it.

use super::{
    batches::Batches,
    report::{ArchiveReport, Kind},
};

use voltmesh_control::{ArchiveNotice, MAX_NOTICE_BYTES};
use voltmesh_ledger::{Leaves, Trust, verifying_key};
use voltmesh_telemetry::error_chain;

/// Claims that an archive is checked against.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    notices: Vec<ArchiveNotice>,
    pub(super) leaves: Option<Leaves>,
}

/// Reason why a claim is invalid.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The trust file names no archive's key. Add it with `voltmesh chain trust --cloud`.
    #[error("the trust file names no cloud's key, so that no archive notice can be believed")]
    NoKey,
    /// They are no leaves of a log. Write them with `voltmesh chain leaves`.
    #[error("no leaves of the ledger's log: {why}")]
    Leaves {
        /// In what way.
        why: String,
    },
    /// It is no archive notice, or none that a cloud of the trust file signed. Look where it comes from.
    #[error("not an archive notice that the trusted cloud signed: {why}")]
    Notice {
        /// In what way.
        why: String,
    },
}

impl Claims {
    /// Sets the leaves of the ledger's log, as `voltmesh chain leaves` writes them. They are believed as far as they lead to a
    /// root that evidence in the archive or the trust file prove. Returns how many there are.
    pub fn set_leaves(&mut self, file: &[u8]) -> Result<u64, ClaimError> {
        let leaves = Leaves::decode(file).map_err(|error| ClaimError::Leaves { why: error_chain(&error) })?;
        let count = leaves.hashes.len() as u64;
        self.leaves = Some(leaves);
        Ok(count)
    }

    /// Adds archive notices: one as its bytes, or several in hex, one a line. Each must be signed by a cloud's key that
    /// `trust` names. Returns how many batches they name.
    pub fn add_notices(&mut self, file: &[u8], trust: &Trust) -> Result<usize, ClaimError> {
        if trust.cloud_keys().is_empty() {
            return Err(ClaimError::NoKey);
        }
        let text = std::str::from_utf8(file).ok().map(str::trim).filter(|text| text.is_ascii());
        let lines = text
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace()));
        let mut named = 0;
        let mut add = |bytes: &[u8]| {
            let notice = read(bytes, trust)?;
            named += notice.batches.len();
            self.notices.push(notice);
            Ok::<_, ClaimError>(())
        };
        match lines {
            None => add(file)?,
            Some(text) => {
                for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    let wrong = || ClaimError::Notice { why: "it is no hex".to_owned() };
                    if line.len() > 2 * MAX_NOTICE_BYTES {
                        return Err(wrong());
                    }
                    add(&unhex(line).ok_or_else(wrong)?)?;
                }
            }
        }
        Ok(named)
    }
}

fn read(bytes: &[u8], trust: &Trust) -> Result<ArchiveNotice, ClaimError> {
    let mut why = String::new();
    for key in trust.cloud_keys() {
        let read = verifying_key(key).map_err(|error| error_chain(&error));
        match read.and_then(|key| ArchiveNotice::verify(bytes, &key).map_err(|error| error_chain(&error))) {
            Ok(notice) => return Ok(notice),
            Err(error) => why = error,
        }
    }
    Err(ClaimError::Notice { why })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?, 16).ok())
        .collect()
}

/// Every batch that a notice names must be here.
pub(super) fn check(claims: &Claims, found: &Batches, report: &mut ArchiveReport) {
    for notice in &claims.notices {
        for batch in notice.batches.iter().filter(|batch| !found.holds(&batch.id)) {
            let (vehicle, boot, first) = (&notice.vehicle, batch.boot.get(), batch.first.get());
            let text = format!(
                "batch {} of {vehicle}/{boot} from number {first} on: the cloud signed that it is archived, and it is not here",
                batch.id
            );
            report.problem(Kind::Unaccounted, text);
        }
    }
}
