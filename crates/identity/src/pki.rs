//! A development CA in a folder.

mod certificates;
mod revocations;

pub use revocations::Target;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::ca_key::CaKey;
use crate::index::{Entry, Index, OneRole, Reason, Revoked};
use crate::keyfile::{self, KeyForm};
use crate::pkcs11::TokenUri;
use crate::subject::{common_name, key_identifier};
use crate::{Error, Identity, Role, Serial, credentials, files, request};

/// Place of the CA's key, where it is in a token.
const CA_URI: &str = "ca.uri";
/// Validity of a development CA's certificate in days.
const CA_DAYS: i64 = 3650;
/// Certificates begin this much earlier, for peers whose clock is behind.
const BACKDATE: Duration = Duration::hours(1);

/// A development CA in a folder.
///
/// ```text
/// pki/ca.crt  ca.key (or ca.uri, the place of a key in a token)  crl.pem  index.toml
///     <role>-<id>/tls.crt  tls.key  sign.key  sign.pub  ca.crt
/// ```
///
/// Commands that change it take a lock, so that two of them at once do not lose an entry.
#[derive(Clone, Debug)]
pub struct Pki {
    folder: PathBuf,
    form: KeyForm,
}

/// Result of `issue` and `renew`.
#[derive(Clone, Debug)]
pub struct Issued {
    /// As in the index.
    pub entry: Entry,
    /// Where certificate and keys are.
    pub folder: PathBuf,
}

impl Pki {
    /// Makes a CA. The folder may exist, but not hold one already.
    pub fn init(folder: &Path) -> Result<Pki, Error> {
        Pki::init_with(folder, OneRole::Warn, KeyForm::AsBefore)
    }

    /// The same, and says what becomes of an id that two roles ask for, and in which form the CA's key is written.
    pub fn init_with(folder: &Path, one_role: OneRole, form: KeyForm) -> Result<Pki, Error> {
        Pki::make(folder, one_role, form, |pki| {
            let key = KeyPair::generate()?;
            pki.write_key("ca.key", &key)?;
            Ok(CaKey::File(key))
        })
    }

    /// A CA whose key is in a token: the one that `place` names, made there if there is none. The folder holds its place.
    ///
    /// # Errors
    /// Those of the token; [`Error::NoTokens`] where this program was built without them.
    pub fn init_in_token(folder: &Path, one_role: OneRole, place: &TokenUri) -> Result<Pki, Error> {
        Pki::make(folder, one_role, KeyForm::AsBefore, |pki| {
            let key = CaKey::open_or_make(place)?;
            files::write_public(&pki.path(CA_URI), format!("{place}\n").as_bytes())?;
            Ok(key)
        })
    }

    fn make(
        folder: &Path,
        one_role: OneRole,
        form: KeyForm,
        key: impl FnOnce(&Pki) -> Result<CaKey, Error>,
    ) -> Result<Pki, Error> {
        files::create_private_dir(folder)?;
        let pki = Pki { folder: folder.to_path_buf(), form };
        let _lock = pki.lock()?;
        if ["ca.crt", "ca.key", CA_URI].iter().any(|name| pki.path(name).exists()) {
            return Err(Error::Exists { path: folder.to_path_buf() });
        }
        let now = OffsetDateTime::now_utc();
        let key = key(&pki)?;
        let serial = Serial::random();
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
        params.not_before = now - BACKDATE;
        params.not_after = now + Duration::days(CA_DAYS);
        params.distinguished_name =
            common_name(&format!("Voltmesh development CA {}", &serial.to_string()[..8]));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        pki.sign_crl(&mut Index { one_role, ..Index::default() }, &Issuer::new(params, key), now)?;
        // Last: a CA is there when its certificate is.
        files::write_public(&pki.path("ca.crt"), certificate.pem().as_bytes())?;
        Ok(pki)
    }

    /// An existing CA.
    pub fn open(folder: &Path) -> Result<Pki, Error> {
        let pki = Pki { folder: folder.to_path_buf(), form: KeyForm::AsBefore };
        if !pki.path("ca.crt").exists() {
            return Err(Error::NoCa { path: folder.to_path_buf() });
        }
        Ok(pki)
    }

    /// The same CA, which writes new keys in this form.
    #[must_use]
    pub fn with_key_form(self, form: KeyForm) -> Pki {
        Pki { form, ..self }
    }

    /// The revocation list, for [`crate::RevocationWatch::open`].
    pub fn crl_path(&self) -> PathBuf {
        self.path("crl.pem")
    }

