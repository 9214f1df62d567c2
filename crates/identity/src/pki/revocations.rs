//! Revocations, and the list that tells peers of them.

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use super::{BACKDATE, Pki};
use crate::ca_key::CaKey;
use crate::index::{Entry, Index, Reason, Revoked, Status};
use crate::{Error, Identity, Serial, files};

/// Validity of a revocation list in days; each revocation signs a new one.
const CRL_DAYS: i64 = 365;

/// Certificates that a revocation names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every certificate of this identity that is in its time.
    Identity(Identity),
    /// One certificate.
    Serial(Serial),
}

impl Pki {
    /// Revokes, and signs the new list at once. Returns what it ended.
    pub fn revoke(&self, target: &Target, reason: Reason) -> Result<Vec<Entry>, Error> {
        let _lock = self.lock()?;
        let now = OffsetDateTime::now_utc();
        let mut index = Index::read(&self.path("index.toml"))?;
        let mut ended = Vec::new();
        for entry in &mut index.entries {
            let meant = match target {
                Target::Identity(identity) => entry.identity == *identity,
                Target::Serial(serial) => entry.serial == *serial,
            };
            if meant && !matches!(entry.status(now.unix_timestamp()), Status::Revoked | Status::Expired) {
                entry.revoked = Some(Revoked { at_s: now.unix_timestamp(), reason });
                ended.push(entry.clone());
            }
        }
        if ended.is_empty() {
            let target = match target {
                Target::Identity(identity) => identity.to_string(),
                Target::Serial(serial) => format!("serial number {serial}"),
            };
            return Err(Error::NotFound { target });
        }
        self.sign_crl(&mut index, &self.issuer()?, now)?;
        Ok(ended)
    }

    /// Revokes every certificate of an identity but its newest, as superseded. Returns what it ended.
    pub fn revoke_former(&self, identity: &Identity) -> Result<Vec<Entry>, Error> {
        let former: Vec<Serial> = {
            let now = OffsetDateTime::now_utc();
            let index = Index::read(&self.path("index.toml"))?;
            let newest = index.current(identity, now).map(|entry| entry.serial.clone());
            let of_it = index.entries.into_iter().filter(|entry| entry.identity == *identity);
            let in_force = of_it.filter(|entry| entry.is_in_force(now.unix_timestamp()));
            in_force.map(|entry| entry.serial).filter(|serial| Some(serial) != newest.as_ref()).collect()
        };
        let mut ended = Vec::new();
        for serial in former {
            ended.extend(self.revoke(&Target::Serial(serial), Reason::Superseded)?);
        }
        Ok(ended)
    }

    /// Signs a new revocation list with the same entries, in force for another 365 days.
    pub fn renew_crl(&self) -> Result<(), Error> {
        let _lock = self.lock()?;
        let mut index = Index::read(&self.path("index.toml"))?;
        self.sign_crl(&mut index, &self.issuer()?, OffsetDateTime::now_utc())
    }

    pub(super) fn sign_crl(
        &self,
        index: &mut Index,
        issuer: &Issuer<'_, CaKey>,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        index.crl_number += 1;
        let revoked_certs = index.entries.iter().filter_map(|entry| {
            let revoked = entry.revoked.as_ref()?;
            Some(RevokedCertParams {
                serial_number: SerialNumber::from_slice(entry.serial.as_bytes()),
                revocation_time: OffsetDateTime::from_unix_timestamp(revoked.at_s).ok()?,
                reason_code: reason_code(revoked.reason),
                invalidity_date: None,
            })
        });
        let params = CertificateRevocationListParams {
            this_update: now - BACKDATE,
            next_update: now + Duration::days(CRL_DAYS),
            crl_number: SerialNumber::from(index.crl_number),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(issuer)?.pem()?;
        // The index first: the list is made from it, never the other way round.
        index.write(&self.path("index.toml"))?;
        files::write_public(&self.crl_path(), list.as_bytes())
    }
}

fn reason_code(reason: Reason) -> Option<RevocationReason> {
    // RFC 5280 5.3.1: `unspecified` is said by leaving the code out.
    match reason {
        Reason::Unspecified => None,
        Reason::KeyCompromise => Some(RevocationReason::KeyCompromise),
        Reason::Superseded => Some(RevocationReason::Superseded),
        Reason::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
        Reason::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
    }
}
