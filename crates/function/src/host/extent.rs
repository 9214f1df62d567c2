//! Extent of a component, counted before it is compiled: a few bytes can ask a compiler for hours and for all memory.
//!
//! Provided: bounds of what makes compiling long: components made within one another, each of which may be made twice by the
//! next one, so that their number doubles with every few bytes; functions, their size, their locals.
//! Not provided: a bound of time. What the bounds let through takes some seconds.

use crate::Refusal;

/// Most instances of components inside a component: those of an interface that is exported. Each may double what is within:
/// 2⁴ at most, as each doubling takes two.
const MAX_INSTANCES: u64 = 8;
/// Components within one another at most.
const MAX_DEPTH: usize = 8;
/// Most functions: an interpreter in 3.6 MB has 4,100.
const MAX_FUNCTIONS: u64 = 10_000;
/// Most bytes of one function: the main loop of an interpreter has 56 kB.
const MAX_BODY_BYTES: u64 = 128 << 10;
/// Most locals of one function: an interpreter's have 158.
const MAX_LOCALS: u64 = 1_000;
/// Most bytes times locals, of all functions: an interpreter in 3.6 MB has 42 million. Registers are given in such a time.
const MAX_WORK: u64 = 100_000_000;

/// Section of a component that holds a core module.
const CORE_MODULE: u8 = 1;
/// Section of a component that holds another one.
const COMPONENT: u8 = 4;
/// Section of a component with instances of components.
const INSTANCES: u8 = 5;
/// Section of a core module with the functions' bodies.
const CODE: u8 = 10;

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
    let mut extent = Extent::default();
    if extent.component(component, 0).is_none() {
        return Err(Refusal::NotAComponent("it ends in the middle, or is nested too deep".to_owned()));
    }
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
    fn component(&mut self, bytes: &[u8], depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut sections = Input(bytes.get(8..)?);
        while let Some((id, content)) = sections.section()? {
            match id {
                CORE_MODULE => self.module(content)?,
                COMPONENT => self.component(content, depth + 1)?,
                INSTANCES => self.instances = self.instances.saturating_add(Input(content).number()?),
                _ => {}
            }
        }
        Some(())
    }

    fn module(&mut self, bytes: &[u8]) -> Option<()> {
        let mut sections = Input(bytes.get(8..)?);
        while let Some((id, content)) = sections.section()? {
            if id != CODE {
                continue;
            }
            let mut code = Input(content);
            let functions = code.number()?;
            self.functions = self.functions.saturating_add(functions);
            for _ in 0..functions {
                let size = code.number()?;
                self.function(code.take(size)?)?;
            }
        }
        Some(())
    }

    fn function(&mut self, body: &[u8]) -> Option<()> {
        let size = body.len() as u64;
        let mut declared = Input(body);
        let mut locals = 0_u64;
        for _ in 0..declared.number()? {
            locals = locals.saturating_add(declared.number()?);
            // Their type: one byte in what is on here, and more where it is a reference, which has but few.
            declared.take(1)?;
        }
        self.largest_body = self.largest_body.max(size);
        self.most_locals = self.most_locals.max(locals);
        self.work = self.work.saturating_add(size.saturating_mul(locals));
        Some(())
    }
}

/// Bytes that are yet to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// The next section's number and content; nothing at the end.
    fn section(&mut self) -> Option<Option<(u8, &'a [u8])>> {
        let Some((id, rest)) = self.0.split_first() else { return Some(None) };
        self.0 = rest;
        let size = self.number()?;
        Some(Some((*id, self.take(size)?)))
    }

    /// An unsigned number of at most 32 bits in LEB128.
    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, count: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(taken)
    }
}