    /// The CA's certificate, as PEM.
    pub fn ca_path(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// Where an identity's keys and certificate are, or will be.
    pub fn folder_of(&self, identity: &Identity) -> PathBuf {
        self.folder.join(identity.folder())
    }

    /// Issues a certificate with a new TLS key and a new signing key. `hosts` are DNS names and addresses beyond
    /// `localhost` and the loopback addresses, which servers get anyway; `days` is 1 to 3650. Warns in the log if another
    /// role has a certificate in force for the same id: fog nodes shut a client out whose id is a vehicle's. A CA
    /// of [`OneRole::Refuse`] refuses it.
    pub fn issue(&self, identity: &Identity, hosts: &[String], days: u32) -> Result<Issued, Error> {
        self.issue_with(identity, hosts, days, |folder| {
            credentials::write_signing_key_as(folder, &credentials::new_signing_key(), self.form)
        })
    }

    fn issue_with(
        &self,
        identity: &Identity,
        hosts: &[String],
        days: u32,
        write_signing_key: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<Issued, Error> {
        let _lock = self.lock()?;
        let now = OffsetDateTime::now_utc();
        let index = Index::read(&self.path("index.toml"))?;
        if let Some(entry) = index.current(identity, now) {
            let serial = entry.serial.to_string();
            return Err(Error::AlreadyIssued { identity: identity.to_string(), serial });
        }
        check_other_roles(&index, identity, now)?;
        let folder = self.folder_of(identity);
        files::create_private_dir(&folder)?;
        write_signing_key(&folder)?;
        self.certify(index, identity, hosts.to_vec(), days, now)
    }

    /// The same as [`Pki::issue`] without hosts, but the signing key is in a token: the one that `place` names, made there if
    /// there is none. The folder holds `sign.uri`, its place, and `sign.pub`.
    ///
    /// # Errors
    /// Those of the token; [`Error::NoTokens`] where this program was built without them.
    pub fn issue_in_token(&self, identity: &Identity, place: &TokenUri, days: u32) -> Result<Issued, Error> {
        let public = crate::signer::open_or_make(place)?;
        self.issue_with(identity, &[], days, |folder| {
            files::write_public(&folder.join("sign.uri"), format!("{place}\n").as_bytes())?;
            credentials::write_public_half(&folder.join("sign.pub"), &public)
        })
    }

    /// Issues a certificate to the key in a request ([`crate::make_request`]), which must be signed with that key and ask for
    /// this identity alone. Of what else it asks for nothing is granted: names are `hosts`, and rights are those of every
    /// certificate. A key of another identity, or of a certificate that was revoked, gets none, so that a request that is shown
    /// again lets nobody in again. `renewal` says whether the identity may have a certificate in force, whose hosts then stay.
    /// The certificate and the CA's are written into the identity's folder.
    pub fn sign(
        &self,
        identity: &Identity,
        request: &[u8],
        hosts: &[String],
        days: u32,
        renewal: bool,
    ) -> Result<Issued, Error> {
        let _lock = self.lock()?;
        let now = OffsetDateTime::now_utc();
        let key = request::key_in(request, identity)?;
        let mut index = Index::read(&self.path("index.toml"))?;
        if let Some(problem) = index.spent(&key_identifier(&key), identity) {
            return Err(Error::Request { identity: identity.to_string(), problem });
        }
        check_other_roles(&index, identity, now)?;
        let mut hosts = hosts.to_vec();
        match (index.current_mut(identity, now), renewal) {
            (Some(entry), true) => {
                entry.renewed = true;
                if hosts.is_empty() {
                    hosts.clone_from(&entry.hosts);
                }
            }
            (Some(entry), false) => {
                let serial = entry.serial.to_string();
                return Err(Error::AlreadyIssued { identity: identity.to_string(), serial });
            }
            (None, true) => return Err(Error::NotFound { target: identity.to_string() }),
            (None, false) => {}
        }
        let made = self.certificate(&key, identity, &hosts, days, now)?;
        let folder = self.folder_of(identity);
        files::create_private_dir(&folder)?;
        let entry = self.enter(index, &made, identity, hosts, now, true)?;
        files::write_public(&folder.join("tls.crt"), made.certificate.pem().as_bytes())?;
        files::write_public(&folder.join("ca.crt"), &files::read(&self.path("ca.crt"))?)?;
        Ok(Issued { entry, folder })
    }

    /// Checks that one role has certificates in force for an id, and that it is one of these: what the id says then has one
    /// author.
    pub fn check_one_role(&self, id: &str, roles: &[Role]) -> Result<(), Error> {
        let now_s = OffsetDateTime::now_utc().unix_timestamp();
        let index = Index::read(&self.path("index.toml"))?;
        let holders: BTreeSet<Role> = index
            .entries
            .iter()
            .filter(|entry| entry.identity.id() == id && entry.is_in_force(now_s))
            .map(|entry| entry.identity.role)
            .collect();
        let wanted = || roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        match holders.iter().collect::<Vec<_>>()[..] {
            [] => Err(Error::NotFound { target: format!("{}:{id}", wanted()) }),
            [role] if roles.contains(role) => Ok(()),
            [role] => {
                Err(Error::IdTaken { identity: format!("{}:{id}", wanted()), other: format!("{role}:{id}") })
            }
            [role, other, ..] => {
                Err(Error::IdTaken { identity: format!("{role}:{id}"), other: format!("{other}:{id}") })
            }
        }
    }

    /// Another role that has a certificate in force for the id of this identity.
    pub fn other_role(&self, identity: &Identity) -> Result<Option<Identity>, Error> {
        let index = Index::read(&self.path("index.toml"))?;
        Ok(index.other_role(identity, OffsetDateTime::now_utc()).cloned())
    }

    /// Issues a certificate with a new TLS key for an identity that has one in force. The signing key stays, and the
    /// former certificate counts until its end or until it is revoked: a process that runs on this folder takes the new
    /// one over by itself, and one that runs on a copy of it is not cut off.
    pub fn renew(&self, identity: &Identity, days: u32) -> Result<Issued, Error> {
        let _lock = self.lock()?;
        let now = OffsetDateTime::now_utc();
        let mut index = Index::read(&self.path("index.toml"))?;
        check_other_roles(&index, identity, now)?;
        let found = index.renewable_mut(identity, now);
        let entry = found.ok_or_else(|| Error::NotFound { target: identity.to_string() })?;
        if entry.by_request {
            return Err(Error::KeysElsewhere { identity: identity.to_string() });
        }
        entry.renewed = true;
        let hosts = entry.hosts.clone();
        let folder = self.folder_of(identity);
        files::create_private_dir(&folder)?;
        if !folder.join("sign.key").exists() {
            credentials::write_signing_key_as(&folder, &credentials::new_signing_key(), self.form)?;
        }
        self.certify(index, identity, hosts, days, now)
    }

    /// Issues a certificate and new keys, TLS and signing, to an identity whose keys are lost or in other hands: its
    /// certificates in force are revoked, hosts stay those of the newest. The former `sign.pub` is kept as `sign.old.pub`:
    /// who rotates the key on the ledger must name it.
    pub fn replace(&self, identity: &Identity, days: u32) -> Result<Issued, Error> {
        let _lock = self.lock()?;
        let now = OffsetDateTime::now_utc();
        let mut index = Index::read(&self.path("index.toml"))?;
        check_other_roles(&index, identity, now)?;
        let newest = index.entries.iter().rev().find(|entry| entry.identity == *identity);
        let newest = newest.ok_or_else(|| Error::NotFound { target: identity.to_string() })?;
        if newest.by_request {
            return Err(Error::KeysElsewhere { identity: identity.to_string() });
        }
        let hosts = newest.hosts.clone();
        // Before anything is made: a validity that is refused must not leave the identity without a certificate.
        check_days(days)?;
        for entry in index.entries.iter_mut().filter(|entry| entry.identity == *identity) {
            if entry.is_in_force(now.unix_timestamp()) {
                entry.revoked = Some(Revoked { at_s: now.unix_timestamp(), reason: Reason::KeyCompromise });
            }
        }
        self.sign_crl(&mut index, &self.issuer()?, now)?;
        let folder = self.folder_of(identity);
        files::create_private_dir(&folder)?;
        let former = folder.join("sign.pub");
        if former.exists() {
            files::write_public(&folder.join("sign.old.pub"), &files::read(&former)?)?;
        }
        credentials::write_signing_key_as(&folder, &credentials::new_signing_key(), self.form)?;
        self.certify(index, identity, hosts, days, now)
    }

    /// All that was issued, oldest first.
    pub fn show(&self) -> Result<Vec<Entry>, Error> {
        Ok(Index::read(&self.path("index.toml"))?.entries)
    }

    fn issuer(&self) -> Result<Issuer<'static, CaKey>, Error> {
        let key = CaKey::open(&self.path("ca.key"), &self.path(CA_URI))?;
        let path = self.path("ca.crt");
        Issuer::from_ca_cert_pem(&files::read_text(&path)?, key)
            .map_err(|error| Error::content(&path, "a CA certificate", error))
    }

    fn write_key(&self, name: &str, key: &KeyPair) -> Result<(), Error> {
        keyfile::write(&self.path(name), &Zeroizing::new(key.serialize_pem()), self.form)
    }

    fn lock(&self) -> Result<File, Error> {
        let path = self.path(".lock");
        if !self.folder.is_dir() {
            return Err(Error::NoCa { path: self.folder.clone() });
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(Error::file("open", &path))?;
        file.lock().map_err(Error::file("lock", &path))?;
        Ok(file)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// An id belongs to one role: refused or warned of, as the CA's policy says.
fn check_other_roles(index: &Index, identity: &Identity, now: OffsetDateTime) -> Result<(), Error> {
    let Some(other) = index.other_role(identity, now) else { return Ok(()) };
    if index.one_role == OneRole::Refuse {
        return Err(Error::IdTaken { identity: identity.to_string(), other: other.to_string() });
    }
    tracing::warn!(
        "the id of {identity} is {other}'s as well: an id belongs to one role, and fog nodes shut a client out whose id is a vehicle's"
    );
    Ok(())
}

fn check_days(days: u32) -> Result<(), Error> {
    if (1..=CA_DAYS as u32).contains(&days) { Ok(()) } else { Err(Error::Validity { days }) }
}
