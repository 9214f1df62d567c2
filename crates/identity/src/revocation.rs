use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::asn1_rs::{Oid, oid};
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use crate::{Error, Serial, files};

/// Largest list that is read: some 400,000 entries of 40 bytes.
const MAX_BYTES: u64 = 16 << 20;

/// What its file should hold.
const LIST: &str = "a revocation list of this CA";

/// Marks a list that names only what has changed since another one. RFC 5280 5.2.4
const DELTA: Oid<'static> = oid!(2.5.29.27);

/// Policy for a revocation list that is past its `nextUpdate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpiredList {
    /// Go on with it and say so in the log: what it lists stays revoked, and vehicles can still deliver. The default,
    /// since a CA that is offline signs a list only when someone runs a command.
    #[default]
    Warn,
    /// Begin no new session until there is a fresh one; those that are there go on.
    Refuse,
}

/// The CA's revocation list, kept up to date from its file. Clones share one state.
///
/// [`RevocationWatch::poll`] costs one `stat` while nothing has changed; the TLS configurations call it on every
/// handshake, a server also on a timer and then drops live sessions by [`RevocationWatch::is_revoked`]. A file that is
/// missing, no regular file, broken, not signed by the CA, older than the one in force or a list of a part of the CA's certificates changes
/// nothing but the log.
#[derive(Clone)]
pub struct RevocationWatch(Arc<Watch>);

struct Watch {
    path: PathBuf,
    ca: CertificateDer<'static>,
    expired: ExpiredList,
    generation: AtomicU64,
    /// When the log last told that the list is past its time, in seconds since the Unix epoch.
    expired_said_s: AtomicI64,
    state: RwLock<State>,
}

struct State {
    stamp: Option<files::Stamp>,
    list: List,
}

struct List {
    number: Vec<u8>,
    next_update_s: Option<i64>,
    serials: HashSet<Serial>,
}

impl RevocationWatch {
    /// Reads the list (PEM or DER) and checks its signature.
    pub fn open(path: &Path, ca: &CertificateDer<'_>) -> Result<RevocationWatch, Error> {
        RevocationWatch::with_policy(path, ca, ExpiredList::default())
    }

    /// The same, with a policy for a list past its time.
    pub fn with_policy(
        path: &Path,
        ca: &CertificateDer<'_>,
        expired: ExpiredList,
    ) -> Result<RevocationWatch, Error> {
        let stamp = files::stamp(path);
        let list = read(path, ca)?;
        Ok(RevocationWatch(Arc::new(Watch {
            path: path.to_path_buf(),
            ca: ca.clone().into_owned(),
            expired,
            generation: AtomicU64::new(1),
            expired_said_s: AtomicI64::new(0),
            state: RwLock::new(State { stamp, list }),
        })))
    }

    /// Looks whether the file has changed, and takes it over if so. True when the list in force is another one now.
    pub fn poll(&self) -> bool {
        let now = files::stamp(&self.0.path);
        if now == self.read().stamp {
            return false;
        }
        let fresh = match now {
            Some(_) => read(&self.0.path, &self.0.ca),
            None => Err(Error::content(&self.0.path, "a revocation list", "the file is gone")),
        };
        let mut state = self.0.state.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        state.stamp = now;
        match fresh {
            Ok(list) if newer(&list.number, &state.list.number) => {
                state.list = list;
                self.0.generation.fetch_add(1, Ordering::Release);
                true
            }
            Ok(list) => {
                if list.number != state.list.number {
                    tracing::warn!(path = %self.0.path.display(), "an older revocation list appeared; the one in force stays");
                }
                false
            }
            Err(error) => {
                let cause: &dyn std::error::Error = &error;
                tracing::warn!(error = cause, "cannot take over the revocation list; the one in force stays");
                false
            }
        }
    }

    /// Whether the certificate with this number is on the list in force.
    pub fn is_revoked(&self, serial: &Serial) -> bool {
        self.read().list.serials.contains(serial)
    }

