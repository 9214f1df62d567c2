//! Whether the battery obeys: what is measured against what is in force.

use super::setpoints::Setpoints;

/// Time beyond a limit after which a battery does not obey, in ms: contactors and converters take a second or two.
const PATIENCE_MS: u64 = 10_000;
/// Slack of current sensors: 5 % and 2 A.
const SLACK: f64 = 1.05;
const SLACK_MA: f64 = 2_000.0;

/// What was seen of a battery that is to obey.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    /// Since when it is beyond a limit.
    beyond_since: Option<u64>,
    said: bool,
}

impl Watch {
    /// Takes a measured current in mA (charging positive). Returns what to say of a battery that does not obey, once until
    /// it does again.
    pub fn see(
        &mut self,
        elapsed: u64,
        setpoints: &Setpoints,
        current_ma: i32,
        charging: bool,
    ) -> Option<String> {
        let over = |limit: Option<u32>, flows: f64| {
            limit.filter(|limit| flows > f64::from(*limit) * SLACK + SLACK_MA)
        };
        let current = f64::from(current_ma);
        let charge = setpoints.charge_ma;
        let charge = if setpoints.stop_charging && charging { Some(0) } else { charge };
        let broken = over(charge, current).or(over(setpoints.discharge_ma, -current));
        let Some(limit_ma) = broken else {
            *self = Self::default();
            return None;
        };
        let since = *self.beyond_since.get_or_insert(elapsed);
        if self.said || elapsed.saturating_sub(since) < PATIENCE_MS {
            return None;
        }
        self.said = true;
        Some(format!(
            "the battery does not obey: {:.1} A flow for {PATIENCE_MS} ms where {:.1} A are in force",
            current / 1_000.0,
            f64::from(limit_ma) / 1_000.0
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_battery_that_does_not_obey_is_said_once() {
        let limits =
            Setpoints { charge_ma: Some(20_000), discharge_ma: Some(50_000), ..Setpoints::default() };
        let mut watch = Watch::default();
        let said = |watch: &mut Watch, range: std::ops::Range<u64>, ma: i32| {
            range.filter(|second| watch.see(second * 1_000, &limits, ma, false).is_some()).count()
        };
        assert_eq!(said(&mut watch, 0..9, 40_000), 0, "it has time");
        assert_eq!(said(&mut watch, 9..60, 40_000), 1);
        assert_eq!(said(&mut watch, 60..120, 22_000), 0, "within its sensor's slack");
        assert_eq!(said(&mut watch, 120..180, -80_000), 1);
        assert_eq!(said(&mut watch, 180..240, -50_000), 0);
        let stopped = Setpoints { stop_charging: true, ..Setpoints::default() };
        let mut watch = Watch::default();
        let told = |charging: bool, watch: &mut Watch| {
            (0..30).filter(|second| watch.see(second * 1_000, &stopped, 9_000, charging).is_some()).count()
        };
        assert_eq!((told(true, &mut watch), told(false, &mut Watch::default())), (1, 0));
    }
}
