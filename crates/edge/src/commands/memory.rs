//! What outlives a restart: the fences, and what was in force. On disk before anything under it acts.

use super::fences::Fences;
use super::held::HeldCommand;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::path::Path;

/// File of it, in the data folder.
const FILE: &str = "commands.json";
/// Most bytes of it: 256 functions with a command of each of 7 kinds of 600 bytes and a mask of 5 KB each are 2.4 MB.
const MAX_FILE: u64 = 4 << 20;
/// Version of its format.
const VERSION: u32 = 1;

/// What outlives a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    version: u32,
    /// The vehicle's clock when it was made, in ms.
    pub(super) saved_ms: u64,
    pub(super) fences: Fences,
    pub(super) held: Vec<HeldCommand>,
}

impl Memory {
    pub(super) fn new(saved_ms: u64, fences: Fences, held: Vec<HeldCommand>) -> Self {
        Self { version: VERSION, saved_ms, fences, held }
    }

    /// Reads what [`super::Effect::Save`] asked to keep.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let memory: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if memory.version != VERSION {
            return Err(format!("its version is {}, not {VERSION}", memory.version));
        }
        Ok(memory)
    }
}

/// The memory in a data folder; an empty one if there is none.
///
/// # Errors
/// Why it cannot be read. Then no command may be taken: an older lease could act again.
pub(crate) fn recall(data: &Path) -> Result<Memory, String> {
    let path = data.join(FILE);
    let unreadable = |why: String| format!("{} cannot be read: {why}", path.display());
    let size = match std::fs::metadata(&path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Memory::default()),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    if size > MAX_FILE {
        return Err(unreadable(format!("it has {size} bytes, at most {MAX_FILE} are read")));
    }
    let json = std::fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
    Memory::parse(&json).map_err(unreadable)
}

/// Writes the memory so that a crash leaves the old one or the new one, and returns once it is durable.
pub(crate) fn remember(data: &Path, json: &str) -> std::io::Result<()> {
    let (path, new) = (data.join(FILE), data.join("commands.json.new"));
    let mut file = std::fs::File::create(&new)?;
    file.write_all(json.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(new, path)?;
    // The name is durable with its folder.
    std::fs::File::open(data)?.sync_all()
}
