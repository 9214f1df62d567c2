use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{Error, Identity, Serial, files};

/// Reason for a revocation (RFC 5280 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Not said.
    Unspecified,
    /// The key may be in other hands.
    KeyCompromise,
    /// A newer one has replaced it.
    Superseded,
    /// The holder is out of service.
    CessationOfOperation,
    /// The holder may no longer do this.
    PrivilegeWithdrawn,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 5] = [
        Reason::Unspecified,
        Reason::KeyCompromise,
        Reason::Superseded,
        Reason::CessationOfOperation,
        Reason::PrivilegeWithdrawn,
    ];

    /// As written in the index and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Unspecified => "unspecified",
            Reason::KeyCompromise => "key-compromise",
            Reason::Superseded => "superseded",
            Reason::CessationOfOperation => "cessation-of-operation",
            Reason::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Reason::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or_else(|| {
            let known = Reason::ALL.map(Reason::as_str).join(", ");
            format!("{text:?} is no reason; choose one of {known}")
        })
    }
}

/// End of a certificate before its time: the moment and the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Seconds since the Unix epoch.
    pub at_s: i64,
    /// As given to `revoke`.
    pub reason: Reason,
}

/// Whether a certificate is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// In its time, and the newest of its identity.
    Valid,
    /// In its time, but renewed: the holder should have switched over.
    Renewed,
    /// Past its time.
    Expired,
    /// On the revocation list.
    Revoked,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Valid => "valid",
            Status::Renewed => "renewed",
            Status::Expired => "expired",
            Status::Revoked => "revoked",
        })
    }
}

/// One issued certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub serial: Serial,
    /// Its holder.
    pub identity: Identity,
    /// DNS names and addresses asked for beyond those of the role.
    pub hosts: Vec<String>,
    /// Seconds since the Unix epoch.
    pub issued_s: i64,
    /// Seconds since the Unix epoch.
    pub expires_s: i64,
    /// Whether a later certificate of the same identity replaced it.
    pub renewed: bool,
    /// Whether it is on the revocation list.
    pub revoked: Option<Revoked>,
    /// Whether it was made from a request: the CA never had its key.
    pub by_request: bool,
    /// Identifier of its public key in hex, as the certificate states it (RFC 5280 4.2.1.2). None of one that an earlier version
    /// issued.
    pub key: Option<String>,
}

impl Entry {
    /// Its state at a time, in seconds since the Unix epoch.
    pub fn status(&self, now_s: i64) -> Status {
        match self {
            Entry { revoked: Some(_), .. } => Status::Revoked,
            Entry { expires_s, .. } if *expires_s <= now_s => Status::Expired,
            Entry { renewed: true, .. } => Status::Renewed,
            _ => Status::Valid,
        }
    }

    /// Whether it opens sessions at a time, in seconds since the Unix epoch.
    pub fn is_in_force(&self, now_s: i64) -> bool {
        matches!(self.status(now_s), Status::Valid | Status::Renewed)
    }
}

/// Policy of a CA for an id for which a second role asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OneRole {
    /// Issue, and warn in the log. The default: test fleets may need an id in two roles, and fog nodes tell them apart.
    #[default]
    Warn,
    /// Refuse, while another role has a certificate in force.
    Refuse,
}

impl OneRole {
    fn is_default(&self) -> bool {
        *self == OneRole::default()
    }
}

