//! Function for the host's tests. Its configuration says what it answers; the ambient temperature of a sample makes it
//! misbehave, see [`misbehave`].

wit_bindgen::generate!({ path: "../../wit", world: "function" });

use std::cell::RefCell;
use voltmesh::function::types::{Action, Command, Event, Feedback, Metric, Severity};

#[derive(Default)]
struct State {
    /// Samples seen.
    count: u64,
    /// Time of the last one.
    last: u64,
    /// Calls since the start of the instance.
    calls: u64,
    /// Say every n-th sample; 0: none.
    event_every: u64,
    /// Ask at every n-th sample; 0: never.
    command_every: u64,
    /// Validity of commands in ms.
    valid_ms: u32,
    /// Ask when a condition begins.
    command_on_condition: bool,
    /// A metric a call.
    metric: bool,
    /// Memory that was blown up.
    hoard: Vec<Vec<u8>>,
}

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

struct Component;

/// The number after `"name":` in the JSON.
fn number(json: &str, name: &str) -> u64 {
    let Some((_, rest)) = json.split_once(&format!("\"{name}\":")) else { return 0 };
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

fn event(kind: &str, text: String, figures: Vec<(String, f64)>) -> Output {
    Output::Event(Event { kind: kind.to_owned(), severity: Severity::Information, text, figures })
}

#[allow(unconditional_recursion)]
#[inline(never)]
fn recurse(n: u64) -> u64 {
    std::hint::black_box(recurse(std::hint::black_box(n + 1)) + n)
}

/// Ambient temperatures of which no vehicle comes back.
fn misbehave(state: &mut State, ambient: f64, out: &mut Vec<Output>) {
    match ambient as i64 {
        1_001 => panic!("told to"),
        1_002 => loop {
            std::hint::black_box(0);
        },
        1_003 => loop {
            state.hoard.push(vec![1; 1 << 16]);
        },
        1_004 => (0..100_000).for_each(|_| out.push(event("flood", String::new(), Vec::new()))),
        1_005 => out.push(event("not-a-number", String::new(), vec![("x".to_owned(), f64::NAN)])),
        1_006 => out.push(event("long", "x".repeat(100_000), Vec::new())),
        1_007 => {
            recurse(0);
        }
        1_008 => out.push(command(Action::ChargeLimitA(f64::INFINITY), 1_000)),
        1_009 => out.push(event("Not A Kind", String::new(), Vec::new())),
        1_010 => out.push(command(Action::Derate(1.5), 1_000)),
        1_011 => out.push(command(Action::StopCharging, 0)),
        1_012 => out.push(Output::Metric(Metric { name: "x".to_owned(), value: f64::INFINITY })),
        1_013 => out.push(event("host-rolled-back", String::new(), Vec::new())),
        _ => {}
    }
}

fn command(action: Action, valid_ms: u32) -> Output {
    Output::Command(Command { action, valid_ms, reason: "test".to_owned() })
}

impl Guest for Component {
    fn configure(json: String) -> Result<(), String> {
        if number(&json, "refuse") == 1 {
            return Err("told to refuse".to_owned());
        }
        if number(&json, "trap") == 1 {
            panic!("told to");
        }
        STATE.with_borrow_mut(|state| {
            state.event_every = number(&json, "event_every");
            state.command_every = number(&json, "command_every");
            state.valid_ms = number(&json, "valid_ms").max(1) as u32;
            state.command_on_condition = number(&json, "command_on_condition") == 1;
            state.metric = number(&json, "metric") == 1;
        });
        Ok(())
    }

    fn handle(now_ms: u64, inputs: Vec<Input>) -> Vec<Output> {
        let mut out = Vec::new();
        STATE.with_borrow_mut(|state| {
            state.calls += 1;
            if cfg!(feature = "faulty") && state.calls == 3 {
                panic!("this release is faulty");
            }
            for input in inputs {
                match input {
                    Input::Samples(samples) => {
                        for sample in samples {
                            state.count += 1;
                            state.last = sample.time_ms;
                            if state.event_every > 0 && state.count % state.event_every == 0 {
                                let figures = vec![
                                    ("count".to_owned(), state.count as f64),
                                    ("time_ms".to_owned(), sample.time_ms as f64),
                                    ("cells".to_owned(), sample.cells_v.iter().sum()),
                                    ("release".to_owned(), if cfg!(feature = "two") { 2.0 } else { 1.0 }),
                                ];
                                out.push(event("seen", format!("at {now_ms}"), figures));
                            }
                            if state.command_every > 0 && state.count % state.command_every == 0 {
                                out.push(command(Action::ChargeLimitA(100.5), state.valid_ms));
                            }
                            misbehave(state, sample.ambient_c.unwrap_or_default(), &mut out);
                        }
                    }
                    Input::Report(report) => {
                        out.push(event("report", String::new(), vec![("soc".to_owned(), report.soc.value)]));
                    }
                    Input::Feedback(Feedback::Applied(applied)) => {
                        let mut figures = vec![("number".to_owned(), applied.number as f64)];
                        figures.extend(applied.value.map(|value| ("value".to_owned(), value)));
                        out.push(event("applied", applied.refused.unwrap_or_default(), figures));
                    }
                    Input::Feedback(Feedback::Expired(number)) => {
                        out.push(event("expired", String::new(), vec![("number".to_owned(), number as f64)]));
                    }
                    Input::Feedback(Feedback::Condition((name, active))) => {
                        if active && state.command_on_condition {
                            out.push(command(Action::ChargeLimitA(100.5), state.valid_ms));
                        }
                        out.push(event("condition", name, vec![("active".to_owned(), f64::from(u8::from(active)))]));
                    }
                    Input::Tick => {}
                }
            }
            if state.metric {
                out.push(Output::Metric(Metric { name: "count".to_owned(), value: state.count as f64 }));
            }
        });
        out
    }

    fn export_state() -> Vec<u8> {
        STATE.with_borrow(|state| {
            let mut bytes = Vec::new();
            bytes.extend(state.count.to_le_bytes());
            bytes.extend(state.last.to_le_bytes());
            if cfg!(feature = "two") {
                bytes.push(2);
            }
            bytes
        })
    }

    fn import_state(version: u32, bytes: Vec<u8>) -> Result<(), String> {
        let length = if version == 1 { 16 } else { 17 };
        if version > 2 || bytes.len() != length {
            return Err("this is no state of a format that is known".to_owned());
        }
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
        STATE.with_borrow_mut(|state| (state.count, state.last) = (number(0), number(8)));
        Ok(())
    }
}

export!(Component);
