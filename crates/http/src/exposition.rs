//! Figures for Prometheus and its kin, in one format for all roles: OpenMetrics 1.0.

use std::fmt::Write as _;

use axum::http::header;
use axum::response::{IntoResponse as _, Response};

/// Last line of every text (OpenMetrics 1.0, "Overall structure").
const END: &str = "# EOF\n";

/// The figures of a role, named `voltmesh_<role>_<name>`, each with its help and type.
#[derive(Debug)]
pub struct Exposition {
    role: &'static str,
    text: String,
}

impl Exposition {
    /// The content type.
    pub const TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// None yet, of a role.
    pub fn new(role: &'static str) -> Self {
        Self { role, text: String::with_capacity(16 * 1024) }
    }

    /// Adds a number that may fall.
    pub fn gauge(&mut self, name: &str, value: u64) {
        let family = self.family(name, "gauge");
        let _ = writeln!(self.text, "{family} {value}");
    }

    /// Adds a count since the start.
    pub fn counter(&mut self, name: &str, value: u64) {
        let family = self.family(name, "counter");
        let _ = writeln!(self.text, "{family}_total {value}");
    }

    /// Adds how long something takes: quantiles in microseconds, and how many were measured.
    pub fn seconds(&mut self, name: &str, quantiles_us: &[(&str, u64)], count: u64) {
        let family = self.family(&format!("{name}_seconds"), "summary");
        for (quantile, us) in quantiles_us {
            let seconds = *us as f64 / 1e6;
            let _ = writeln!(self.text, "{family}{{quantile=\"{quantile}\"}} {seconds}");
        }
        let _ = writeln!(self.text, "{family}_count {count}");
    }

    /// The head of a family, and its name.
    fn family(&mut self, name: &str, kind: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
        let name: String = name.chars().map(plain).collect();
        let family = format!("voltmesh_{}_{name}", self.role);
        let words = name.replace('_', " ");
        let _ =
            writeln!(self.text, "# HELP {family} Of this {} process: {words} (docs/operate.md).", self.role);
        let _ = writeln!(self.text, "# TYPE {family} {kind}");
        family
    }

    /// The text so far, without its end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The answer, with `more` families of the process behind its own: they may end as OpenMetrics does, or not.
    pub fn response(mut self, more: &str) -> Response {
        let more = more.trim_end().strip_suffix(END.trim_end()).unwrap_or(more).trim_end();
        self.text.push_str(more);
        if !more.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(END);
        ([(header::CONTENT_TYPE, Self::TYPE)], self.text).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_family_has_help_and_type_and_the_text_ends_once() {
        for more in
            ["", "# EOF\n", "# HELP x y\n# TYPE x gauge\nx 1\n# EOF\n", "# HELP x y\n# TYPE x gauge\nx 1"]
        {
            let mut figures = Exposition::new("fog");
            figures.gauge("height", 7);
            figures.counter("rows-read", 9);
            figures.seconds("puback", &[("0.5", 1_500), ("0.99", 2_000_000)], 3);
            let response = figures.response(more);
            assert_eq!(response.headers()[header::CONTENT_TYPE], Exposition::TYPE);
            let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1, "{text}");
            for line in [
                "voltmesh_fog_height 7",
                "# TYPE voltmesh_fog_rows_read counter",
                "voltmesh_fog_rows_read_total 9",
                "voltmesh_fog_puback_seconds{quantile=\"0.5\"} 0.0015",
                "voltmesh_fog_puback_seconds{quantile=\"0.99\"} 2",
                "voltmesh_fog_puback_seconds_count 3",
            ] {
                assert!(text.lines().any(|own| own == line), "{line}: {text}");
            }
            let (mut help, mut kind) = ("", "");
            for line in text.lines().filter(|line| *line != "# EOF") {
                match line.split(' ').collect::<Vec<_>>()[..] {
                    ["#", "HELP", family, ..] => help = family,
                    ["#", "TYPE", family, ..] => kind = family,
                    _ => {
                        assert!(line.starts_with(help) && help == kind && !help.is_empty(), "{line}: {text}")
                    }
                }
            }
        }
    }
}
