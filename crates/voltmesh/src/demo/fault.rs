//! The fault schedule of a demo run: `kill:fog-1@5s,restart:fog-1@9s,tamper:archive@15s`, as it is written and printed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What is done to a target at a moment of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// SIGKILL: no shutdown code runs.
    Kill,
    /// Starts the process again on the disk it left.
    Restart,
    /// Cuts every connection of a process with others, both ways.
    Partition,
    /// Lets connections through again.
    Heal,
    /// SIGSTOP: the process stands still with its connections open, as on a stalled disk or machine.
    Pause,
    /// SIGCONT: it goes on where it stood.
    Resume,
    /// SIGKILL, deletes the node's disk and key, rotates the key on the ledger, starts it empty.
    Wipe,
    /// Alters one value in a copy of the archive.
    Tamper,
}

impl Kind {
    const ALL: [(&'static str, Kind); 8] = [
        ("kill", Kind::Kill),
        ("restart", Kind::Restart),
        ("partition", Kind::Partition),
        ("heal", Kind::Heal),
        ("pause", Kind::Pause),
        ("resume", Kind::Resume),
        ("wipe", Kind::Wipe),
        ("tamper", Kind::Tamper),
    ];

    /// What ends it, if it lasts.
    fn ended_by(self) -> Option<Kind> {
        match self {
            Kind::Kill => Some(Kind::Restart),
            Kind::Partition => Some(Kind::Heal),
            Kind::Pause => Some(Kind::Resume),
            Kind::Restart | Kind::Heal | Kind::Resume | Kind::Wipe | Kind::Tamper => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = Kind::ALL.iter().find(|(_, kind)| kind == self).expect("every kind is listed");
        f.write_str(name)
    }
}

/// What a fault happens to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// `fog-1`, counted from 1.
    Fog(usize),
    /// `edge-1`, counted from 1.
    Edge(usize),
    /// The only cloud.
    Cloud,
    /// The only controller.
    Controller,
    /// A copy of the archive.
    Archive,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Fog(n) => write!(f, "fog-{n}"),
            Target::Edge(n) => write!(f, "edge-{n}"),
            Target::Cloud => f.write_str("cloud"),
            Target::Controller => f.write_str("controller"),
            Target::Archive => f.write_str("archive"),
        }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbered =
            |prefix: &str| text.strip_prefix(prefix).and_then(|n| n.parse::<usize>().ok()).filter(|&n| n > 0);
        match text {
            "cloud" => Ok(Target::Cloud),
            "controller" => Ok(Target::Controller),
            "archive" => Ok(Target::Archive),
            _ => {
                numbered("fog-").map(Target::Fog).or_else(|| numbered("edge-").map(Target::Edge)).ok_or_else(
                    || format!("`{text}` is not a target; use fog-N, edge-N, cloud, controller or archive"),
                )
            }
        }
    }
}

/// One fault: `kind:target@time`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub kind: Kind,
    /// To whom.
    pub target: Target,
    /// When, counted from the first sample.
    pub at: Duration,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}@{}", self.kind, self.target, Seconds(self.at))
    }
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{}s", self.0.as_secs()),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let help = || format!("`{text}` is not a fault; write KIND:TARGET@TIME, e.g. kill:fog-1@5s");
        let (kind, rest) = text.split_once(':').ok_or_else(help)?;
        let (target, at) = rest.split_once('@').ok_or_else(help)?;
        let kind =
            Kind::ALL.iter().find(|(name, _)| *name == kind).map(|(_, kind)| *kind).ok_or_else(|| {
                format!("`{kind}` is not a kind of fault; use {}", Kind::ALL.map(|(name, _)| name).join(", "))
            })?;
        let target: Target = target.parse()?;
        let fits = match kind {
            Kind::Wipe => matches!(target, Target::Fog(_)),
            Kind::Tamper => target == Target::Archive,
            _ => target != Target::Archive,
        };
        if !fits {
            return Err(format!("`{kind}` cannot happen to `{target}`"));
        }
        Ok(Fault { kind, target, at: parse_duration(at)? })
    }
}

/// Parses `250ms`, `15s`, `2m` or `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let help = || format!("`{text}` is not a duration; write 250ms, 15s, 2m or 1h");
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(help)?;
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| help())?;
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(help()),
    };
    Duration::try_from_secs_f64(number * factor).map_err(|_| help())
}

