//! `voltmesh stations …`

use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;
use voltmesh_stations::evaluate::{Scores, evaluate as score, rows};
use voltmesh_stations::models::{Baseline, Kind, Model as _};
use voltmesh_stations::{Builder, History, Mapping, parse_time};

use super::open_gzipped;
use crate::{Outcome, args, output};

/// Bytes of a history at most, decompressed: 200 million rows of 60 bytes, as many as are taken, and room.
const MAX_HISTORY: u64 = 16 << 30;

/// So many forecasts are timed, each alone.
const TIMED: usize = 20_000;

/// Runs the command.
pub fn run(command: args::Stations) -> Result<Outcome> {
    match command {
        args::Stations::Evaluate(options) => evaluate(&options)?,
    }
    Ok(Outcome::Done)
}

/// A model's figures, as `--json` has them.
#[derive(Serialize)]
struct Evaluated {
    name: &'static str,
    train_s: f64,
    predict_us_p50: f64,
    predict_us_p99: f64,
    horizons: Vec<AtHorizon>,
}

#[derive(Serialize)]
struct AtHorizon {
    minutes: u32,
    n: u64,
    accuracy: f64,
    weighted_f1: f64,
    macro_f1: f64,
    f1_changed: Option<f64>,
    log_loss: f64,
    brier: f64,
    ece: f64,
    /// 1 − log loss / log loss of persistence.
    skill_vs_persistence: f64,
}

impl AtHorizon {
    fn new(minutes: u32, scores: &Scores, persistence: &Scores) -> Self {
        Self {
            minutes,
            n: scores.n,
            accuracy: scores.accuracy,
            weighted_f1: scores.weighted.f1,
            macro_f1: scores.macro_mean.f1,
            f1_changed: scores.f1_changed,
            log_loss: scores.log_loss,
            brier: scores.brier,
            ece: scores.ece,
            skill_vs_persistence: 1.0 - scores.log_loss / persistence.log_loss.max(f64::MIN_POSITIVE),
        }
    }
}

fn evaluate(options: &args::StationsEvaluate) -> Result<()> {
    let kinds = kinds(&options.models)?;
    ensure!(!options.horizons.is_empty(), "no horizon is given; --horizons 15,60 for example");
    let (history, until) = read(options)?;
    let from = options.score_from.as_deref().map(|text| slot(&history, text)).transpose()?.unwrap_or(until);
    ensure!(
        from >= until,
        "scores would begin before training ends; --score-from must be {} or later",
        output::rfc3339(history.time(until))
    );
    let odd = history.oddities();
    output::note(&format!(
        "{} EVSEs every {} s, {} slots to train and {} to score on; {} duplicates, {} reversed, {} off the grid, {} slots empty",
        history.evses().len(),
        history.step_s(),
        until,
        history.slots() - from,
        odd.duplicates,
        odd.reversed,
        odd.off_grid,
        odd.empty_slots,
    ));
    let split = Split { history: &history, until, from };
    // What every model's skill is measured against.
    let persistence = options.horizons.iter().map(|minutes| split.score(Kind::Persistence, *minutes));
    let persistence = persistence.map(|scored| Ok(scored?.scores)).collect::<Result<Vec<_>>>()?;
    let models = kinds.into_iter().map(|kind| split.evaluate(kind, &options.horizons, &persistence));
    let models = models.collect::<Result<Vec<_>>>()?;
    if options.json {
        return output::json(&serde_json::json!({ "models": models }));
    }
    let header = [
        "model",
        "min",
        "rows",
        "accuracy",
        "weighted F1",
        "macro F1",
        "F1 changed",
        "log loss",
        "Brier",
        "ECE",
        "skill",
    ];
    let mut table = Vec::new();
    for model in &models {
        for h in &model.horizons {
            let changed = h.f1_changed.map_or("–".to_owned(), |f1| format!("{f1:.3}"));
            let figures = [h.accuracy, h.weighted_f1, h.macro_f1].map(|figure| format!("{figure:.4}"));
            let probabilistic =
                [h.log_loss, h.brier, h.ece, h.skill_vs_persistence].map(|figure| format!("{figure:.4}"));
            let mut row = vec![model.name.to_owned(), h.minutes.to_string(), h.n.to_string()];
            row.extend(figures);
            row.push(changed);
            row.extend(probabilistic);
            table.push(row);
        }
    }
    output::table(&header, &table);
    for model in &models {
        output::line(format!(
            "{}: trained in {:.2} s, one forecast {:.2} µs (p50), {:.2} µs (p99)",
            model.name, model.train_s, model.predict_us_p50, model.predict_us_p99
        ));
    }
    Ok(())
}

