//! What a fog node's function asks of a vehicle, and what the vehicle says that it did.

use crate::{Action, Epoch, Error, Lease, MAX_GROUPS, lease::MAX_LEASE_BYTES};
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use voltmesh_telemetry::{
    Timestamp, VehicleId,
    cbor::{Reader, Writer},
    cose::{Protected, Sign1, key_id},
};

/// Longest reason in bytes.
pub const MAX_REASON_BYTES: usize = 256;
/// Most bytes of a signed command: its lease, a mask of [`MAX_GROUPS`] groups of three bytes, a reason, and 512 bytes around.
pub const MAX_COMMAND_BYTES: usize = MAX_LEASE_BYTES + 3 * MAX_GROUPS + MAX_REASON_BYTES + 512;
/// Longest validity of a command in ms: one hour, so that a vehicle that hears nothing any more is soon its own master.
pub const MAX_VALID_MS: u64 = 3_600_000;
/// Our claim in the protected header: this is a command, version 1.
const KIND: &str = "command/1";

/// Fog → vehicle. Signed by the key that its lease names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Whom it is for.
    pub vehicle: VehicleId,
    /// Number within its lease, ascending: a vehicle takes each once.
    pub number: u64,
    /// When it was made, by the fog node's clock.
    pub issued: Timestamp,
    /// After which it is not in force any more; at most [`MAX_VALID_MS`] after `issued`.
    pub expires: Timestamp,
    /// What to do.
    pub action: Action,
    /// Why, for people.
    pub reason: String,
}

impl Command {
    /// The COSE_Sign1 message by the fog node's key, with the signed lease under which it acts.
    pub fn sign(&self, fog: &str, lease: &[u8], key: &SigningKey) -> Vec<u8> {
        let protected = Protected {
            key_id: key_id(&key.verifying_key()),
            issuer: format!("urn:voltmesh:fog:{fog}"),
            subject: self.vehicle.to_string(),
            tree: false,
            extension: Writer::new().text(KIND).finish(),
        };
        let mut payload = Writer::with_capacity(lease.len() + self.reason.len() + 128);
        payload.array(6).uint(self.number).uint(self.issued.as_millis()).uint(self.expires.as_millis());
        self.action.write(&mut payload);
        payload.text(&self.reason).bytes(lease);
        Sign1::sign(&protected, &payload.finish(), key).encode()
    }

    /// Reads a command whose lease one of these controllers signed, and which the lease's holder signed for the lease's
    /// vehicle. Whether both are still in force is for the caller.
    pub fn verify(bytes: &[u8], controllers: &[VerifyingKey]) -> Result<(Self, Lease), Error> {
        let message = Unverified::read(bytes)?;
        let lease = Lease::verify(&message.lease, controllers)?;
        let key = VerifyingKey::from_bytes(&lease.fog_key)
            .map_err(|_| Error::inconsistent("command", "its lease names no valid key"))?;
        message.signed.verify(&key)?;
        message.of(lease)
    }

    /// Reads a command without looking at signatures: whom it claims to be for and from, so that it can be passed on or
    /// refused by name. Nothing of it may be acted on.
    pub fn peek(bytes: &[u8]) -> Result<(Self, Lease), Error> {
        let message = Unverified::read(bytes)?;
        let lease = Lease::peek(&message.lease)?;
        message.of(lease)
    }
}

/// A command whose signatures nobody has looked at.
struct Unverified {
    signed: Sign1,
    protected: Protected,
    lease: Vec<u8>,
    number: u64,
    issued: Timestamp,
    expires: Timestamp,
    action: Action,
    reason: String,
}

impl Unverified {
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        Error::limit("command", bytes.len(), MAX_COMMAND_BYTES)?;
        let signed = Sign1::decode(bytes)?;
        let protected = Protected::decode(&signed.protected)?;
        if protected.tree
            || !signed.has_bare_header()
            || protected.extension != Writer::new().text(KIND).finish()
        {
            return Err(Error::inconsistent("command", "it is signed as something else"));
        }
        let mut reader = Reader::new("command", signed.payload.as_deref().unwrap_or_default());
        reader.array_of(6)?;
        let number = reader.uint()?;
        let issued = Timestamp::from_millis(reader.uint()?);
        let expires = Timestamp::from_millis(reader.uint()?);
        let action = Action::read(&mut reader)?;
        let reason = reader.text()?;
        Error::limit("command's reason", reason.len(), MAX_REASON_BYTES)?;
        let reason = reason.to_owned();
        let lease = reader.bytes()?.to_vec();
        reader.finish()?;
        if expires <= issued || expires.as_millis() - issued.as_millis() > MAX_VALID_MS {
            return Err(Error::inconsistent("command", "it is not valid between 1 ms and one hour"));
        }
        Ok(Self { signed, protected, lease, number, issued, expires, action, reason })
    }

    /// The command, if it is what its lease allows.
    fn of(self, lease: Lease) -> Result<(Command, Lease), Error> {
        if self.protected.issuer != format!("urn:voltmesh:fog:{}", lease.fog) {
            return Err(Error::inconsistent("command", "it is of another fog node than its lease"));
        }
        if self.protected.subject != lease.vehicle.as_str() {
            return Err(Error::inconsistent("command", "it is for another vehicle than its lease"));
        }
        let Self { number, issued, expires, action, reason, .. } = self;
        let vehicle = lease.vehicle.clone();
        Ok((Command { vehicle, number, issued, expires, action, reason }, lease))
    }
}

/// What a vehicle did with a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// It is in force, with the value that the vehicle's own limits allow in the command's unit: of a balancing mask the number
    /// of its groups, `null` for one without a value.
    Applied {
        /// What is in force.
        value: Option<i64>,
        /// Why not what was asked.
        why_less: Option<String>,
    },
    /// It is not in force.
    Refused {
        /// Why.
        reason: String,
    },
    /// Its time is over; the vehicle's own limits are in force again.
    Expired,
}

/// Vehicle → fog: the answer to one command, over the vehicle's own session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandAnswer {
    /// Function that asked.
    pub function: String,
    /// Term and count of its lease.
    pub epoch: (u32, u32),
    /// Number of the command.
    pub number: u64,
    /// When, by the vehicle's clock, in ms.
    pub at_ms: u64,
    /// What became of it.
    pub outcome: Outcome,
}

impl CommandAnswer {
    /// Most bytes of an answer.
    pub const MAX_BYTES: usize = 1024;

    /// Its lease's epoch.
    pub const fn lease_epoch(&self) -> Epoch {
        Epoch { term: self.epoch.0, count: self.epoch.1 }
    }
}
