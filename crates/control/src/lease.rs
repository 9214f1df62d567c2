//! The controller's signed word that one fog node may act on one vehicle by one function, until a time.

use crate::{Allowed, Error};
use ed25519_dalek::{SigningKey, VerifyingKey};
use std::fmt;
use voltmesh_telemetry::{
    Timestamp, VehicleId,
    cbor::{Reader, Writer},
    cose::{Protected, Sign1, key_id},
    is_name,
};

/// Most bytes of a signed lease: names of 64 bytes, numbers, and seven ranges of 19 bytes, with room to spare.
pub const MAX_LEASE_BYTES: usize = 1024;
/// Our claim in the protected header: this is a lease, version 2: it says what may be commanded.
const KIND: &str = "lease/2";

/// Fencing epoch of a lease: the controller's term on the ledger, then a count within the term. A higher one takes
/// the place of every lower one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// Term of the controller, from the ledger.
    pub term: u32,
    /// Ascending within the term over the leases of a vehicle and function; each signed lease has its own.
    pub count: u32,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.count)
    }
}

/// Lease of a vehicle's function to a fog node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose battery.
    pub vehicle: VehicleId,
    /// Name of the function.
    pub function: String,
    /// Fog node that holds it.
    pub fog: String,
    /// Key by which that node signs commands.
    pub fog_key: [u8; 32],
    /// Which lease of several is in force.
    pub epoch: Epoch,
    /// After which it is none, by the holder's and the vehicle's clock.
    pub until: Timestamp,
    /// What the function may command.
    pub allowed: Allowed,
}

impl Lease {
    /// The COSE_Sign1 message by the controller's key; `controller` is its id.
    pub fn sign(&self, controller: &str, key: &SigningKey) -> Vec<u8> {
        let protected = Protected {
            key_id: key_id(&key.verifying_key()),
            issuer: format!("urn:voltmesh:controller:{controller}"),
            subject: self.vehicle.to_string(),
            tree: false,
            extension: Writer::new().text(KIND).finish(),
        };
        let mut payload = Writer::with_capacity(256);
        payload.array(7).text(&self.function).text(&self.fog).bytes(&self.fog_key);
        payload
            .uint(u64::from(self.epoch.term))
            .uint(u64::from(self.epoch.count))
            .uint(self.until.as_millis());
        self.allowed.write(&mut payload);
        Sign1::sign(&protected, &payload.finish(), key).encode()
    }

    /// Reads a lease that any of these controllers' keys signed. Whether it is still in force is for the caller.
    pub fn verify(bytes: &[u8], keys: &[VerifyingKey]) -> Result<Self, Error> {
        let (message, protected) = read(bytes)?;
        let trusted = keys.iter().find(|key| key_id(key) == protected.key_id);
        let key = trusted.ok_or(Error::Untrusted { what: "lease", key_id: protected.key_id })?;
        message.verify(key)?;
        Self::of(&message, &protected)
    }

    /// Reads a lease without looking at its signature. Nothing of it may be acted on.
    pub fn peek(bytes: &[u8]) -> Result<Self, Error> {
        let (message, protected) = read(bytes)?;
        Self::of(&message, &protected)
    }

    fn of(message: &Sign1, protected: &Protected) -> Result<Self, Error> {
        let mut reader = Reader::new("lease", message.payload.as_deref().unwrap_or_default());
        reader.array_of(7)?;
        let (function, fog) = (reader.text()?, reader.text()?);
        if !is_name(function) || !is_name(fog) {
            return Err(reader.malformed("function or fog node has no valid name").into());
        }
        let (function, fog) = (function.to_owned(), fog.to_owned());
        let fog_key = reader.digest()?.to_bytes();
        let wide = |value: u64| {
            u32::try_from(value).map_err(|_| Error::inconsistent("lease", "its epoch is beyond 32 bits"))
        };
        let epoch = Epoch { term: wide(reader.uint()?)?, count: wide(reader.uint()?)? };
        let until = Timestamp::from_millis(reader.uint()?);
        let allowed = Allowed::read(&mut reader)?;
        reader.finish()?;
        let vehicle = protected.subject.parse()?;
        Ok(Self { vehicle, function, fog, fog_key, epoch, until, allowed })
    }
}

/// The message and its header, if it is signed as a lease.
fn read(bytes: &[u8]) -> Result<(Sign1, Protected), Error> {
    Error::limit("lease", bytes.len(), MAX_LEASE_BYTES)?;
    let message = Sign1::decode(bytes)?;
    let protected = Protected::decode(&message.protected)?;
    if protected.tree
        || !message.has_bare_header()
        || protected.extension != Writer::new().text(KIND).finish()
    {
        return Err(Error::inconsistent("lease", "it is signed as something else"));
    }
    Ok((message, protected))
}
