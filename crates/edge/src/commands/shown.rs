//! What is shown of commands: counters, and what is in force.

use super::answer::applied;
use super::core::Commands;

impl Commands {
    /// Counters, and the gauge `commands_in_force`.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.counters.all().chain([("commands_in_force", self.held.len() as u64)])
    }

    /// For people and the interface: what is held and in force, by whom, until when.
    #[must_use]
    pub fn view(&self) -> serde_json::Value {
        let held = self.held.values().map(|command| {
            serde_json::json!({
                "kind": command.action.kind(),
                "asked": command.action,
                "function": command.function,
                "fog": command.fog,
                "epoch": command.lease_epoch().to_string(),
                "number": command.number,
                "reason": command.reason,
                "until_ms": command.ends_ms,
                "outcome": applied(command, &self.held, &self.own),
            })
        });
        serde_json::json!({
            "taken": self.are_taken(),
            "refused_because": self.refuses_all().map(|refusal| refusal.to_string()),
            "obeys": self.rules.obeys,
            "own_limits": self.own,
            "in_force": self.setpoints,
            "commands": held.collect::<Vec<_>>(),
            "functions_seen": self.fences.len(),
        })
    }
}
