//! Public driving schedules that the project ships.

use serde::Deserialize;

/// A driving schedule: speed over time, second by second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cycle {
    /// Urban Dynamometer Driving Schedule, US EPA.
    #[default]
    Udds,
    /// Highway Fuel Economy Driving Schedule, US EPA.
    Hwfet,
    /// WLTC class 3a, UN GTR No. 15.
    WltcClass3a,
    /// WLTC class 3b, UN GTR No. 15.
    WltcClass3b,
}

impl Cycle {
    fn table(self) -> &'static str {
        match self {
            Self::Udds => include_str!("../../cycles/udds.csv"),
            Self::Hwfet => include_str!("../../cycles/hwfet.csv"),
            Self::WltcClass3a => include_str!("../../cycles/wltc_class3a.csv"),
            Self::WltcClass3b => include_str!("../../cycles/wltc_class3b.csv"),
        }
    }

    /// Speed in m/s at each second from 0 on.
    #[must_use]
    pub fn speeds(self) -> Vec<f64> {
        let rows = self.table().lines().filter_map(|line| line.split_once(','));
        rows.filter_map(|(_, kmh)| kmh.parse::<f64>().ok()).map(|kmh| kmh / 3.6).collect()
    }
}
