//! Plots of what was read, as one SVG file or within a page.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use voltmesh_recording::report::Report;
use voltmesh_recording::{Row, Stamp};

use super::show::{moment, number};
use crate::plot::{self, Axis, Line};

/// Points of a line at most: twice as many as a plot has pixels.
const MAX_POINTS: usize = 2048;

/// Lines with bounded memory: of each run of values, the least and the most are kept.
#[derive(Default)]
pub struct Figures {
    begin: Option<i64>,
    voltage: Trace,
    current: Trace,
    soc: Trace,
    cells: [Trace; 2],
    temperatures: [Trace; 2],
}

/// One line.
#[derive(Default)]
struct Trace {
    points: Vec<(f64, f64)>,
    run: Vec<(f64, f64)>,
    /// Values of a run; doubled when the points are full.
    length: usize,
}

impl Trace {
    fn take(&mut self, x: f64, y: Option<f64>) {
        let Some(y) = y else { return };
        self.run.push((x, y));
        if self.run.len() < self.length {
            return;
        }
        let run = std::mem::take(&mut self.run);
        extremes(&run, &mut self.points);
        if self.points.len() >= MAX_POINTS {
            let all = std::mem::take(&mut self.points);
            all.chunks(4).for_each(|chunk| extremes(chunk, &mut self.points));
            self.length = (self.length * 2).max(2);
        }
    }

    fn line(&self, name: &str) -> Line {
        let mut points = self.points.clone();
        extremes(&self.run, &mut points);
        (name.to_owned(), points)
    }
}

/// Appends the least and the most in the order of their times.
fn extremes(run: &[(f64, f64)], points: &mut Vec<(f64, f64)>) {
    let by = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
    let (Some(least), Some(most)) = (run.iter().min_by(by), run.iter().max_by(by)) else { return };
    let (first, second) = if least.0 <= most.0 { (least, most) } else { (most, least) };
    points.push(*first);
    if first != second {
        points.push(*second);
    }
}

impl Figures {
    /// Takes a row at its time.
    pub fn take(&mut self, time: Stamp, row: &Row) {
        let (Stamp::Unix(ns) | Stamp::Relative(ns)) = time;
        let begin = *self.begin.get_or_insert(ns);
        let minutes = ns.saturating_sub(begin) as f64 / 60e9;
        self.voltage.take(minutes, row.pack_voltage.ok());
        self.current.take(minutes, row.pack_current.ok());
        self.soc.take(minutes, row.soc.ok());
        for (traces, values) in [(&mut self.cells, &row.cells), (&mut self.temperatures, &row.temperatures)] {
            let known = || values.iter().filter_map(|reading| reading.ok());
            traces[0].take(minutes, known().reduce(f64::min));
            traces[1].take(minutes, known().reduce(f64::max));
        }
    }

    /// Writes a page (`.html`) or a picture (`.svg`).
    pub fn write(&self, path: &Path, report: &Report, configuration: &str) -> Result<()> {
        let plots = self.plots()?;
        let is_page = path.extension().is_some_and(|kind| kind == "html");
        ensure!(is_page || !plots.is_empty(), "there is nothing to draw in {}", path.display());
        let text = if is_page { page(report, configuration, &plots) } else { stacked(&plots) };
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn plots(&self) -> Result<Vec<String>> {
        let pair = |traces: &[Trace; 2]| vec![traces[0].line("least"), traces[1].line("most")];
        let mut plots = Vec::new();
        for (title, unit, lines) in [
            ("Voltage", "V", vec![self.voltage.line("voltage")]),
            ("Current", "A, positive charges", vec![self.current.line("current")]),
            ("State of charge", "%", vec![self.soc.line("state of charge")]),
            ("Cells", "V", pair(&self.cells)),
            ("Temperatures", "°C", pair(&self.temperatures)),
        ] {
            if lines.iter().any(|(_, points)| !points.is_empty()) {
                let axis = |label| Axis { label, log: false };
                plots.push(plot::traces(title, axis("minutes since the first sample"), axis(unit), &lines)?);
            }
        }
        Ok(plots)
    }
}

/// All plots below each other.
fn stacked(plots: &[String]) -> String {
    let (width, height) = plot::SIZE;
    let whole = height as usize * plots.len();
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{whole}\" viewBox=\"0 0 {width} {whole}\">\n"
    );
    for (at, plot) in plots.iter().enumerate() {
        text.push_str(&plot.replacen("<svg ", &format!("<svg y=\"{}\" ", at * height as usize), 1));
    }
    text.push_str("</svg>\n");
    text
}

fn page(report: &Report, configuration: &str, plots: &[String]) -> String {
    let mut text = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Recording</title>\n\
         <style>body{font-family:sans-serif;margin:2em;max-width:60em}table{border-collapse:collapse}\
         td,th{padding:.2em .6em;border-bottom:1px solid #ddd;text-align:left}pre{background:#f4f4f4;padding:1em}\
         svg{max-width:100%;height:auto}</style></head><body>\n",
    );
    let verdict = if report.usable { "usable" } else { "doubtful" };
    let _ = writeln!(text, "<h1>{}: {verdict}</h1>", escaped(&report.format));
    for (title, lines) in
        [("Doubts", &report.reasons), ("Warnings", &report.warnings), ("Clock", &report.clock)]
    {
        if !lines.is_empty() {
            let items: String = lines.iter().map(|line| format!("<li>{}</li>\n", escaped(line))).collect();
            let _ = writeln!(text, "<h2>{title}</h2>\n<ul>\n{items}</ul>");
        }
    }
    text.push_str("<h2>Quantities</h2>\n<table><tr><th>quantity<th>of<th>unit<th>known<th>unknown<th>least<th>most</tr>\n");
    for (name, quantity) in &report.quantities {
        let _ = writeln!(
            text,
            "<tr><td>{name}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escaped(&quantity.source),
            escaped(&quantity.unit),
            quantity.n,
            quantity.unknown,
            number(quantity.min),
            number(quantity.max)
        );
    }
    text.push_str("</table>\n<h2>Segments</h2>\n<table><tr><th>begins<th>ends<th>samples</tr>\n");
    for segment in &report.segments {
        let (start, end) = (moment(&segment.start), moment(&segment.end));
        let _ = writeln!(text, "<tr><td>{start}<td>{end}<td>{}</tr>", segment.samples);
    }
    text.push_str("</table>\n");
    for (reason, count) in &report.skipped {
        let _ = writeln!(text, "<p>{count} skipped: {}</p>", escaped(reason));
    }
    plots.iter().for_each(|plot| text.push_str(plot));
    let _ = writeln!(text, "<h2>Configuration</h2>\n<pre>{}</pre>\n</body></html>", escaped(configuration));
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_keep_their_extremes() {
        let mut trace = Trace::default();
        for n in 0..1_000_000 {
            trace.take(f64::from(n), Some(if n == 123_456 { 1000.0 } else { f64::from(n % 7) }));
        }
        let (_, points) = trace.line("a");
        assert!(points.len() <= MAX_POINTS + 2, "{}", points.len());
        assert!(points.iter().any(|point| point.1 == 1000.0));
        assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }
}
