//! Figures as SVG files: lines and bars with labelled axes, nothing more.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Width and height in pixels.
pub const SIZE: (u32, u32) = (880, 520);

/// Colours that people with any kind of colour vision tell apart (Okabe and Ito 2008), darkest first.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
];

/// Labels on an axis, about.
const LABELS: usize = 8;

/// An axis: what it shows, with its unit.
#[derive(Debug, Clone, Copy)]
pub struct Axis<'a> {
    /// Text beside it.
    pub label: &'a str,
    /// Whether it is logarithmic; what is not positive is then left out.
    pub log: bool,
}

/// A line's name and its points.
pub type Line = (String, Vec<(f64, f64)>);

/// Draws lines with a mark at each point (if they are few).
pub fn lines(path: &Path, title: &str, x: Axis<'_>, y: Axis<'_>, lines: &[Line]) -> Result<()> {
    let drawn = chart(title, x, y, lines, range).with_context(|| path.display().to_string())?;
    write(path, &drawn)
}

/// Lines whose axes span their values, as the text of an SVG file.
pub fn traces(title: &str, x: Axis<'_>, y: Axis<'_>, lines: &[Line]) -> Result<String> {
    chart(title, x, y, lines, |values, _| {
        let (low, high) = extent(values);
        let room = ((high - low) * 0.05).max(high.abs().max(1.0) * 1e-3);
        low - room..high + room
    })
}

fn chart(
    title: &str,
    x: Axis<'_>,
    y: Axis<'_>,
    lines: &[Line],
    range: impl Fn(&mut dyn Iterator<Item = f64>, bool) -> std::ops::Range<f64>,
) -> Result<String> {
    let lines: Vec<Line> = lines
        .iter()
        .map(|(name, points)| {
            let placed = points.iter().filter_map(|(a, b)| Some((place(*a, x.log)?, place(*b, y.log)?)));
            (name.clone(), placed.collect())
        })
        .collect();
    let all = || lines.iter().flat_map(|(_, points)| points.iter().copied());
    ensure!(all().next().is_some(), "nothing to draw");
    let across = range(&mut all().map(|point| point.0), x.log);
    let up = range(&mut all().map(|point| point.1), y.log);
    picture(|root| {
        let mut chart = ChartBuilder::on(root)
            .caption(title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(across.clone(), up.clone())?;
        chart
            .configure_mesh()
            .x_desc(x.label)
            .y_desc(y.label)
            .x_labels(labels(&across, x.log))
            .y_labels(labels(&up, y.log))
            .x_label_formatter(&|value| tick(*value, x.log))
            .y_label_formatter(&|value| tick(*value, y.log))
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(220, 220, 220))
            .label_style(("sans-serif", 14))
            .axis_desc_style(("sans-serif", 16))
            .draw()?;
        for ((name, points), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
            let style = colour.stroke_width(2);
            chart
                .draw_series(LineSeries::new(points.iter().copied(), style))?
                .label(name.as_str())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
            if points.len() <= 12 {
                chart.draw_series(points.iter().map(|point| Circle::new(*point, 4, colour.filled())))?;
            }
        }
        chart
            .configure_series_labels()
            .position(corner(all(), &across, &up))
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(160, 160, 160))
            .label_font(("sans-serif", 14))
            .draw()?;
        Ok(())
    })
}

