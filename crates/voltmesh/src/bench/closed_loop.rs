//! `voltmesh bench loop`: what closing the loop costs, part by part.

use anyhow::Result;
use serde::Serialize;

use super::loop_commands::{self, Commands};
use super::loop_functions::{self, Functions, Spread};
use super::machine::Machine;
use crate::args::BenchLoop;
use crate::{Outcome, output};

#[derive(Debug, Serialize)]
struct Printed {
    machine: Machine,
    /// From a record at the fog node to the command at the vehicle.
    command_ms: Commands,
    #[serde(flatten)]
    functions: Functions,
}

/// Runs the command.
pub fn run(options: &BenchLoop) -> Result<Outcome> {
    let command_ms = loop_commands::measure(options)?;
    let printed = Printed { machine: Machine::this(), command_ms, functions: loop_functions::measure()? };
    if options.json {
        output::json(&printed)?;
    } else {
        show(&printed);
    }
    Ok(Outcome::Done)
}

fn show(printed: &Printed) {
    let Functions {
        component_bytes,
        deploy_ms,
        reinstantiate_us,
        upgrade,
        handover_ms,
        call_us,
        idle_functions_mb,
    } = &printed.functions;
    let of =
        |spread: &Spread, unit: &str| format!("p50 {:.2} {unit}, p99 {:.2} {unit}", spread.p50, spread.p99);
    output::line(printed.machine.line());
    output::line(format!("a function of {component_bytes} bytes, events durable in a file"));
    output::table(
        &["what", "figure"],
        &[
            output::row(
                "record to command, function on the fog node",
                of(&printed.command_ms.function, "ms"),
            ),
            output::row(
                "record to command, through the controller",
                of(&printed.command_ms.controller, "ms"),
            ),
            output::row("release to first event, compiled before", of(&deploy_ms.compiled, "ms")),
            output::row("release to first event, cold", of(&deploy_ms.cold, "ms")),
            output::row("instance again after a trap, p99", format!("{reinstantiate_us:.0} µs")),
            output::row(
                "upgrade under load",
                format!(
                    "{} lost, {} doubled of {} upgrades, pause {}",
                    upgrade.lost,
                    upgrade.doubled,
                    upgrade.upgrades,
                    of(&upgrade.pause_ms, "ms")
                ),
            ),
            output::row("hand-over of state", of(handover_ms, "ms")),
            output::row("call with one sample of 96 cells", of(call_us, "µs")),
            output::row("1,000 idle functions", format!("{idle_functions_mb:.0} MB")),
        ],
    );
}
