//! `voltmesh stations replay`

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use voltmesh_stations::ids::Ids;
use voltmesh_stations::recommend::replay::{Outlooks, Policy, Setting, replay};
use voltmesh_stations::recommend::{Expected, Outlook};
use voltmesh_stations::{Forecaster, History, Mapping};

use super::input;
use super::progress::{bar, show};
use super::recommend::merged;
use crate::{args, output};

/// Unless told otherwise, drivers start so long after the history begins, in s: a day says at which hours they come.
const LEAD_S: i64 = 86_400;

/// Replays.
pub fn run(options: &args::StationsReplay, odd: &mut input::Odd) -> Result<()> {
    let mut model = input::model(&options.model)?;
    let mapping = input::mapping(&options.input.meaning)?;
    let covariates = input::covariates(&options.input)?;
    let history = input::history(&options.history, &mapping, odd)?;
    let places = input::places(&options.input, input::ids(&model, Some(&history)), odd)?;
    let trained = model.trained().1;
    let from = match &options.from {
        Some(text) => input::slot(&history, text)?,
        None => {
            let at = (history.time(0) + LEAD_S).max(trained);
            history.slot(at).with_context(|| {
                format!(
                    "nothing of the history is later than {}; give a longer one or --from",
                    output::rfc3339(at)
                )
            })?
        }
    };
    let at = history.time(from);
    ensure!(
        at >= trained,
        "the model was trained until {}; it would know the future of drivers from {} on",
        output::rfc3339(trained),
        output::rfc3339(at)
    );
    input::catch_up(&mut model, &history, &covariates, &places, &mapping, Some(at - history.step_s()));
    let places = merged(&model.tracker().places, places);
    let known = Ids::new(model.tracker().ids.iter().map(|id| &**id));
    let index = history.evses().iter().map(|id| known.find(id)).collect();
    let setting = Setting {
        drivers_per_hour: options.drivers_per_hour,
        seed: options.seed,
        waste_min: options.waste_min,
        reservations: !options.no_reservations,
        ..Setting::new(from..history.slots())
    };
    let progress = bar("replay".to_owned());
    let mut ahead = Ahead {
        history: &history,
        mapping: &mapping,
        index,
        forecasts: Vec::new(),
        model,
        moved: &|slot| show(&progress, (slot - from) as f64 / (history.slots() - from) as f64),
    };
    let found = replay(&history, &places, &setting, &mut ahead);
    progress.finish_and_clear();
    ensure!(
        found.drivers > 0,
        "nobody departs: no EVSE has a position (give --evse), or less than two hours were observed after {}",
        output::rfc3339(at)
    );
    if options.json {
        let (fewer, longer) = (found.fewer_wasted(), found.longer_min());
        return output::json(&json!({
            "from": output::rfc3339(at),
            "until": output::rfc3339(history.time(history.slots())),
            "seed": options.seed,
            "waste_min": options.waste_min,
            "reservations": setting.reservations,
            "drivers": found.drivers,
            "policies": found.policies,
            "fewer_wasted": fewer,
            "longer_min": longer,
        }));
    }
    let header =
        ["policy", "drivers", "wasted first", "wasted", "wait min", "drive min", "detour min", "gave up"];
    let row = |tally: &voltmesh_stations::recommend::replay::Tally| {
        let name = match tally.policy {
            Policy::Nearest => "nearest",
            Policy::NearestFreeNow => "nearest free now",
            Policy::Ours => "ours",
        };
        vec![
            name.to_owned(),
            found.drivers.to_string(),
            format!("{} ({:.1} %)", tally.wasted_first, tally.wasted_first_share * 100.0),
            tally.wasted.to_string(),
            format!("{:.2}", tally.wait_min),
            format!("{:.2}", tally.drive_min),
            format!("{:.2}", tally.detour_min),
            tally.gave_up.to_string(),
        ]
    };
    output::table(&header, &found.policies.iter().map(row).collect::<Vec<_>>());
    if let (Some(fewer), Some(longer)) = (found.fewer_wasted(), found.longer_min()) {
        output::line(format!(
            "ours against nearest free now: {:.1} % fewer wasted arrivals, {longer:.2} min longer to the first station",
            fewer * 100.0
        ));
    }
    Ok(())
}

/// A model that is led through a history.
struct Ahead<'a> {
    history: &'a History,
    mapping: &'a Mapping,
    model: Forecaster,
    /// The model's index by the history's.
    index: Vec<Option<usize>>,
    /// Of the newest slot, each made once.
    forecasts: Vec<Option<Vec<f32>>>,
    moved: &'a dyn Fn(usize),
}

impl Outlooks for Ahead<'_> {
    fn at(&mut self, slot: usize) -> Box<dyn Outlook + '_> {
        self.model.observe(self.history.time(slot), &self.history.readings(slot), self.mapping);
        self.forecasts = self.model.forecast_all();
        (self.moved)(slot);
        Box::new(Expected::new(&self.model, &self.forecasts).by(&self.index))
    }
}
