//! Summaries of a simulated pack: one a second, of what is known.

use super::*;
use crate::pack::{Layout, Pack, Sensors};
use crate::twin::Setup;
use crate::{Cell, CellParams, Chemistry};
use std::sync::Arc;

/// Ten samples a second of a pack that is charged with 30 A, with what `spoil` does to them.
fn summaries(seconds: u32, spoil: impl Fn(u32, &mut PackSample)) -> Vec<Summary> {
    let cell = Arc::new(Cell::new(CellParams::generic(Chemistry::Nmc, 60.0)).expect("a preset"));
    let mut pack = Pack::new(cell.clone(), &Layout { series: 8, ..Layout::default() }, 0.5, 25.0);
    let mut twin = Twin::new(cell, Setup { series: 8, ..Setup::default() }, None);
    let mut summarizer = Summarizer::new();
    let mut found = Vec::new();
    for step in 0..seconds * 10 {
        pack.step(30.0, 25.0, 0.1);
        let mut sample = Sensors::default().read(&pack, f64::from(step) / 10.0, 30.0);
        spoil(step, &mut sample);
        found.extend(summarizer.see(&mut twin, sample).1);
    }
    found
}

#[test]
fn each_second_has_one_summary_of_its_samples() {
    let found = summaries(30, |_, _| {});
    assert_eq!(found.len(), 29, "the last second is not over");
    for (second, summary) in found.iter().enumerate() {
        assert_eq!(summary.time_s.floor(), second as f64);
        assert_eq!(summary.quality, Quality { samples: 10, ..Quality::default() });
        assert!((summary.current_a.expect("known") - 30.0).abs() < 0.1);
        let cells = summary.cells_v.expect("known");
        assert!(cells.lowest < cells.highest && cells.highest - cells.lowest < 0.1);
    }
    let last = found.last().expect("some");
    assert!(last.trends[0].hottest.is_some() && last.trends[1].hottest.is_some());
    assert!(last.trends[2].hottest.is_none(), "half a minute says nothing of ten");
    assert!(last.estimates.is_some_and(|estimates| estimates.limits.charge_a > 0.0));
}

/// What is unknown is counted, and neither lowest nor highest; a sensor that jumps as no cell can is unknown.
#[test]
fn unknown_values_are_counted_and_bound_nothing() {
    let found = summaries(30, |step, sample| {
        sample.cells_v[3] = f64::NAN;
        if step >= 200 {
            sample.temps_c[0] = 215.0;
        }
    });
    let last = found.last().expect("some");
    assert!(last.quality.unknown >= 10, "{:?}", last.quality);
    assert!(last.temps_c.expect("known").highest < 40.0, "{:?}", last.temps_c);
}

#[test]
fn summaries_travel_as_json() {
    let found = summaries(20, |_, _| {});
    let last = found.last().expect("some");
    let text = serde_json::to_string(last).expect("JSON");
    assert!(text.len() < 1_500, "{} bytes", text.len());
    // Numbers with more digits than JSON's reader keeps are rounded once; then it is the same for ever.
    let read: Summary = serde_json::from_str(&text).expect("what was written");
    assert_eq!((read.quality, read.found.len(), read.time_s), (last.quality, last.found.len(), last.time_s));
    assert!((read.current_a.expect("known") - last.current_a.expect("known")).abs() < 1e-9);
    assert_eq!(read.estimates.is_some(), last.estimates.is_some());
}