/// `index.toml`: all that the CA has issued, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) one_role: OneRole,
    pub(crate) crl_number: u64,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIndex {
    version: u32,
    crl_number: u64,
    #[serde(default, skip_serializing_if = "OneRole::is_default")]
    one_role: OneRole,
    #[serde(default)]
    certificate: Vec<RawEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    serial: String,
    identity: String,
    #[serde(default)]
    hosts: Vec<String>,
    issued_s: i64,
    expires_s: i64,
    #[serde(default)]
    renewed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<Revoked>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    by_request: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl Index {
    pub(crate) fn read(path: &Path) -> Result<Index, Error> {
        let refuse = |problem: String| Error::content(path, "the index of a CA", problem);
        let raw: RawIndex =
            toml::from_str(&files::read_text(path)?).map_err(|error| refuse(error.to_string()))?;
        if raw.version != 1 {
            return Err(refuse(format!("version {} is unknown, 1 expected", raw.version)));
        }
        let entries = raw.certificate.into_iter().map(|entry| {
            Ok(Entry {
                serial: entry.serial.parse()?,
                identity: entry.identity.parse()?,
                hosts: entry.hosts,
                issued_s: entry.issued_s,
                expires_s: entry.expires_s,
                renewed: entry.renewed,
                revoked: entry.revoked,
                by_request: entry.by_request,
                key: entry.key,
            })
        });
        let entries = entries.collect::<Result<_, Error>>().map_err(|error| refuse(error.to_string()))?;
        Ok(Index { one_role: raw.one_role, crl_number: raw.crl_number, entries })
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let certificate = self.entries.iter().map(|entry| RawEntry {
            serial: entry.serial.to_string(),
            identity: entry.identity.to_string(),
            hosts: entry.hosts.clone(),
            issued_s: entry.issued_s,
            expires_s: entry.expires_s,
            renewed: entry.renewed,
            revoked: entry.revoked.clone(),
            by_request: entry.by_request,
            key: entry.key.clone(),
        });
        let raw = RawIndex {
            version: 1,
            crl_number: self.crl_number,
            one_role: self.one_role,
            certificate: certificate.collect(),
        };
        let text = toml::to_string(&raw).map_err(|error| Error::content(path, "the index of a CA", error))?;
        files::write_private(path, text.as_bytes())
    }

    /// The certificate that an identity should be using now.
    pub(crate) fn current(&self, identity: &Identity, now: OffsetDateTime) -> Option<&Entry> {
        let now_s = now.unix_timestamp();
        self.entries
            .iter()
            .rev()
            .find(|entry| entry.identity == *identity && entry.status(now_s) == Status::Valid)
    }

    /// The same, to be changed.
    pub(crate) fn current_mut(&mut self, identity: &Identity, now: OffsetDateTime) -> Option<&mut Entry> {
        let now_s = now.unix_timestamp();
        let mut entries = self.entries.iter_mut().rev();
        entries.find(|entry| entry.identity == *identity && entry.status(now_s) == Status::Valid)
    }

    /// The certificate that a renewal replaces: the newest in force; if none is, the identity's last one, when it has merely run
    /// out. One that was revoked ends the identity, whatever ran out before it.
    pub(crate) fn renewable_mut(&mut self, identity: &Identity, now: OffsetDateTime) -> Option<&mut Entry> {
        let now_s = now.unix_timestamp();
        let of_it = |entry: &Entry| entry.identity == *identity;
        let in_force = self.entries.iter().rposition(|entry| of_it(entry) && entry.is_in_force(now_s));
        let at = in_force.or_else(|| self.entries.iter().rposition(of_it))?;
        self.entries.get_mut(at).filter(|entry| entry.revoked.is_none())
    }

    /// Why a key gets no certificate of this identity: it was another's, or one of its certificates was revoked, so that it may
    /// be in other hands.
    pub(crate) fn spent(&self, key: &str, identity: &Identity) -> Option<String> {
        let mut of_key = self.entries.iter().filter(|entry| entry.key.as_deref() == Some(key));
        of_key.find_map(|entry| {
            let (holder, serial) = (&entry.identity, &entry.serial);
            match &entry.revoked {
                Some(revoked) => Some(format!(
                    "its key is that of the certificate {serial}, which was revoked ({})",
                    revoked.reason
                )),
                None if holder != identity => {
                    Some(format!("its key is {holder}'s, and a key has one holder"))
                }
                None => None,
            }
        })
    }

    /// Another role that has a certificate in force for the id of this identity.
    pub(crate) fn other_role(&self, identity: &Identity, now: OffsetDateTime) -> Option<&Identity> {
        let now_s = now.unix_timestamp();
        let mut others =
            self.entries.iter().filter(|entry| entry.is_in_force(now_s)).map(|entry| &entry.identity);
        others.find(|other| other.id() == identity.id() && other.role != identity.role)
    }
}
