//! Certificates: what one grants, and its way into the index and the holder's folder.

use rcgen::{
    Certificate, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData,
    SerialNumber,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use super::{BACKDATE, Issued, Pki, check_days};
use crate::index::{Entry, Index};
use crate::subject::{alternative_names, common_name, key_identifier};
use crate::{Error, Identity, Serial, files, keyfile};

/// A certificate that is not entered yet.
pub(super) struct Made {
    pub(super) serial: Serial,
    pub(super) certificate: Certificate,
    pub(super) expires_s: i64,
    pub(super) key: String,
}

impl Pki {
    pub(super) fn certify(
        &self,
        index: Index,
        identity: &Identity,
        hosts: Vec<String>,
        days: u32,
        now: OffsetDateTime,
    ) -> Result<Issued, Error> {
        let key = KeyPair::generate()?;
        let made = self.certificate(&key, identity, &hosts, days, now)?;
        let entry = self.enter(index, &made, identity, hosts, now, false)?;
        let folder = self.folder_of(identity);
        let pem = Zeroizing::new(key.serialize_pem());
        // The certificate after its key: a process that watches the folder takes the pair over when both are there.
        keyfile::write(&folder.join("tls.key"), &pem, self.form)?;
        files::write_public(&folder.join("tls.crt"), made.certificate.pem().as_bytes())?;
        files::write_public(&folder.join("ca.crt"), &files::read(&self.path("ca.crt"))?)?;
        Ok(Issued { entry, folder })
    }

    /// A certificate of one identity for a key, whoever has it: the only place that says what a certificate grants.
    pub(super) fn certificate(
        &self,
        key: &impl PublicKeyData,
        identity: &Identity,
        hosts: &[String],
        days: u32,
        now: OffsetDateTime,
    ) -> Result<Made, Error> {
        check_days(days)?;
        let serial = Serial::random();
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
        params.not_before = now - BACKDATE;
        params.not_after = now + Duration::days(days.into());
        params.distinguished_name = common_name(&identity.folder());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.subject_alt_names = alternative_names(identity, hosts)?;
        let certificate = params.signed_by(key, &self.issuer()?)?;
        Ok(Made {
            serial,
            certificate,
            expires_s: params.not_after.unix_timestamp(),
            key: key_identifier(key),
        })
    }

    /// Enters a certificate in the index, before it is anywhere else: one that is not in it could never be revoked by name.
    pub(super) fn enter(
        &self,
        mut index: Index,
        made: &Made,
        identity: &Identity,
        hosts: Vec<String>,
        now: OffsetDateTime,
        by_request: bool,
    ) -> Result<Entry, Error> {
        let entry = Entry {
            serial: made.serial.clone(),
            identity: identity.clone(),
            hosts,
            issued_s: now.unix_timestamp(),
            expires_s: made.expires_s,
            renewed: false,
            revoked: None,
            by_request,
            key: Some(made.key.clone()),
        };
        index.entries.push(entry.clone());
        index.write(&self.path("index.toml"))?;
        Ok(entry)
    }
}
