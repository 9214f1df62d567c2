//! stub
use crate::{Outcome, args};
use anyhow::Result;
/// stub
pub fn run(_: args::Sim) -> Result<Outcome> {
    anyhow::bail!("stub")
}