/// All faults of a run, in order of time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule(pub Vec<Fault>);

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut faults = text
            .split(',')
            .filter(|s| !s.trim().is_empty())
            .map(|s| s.trim().parse())
            .collect::<Result<Vec<Fault>, _>>()?;
        faults.sort_by_key(|fault| fault.at);
        Ok(Schedule(faults))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl Schedule {
    /// Checks that every target exists and that every process and link is up again at the end.
    pub fn check(&self, fogs: usize, vehicles: usize) -> Result<(), String> {
        let mut down: Vec<(&Target, Kind)> = Vec::new();
        for fault in &self.0 {
            let exists = match fault.target {
                Target::Fog(n) => n <= fogs,
                Target::Edge(n) => n <= vehicles,
                Target::Cloud | Target::Controller | Target::Archive => true,
            };
            if !exists {
                return Err(format!("`{fault}`: there are {fogs} fog nodes and {vehicles} vehicles"));
            }
            if fault.kind.ended_by().is_some() {
                down.push((&fault.target, fault.kind));
            }
            // A wipe ends the process and starts another in its place; a kill ends a pause.
            let ends = |kind: Kind| match fault.kind {
                Kind::Wipe => matches!(kind, Kind::Kill | Kind::Pause),
                Kind::Kill => kind == Kind::Pause,
                other => kind.ended_by() == Some(other),
            };
            down.retain(|(target, kind)| *target != &fault.target || !ends(*kind));
        }
        // A fog node or the controller may stay away: others carry on. A vehicle or the cloud that never returns cannot finish.
        let never = down.iter().find(|(target, _)| matches!(target, Target::Edge(_) | Target::Cloud));
        match never.and_then(|(target, kind)| Some((target, kind, kind.ended_by()?))) {
            Some((target, kind, end)) => {
                Err(format!("`{kind}:{target}` is never ended; add {end}:{target}@TIME"))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let printed =
            text.parse::<Schedule>().map(|s| s.0.iter().map(Fault::to_string).collect::<Vec<_>>().join(","));
        match (printed, expected) {
            (Ok(printed), Ok(expected)) => assert_eq!(printed, expected),
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn schedules() {
        check("", Ok(""));
        check("kill:fog-1@5s", Ok("kill:fog-1@5s"));
        check("restart:fog-1@9s, kill:fog-1@500ms", Ok("kill:fog-1@500ms,restart:fog-1@9s"));
        check("wipe:fog-3@2m,tamper:archive@1s", Ok("tamper:archive@1s,wipe:fog-3@120s"));
        check("pause:controller@2s,kill:controller@3s", Ok("pause:controller@2s,kill:controller@3s"));
        check("wipe:controller@2s", Err("cannot happen"));
        check("kill:fog-0@5s", Err("fog-N"));
        check("kill:archive@5s", Err("cannot happen"));
        check("wipe:edge-1@5s", Err("cannot happen"));
        check("partition:cloud@5s,heal:cloud@6s", Ok("partition:cloud@5s,heal:cloud@6s"));
        check("resume:edge-2@1500ms,pause:edge-2@1s", Ok("pause:edge-2@1s,resume:edge-2@1500ms"));
        check("pause:archive@5s", Err("cannot happen"));
        check("kill:fog-1", Err("KIND:TARGET@TIME"));
        check("kill:fog-1@5", Err("not a duration"));
        check("burn:fog-1@5s", Err("not a kind"));
    }

    #[test]
    fn a_schedule_must_let_the_run_end() {
        let check = |text: &str| text.parse::<Schedule>().unwrap().check(4, 3);
        assert!(check("kill:edge-1@6s,restart:edge-1@8s").is_ok());
        assert!(check("kill:fog-1@6s").is_ok());
        assert!(check("kill:edge-1@6s").unwrap_err().contains("add restart:edge-1"));
        assert!(check("pause:cloud@6s").unwrap_err().contains("add resume:cloud"));
        assert!(check("partition:cloud@6s,restart:cloud@9s").unwrap_err().contains("add heal:cloud"));
        assert!(check("pause:edge-1@6s,kill:edge-1@7s,restart:edge-1@8s").is_ok());
        assert!(check("kill:fog-9@6s").unwrap_err().contains("4 fog nodes"));
    }
}
