//! A forecaster as a file: magic, version, checksum, and the rest compressed.

use sha2::{Digest as _, Sha256};

use super::Forecaster;
use crate::Error;
use crate::features::NONE;

/// First bytes of every model file.
const MAGIC: &[u8; 8] = b"VMSTATN\n";

/// The format's version; another is refused, since features may mean something else.
pub const VERSION: u16 = 2;

/// Bytes before the compressed part.
const HEADER: usize = MAGIC.len() + 2 + 32;

/// Bytes at most, decompressed: ten thousand EVSEs of 24 statuses.
const MAX_BYTES: usize = 1 << 30;

/// Compression level: what a fog node can undo at a gigabyte a second.
const LEVEL: i32 = 3;

impl Forecaster {
    /// The file's bytes.
    ///
    /// # Errors
    /// Something in it cannot be written: a mistake of ours.
    pub fn write(&self) -> Result<Vec<u8>, Error> {
        let fail = |what: String| Error::File { what };
        let plain = postcard::to_stdvec(self).map_err(|error| fail(error.to_string()))?;
        let packed = zstd::encode_all(&plain[..], LEVEL).map_err(|error| fail(error.to_string()))?;
        let mut bytes = Vec::with_capacity(HEADER + packed.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&Sha256::digest(&packed));
        bytes.extend_from_slice(&packed);
        Ok(bytes)
    }

    /// Reads what [`Forecaster::write`] wrote.
    ///
    /// # Errors
    /// Another kind of file, another version, a part missing or altered.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let fail = |what: &str| Error::File { what: what.to_owned() };
        let Some(rest) = bytes.strip_prefix(MAGIC) else {
            return Err(fail("it does not begin as a model of `voltmesh stations train` does"));
        };
        let Some((version, rest)) = rest.split_first_chunk::<2>() else {
            return Err(fail("it is truncated"));
        };
        let version = u16::from_be_bytes(*version);
        if version != VERSION {
            let what = format!("it has version {version}, this program reads {VERSION}; train it again");
            return Err(Error::File { what });
        }
        let Some((checksum, packed)) = rest.split_first_chunk::<32>() else {
            return Err(fail("it is truncated"));
        };
        if Sha256::digest(packed)[..] != checksum[..] {
            return Err(fail(
                "its checksum is wrong: it is truncated or was altered; fetch or train it again",
            ));
        }
        let mut plain = Vec::new();
        let decoder = zstd::Decoder::new(packed).map_err(|error| fail(&error.to_string()))?;
        std::io::Read::read_to_end(&mut std::io::Read::take(decoder, MAX_BYTES as u64 + 1), &mut plain)
            .map_err(|error| fail(&error.to_string()))?;
        if plain.len() > MAX_BYTES {
            return Err(fail("it is larger than any network's model"));
        }
        let model: Self = postcard::from_bytes(&plain).map_err(|error| fail(&error.to_string()))?;
        if !model.is_sound() {
            return Err(fail("its parts do not fit together"));
        }
        Ok(model)
    }

    /// Whether no index in it can be out of range: the checksum proves nothing about who wrote it.
    fn is_sound(&self) -> bool {
        let (classes, horizons) = (self.labels().len(), self.horizons_min.len());
        let fresh = crate::features::Layout::new(self.labels(), &self.horizons_min, &self.covariate_names);
        classes > 0
            && horizons > 0
            && self.labels().meanings().len() == classes
            && fresh == self.layout
            && self.covariates.len() == self.covariate_names.len()
            && self.tracker.is_sound()
            && self.tracker.horizons.len() == horizons
            && self.calibration.is_sound(horizons, classes)
            && self.model.is_sound(self.layout.width(), horizons, classes)
            && self.tracker.evses.iter().all(|evse| evse.now == NONE || usize::from(evse.now) < classes)
    }
}