/// Draws a bar for each name, with its value above.
pub fn bars(path: &Path, title: &str, y: Axis<'_>, bars: &[(String, f64)]) -> Result<()> {
    let placed: Vec<(&str, f64, f64)> = bars
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), *value, place(*value, y.log)?)))
        .collect();
    ensure!(!placed.is_empty(), "nothing to draw in {}", path.display());
    let mut up = range(&mut placed.iter().map(|bar| bar.2), y.log);
    if y.log && placed.iter().any(|bar| bar.2 < up.start + 0.3) {
        // Even the smallest bar is to be seen.
        up.start -= 1.0;
    }
    up.end += (up.end - up.start) * 0.08;
    let floor = up.start;
    draw(path, |root| {
        let mut chart = ChartBuilder::on(root)
            .caption(title, ("sans-serif", 20))
            .margin(16)
            .x_label_area_size(40)
            .y_label_area_size(72)
            .build_cartesian_2d(0.0..placed.len() as f64, up.clone())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .y_desc(y.label)
            .y_labels(labels(&up, y.log))
            .y_label_formatter(&|value| tick(*value, y.log))
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(220, 220, 220))
            .label_style(("sans-serif", 14))
            .axis_desc_style(("sans-serif", 16))
            .draw()?;
        for ((number, (name, value, height)), colour) in placed.iter().enumerate().zip(COLOURS.iter().cycle())
        {
            let left = number as f64;
            let bar = Rectangle::new([(left + 0.25, floor), (left + 0.75, *height)], colour.filled());
            chart.draw_series([bar])?;
            let text = |text: String, at: f64, side: VPos, down: i32| {
                let style = ("sans-serif", 16).into_font().color(&BLACK).pos(Pos::new(HPos::Center, side));
                let (x, y) = chart.backend_coord(&(left + 0.5, at));
                root.draw(&Text::new(text, (x, y + down), style))
            };
            text(short(*value), *height, VPos::Bottom, -4)?;
            text((*name).to_owned(), floor, VPos::Top, 8)?;
        }
        Ok(())
    })
}

/// Draws a matrix of counts, `row × column` of the same names, each row shaded by its shares.
pub fn matrix(path: &Path, title: &str, names: &[String], counts: &[u64]) -> Result<()> {
    let size = names.len();
    ensure!(size > 0 && counts.len() == size * size, "nothing to draw in {}", path.display());
    draw(path, |root| {
        root.draw(&Text::new(title.to_owned(), (24, 16), ("sans-serif", 20).into_font()))?;
        let (left, top) = (150, 90);
        let (wide, high) =
            ((SIZE.0 as i32 - left - 24) / size as i32, (SIZE.1 as i32 - top - 24) / size as i32);
        let style = |colour: &'static RGBColor, side| {
            ("sans-serif", 15).into_font().color(colour).pos(Pos::new(side, VPos::Center))
        };
        for (row, name) in names.iter().enumerate() {
            let y = top + row as i32 * high;
            root.draw(&Text::new(name.clone(), (left - 10, y + high / 2), style(&BLACK, HPos::Right)))?;
            let x = left + row as i32 * wide + wide / 2;
            root.draw(&Text::new(name.clone(), (x, top - 16), style(&BLACK, HPos::Center)))?;
            let sum: u64 = counts[row * size..][..size].iter().sum();
            for (column, count) in counts[row * size..][..size].iter().enumerate() {
                let share = *count as f64 / sum.max(1) as f64;
                let x = left + column as i32 * wide;
                let cell =
                    Rectangle::new([(x, y), (x + wide - 2, y + high - 2)], COLOURS[0].mix(share).filled());
                root.draw(&cell)?;
                let colour = if share > 0.6 { &WHITE } else { &BLACK };
                let text = format!("{} ({:.1} %)", short(*count as f64), share * 100.0);
                root.draw(&Text::new(text, (x + wide / 2, y + high / 2), style(colour, HPos::Center)))?;
            }
        }
        Ok(())
    })
}

type Root<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw(path: &Path, paint: impl FnOnce(&Root<'_>) -> Result<(), Box<dyn std::error::Error>>) -> Result<()> {
    let drawn = picture(paint).with_context(|| path.display().to_string())?;
    write(path, &drawn)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| anyhow!("{}: {error}", path.display()))
}

fn picture(paint: impl FnOnce(&Root<'_>) -> Result<(), Box<dyn std::error::Error>>) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        let painted = root.fill(&WHITE).map_err(Into::into).and_then(|()| paint(&root));
        painted.map_err(|error| anyhow!("{error}"))?;
        root.present().map_err(|error| anyhow!("{error}"))?;
    }
    Ok(text)
}

/// Where a value is on its axis.
fn place(value: f64, log: bool) -> Option<f64> {
    let placed = if log { value.log10() } else { value };
    placed.is_finite().then_some(placed)
}

