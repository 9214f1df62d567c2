//! `voltmesh stations inspect`

mod source;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use voltmesh_stations::history::Report;
use voltmesh_stations::{Builder, Error, History, Mapping, Meaning, Place, PlaceList};

use self::source::Source;
use super::input;
use crate::{Outcome, args, output};

/// Says what would be read of each file.
pub fn run(options: &args::StationsInspect) -> Result<Outcome> {
    let mapping = input::mapping(&options.meaning)?;
    let (mut objects, mut wrong) = (Vec::new(), false);
    for given in &options.files {
        let source = Source::open(given, options)?;
        let found = Found::of(&source, &mapping)?;
        wrong |= found.mostly_unusable() || !source.strange().is_empty();
        if options.json {
            objects.push(found.object(&source));
        } else {
            found.print(&source);
        }
    }
    if options.json {
        output::json(&json!({ "files": objects }))?;
    }
    Ok(if wrong { Outcome::Wrong } else { Outcome::Done })
}

/// Whether anything is said of a place. A table of statuses may name the station of each EVSE too.
fn says(place: &Place) -> bool {
    let told = Place { station: None, ..place.clone() };
    told != Place::default()
}

/// What a file is: a history, a list of places, or both as OCPI locations are; or what a live feed takes, where it has no times.
struct Found {
    /// Format, statuses and how many EVSEs have each, of a document that a live feed takes.
    live: Option<input::Live>,
    history: Option<(Report, Result<History, Error>)>,
    places: Option<PlaceList>,
}

impl Found {
    fn of(source: &Source, mapping: &Mapping) -> Result<Self> {
        let mut builder = Builder::default();
        let added = source.add(&mut builder);
        let history =
            added.is_ok().then(|| builder.inspect(mapping)).filter(|(report, _)| report.usable() > 0);
        let list = source.list().ok().filter(|list| list.report.evses > 0);
        // A table of statuses or sessions has EVSE ids too; a list of places says something about them.
        let places = list.filter(|list| {
            list.places.values().any(|place| says(place) || (added.is_err() && place.station.is_some()))
        });
        let live = source.live()?.filter(|_| history.is_none());
        if history.is_none() && places.is_none() && live.is_none() {
            match added {
                Err(error) => return Err(error),
                Ok(()) => {
                    let mut builder = Builder::default();
                    source.add(&mut builder)?;
                    let (report, _) = builder.inspect(mapping);
                    let why = match report.lines().join("; ") {
                        empty if empty.is_empty() => "it has no rows".to_owned(),
                        lines => lines,
                    };
                    bail!("{source} is neither a history nor a list of places: {why}");
                }
            }
        }
        Ok(Self { live, history, places })
    }

    fn mostly_unusable(&self) -> bool {
        self.history.as_ref().is_some_and(|(report, _)| report.mostly_unusable())
            || self.places.as_ref().is_some_and(|list| list.report.mostly_unusable())
    }

    fn object(&self, source: &Source) -> Value {
        let time = |at: i64| output::rfc3339(at);
        let history = self.history.as_ref().map(|(report, built)| {
            let grid = built.as_ref().ok().map(|history| {
                json!({
                    "evses": history.evses().len(),
                    "interval_s": history.step_s(),
                    "slots": history.slots(),
                    "from": time(history.time(0)),
                    "until": time(history.time(history.slots())),
                    "oddities": history.oddities(),
                })
            });
            let error = built.as_ref().err().map(ToString::to_string);
            json!({
                "rows": report.rows(),
                "usable": report.usable(),
                "files": report.sources,
                "words": report.words,
                "history": grid,
                "error": error,
            })
        });
        let places = self.places.as_ref().map(|list| &list.report);
        let live =
            self.live.as_ref().map(|(format, statuses)| json!({ "format": format, "statuses": statuses }));
        json!({
            "file": source.to_string(),
            "history": history,
            "places": places,
            "live": live,
            "pages_not_read": source.strange(),
        })
    }

    fn print(&self, source: &Source) {
        source.strange().iter().for_each(|line| output::line(format!("{source}: {line}")));
        if let Some((format, statuses)) = &self.live {
            let evses: usize = statuses.values().sum();
            output::line(format!(
                "{source}: {format}, {evses} statuses without times that are believed: no history, but a live feed takes it"
            ));
            let meaning = |word: &str| {
                Meaning::of_usual_name(word).map_or("not understood".to_owned(), |m| m.to_string())
            };
            let row = |(word, evses): (&String, &usize)| vec![word.clone(), meaning(word), evses.to_string()];
            output::table(&["status", "means", "EVSEs"], &statuses.iter().map(row).collect::<Vec<_>>());
        }
        if let Some((report, built)) = &self.history {
            for file in &report.sources {
                let kind = file
                    .shape
                    .map_or_else(|| "nothing that can be used".to_owned(), |shape| shape.to_string());
                let span = file.span.map_or_else(String::new, |(from, to)| {
                    format!(", {} to {}", output::rfc3339(from), output::rfc3339(to))
                });
                output::line(format!(
                    "{source}: {}, {kind}; {} of {} rows usable, {} EVSEs{span}",
                    file.format,
                    report.usable(),
                    file.rows,
                    file.evses
                ));
            }
            match built {
                Ok(history) => {
                    let odd = history.oddities();
                    output::line(format!(
                        "  read as one status every {} s in {} slots; {} duplicates, {} reversed, {} off the grid, {} slots empty",
                        history.step_s(),
                        history.slots(),
                        odd.duplicates,
                        odd.reversed,
                        odd.off_grid,
                        odd.empty_slots
                    ));
                }
                Err(error) => output::line(format!("  not a history by itself: {error}")),
            }
            let words: Vec<Vec<String>> = report
                .words
                .iter()
                .map(|word| {
                    let meaning = word
                        .meaning
                        .map_or_else(|| "not understood".to_owned(), |meaning| meaning.to_string());
                    vec![word.word.clone(), meaning, word.rows.to_string()]
                })
                .collect();
            output::table(&["status", "means", "rows"], &words);
            report.lines().iter().for_each(|line| output::line(format!("  {line}")));
        }
        if let Some(list) = &self.places {
            let report = &list.report;
            let with = |known: fn(&Place) -> bool| list.places.values().filter(|p| known(p)).count();
            output::line(format!(
                "{source}: {}; {} EVSEs, {} with a position, {} with plugs, {} with a power, {} with a price, {} \
                 with opening hours",
                report.format,
                report.evses,
                with(|place| place.position.is_some()),
                with(|place| !place.plugs.is_empty()),
                with(|place| place.power_kw.is_some()),
                with(|place| place.price_kwh.is_some() || !place.prices.is_empty()),
                with(|place| place.hours.is_some()),
            ));
            report.lines().iter().for_each(|line| output::line(format!("  {line}")));
        }
    }
}
