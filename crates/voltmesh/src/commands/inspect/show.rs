//! What was read, for people.

use voltmesh_recording::report::{Moment, Report, Values, Verdict};

use crate::output;

/// Segments that are listed.
const MAX_SEGMENTS: usize = 20;
/// Values of a row that are listed.
const MAX_VALUES: usize = 4;
/// Characters of a list.
const MAX_WIDTH: usize = 60;

/// Prints the report and the configuration to paste.
pub fn show(report: &Report, configuration: &str) {
    output::line(format!("format    {}", report.format));
    for said in &report.clock {
        output::line(format!("clock     {said}"));
    }
    output::line(format!("samples   {}", report.samples));
    output::line("");
    let rows: Vec<Vec<String>> = report
        .segments
        .iter()
        .take(MAX_SEGMENTS)
        .map(|segment| vec![moment(&segment.start), moment(&segment.end), segment.samples.to_string()])
        .collect();
    output::table(&["segment begins", "ends", "samples"], &rows);
    if report.segments.len() > MAX_SEGMENTS {
        output::line(format!("… and {} more segments", report.segments.len() - MAX_SEGMENTS));
    }
    output::line("");
    let rows: Vec<Vec<String>> = report
        .quantities
        .iter()
        .map(|(name, quantity)| {
            vec![
                name.clone(),
                shortened(&quantity.source),
                quantity.n.to_string(),
                quantity.unknown.to_string(),
                number(quantity.min),
                number(quantity.max),
                values(&quantity.first),
                values(&quantity.last),
            ]
        })
        .collect();
    output::table(&["quantity", "of", "known", "unknown", "least", "most", "first", "last"], &rows);
    list("skipped", report.skipped.iter().map(|(reason, count)| format!("{count}: {reason}")));
    if !report.unused.is_empty() {
        output::line("");
        output::line(format!("not read: {}", report.unused.join(", ")));
    }
    list("warnings", report.warnings.iter().cloned());
    list("doubts", report.reasons.iter().cloned());
    output::line("");
    output::line(match report.verdict {
        Verdict::Usable => "usable: nothing that was read contradicts itself or the stated battery",
        Verdict::Doubtful => "doubtful: see the doubts; a vehicle refuses it without --accept-doubtful",
        Verdict::Unread => "not read: no voltage or no current",
    });
    output::line("");
    output::line("configuration:");
    output::line("");
    output::line(configuration.trim_end());
}

fn list(title: &str, lines: impl Iterator<Item = String>) {
    for (at, line) in lines.enumerate() {
        if at == 0 {
            output::line("");
            output::line(format!("{title}:"));
        }
        output::line(format!("  {line}"));
    }
}

/// A moment as text.
pub fn moment(moment: &Moment) -> String {
    match moment {
        Moment::Date(date) => date.clone(),
        Moment::Seconds(seconds) => format!("{seconds:.3} s"),
    }
}

/// A number as text, or a dash.
pub fn number(value: Option<f64>) -> String {
    value.map_or_else(
        || "–".to_owned(),
        |value| {
            let text = format!("{value:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        },
    )
}

fn values(values: &Values) -> String {
    match values {
        Values::One(value) => number(*value),
        Values::Many(all) => {
            let shown: Vec<String> = all.iter().take(MAX_VALUES).map(|value| number(*value)).collect();
            let more = if all.len() > MAX_VALUES { format!(" … ({})", all.len()) } else { String::new() };
            format!("{}{more}", shown.join(" "))
        }
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_WIDTH {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(MAX_WIDTH - 1).collect::<String>())
}
