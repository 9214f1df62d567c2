//! `voltmesh stations evaluate`

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use serde::Serialize;
use voltmesh_stations::evaluate::{Interval, Lookup, Scored, random_split, score_models};
use voltmesh_stations::forecaster::{Held, School};
use voltmesh_stations::models::{Baseline, Kind};
use voltmesh_stations::{Builder, Forecaster, History};

use super::progress::{bar, show};
use super::{figures, input};
use crate::{args, output};

/// So many forecasts are timed, each alone.
const TIMED: usize = 20_000;

/// The longest forecast that is told from longer ones: a minute.
const LONGEST_NS: u64 = 60_000_000_000;

/// All EVSEs at once are timed so often.
const BATCHES: usize = 20;

/// A model's figures, as `--json` has them.
#[derive(Serialize)]
struct Evaluated {
    name: &'static str,
    train_s: f64,
    predict_us_p50: f64,
    predict_us_p99: f64,
    /// All EVSEs, all horizons, median of several.
    batch_ms: f64,
    model_bytes: usize,
    horizons: Vec<AtHorizon>,
}

#[derive(Serialize)]
struct AtHorizon {
    minutes: u32,
    n: u64,
    accuracy: f64,
    weighted_precision: f64,
    weighted_recall: f64,
    weighted_f1: f64,
    macro_precision: f64,
    macro_recall: f64,
    macro_f1: f64,
    f1_by_class: Vec<(String, f64)>,
    f1_changed: Option<f64>,
    log_loss: f64,
    brier: f64,
    ece: f64,
    /// 1 − log loss / log loss of persistence.
    skill_vs_persistence: f64,
    log_loss_95: Interval,
    macro_f1_95: Interval,
    weighted_f1_95: Interval,
}

impl AtHorizon {
    fn new(scored: &Scored, names: &[String], persistence: &Scored) -> Self {
        let s = &scored.scores;
        let by_class = names.iter().zip(&s.classes).filter(|(_, class)| class.support > 0);
        Self {
            minutes: scored.minutes,
            n: s.n,
            accuracy: s.accuracy,
            weighted_precision: s.weighted.precision,
            weighted_recall: s.weighted.recall,
            weighted_f1: s.weighted.f1,
            macro_precision: s.macro_mean.precision,
            macro_recall: s.macro_mean.recall,
            macro_f1: s.macro_mean.f1,
            f1_by_class: by_class.map(|(name, class)| (name.clone(), class.f1)).collect(),
            f1_changed: s.f1_changed,
            log_loss: s.log_loss,
            brier: s.brier,
            ece: s.ece,
            skill_vs_persistence: 1.0 - s.log_loss / persistence.scores.log_loss.max(f64::MIN_POSITIVE),
            log_loss_95: scored.log_loss,
            macro_f1_95: scored.macro_f1,
            weighted_f1_95: scored.weighted_f1,
        }
    }
}

/// A history, and where training, choosing and scoring begin and end.
struct Split {
    history: History,
    until: usize,
    from: usize,
    held: Held,
}

