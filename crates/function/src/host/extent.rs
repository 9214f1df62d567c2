//! Extent of a component, counted before it is compiled: a few bytes can ask a compiler for hours and for all memory.
//!
//! Provided: bounds of what makes compiling long: components made within one another, each of which may be made twice by the
//! next one, so that their number doubles with every few bytes; functions, their size, their locals.
//! Not provided: a bound of time. What the bounds let through takes some seconds.

use crate::Refusal;
use wasmparser::{BinaryReaderError, FunctionBody, Parser, Payload};

/// Most instances of components inside a component: those of an interface that is exported. Each may double what is within:
/// 2⁴ at most, as each doubling takes two.
const MAX_INSTANCES: u64 = 8;
/// Components within one another at most.
const MAX_DEPTH: u32 = 8;
/// Most functions: an interpreter in 3.6 MB has 4,100.
const MAX_FUNCTIONS: u64 = 10_000;
/// Most bytes of one function: the main loop of an interpreter has 56 kB.
const MAX_BODY_BYTES: u64 = 128 << 10;
/// Most locals of one function: an interpreter's have 158.
const MAX_LOCALS: u64 = 1_000;
/// Most bytes times locals, of all functions: an interpreter in 3.6 MB has 42 million. Registers are given in such a time.
const MAX_WORK: u64 = 100_000_000;

/// Counts of a component and of all within it.
#[derive(Debug, Default)]
struct Extent {
    instances: u64,
    functions: u64,
    largest_body: u64,
    most_locals: u64,
    work: u64,
}

/// Refuses a component of an extent that no function has.
pub(super) fn check(component: &[u8]) -> Result<(), Refusal> {
    let extent = Extent::of(component)?;
    for (what, count, most) in [
        ("instances of components", extent.instances, MAX_INSTANCES),
        ("functions", extent.functions, MAX_FUNCTIONS),
        ("bytes of one function", extent.largest_body, MAX_BODY_BYTES),
        ("locals of one function", extent.most_locals, MAX_LOCALS),
        ("bytes times locals of its functions", extent.work, MAX_WORK),
    ] {
        if count > most {
            let why = format!("it has {count} {what}, at most {most} are compiled");
            return Err(Refusal::NotAComponent(why));
        }
    }
    Ok(())
}

impl Extent {
    fn of(component: &[u8]) -> Result<Self, Refusal> {
        let malformed = |error: BinaryReaderError| Refusal::NotAComponent(error.to_string());
        let (mut extent, mut depth) = (Self::default(), 0_u32);
        for part in Parser::new(0).parse_all(component) {
            match part.map_err(malformed)? {
                Payload::ComponentSection { .. } if depth == MAX_DEPTH => {
                    let why =
                        format!("it is nested too deep: more than {MAX_DEPTH} components within one another");
                    return Err(Refusal::NotAComponent(why));
                }
                // A module holds none of either.
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentInstanceSection(section) => extent.instances += u64::from(section.count()),
                Payload::CodeSectionEntry(body) => extent.add(&body).map_err(malformed)?,
                _ => {}
            }
        }
        Ok(extent)
    }

    fn add(&mut self, body: &FunctionBody<'_>) -> Result<(), BinaryReaderError> {
        let size = body.as_bytes().len() as u64;
        let mut locals = 0;
        for of_a_type in body.get_locals_reader()? {
            locals += u64::from(of_a_type?.0);
        }
        self.functions += 1;
        self.largest_body = self.largest_body.max(size);
        self.most_locals = self.most_locals.max(locals);
        self.work = self.work.saturating_add(size.saturating_mul(locals));
        Ok(())
    }
}