/// All values with some room; logarithmic axes begin and end at powers of ten, others begin at 0.
fn range(values: &mut dyn Iterator<Item = f64>, log: bool) -> std::ops::Range<f64> {
    let (low, high) = extent(values);
    if log {
        low.floor()..high.ceil().max(low.floor() + 1.0)
    } else {
        low.min(0.0)..if high > 0.0 { high * 1.08 } else { 1.0 }
    }
}

/// The least and the greatest value.
fn extent(values: &mut dyn Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

/// The corner with the fewest points.
fn corner(
    points: impl Iterator<Item = (f64, f64)>,
    across: &std::ops::Range<f64>,
    up: &std::ops::Range<f64>,
) -> SeriesLabelPosition {
    let mut corners = [
        (SeriesLabelPosition::UpperRight, 0),
        (SeriesLabelPosition::UpperLeft, 0),
        (SeriesLabelPosition::LowerRight, 0),
        (SeriesLabelPosition::LowerLeft, 0),
    ];
    let part = |value: f64, range: &std::ops::Range<f64>| (value - range.start) / (range.end - range.start);
    for (x, y) in points {
        let (x, y) = (part(x, across), part(y, up));
        let corner = match (x > 0.75, x < 0.25, y > 0.6, y < 0.4) {
            (true, _, true, _) => 0,
            (_, true, true, _) => 1,
            (true, _, _, true) => 2,
            (_, true, _, true) => 3,
            _ => continue,
        };
        corners[corner].1 += 1;
    }
    let best = corners.iter().min_by_key(|(_, points)| *points);
    best.map_or(SeriesLabelPosition::UpperRight, |(corner, _)| corner.clone())
}

fn labels(range: &std::ops::Range<f64>, log: bool) -> usize {
    // One for each power of ten.
    if log { (range.end - range.start).round() as usize + 1 } else { LABELS }
}

fn tick(value: f64, log: bool) -> String {
    short(if log { 10_f64.powf(value) } else { value })
}

/// Three significant digits, with the unit prefixes that people use for big numbers.
pub fn short(value: f64) -> String {
    let (scaled, suffix) = match value.abs() {
        size if size >= 999.5e9 => return format!("{value:.2e}"),
        size if size >= 999.5e6 => (value / 1e9, " G"),
        size if size >= 999.5e3 => (value / 1e6, " M"),
        size if size >= 9_999.5 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        size if size >= 100.0 || size == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.001 => (2 - size.log10().floor() as i32) as usize,
        _ => return format!("{scaled:.2e}"),
    };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (1.0, "1"),
            (12.345, "12.3"),
            (1_234.0, "1234"),
            (12_345.0, "12.3 k"),
            (5_324_800.0, "5.32 M"),
            (2e9, "2 G"),
            (0.01234, "0.0123"),
            (0.000_001_5, "1.50e-6"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn figures_are_svg_with_their_labels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines.svg");
        let (x, y) = (Axis { label: "nodes", log: false }, Axis { label: "latency (ms)", log: true });
        let two = [
            ("poa".to_owned(), vec![(4.0, 100.0), (20.0, 130.0)]),
            ("pow".to_owned(), vec![(4.0, 7_000.0), (20.0, f64::NAN)]),
        ];
        lines(&path, "Latency", x, y, &two).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for part in ["<svg", "latency (ms)", "nodes", "poa", "pow", "10 k", "</svg>"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(lines(&path, "Nothing", x, y, &[]).is_err());

        let path = folder.path().join("bars.svg");
        bars(&path, "Energy", Axis { label: "mJ", log: false }, &[("poa".to_owned(), 153.23)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("153") && text.contains("poa") && text.contains("mJ"));

        let path = folder.path().join("matrix.svg");
        matrix(&path, "Confusion", &["free".to_owned(), "busy".to_owned()], &[3, 1, 0, 12_345]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("3 (75.0 %)") && text.contains("12.3 k (100.0 %)") && text.contains("busy"));
    }
}
