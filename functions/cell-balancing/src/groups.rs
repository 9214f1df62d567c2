//! What is known of each group: its averaged voltage at low current, and whether its sensor moves.

use voltmesh_guest::sensors;
use voltmesh_guest::state::{Reader, Writer};

/// Movement of the median cell in V during which a cell that shows the very same number is frozen.
const FROZEN_V: f64 = 0.03;

/// One group.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Group {
    /// Average in V; NaN before the first.
    average_v: f64,
    /// Last number shown, in V, and the median when it was first shown.
    shown_v: f64,
    median_v: f64,
}

/// All groups of a pack.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Groups {
    groups: Vec<Group>,
    averaged_s: f64,
}

/// A group with its averaged voltage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Averaged {
    /// Which, from 0.
    pub index: u16,
    /// Averaged voltage in V.
    pub volts: f64,
}

impl Groups {
    /// Takes voltages as they came. A pack with another number of groups is another pack.
    pub fn see(&mut self, cells_v: &[f64]) {
        if self.groups.len() != cells_v.len() {
            let unknown = Group { average_v: f64::NAN, shown_v: f64::NAN, median_v: f64::NAN };
            self.groups = vec![unknown; cells_v.len().min(1_024)];
            self.averaged_s = 0.0;
        }
        let mut known: Vec<f64> = cells_v.iter().filter_map(|&volts| sensors::cell_v(volts)).collect();
        if known.is_empty() {
            return;
        }
        let middle = known.len() / 2;
        let (_, median, _) = known.select_nth_unstable_by(middle, f64::total_cmp);
        let median_v = *median;
        for (group, volts) in self.groups.iter_mut().zip(cells_v) {
            if group.shown_v.to_bits() != volts.to_bits() || group.median_v.is_nan() {
                (group.shown_v, group.median_v) = (*volts, median_v);
            }
        }
        // The median's own movement away and back is seen at its furthest only by who shows it: what froze stays so until it moves.
        for group in &mut self.groups {
            if (group.median_v - median_v).abs() > FROZEN_V {
                group.median_v = f64::INFINITY;
            }
        }
    }

    /// Averages the voltages, over so many seconds, after a step.
    pub fn average(&mut self, cells_v: &[f64], step_s: f64, over_s: f64) {
        for (group, volts) in self.groups.iter_mut().zip(cells_v) {
            let Some(volts) = sensors::cell_v(*volts) else { continue };
            let share = if group.average_v.is_nan() { 1.0 } else { step_s / (over_s + step_s) };
            let before = if group.average_v.is_nan() { 0.0 } else { group.average_v };
            group.average_v = before + share * (volts - before);
        }
        self.averaged_s += step_s;
    }

    /// Forgets the averages.
    pub fn forget(&mut self) {
        self.groups.iter_mut().for_each(|group| group.average_v = f64::NAN);
        self.averaged_s = 0.0;
    }

    /// Averages of groups whose sensors are believed, once they are of so many seconds.
    pub fn known(&self, least_s: f64) -> Vec<Averaged> {
        if self.averaged_s < least_s {
            return Vec::new();
        }
        let believed = self
            .groups
            .iter()
            .enumerate()
            .filter(|(_, group)| group.average_v.is_finite() && group.median_v.is_finite());
        believed
            .filter_map(|(index, group)| {
                Some(Averaged { index: u16::try_from(index).ok()?, volts: group.average_v })
            })
            .collect()
    }

    /// Writes it.
    pub fn save(&self, writer: &mut Writer) {
        writer.list(&self.groups, |writer, group| {
            writer.f64(group.average_v);
            writer.f64(group.shown_v);
            writer.f64(group.median_v);
        });
        writer.f64(self.averaged_s);
    }

    /// Reads it.
    pub fn restore(reader: &mut Reader<'_>) -> Result<Self, String> {
        let groups = reader.list(|reader| {
            Ok(Group { average_v: reader.f64()?, shown_v: reader.f64()?, median_v: reader.f64()? })
        })?;
        Ok(Self { groups, averaged_s: reader.f64()? })
    }
}
