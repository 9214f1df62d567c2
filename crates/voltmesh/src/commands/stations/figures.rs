//! Figures of an evaluation: reliability, F1 against horizon, confusion.

use std::path::Path;

use anyhow::{Context as _, Result};
use voltmesh_stations::evaluate::Scored;

use crate::plot::{Axis, Line, lines, matrix};

/// Draws all figures into a folder, which is made if it is not there.
pub fn draw(folder: &Path, models: &[(&'static str, &[Option<Scored>])], labels: &[String]) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let axis = |label| Axis { label, log: false };
    let f1: Vec<Line> = models
        .iter()
        .map(|(name, scored)| {
            let points = scored.iter().flatten().map(|s| (f64::from(s.minutes), s.scores.macro_mean.f1));
            ((*name).to_owned(), points.collect())
        })
        .collect();
    let minutes = Axis { label: "minutes ahead", log: true };
    lines(&folder.join("f1.svg"), "Macro F1 against horizon", minutes, axis("macro F1"), &f1)?;
    let Some((name, scored)) = models.last() else { return Ok(()) };
    let mut reliability: Vec<Line> = vec![("as good as said".to_owned(), vec![(0.0, 0.0), (1.0, 1.0)])];
    for s in scored.iter().flatten() {
        let bins = s.scores.reliability.iter().filter(|(rows, _, _)| *rows >= 30);
        reliability
            .push((format!("{} min", s.minutes), bins.map(|(_, said, came)| (*said, *came)).collect()));
        let path = folder.join(format!("confusion_{}.svg", s.minutes));
        let title = format!("{name}, {} min ahead: what came true (rows) and what was decided", s.minutes);
        matrix(&path, &title, labels, &s.scores.confusion)?;
    }
    let title = format!("{name}: how often what was said came true");
    let (x, y) = (axis("probability of the most probable status"), axis("share that came true"));
    lines(&folder.join("reliability.svg"), &title, x, y, &reliability)
}
