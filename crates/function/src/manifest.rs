//! What a release of a function says of itself: its needs, limits and configuration. Written as TOML, signed as CBOR.

use crate::refusal::Refusal;
use crate::version::{Version, WIT_VERSION};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use voltmesh_telemetry::{
    cbor::{Reader, Writer},
    is_name,
};

/// Most memory of one instance in MiB: its linear memory and nothing else.
pub const MAX_MEMORY_MIB: u32 = 64;
/// Most fuel of one call: some 0.2 s of a core at 10⁹ instructions a second.
pub const MAX_FUEL: u64 = 200_000_000;
/// Least fuel of one call: below it not even an empty call with its lists passes.
const MIN_FUEL: u64 = 10_000;
/// Most bytes of a configuration's JSON Schema.
pub const MAX_SCHEMA_BYTES: usize = 64 << 10;
/// Most bytes of a text for people.
const MAX_TEXT_BYTES: usize = 4 << 10;
/// Most capabilities that a function can ask for.
const MAX_CAPABILITIES: usize = 16;
/// Most older versions of the state's format that a release can take over.
const MAX_IMPORTS: usize = 16;
/// Most bytes of a manifest's TOML: the schema in an inefficient notation, three texts, names.
const MAX_TOML_BYTES: usize = 2 * MAX_SCHEMA_BYTES + 4 * MAX_TEXT_BYTES;
/// Most bytes of an encoded manifest: the schema, three texts, and 4 KiB of names and numbers.
pub(crate) const MAX_MANIFEST_BYTES: usize = MAX_SCHEMA_BYTES + 3 * MAX_TEXT_BYTES + (4 << 10);

/// How soon a function must be called after what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Latency {
    /// At once: it protects.
    Immediate,
    /// Within a second.
    Second,
    /// Within a minute.
    Minute,
}

/// What becomes of the commands of a function that failed too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailurePolicy {
    /// The last ones stay in force until they expire.
    Hold,
    /// They are withdrawn: the vehicle's own limits are soon in force again.
    Withdraw,
}

/// Manifest of a function's release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Name of the function: lower case letters, digits and hyphens.
    pub name: String,
    /// Which release.
    pub release: Version,
    /// Version of the interface that it was built with.
    pub wit: Version,
    /// Version of the format in which it exports its state.
    pub state_version: u32,
    /// Older versions of that format that it imports, ascending.
    pub imports_state: Vec<u32>,
    /// Most memory of one instance in MiB, 1 to [`MAX_MEMORY_MIB`].
    pub memory_mib: u32,
    /// Most fuel of one call, 10,000 to [`MAX_FUEL`]; one unit is about one instruction of WebAssembly.
    pub fuel: u64,
    /// What its node must be able to do beyond every node, ascending.
    pub capabilities: Vec<String>,
    /// How soon it must be called.
    pub latency: Latency,
    /// What becomes of its commands when it fails too often.
    pub failure: FailurePolicy,
    /// JSON Schema of the configuration, as JSON.
    pub schema: String,
    /// What it does, in a sentence.
    pub description: String,
    /// By which method.
    pub method: String,
    /// Where the method is from.
    pub source: String,
}

/// The TOML's fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    name: String,
    release: String,
    wit: String,
    state_version: u32,
    #[serde(default)]
    imports_state: BTreeSet<u32>,
    memory_mib: u32,
    fuel: u64,
    #[serde(default)]
    capabilities: BTreeSet<String>,
    latency: Latency,
    failure: FailurePolicy,
    configuration: serde_json::Value,
    description: String,
    method: String,
    source: String,
}

