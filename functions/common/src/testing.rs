//! A function under test: what it says when, and whether its state is all that it knows.

use std::fmt::Debug;

use serde::de::DeserializeOwned;

use crate::types::{Action, Applied, Event, Feedback, Input, Output, Report, Sample};
use crate::{Estimate, Function, Runner};

/// A sample in which all is unknown.
#[must_use]
pub fn unknown(time_ms: u64) -> Sample {
    Sample {
        time_ms,
        pack_voltage_v: None,
        pack_current_a: None,
        soc: None,
        cells_v: Vec::new(),
        temperatures_c: Vec::new(),
        plugged: None,
        insulation_ohm: None,
        ambient_c: None,
        coolant_c: None,
    }
}

/// A sample of four groups.
#[must_use]
pub fn sample(time_ms: u64, current_a: f64, cell_v: f64, temp_c: f64) -> Sample {
    Sample {
        pack_voltage_v: Some(4.0 * cell_v),
        pack_current_a: Some(current_a),
        cells_v: vec![cell_v; 4],
        temperatures_c: vec![temp_c; 2],
        ..unknown(time_ms)
    }
}

/// A report of a battery as new with that state of charge.
#[must_use]
pub fn report(time_ms: u64, soc: f64, sd: f64) -> Report {
    Report {
        time_ms,
        soc: Estimate { value: soc, sd },
        soc_lowest: soc - 0.01,
        soc_highest: soc + 0.01,
        soh_capacity: Estimate { value: 1.0, sd: 0.02 },
        soh_resistance: Estimate { value: 1.0, sd: 0.1 },
        charge_limit_a: 60.0,
        discharge_limit_a: 120.0,
    }
}

/// A function that is called, and what it has said so far.
#[derive(Debug)]
pub struct Bench<F> {
    runner: Runner<F>,
    json: String,
    /// Each output with its time in ms.
    pub said: Vec<(u64, Output)>,
}

impl<F: Function + Debug> Bench<F> {
    /// With a configuration.
    ///
    /// # Panics
    /// If the configuration is refused.
    #[must_use]
    pub fn new(json: &str) -> Self {
        let mut runner = Runner::default();
        assert_eq!(runner.configure(json), Ok(()), "{json}");
        Self { runner, json: json.to_owned(), said: Vec::new() }
    }

    /// Gives inputs. The same call of a second instance, which knows no more than the exported state, says the same.
    ///
    /// # Panics
    /// If it does not.
    pub fn give(&mut self, now_ms: u64, inputs: &[Input]) {
        let mut second = Runner::<F>::default();
        assert_eq!(second.configure(&self.json), Ok(()));
        let state = self.runner.export_state();
        assert_eq!(second.import_state(crate::STATE_VERSION, &state), Ok(()));
        assert_eq!(second.export_state(), state, "a state changes on its way");
        let said = self.runner.handle(now_ms, inputs);
        let quiet = !inputs.iter().any(|input| matches!(input, Input::Feedback(_)));
        if quiet {
            assert_eq!(format!("{:?}", second.handle(now_ms, inputs)), format!("{said:?}"), "at {now_ms}");
        }
        self.said.extend(said.into_iter().map(|output| (now_ms, output)));
    }

    /// Gives a sample at its own time.
    pub fn sample(&mut self, sample: Sample) {
        self.give(sample.time_ms, &[Input::Samples(vec![sample])]);
    }

    /// The vehicle refuses the command with that number.
    pub fn refuse(&mut self, now_ms: u64, number: u64) {
        let applied = Applied { number, refused: Some("not now".to_owned()), value: None };
        self.give(now_ms, &[Input::Feedback(Feedback::Applied(applied))]);
    }

    /// Events so far.
    pub fn events(&self) -> Vec<&Event> {
        self.said
            .iter()
            .filter_map(|(_, said)| if let Output::Event(event) = said { Some(event) } else { None })
            .collect()
    }

    /// Kinds of the events so far.
    pub fn kinds(&self) -> Vec<&str> {
        self.events().iter().map(|event| event.kind.as_str()).collect()
    }

