//! One rule on one vehicle: n of the last m, hysteresis, since when.

/// State of one rule for one vehicle.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Level {
    /// The last looks, the newest in the lowest bit: beyond the limit.
    beyond: u64,
    /// The same: where the condition ends.
    clear: u64,
    /// When it began, if it is the case.
    pub since_s: Option<f64>,
    /// When the first of the looks that still count was beyond.
    first_s: Option<f64>,
}

impl Level {
    /// Takes one look. `(n, m)`: n of the last m. Returns since when it is the case, if it begins, or when it began, if it ends.
    pub fn look(&mut self, at_s: f64, beyond: bool, clear: bool, (n, m): (u8, u8)) -> Option<Turn> {
        let mask = if m >= 64 { u64::MAX } else { (1 << m) - 1 };
        self.beyond = ((self.beyond << 1) | u64::from(beyond)) & mask;
        self.clear = ((self.clear << 1) | u64::from(clear)) & mask;
        match (self.beyond, beyond) {
            (0, _) => self.first_s = None,
            (_, true) => self.first_s = self.first_s.or(Some(at_s)),
            _ => {}
        }
        match self.since_s {
            None if self.beyond.count_ones() >= u32::from(n) => {
                let since_s = self.first_s.unwrap_or(at_s);
                self.since_s = Some(since_s);
                self.clear = 0;
                Some(Turn::Begins { since_s })
            }
            Some(since_s) if self.clear.count_ones() >= u32::from(n) => {
                *self = Self::default();
                Some(Turn::Ends { since_s })
            }
            _ => None,
        }
    }

    /// Forgets looks that are too old to count with the next one; what is the case stays the case.
    pub fn forget_looks(&mut self) {
        *self = Self { since_s: self.since_s, ..Self::default() };
    }
}

/// What a look turned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Turn {
    /// A condition begins.
    Begins {
        /// First look that showed it.
        since_s: f64,
    },
    /// It ends.
    Ends {
        /// When it had begun.
        since_s: f64,
    },
}