    /// Whether the list in force is past its time and the policy is to refuse.
    pub fn is_unusable(&self) -> bool {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        let expired = self.read().list.next_update_s.is_some_and(|next| next <= now_s);
        // At most once a minute: every handshake asks.
        let said = &self.0.expired_said_s;
        if expired && now_s - said.load(Ordering::Relaxed) >= 60 {
            said.store(now_s, Ordering::Relaxed);
            tracing::warn!(path = %self.0.path.display(), "the revocation list is past its time; sign a new one with `voltmesh pki renew-crl`");
        }
        expired && self.0.expired == ExpiredList::Refuse
    }

    /// Counts the lists that were in force: a server looks through its sessions when it changes.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// How many certificates the list in force names.
    pub fn len(&self) -> usize {
        self.read().list.serials.len()
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl std::fmt::Debug for RevocationWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RevocationWatch").field("path", &self.0.path).field("revoked", &self.len()).finish()
    }
}

fn read(path: &Path, ca: &CertificateDer<'_>) -> Result<List, Error> {
    let refuse = |problem: String| Error::content(path, LIST, problem);
    let bytes = files::read_regular(path, LIST, MAX_BYTES)?;
    let der = match CertificateRevocationListDer::from_pem_slice(&bytes) {
        Ok(der) => der,
        Err(_) => CertificateRevocationListDer::from(bytes),
    };
    let (rest, list) =
        CertificateRevocationList::from_der(&der).map_err(|error| refuse(error.to_string()))?;
    let (_, ca) =
        X509Certificate::from_der(ca).map_err(|error| refuse(format!("the CA does not parse: {error}")))?;
    if !rest.is_empty() {
        return Err(refuse("bytes follow it".to_owned()));
    }
    if list.issuer() != ca.subject() {
        return Err(refuse(format!("it comes from {}, not from {}", list.issuer(), ca.subject())));
    }
    list.verify_signature(ca.public_key()).map_err(|_| refuse("its signature does not verify".to_owned()))?;
    if let Some(why) = is_no_whole_list(&list) {
        return Err(refuse(why));
    }
    Ok(List {
        number: list.crl_number().map(|number| number.to_bytes_be()).unwrap_or_default(),
        next_update_s: list.next_update().map(|time| time.timestamp()),
        serials: list.iter_revoked_certificates().map(|entry| Serial::new(entry.raw_serial())).collect(),
    })
}

/// Why a list may lack certificates that are revoked, or mean others than those of its issuer: taken for the whole list, it
/// would let in again whom the one before it names. RFC 5280 5.2: a critical extension that is not known forbids its use.
fn is_no_whole_list(list: &CertificateRevocationList<'_>) -> Option<String> {
    for extension in list.extensions() {
        if extension.oid == DELTA {
            return Some("it names only what has changed since another list (a delta list)".to_owned());
        }
        match extension.parsed_extension() {
            ParsedExtension::IssuingDistributionPoint(point) => {
                let part = point.only_contains_user_certs
                    || point.only_contains_ca_certs
                    || point.only_contains_attribute_certs
                    || point.only_some_reasons.is_some()
                    || point.indirect_crl;
                if part {
                    return Some("it names a part of the CA's certificates, or another CA's".to_owned());
                }
            }
            ParsedExtension::CRLNumber(_) | ParsedExtension::AuthorityKeyIdentifier(_) => {}
            _ if extension.critical => return Some(unknown(extension)),
            _ => {}
        }
    }
    let known = |extension: &X509Extension<'_>| {
        matches!(
            extension.parsed_extension(),
            ParsedExtension::ReasonCode(_) | ParsedExtension::InvalidityDate(_)
        )
    };
    let mut of_entries = list.iter_revoked_certificates().flat_map(|entry| entry.extensions());
    of_entries.find(|extension| extension.critical && !known(extension)).map(unknown)
}

fn unknown(extension: &X509Extension<'_>) -> String {
    format!("it has an extension that must be understood and is not: {}", extension.oid)
}

/// Big-endian numbers without leading zeros.
fn newer(new: &[u8], old: &[u8]) -> bool {
    (new.len(), new) > (old.len(), old)
}
