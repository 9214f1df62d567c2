//! `voltmesh stations predict`

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use super::input;
use crate::{args, output};

/// Forecasts.
pub fn run(options: &args::StationsPredict, odd: &mut input::Odd) -> Result<()> {
    let mut model = input::model(&options.model)?;
    let mapping = input::mapping(&options.input.meaning)?;
    let covariates = input::covariates(&options.input)?;
    let history = options.history.as_deref().map(|path| input::history(path, &mapping, odd)).transpose()?;
    let places = input::places(&options.input, input::ids(&model, history.as_ref()), odd)?;
    let until = options.at.as_deref().map(input::seconds).transpose()?;
    if let Some((path, history)) = options.history.as_ref().zip(history.as_ref()) {
        let slots = input::catch_up(&mut model, history, &covariates, &places, &mapping, until);
        if slots == 0 {
            output::note(&format!("nothing in {} is later than what the model has seen", path.display()));
        }
    }
    let at = model.tracker().at.context("the model has seen nothing; give --history")?;
    if let Some(asked) = until {
        ensure!(
            at <= asked,
            "--at is {}, and the model has seen more than that: {}; a forecast from then is made by a model trained until then",
            output::rfc3339(asked),
            output::rfc3339(at)
        );
        if asked - at >= model.step_s() {
            let (asked, at) = (output::rfc3339(asked), output::rfc3339(at));
            output::note(&format!(
                "nothing was observed from {at} until {asked}: the forecast is made at {at}"
            ));
        }
    }
    for minutes in &options.minutes {
        ensure!(
            model.horizons_min().contains(minutes),
            "the model does not forecast {minutes} min ahead; it does {:?}",
            model.horizons_min()
        );
    }
    let evses: Vec<usize> = if options.id.is_empty() {
        (0..model.tracker().ids.len()).collect()
    } else {
        let find = |id: &String| {
            model.evse(id).with_context(|| format!("neither the model nor the history knows `{id}`"))
        };
        options.id.iter().map(find).collect::<Result<_>>()?
    };
    let all = model.forecast_all();
    let names = model.labels().names();
    let wanted = |minutes: &u32| options.minutes.is_empty() || options.minutes.contains(minutes);
    let (mut rows, mut objects) = (Vec::new(), Vec::new());
    for evse in evses {
        let id = &model.tracker().ids[evse];
        let now = usize::from(model.tracker().evses[evse].now);
        let now = names.get(now).map_or("–", |name| name.as_str());
        let Some(p) = all.get(evse).and_then(Option::as_ref) else {
            rows.push(vec![id.to_string(), now.to_owned(), "nothing in force".to_owned()]);
            objects.push(json!({ "evse": &**id, "status": null, "horizons": [] }));
            continue;
        };
        let mut horizons = Vec::new();
        for (p, minutes) in p.chunks(names.len()).zip(model.horizons_min()).filter(|(_, m)| wanted(m)) {
            let usable = model.labels().usable(p);
            let shares: Vec<String> = names
                .iter()
                .zip(p)
                .filter(|(_, p)| **p >= 0.005)
                .map(|(n, p)| format!("{n} {:.0} %", p * 100.0))
                .collect();
            rows.push(vec![
                id.to_string(),
                now.to_owned(),
                minutes.to_string(),
                format!("{:.0} %", usable * 100.0),
                shares.join(", "),
            ]);
            let by_name: Map<String, Value> =
                names.iter().zip(p).map(|(name, p)| (name.clone(), json!(p))).collect();
            horizons.push(json!({ "minutes": minutes, "usable": usable, "probabilities": by_name }));
        }
        objects.push(json!({ "evse": &**id, "status": now, "horizons": horizons }));
    }
    if options.json {
        let object = json!({ "at": output::rfc3339(at), "model": model.name(), "forecasts": objects });
        return output::json(&object);
    }
    output::note(&format!("forecasts of {} at {}", model.name(), output::rfc3339(at)));
    output::table(&["EVSE", "now", "min", "usable", "statuses"], &rows);
    Ok(())
}
