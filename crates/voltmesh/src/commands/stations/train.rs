//! `voltmesh stations train`

use std::time::Instant;

use anyhow::{Context as _, Result};
use voltmesh_stations::forecaster::{Held, School};
use voltmesh_stations::models::Kind;

use super::input;
use super::progress::{bar, show};
use crate::{args, output};

/// Trains and writes the file.
pub fn run(options: &args::StationsTrain, odd: &mut input::Odd) -> Result<()> {
    let kind: Kind = options.model.parse()?;
    let history = input::history(&options.train, &input::mapping(&options.input.meaning)?, odd)?;
    let places = input::places(&options.input, history.evses().iter().map(|id| &**id), odd)?;
    let covariates = input::covariates(&options.input)?;
    if odd.mostly_unusable() {
        output::note("no model is written: what it had learnt from would not be this network");
        return Ok(());
    }
    let until = match &options.train_until {
        Some(text) => input::slot(&history, text)?,
        None => history.slots(),
    };
    let started = Instant::now();
    let school = School::new(&history, &places, &covariates, 0..until, &options.horizons, &Held::Last)?;
    let bar = bar(format!("training {}", kind.name()));
    let model = school.train(kind, &mut |share| show(&bar, share))?;
    bar.finish_and_clear();
    let train_s = started.elapsed().as_secs_f64();
    let bytes = model.write()?;
    std::fs::write(&options.output, &bytes)
        .with_context(|| format!("cannot write {}", options.output.display()))?;
    let (from, to) = model.trained();
    if options.json {
        return output::json(&serde_json::json!({
            "name": model.name(),
            "train_s": train_s,
            "rows": school.rows(),
            "features": model.layout().width(),
            "labels": model.labels().names(),
            "evses": model.tracker().ids.len(),
            "horizons": model.horizons_min(),
            "trained_from": output::rfc3339(from),
            "trained_until": output::rfc3339(to),
            "model_bytes": bytes.len(),
            "odd": history.report(),
        }));
    }
    output::line(format!(
        "{}: {} EVSEs, {} labels, trained on {} rows of {} features from {} to {} in {train_s:.1} s; {} bytes in {}",
        model.name(),
        model.tracker().ids.len(),
        model.labels().len(),
        school.rows(),
        model.layout().width(),
        output::rfc3339(from),
        output::rfc3339(to),
        bytes.len(),
        options.output.display(),
    ));
    Ok(())
}
