//! How a vehicle introduces itself to a fog node.

use crate::Error;
use voltmesh_telemetry::{
    Boot, Digest, Timestamp, VehicleId,
    cbor::{Reader, Writer},
};

/// Most bytes of a hello: 256.
pub const MAX_HELLO_BYTES: usize = 256;
/// Longest client version in bytes.
const MAX_VERSION: usize = 64;
/// Between a client's version and its clock in [`Hello::client_version`].
const CLOCK: &str = " clock=";
/// How far two clocks may be apart before it is said, milliseconds: 5 minutes. Messages take seconds, a slow ledger tens of
/// them.
pub const CLOCK_TOLERANCE_MS: u64 = 300_000;
/// Version of this message.
const VERSION: u64 = 1;

/// What turns a vehicle's id into the commitment that the registry knows: whoever has it can link the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opening {
    /// Random, chosen at enrolment.
    pub salt: [u8; 32],
    /// The vehicle's Ed25519 public key (for a foreign client: of the fog node that attests).
    pub key: [u8; 32],
}

impl Opening {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.array(2).bytes(&self.salt).bytes(&self.key);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array_of(2)?;
        Ok(Self { salt: reader.fixed()?, key: reader.fixed()? })
    }
}

/// What the registry keeps of a vehicle: SHA-256("voltmesh-vehicle" ‖ salt ‖ length of id (u8) ‖ id ‖ key).
pub fn commitment(vehicle: &VehicleId, opening: &Opening) -> Digest {
    let id = vehicle.as_str().as_bytes();
    let mut bytes = Vec::with_capacity(160);
    bytes.extend_from_slice(b"voltmesh-vehicle");
    bytes.extend_from_slice(&opening.salt);
    bytes.push(id.len() as u8);
    bytes.extend_from_slice(id);
    bytes.extend_from_slice(&opening.key);
    Digest::of(&bytes)
}

/// Vehicle → fog, first on every connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Which registry entry is the vehicle's.
    pub opening: Opening,
    /// Its current boot.
    pub boot: Boot,
    /// For logs: 1 to 64 bytes.
    pub client_version: String,
}

impl Hello {
    /// This hello with what the vehicle's clock says, in the text that is for logs: older nodes log it.
    #[must_use]
    pub fn with_clock(&self, now: Timestamp) -> Self {
        let version = self.client_version.split(CLOCK).next().unwrap_or_default();
        Self { client_version: format!("{version}{CLOCK}{}", now.as_millis()), ..self.clone() }
    }

    /// What the vehicle's clock said when it sent this; `None` if it does not say.
    pub fn clock(&self) -> Option<Timestamp> {
        let (_, ms) = self.client_version.split_once(CLOCK)?;
        ms.parse().ok().map(Timestamp::from_millis)
    }

    /// CBOR `[version, [salt, key], boot, client version]`.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(MAX_HELLO_BYTES);
        writer.array(4).uint(VERSION);
        self.opening.write(&mut writer);
        writer.uint(self.boot.get()).text(&self.client_version);
        writer.finish()
    }

    /// Reads [`encode`](Self::encode)'s bytes and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Error::limit("hello", bytes.len(), MAX_HELLO_BYTES)?;
        let mut reader = Reader::new("hello", bytes);
        reader.array_of(4)?;
        if reader.uint()? != VERSION {
            return Err(reader.malformed("unknown version").into());
        }
        let opening = Opening::read(&mut reader)?;
        let boot = Boot::new(reader.uint()?);
        let client_version = reader.text()?.to_owned();
        reader.finish()?;
        if boot.is_foreign() {
            return Err(Error::inconsistent("hello", "boot 0 belongs to fog nodes"));
        }
        Error::limit("hello's client version", client_version.len(), MAX_VERSION)?;
        Ok(Self { opening, boot, client_version })
    }
}