/// Runs the command.
pub fn run(options: &args::StationsEvaluate, odd: &mut input::Odd) -> Result<()> {
    let kinds = kinds(&options.models)?;
    ensure!(!options.horizons.is_empty(), "no horizon is given; --horizons 15,60 for example");
    let split = read(options, odd)?;
    let (history, until) = (&split.history, split.until);
    let places = input::places(&options.input, history.evses().iter().map(|id| &**id), odd)?;
    let covariates = input::covariates(&options.input)?;
    describe(&split);
    let school = School::new(history, &places, &covariates, 0..until, &options.horizons, &split.held)?;
    output::note(&format!("{} rows of {} features to learn from", school.rows(), school.layout().width()));
    // What every model's skill is measured against is always trained.
    let persistence = Kind::Baseline(Baseline::Persistence);
    let mut all = kinds.clone();
    if !all.contains(&persistence) {
        all.push(persistence);
    }
    let (mut models, mut spent) = (Vec::new(), Vec::new());
    for kind in &all {
        let bar = bar(format!("training {}", kind.name()));
        let started = Instant::now();
        models.push(school.train(*kind, &mut |share| show(&bar, share))?);
        spent.push(started.elapsed().as_secs_f64());
        bar.finish_and_clear();
    }
    let scoring = bar("scoring".to_owned());
    let slots = split.from..history.slots();
    let (scored, tracker) =
        score_models(&models, history, &covariates, until, slots, &mut |share| show(&scoring, share));
    scoring.finish_and_clear();
    let names = history.labels().names();
    let at = all.iter().position(|kind| *kind == persistence).unwrap_or(0);
    let mut evaluated = Vec::new();
    for (i, kind) in kinds.iter().enumerate() {
        let mut horizons = Vec::new();
        for ((scored, beside), minutes) in scored[i].iter().zip(&scored[at]).zip(school.horizons_min()) {
            let nothing = || format!("nothing can be scored {minutes} min ahead; give a longer --test");
            let scored = scored.as_ref().with_context(nothing)?;
            horizons.push(AtHorizon::new(scored, names, beside.as_ref().with_context(nothing)?));
        }
        models[i].set_tracker(tracker.clone());
        let (predict_us_p50, predict_us_p99, batch_ms) = latency(&models[i])?;
        let model_bytes = models[i].write()?.len();
        let (name, train_s) = (kind.name(), spent[i]);
        evaluated.push(Evaluated {
            name,
            train_s,
            predict_us_p50,
            predict_us_p99,
            batch_ms,
            model_bytes,
            horizons,
        });
    }
    let random = if options.random_split {
        let five: Vec<Kind> = kinds.iter().copied().filter(|kind| kind.is_of_d53()).collect();
        random_split(&school, &five, 0..until)?
    } else {
        Vec::new()
    };
    if let Some(folder) = &options.output {
        let each: Vec<(&'static str, &[Option<Scored>])> =
            kinds.iter().zip(&scored).map(|(kind, scored)| (kind.name(), &scored[..])).collect();
        figures::draw(folder, &each, names)?;
    }
    if options.json {
        let random: Vec<_> = random.iter().map(split_json).collect();
        let object = if options.random_split {
            serde_json::json!({ "models": evaluated, "random_split": random })
        } else {
            serde_json::json!({ "models": evaluated })
        };
        return output::json(&object);
    }
    print(&evaluated, &random);
    Ok(())
}

fn split_json(line: &Lookup) -> serde_json::Value {
    let s = &line.scores;
    serde_json::json!({
        "name": line.name, "n": s.n, "accuracy": s.accuracy, "weighted_f1": s.weighted.f1,
        "macro_f1": s.macro_mean.f1, "log_loss": s.log_loss,
    })
}

fn describe(split: &Split) {
    let (history, odd) = (&split.history, split.history.oddities());
    output::note(&format!(
        "{} EVSEs every {} s, {} slots to train and {} to score on; {} duplicates, {} reversed, {} off the grid, {} slots empty",
        history.evses().len(),
        history.step_s(),
        split.until,
        history.slots() - split.from,
        odd.duplicates,
        odd.reversed,
        odd.off_grid,
        odd.empty_slots,
    ));
}

/// One forecast alone, features included: median and 99th percentile in µs; and all EVSEs at once, in ms.
fn latency(model: &Forecaster) -> Result<(f64, f64, f64)> {
    let mut spent = Histogram::<u64>::new_with_bounds(1, LONGEST_NS, 3)?;
    let evses = model.tracker().ids.len();
    for evse in (0..evses).cycle().take(TIMED) {
        let started = Instant::now();
        if model.forecast(evse).is_some() {
            spent.saturating_record(started.elapsed().as_nanos() as u64);
        }
    }
    let mut batches: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let started = Instant::now();
            std::hint::black_box(model.forecast_all());
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    let us = |quantile| spent.value_at_quantile(quantile) as f64 / 1000.0;
    Ok((us(0.5), us(0.99), batches[BATCHES / 2]))
}

fn print(evaluated: &[Evaluated], random: &[Lookup]) {
    let header = [
        "model",
        "min",
        "rows",
        "accuracy",
        "weighted F1",
        "macro F1",
        "F1 changed",
        "log loss",
        "95 %",
        "Brier",
        "ECE",
        "skill",
    ];
    let mut table = Vec::new();
    for model in evaluated {
        for h in &model.horizons {
            let changed = h.f1_changed.map_or("–".to_owned(), |f1| format!("{f1:.3}"));
            let mut row = vec![model.name.to_owned(), h.minutes.to_string(), h.n.to_string()];
            row.extend([h.accuracy, h.weighted_f1, h.macro_f1].map(|figure| format!("{figure:.4}")));
            row.extend([changed, format!("{:.4}", h.log_loss)]);
            row.push(format!("{:.3}–{:.3}", h.log_loss_95.low, h.log_loss_95.high));
            row.extend([h.brier, h.ece, h.skill_vs_persistence].map(|figure| format!("{figure:.4}")));
            table.push(row);
        }
    }
    output::table(&header, &table);
    for model in evaluated {
        output::line(format!(
            "{}: trained in {:.1} s, one forecast {:.1} µs (p50), {:.1} µs (p99), all EVSEs {:.1} ms, {} bytes",
            model.name,
            model.train_s,
            model.predict_us_p50,
            model.predict_us_p99,
            model.batch_ms,
            model.model_bytes
        ));
    }
    if !random.is_empty() {
        output::line(
            "\nRows split at random, as D5.3 does: no forecast of anything, since the minutes around every row are known",
        );
        let row = |line: &Lookup| {
            let s = &line.scores;
            let mut row = vec![line.name.to_owned(), s.n.to_string()];
            row.extend(
                [s.accuracy, s.weighted.f1, s.macro_mean.f1, s.log_loss].map(|figure| format!("{figure:.4}")),
            );
            row
        };
        let rows: Vec<_> = random.iter().map(row).collect();
        output::table(&["model", "rows", "accuracy", "weighted F1", "macro F1", "log loss"], &rows);
    }
}

fn kinds(names: &[String]) -> Result<Vec<Kind>> {
    if names.iter().any(|name| name == "all") {
        return Ok(Kind::ALL.to_vec());
    }
    let mut kinds = Vec::new();
    for name in names {
        let kind: Kind = name.parse()?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    ensure!(!kinds.is_empty(), "no model is given; --models ours for example");
    Ok(kinds)
}

/// All histories on one grid, and the slots at which training ends and scoring begins.
fn read(options: &args::StationsEvaluate, odd: &mut input::Odd) -> Result<Split> {
    let mut builder = Builder::default();
    input::add(&mut builder, &options.train)?;
    if let Some(validate) = &options.validate {
        input::add(&mut builder, validate)?;
    }
    if let Some(test) = &options.test {
        input::add(&mut builder, test)?;
    }
    let history = input::build(builder, &input::mapping(&options.input.meaning)?, odd)?;
    // Of each file, the last time that is believed.
    let end =
        |file: usize| history.report().sources.get(file).and_then(|source| source.span).map(|span| span.1);
    let trained = end(0);
    let last = if options.validate.is_some() { end(1) } else { trained };
    let after =
        |at: Option<i64>| at.map_or(0, |at| history.slot(at).map_or(history.slots(), |slot| slot + 1));
    let until = match &options.train_until {
        Some(text) => input::slot(&history, text)?,
        None => after(last),
    };
    ensure!(
        until < history.slots(),
        "nothing is later than {}, where training ends; give a later --test or an earlier --train-until",
        output::rfc3339(history.time(until))
    );
    let held = match &options.validate {
        Some(path) => {
            let from = after(trained);
            ensure!(
                from < until,
                "nothing in {} is later than --train; give a later history to --validate",
                path.display()
            );
            Held::From(from)
        }
        None => Held::Last,
    };
    let from =
        options.score_from.as_deref().map(|text| input::slot(&history, text)).transpose()?.unwrap_or(until);
    ensure!(
        from >= until,
        "scores would begin before training ends; --score-from must be {} or later",
        output::rfc3339(history.time(until))
    );
    Ok(Split { history, until, from, held })
}