    /// Commands so far, with their times.
    pub fn commands(&self) -> Vec<(u64, &Action)> {
        fn command((at, said): &(u64, Output)) -> Option<(u64, &Action)> {
            match said {
                Output::Command(command) => Some((*at, &command.action)),
                _ => None,
            }
        }
        self.said.iter().filter_map(command).collect()
    }

    /// A metric as it was last said.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.said.iter().rev().find_map(|(_, output)| match output {
            Output::Metric(metric) if metric.name == name => Some(metric.value),
            _ => None,
        })
    }

    /// The function.
    pub const fn function(&self) -> &F {
        self.runner.function()
    }
}

/// Whatever comes in, in whatever order of times: nothing panics, and no figure or command is without a number.
///
/// # Panics
/// If a figure or a command is no number.
pub fn hold_against_rubbish<F: Function + Debug>(json: &str, seed: u64) {
    let mut bench = Bench::<F>::new(json);
    let mut state = seed | 1;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let mut now_ms = 1_000_000;
    for _ in 0..300 {
        now_ms += (draw() * 5_000.0) as u64;
        let mut value = |scale: f64| {
            let odd = [f64::NAN, f64::INFINITY, -f64::INFINITY, 0.0, -1e300, 1e300];
            let which = draw();
            if which < 0.2 { odd[(which * 29.0) as usize % 6] } else { (draw() - 0.3) * scale }
        };
        let mut sample = unknown(now_ms.saturating_sub((value(20_000.0).clamp(0.0, 20_000.0)) as u64));
        sample.pack_voltage_v = Some(value(600.0));
        sample.pack_current_a = Some(value(400.0));
        sample.soc = Some(value(1.5));
        sample.cells_v = (0..(value(20.0).clamp(0.0, 20.0) as usize)).map(|_| value(6.0)).collect();
        sample.temperatures_c = (0..(value(5.0).clamp(0.0, 5.0) as usize)).map(|_| value(100.0)).collect();
        sample.plugged = if value(1.0) > 0.2 { Some(value(1.0) > 0.0) } else { None };
        let mut said = report(now_ms, value(1.0), value(0.1));
        said.soc_highest = value(1.0);
        said.soh_capacity.value = value(2.0);
        said.charge_limit_a = value(200.0);
        bench.give(now_ms, &[Input::Samples(vec![sample]), Input::Report(said), Input::Tick]);
    }
    for (at, output) in &bench.said {
        let finite = match output {
            Output::Event(event) => event.figures.iter().all(|(_, value)| value.is_finite()),
            Output::Metric(metric) => metric.value.is_finite(),
            Output::Command(command) => match &command.action {
                Action::ChargeLimitA(value) | Action::DischargeLimitA(value) => {
                    value.is_finite() && *value >= 0.0
                }
                Action::TargetTemperatureC(value) => value.is_finite(),
                Action::SamplingRateHz(value) => *value > 0.0 && value.is_finite(),
                Action::Derate(value) => (0.0..=1.0).contains(value),
                Action::Balance(groups) => groups.windows(2).all(|pair| pair[0] < pair[1]),
                Action::StopCharging => true,
            },
        };
        assert!(finite, "seed {seed}: {output:?} at {at}");
    }
}

/// Holds the defaults that a manifest states to those of the settings, beside what the configuration requires.
///
/// # Panics
/// If they differ, or the text is no manifest.
pub fn assert_defaults<S: DeserializeOwned + PartialEq + Debug>(manifest: &str, required: &str) {
    let manifest: serde_json::Value = toml::from_str(manifest).unwrap_or_else(|error| panic!("{error}"));
    let required: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(required).unwrap_or_else(|error| panic!("{error}"));
    let mut all = required.clone();
    let properties = manifest["configuration"]["properties"].as_object();
    for (name, schema) in properties.unwrap_or_else(|| panic!("no properties")) {
        if let Some(default) = schema.get("default") {
            all.insert(name.clone(), default.clone());
        }
    }
    assert!(all.len() > required.len() + 3, "few defaults: {all:?}");
    let settings = |json: serde_json::Map<String, serde_json::Value>| {
        serde_json::from_value::<S>(json.into()).unwrap_or_else(|error| panic!("{error}"))
    };
    assert_eq!(settings(all), settings(required));
}
