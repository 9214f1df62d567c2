//! `voltmesh registry set-operators`: who decides from now on, and how many of them must sign.

use anyhow::Result;
use voltmesh_ledger::{Action, Operators};

use super::decide::Decider;
use super::named::authority;
use crate::commands::block_on;
use crate::{args, output};

/// Runs the command.
pub fn run(options: &args::SetOperators) -> Result<()> {
    let keys = options.keys.iter().map(authority).collect::<Result<Vec<_>>>()?;
    // The ledger's own rule: refused here, before anybody signs.
    let new = Operators::new(keys, options.threshold)?;
    let keys: Vec<_> = new.keys().iter().cloned().collect();
    let action = Action::SetOperators { keys: keys.clone(), threshold: options.threshold };
    block_on(async {
        let decider = Decider::new(&options.submit).await?;
        let before = decider.status();
        let stay = keys.iter().filter(|key| before.operators.contains(&key.to_string())).count();
        output::line(format!(
            "operators: {} of {} until now, {} of {} from then on, of whom {stay} are operators now",
            before.threshold,
            before.operators.len(),
            options.threshold,
            keys.len()
        ));
        let transaction = decider.sign(vec![action])?;
        let height = decider.finish(&transaction).await?;
        output::line(format!(
            "the operators are changed: final in block {height}, in force from the next decision on"
        ));
        Ok(())
    })
}