/// A history, where training ends, and where scoring begins.
struct Split<'a> {
    history: &'a History,
    until: usize,
    from: usize,
}

/// A model trained and scored at one horizon.
struct Scored {
    model: Baseline,
    train_s: f64,
    scores: Scores,
}

impl Split<'_> {
    fn score(&self, kind: Kind, minutes: u32) -> Result<Scored> {
        let horizon = self.history.horizon(minutes)?;
        let started = Instant::now();
        let model = Baseline::train(kind, self.history, 0..self.until, horizon)?;
        let train_s = started.elapsed().as_secs_f64();
        let scores = score(&model, self.history, self.until, self.from..self.history.slots(), horizon);
        let scores = scores
            .with_context(|| format!("nothing can be scored {minutes} min ahead; give a longer --test"))?;
        Ok(Scored { model, train_s, scores })
    }

    /// One model at every horizon, beside persistence at each of them.
    fn evaluate(&self, kind: Kind, horizons: &[u32], persistence: &[Scores]) -> Result<Evaluated> {
        let mut train_s = 0.0;
        let mut spent = Histogram::<u64>::new(3)?;
        let mut at = Vec::new();
        let mut out = vec![0.0; self.history.labels().len()];
        for (minutes, persistence) in horizons.iter().zip(persistence) {
            let scored = self.score(kind, *minutes)?;
            train_s += scored.train_s;
            let slots = self.from..self.history.slots();
            for (moment, _) in rows(self.history, slots, self.history.horizon(*minutes)?).take(TIMED) {
                let started = Instant::now();
                scored.model.predict(moment, &mut out);
                spent.saturating_record(started.elapsed().as_nanos() as u64);
            }
            at.push(AtHorizon::new(*minutes, &scored.scores, persistence));
        }
        let us = |quantile| spent.value_at_quantile(quantile) as f64 / 1000.0;
        let (predict_us_p50, predict_us_p99) = (us(0.5), us(0.99));
        Ok(Evaluated { name: kind.name(), train_s, predict_us_p50, predict_us_p99, horizons: at })
    }
}

fn kinds(names: &[String]) -> Result<Vec<Kind>> {
    if names.iter().any(|name| name == "all") {
        return Ok(Kind::ALL.to_vec());
    }
    let find = |name: &String| {
        let known = || Kind::ALL.map(Kind::name).join(", ");
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.with_context(|| format!("there is no model `{name}`; one of {}, or all", known()))
    };
    names.iter().map(find).collect()
}

/// Both histories on one grid, and the slot at which training ends.
fn read(options: &args::StationsEvaluate) -> Result<(History, usize)> {
    let mut mapping = Mapping::new();
    for pair in &options.meaning {
        let Some((name, meaning)) = pair.rsplit_once('=') else {
            bail!("`--meaning {pair}` has no `=`; write NAME=MEANING, for example RESERVED=busy")
        };
        mapping.insert(name.to_owned(), meaning.parse()?);
    }
    let mut builder = Builder::default();
    let add = |builder: &mut Builder, path: &Path| -> Result<()> {
        builder
            .read_csv(open_gzipped(path, MAX_HISTORY)?)
            .with_context(|| format!("cannot read {}", path.display()))
    };
    add(&mut builder, &options.train)?;
    let last = builder.last();
    if let Some(test) = &options.test {
        add(&mut builder, test)?;
    }
    let history = builder.build(&mapping)?;
    let until = match (&options.train_until, last) {
        (Some(text), _) => slot(&history, text)?,
        (None, Some(last)) => history.slot(last).map_or(history.slots(), |slot| slot + 1),
        (None, None) => 0,
    };
    ensure!(
        until < history.slots(),
        "nothing is later than {}, where training ends; give a later --test or an earlier --train-until",
        output::rfc3339(history.time(until))
    );
    Ok((history, until))
}

fn slot(history: &History, text: &str) -> Result<usize> {
    let (at, _) = parse_time(text)
        .with_context(|| format!("`{text}` is no RFC 3339 time; write for example 2018-11-08T00:00:00Z"))?;
    history.slot(at).with_context(|| format!("the history does not cover {text}"))
}