impl Manifest {
    /// Reads and checks the TOML; the table `configuration` is the JSON Schema of the configuration.
    pub fn from_toml(text: &str) -> Result<Self, Refusal> {
        Refusal::limit("manifest", text.len(), MAX_TOML_BYTES)?;
        let written: Written = toml::from_str(text).map_err(|error| Refusal::Toml(Box::new(error)))?;
        let version = |field, text: &str| text.parse().map_err(|why: String| Refusal::field(field, why));
        let manifest = Self {
            release: version("release", &written.release)?,
            wit: version("wit", &written.wit)?,
            name: written.name,
            state_version: written.state_version,
            imports_state: written.imports_state.into_iter().collect(),
            memory_mib: written.memory_mib,
            fuel: written.fuel,
            capabilities: written.capabilities.into_iter().collect(),
            latency: written.latency,
            failure: written.failure,
            schema: written.configuration.to_string(),
            description: written.description,
            method: written.method,
            source: written.source,
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// Whether a state of this version of the format can be taken over.
    pub fn imports(&self, version: u32) -> bool {
        version == self.state_version || self.imports_state.contains(&version)
    }

    /// What of it is out of bounds.
    pub fn check(&self) -> Result<(), Refusal> {
        let kebab = self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_name(&self.name) || !kebab {
            return Err(Refusal::field("name", "wants 1 to 64 lower case letters, digits and hyphens"));
        }
        // A release for a later minor version may use what this one lacks; of another major, everything may differ.
        if self.wit.major != WIT_VERSION.major || self.wit > WIT_VERSION {
            return Err(Refusal::interface(&self.wit));
        }
        if self.imports_state.len() > MAX_IMPORTS || !ascends(&self.imports_state) {
            return Err(Refusal::field(
                "imports-state",
                format!("wants at most {MAX_IMPORTS} ascending numbers"),
            ));
        }
        if self.imports_state.last().is_some_and(|last| *last >= self.state_version) {
            return Err(Refusal::field("imports-state", "names versions older than `state-version` only"));
        }
        if !(1..=MAX_MEMORY_MIB).contains(&self.memory_mib) {
            return Err(Refusal::field("memory-mib", format!("wants 1 to {MAX_MEMORY_MIB}")));
        }
        if !(MIN_FUEL..=MAX_FUEL).contains(&self.fuel) {
            return Err(Refusal::field("fuel", format!("wants {MIN_FUEL} to {MAX_FUEL}")));
        }
        let named = self.capabilities.iter().all(|name| is_name(name));
        if self.capabilities.len() > MAX_CAPABILITIES || !named || !ascends(&self.capabilities) {
            let why = format!("wants at most {MAX_CAPABILITIES} names, ascending");
            return Err(Refusal::field("capabilities", why));
        }
        Refusal::limit("the configuration's schema", self.schema.len(), MAX_SCHEMA_BYTES)?;
        let texts = [("description", &self.description), ("method", &self.method), ("source", &self.source)];
        for (field, text) in texts {
            if text.trim().is_empty() || text.len() > MAX_TEXT_BYTES {
                return Err(Refusal::field(field, format!("wants 1 to {MAX_TEXT_BYTES} bytes")));
            }
        }
        self.validator().map(|_| ())
    }

    /// The validator of configurations.
    pub(crate) fn validator(&self) -> Result<jsonschema::Validator, Refusal> {
        let wrong = |why: String| Refusal::field("configuration", why);
        let schema: serde_json::Value =
            serde_json::from_str(&self.schema).map_err(|error| wrong(format!("is no JSON: {error}")))?;
        if !schema.is_object() {
            return Err(wrong("is no JSON Schema: want a table".into()));
        }
        jsonschema::validator_for(&schema).map_err(|error| wrong(format!("is no JSON Schema: {error}")))
    }

    /// Deterministic CBOR: one array.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(self.schema.len() + 1024);
        writer.array(14).text(&self.name);
        for version in [self.release, self.wit] {
            writer.array(3);
            for number in [version.major, version.minor, version.patch] {
                writer.uint(u64::from(number));
            }
        }
        writer.uint(u64::from(self.state_version)).array(self.imports_state.len());
        for version in &self.imports_state {
            writer.uint(u64::from(*version));
        }
        writer.uint(u64::from(self.memory_mib)).uint(self.fuel).array(self.capabilities.len());
        for capability in &self.capabilities {
            writer.text(capability);
        }
        writer.uint(self.latency as u64).uint(self.failure as u64);
        for text in [&self.schema, &self.description, &self.method, &self.source] {
            writer.text(text);
        }
        writer.finish()
    }

    /// Reads and checks [`encode`](Self::encode)'s bytes and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        Refusal::limit("manifest", bytes.len(), MAX_MANIFEST_BYTES)?;
        let manifest = Self::read(bytes)
            .map_err(|error| Refusal::Altered { what: "its manifest cannot be read", source: Some(error) })?;
        manifest.check()?;
        Ok(manifest)
    }

    fn read(bytes: &[u8]) -> Result<Self, voltmesh_telemetry::Error> {
        let mut reader = Reader::new("manifest", bytes);
        reader.array_of(14)?;
        let name = reader.text()?.to_owned();
        let version = |reader: &mut Reader<'_>| {
            reader.array_of(3)?;
            Ok::<_, voltmesh_telemetry::Error>(Version {
                major: reader.u32()?,
                minor: reader.u32()?,
                patch: reader.u32()?,
            })
        };
        let (release, wit) = (version(&mut reader)?, version(&mut reader)?);
        let state_version = reader.u32()?;
        let imports_state = (0..reader.array()?).map(|_| reader.u32()).collect::<Result<Vec<_>, _>>()?;
        let (memory_mib, fuel) = (reader.u32()?, reader.uint()?);
        let capabilities =
            (0..reader.array()?).map(|_| reader.text().map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
        let latency = match reader.uint()? {
            0 => Latency::Immediate,
            1 => Latency::Second,
            2 => Latency::Minute,
            _ => return Err(reader.malformed("unknown latency class")),
        };
        let failure = match reader.uint()? {
            0 => FailurePolicy::Hold,
            1 => FailurePolicy::Withdraw,
            _ => return Err(reader.malformed("unknown failure policy")),
        };
        let mut text = || reader.text().map(str::to_owned);
        let (schema, description, method, source) = (text()?, text()?, text()?, text()?);
        reader.finish()?;
        Ok(Self {
            name,
            release,
            wit,
            state_version,
            imports_state,
            memory_mib,
            fuel,
            capabilities,
            latency,
            failure,
            schema,
            description,
            method,
            source,
        })
    }
}

fn ascends<T: PartialOrd>(items: &[T]) -> bool {
    items.windows(2).all(|pair| pair[0] < pair[1])
}
