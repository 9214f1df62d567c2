//! Progress of a long command, on stderr.

use indicatif::{ProgressBar, ProgressStyle};

/// Steps of a bar that shows a share.
const STEPS: u64 = 1000;

/// A bar on stderr, where somebody looks; `what` stands before it.
pub(super) fn bar(what: String) -> ProgressBar {
    let bar = ProgressBar::new(STEPS).with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{msg:24} {bar:32} {percent:>3} % {elapsed}") {
        bar.set_style(style);
    }
    bar
}

/// Moves a bar to a share, 0..=1.
pub(super) fn show(bar: &ProgressBar, share: f64) {
    bar.set_position((share * STEPS as f64) as u64);
}
