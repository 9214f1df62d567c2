//! The live view of a run: a bar a stage, the latencies, who is up, and what just happened.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::watch::{STAGES, Watch};

/// Rates are taken over this long.
const WINDOW: Duration = Duration::from_secs(3);

/// Without a terminal, one line this often.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Draws on stderr, so that stdout stays for the result.
pub struct View {
    bars: MultiProgress,
    stages: Vec<ProgressBar>,
    latency: ProgressBar,
    processes: ProgressBar,
    history: VecDeque<(Instant, [u64; STAGES.len()])>,
    started: Instant,
    plain: Option<Instant>,
}

impl View {
    /// A view of `expected` records in all; plain lines if stderr is no terminal, nothing if `quiet`.
    pub fn new(expected: u64, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal && !quiet {
            ProgressDrawTarget::stderr_with_hz(8)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bars = MultiProgress::with_draw_target(target);
        let bar = ProgressStyle::with_template("{prefix:>9} {bar:32.cyan/blue} {pos:>8} / {len}  {msg}");
        let text = ProgressStyle::with_template("{prefix:>9} {wide_msg}");
        let stages = STAGES
            .iter()
            .map(|stage| {
                let stage_bar = bars.add(ProgressBar::new(expected)).with_prefix(*stage);
                if let Ok(style) = &bar {
                    stage_bar.set_style(style.clone());
                }
                stage_bar
            })
            .collect();
        let line = |prefix: &'static str| {
            let line = bars.add(ProgressBar::new(1)).with_prefix(prefix);
            if let Ok(style) = &text {
                line.set_style(style.clone());
            }
            line
        };
        let (latency, processes) = (line("latency"), line("processes"));
        let now = Instant::now();
        let plain = (!terminal && !quiet).then_some(now);
        View { bars, stages, latency, processes, history: VecDeque::new(), started: now, plain }
    }

    /// Shows the counters; `up` names each process and whether it runs.
    pub fn draw(&mut self, watch: &Watch, up: &[(String, bool)]) {
        let now = Instant::now();
        let counts = STAGES.map(|stage| watch.sum("edge-", stage));
        self.history.push_back((now, counts));
        while self.history.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            self.history.pop_front();
        }
        let (since, before) = self.history.front().copied().unwrap_or((now, counts));
        let seconds = (now - since).as_secs_f64().max(0.25);
        let rates: Vec<f64> =
            counts.iter().zip(before).map(|(new, old)| new.saturating_sub(old) as f64 / seconds).collect();
        for ((bar, count), rate) in self.stages.iter().zip(counts).zip(&rates) {
            bar.set_position(count);
            bar.set_message(format!("{rate:>8.0}/s"));
        }
        let anchor = watch.latency("edge-", "anchor");
        let archive = watch.latency("edge-", "archive");
        let height = watch.gauge_max("fog-", "height");
        let ms = |us: u64| us as f64 / 1000.0;
        self.latency.set_message(format!(
            "anchored after {:.0}/{:.0} ms, archived after {:.0}/{:.0} ms (p50/p99) · block {height}",
            ms(anchor.p50_us),
            ms(anchor.p99_us),
            ms(archive.p50_us),
            ms(archive.p99_us),
        ));
        let names = up.iter().map(|(name, up)| format!("{}{name}", if *up { '●' } else { '○' }));
        self.processes.set_message(names.collect::<Vec<_>>().join(" "));
        self.plain_line(now, &counts, height);
    }

    /// Says what just happened, above the bars.
    pub fn event(&self, text: &str) {
        let line = format!("{:>8.1}s  {text}", self.started.elapsed().as_secs_f64());
        if self.plain.is_some() {
            crate::output::note(&line);
        } else {
            let _ = self.bars.println(line);
        }
    }

    /// Leaves the last state on the screen.
    pub fn finish(&self) {
        for bar in self.stages.iter().chain([&self.latency, &self.processes]) {
            bar.abandon();
        }
    }

    fn plain_line(&mut self, now: Instant, counts: &[u64; STAGES.len()], height: u64) {
        let Some(last) = self.plain else { return };
        if now - last < PLAIN_EVERY {
            return;
        }
        self.plain = Some(now);
        let stages = STAGES.iter().zip(counts).map(|(stage, count)| format!("{stage} {count}"));
        self.event(&format!("{}, block {height}", stages.collect::<Vec<_>>().join(", ")));
    }
}
