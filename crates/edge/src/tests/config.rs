use crate::config::{Config, DEFAULTS, Kind};
use std::path::Path;

const MINIMAL: &str = r#"
    data = "d"
    credentials = "c"
    crl = "crl"
    trust = "t"
    opening = "o"
    secret = "s"
    fogs = ["fog-1:8883", "fog-2:8883"]
    [source]
    kind = "sim"
"#;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("/etc/voltmesh")).map_err(|e| e.to_string())
}

/// The explained file and the defaults in the code are the same.
#[test]
fn the_explained_file_states_every_default() {
    let mut explained = parse(DEFAULTS).unwrap();
    let minimal = parse(MINIMAL).unwrap();
    let own = (&minimal.data, &minimal.credentials, &minimal.crl, &minimal.trust);
    assert_eq!(own.0, Path::new("/etc/voltmesh/d"));
    (explained.data, explained.credentials) = (own.0.clone(), own.1.clone());
    (explained.crl, explained.trust) = (own.2.clone(), own.3.clone());
    (explained.opening, explained.secret) = (minimal.opening.clone(), minimal.secret.clone());
    // What the file states of the battery is stated, although it is the default.
    assert_eq!(explained.stated.cells_in_series, Some(96));
    explained.stated = minimal.stated;
    assert!(explained.says_chemistry && !minimal.says_chemistry);
    explained.says_chemistry = false;
    assert_eq!(explained, minimal);
}

/// The commented examples of other sources are valid too.
#[test]
fn the_explained_sources_are_valid() {
    let head = DEFAULTS.split("[source]").next().unwrap();
    let examples: Vec<String> = DEFAULTS
        .split("\n\n# [source]\n")
        .skip(1)
        .map(|example| {
            let lines = example.lines().map(|l| l.trim_start_matches("# "));
            format!("{head}\n[source]\n{}", lines.collect::<Vec<_>>().join("\n"))
        })
        .collect();
    assert_eq!(examples.len(), 3);
    assert!(matches!(parse(&examples[0]).unwrap().source.kind, Kind::Replay(_)));
    assert!(matches!(parse(&examples[1]).unwrap().source.kind, Kind::Candump(_)));
    assert!(matches!(parse(&examples[2]).unwrap().source.kind, Kind::Kuksa(_)));
}

#[track_caller]
fn refused(change: impl Fn(&str) -> String, said: &str) {
    let error = parse(&change(MINIMAL)).unwrap_err();
    assert!(error.contains(said), "{error:?} does not say {said:?}");
}

#[test]
fn wrong_values_are_refused_with_the_key() {
    refused(|t| format!("colour = 1\n{t}"), "unknown field `colour`");
    refused(|t| format!("colour = 1\n{t}"), "--defaults");
    refused(|t| format!("{t}\ncolour = 1"), "unknown field `colour`");
    refused(|t| t.replace("sim", "magic"), "wants replay, candump, can, kuksa or sim");
    refused(|t| t.replace("kind", "knd"), "missing field `kind`");
    refused(|t| format!("{t}\nrate_hz = 1000.0"), "source.rate_hz");
    refused(|t| format!("{t}\nspeed = -1"), "source.speed");
    refused(|t| t.replace("fog-2:8883", "fog-2"), "\"fog-2\" is not host:port");
    refused(|t| t.replace("\"fog-1:8883\", \"fog-2:8883\"", ""), "number of fogs");
    refused(|t| format!("http = \"0.0.0.0:9200\"\n{t}"), "not loopback");
    refused(|t| format!("{t}\n[batch]\nmax_records = 5000"), "batch.max_records");
    refused(|t| format!("{t}\n[spool]\nkeep_until = \"never\""), "unknown variant `never`");
    refused(|t| t.replace("crl = \"crl\"", ""), "missing field `crl`");
}

#[test]
fn a_bus_wants_a_meaning_and_requests_what_to_ask_for() {
    let head = MINIMAL.split("[source]").next().unwrap();
    let bus =
        |keys: &str| parse(&format!("{head}[source]\nkind = 'can'\ninterface = 'can0'\n{keys}")).map(|_| ());
    for keys in
        ["diagnostics = 'kona.toml'", "diagnostics = 'kona.toml'\nrequest_every_ms = 1000", "dbc = 'a.dbc'"]
    {
        assert_eq!(bus(keys), Ok(()), "{keys}");
    }
    for (keys, said) in [
        ("", "source.dbc"),
        ("dbc = 'a.dbc'\nrequest_every_ms = 1000", "needs diagnostics"),
        ("diagnostics = 'kona.toml'\nrequest_every_ms = 10", "200 to 3600000"),
        ("diagnostics = 'kona.toml'\nperiod_ms = 1", "source.period_ms"),
    ] {
        let error = bus(keys).unwrap_err();
        assert!(error.contains(said), "{keys}: {error}");
    }
}

#[test]
fn the_interface_is_an_address_or_a_table() {
    let read_http = |line: &str| parse(&format!("{line}\n{MINIMAL}")).unwrap().http;
    let plain = read_http("http = '127.0.0.1:9201'");
    assert_eq!((plain.listen.port(), plain.hosts.len()), (9201, 0));
    let table = read_http("http = { hosts = ['car.example'], origins = ['https://fleet.example'] }");
    assert_eq!((table.listen.port(), &table.hosts[..]), (9200, &["car.example".to_owned()][..]));
    refused(|t| format!("http = 'nowhere'\n{t}"), "an address");
    refused(|t| format!("http = {{ host = ['a'] }}\n{t}"), "unknown field");
    refused(|t| format!("http = {{ hosts = ['a b'] }}\n{t}"), "http.hosts");
    refused(|t| format!("http = {{ origins = ['fleet.example'] }}\n{t}"), "http.origins");
}

/// What the explained file and the document show of commands is valid, and what is wrong is named.
#[test]
fn commands_are_configured_as_shown() {
    let with = |text: &str| parse(&MINIMAL.replace("[source]", &format!("{text}\n[source]")));
    let shown = include_str!("../../../../docs/commands.md");
    let block = shown.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let commands = with(block).unwrap().commands;
    assert_eq!((commands.controllers.len(), commands.can.unwrap().period_ms), (1, 100));
    let explained = DEFAULTS.split("[commands]\n").nth(1).unwrap().split("[process]").next().unwrap();
    // From the outlets on, every line is an example.
    let examples = explained.split("# [commands.vss]").nth(1).unwrap();
    let uncommented: Vec<_> = examples.lines().map(|line| line.trim_start_matches("# ")).collect();
    let commands = with(&format!("[commands.vss]{}", uncommented.join("\n"))).unwrap().commands;
    assert!(commands.vss.unwrap().file.unwrap().starts_with("/etc/voltmesh"));
    assert!(commands.can.unwrap().signals.counter.is_some());
    for (text, said) in [
        ("controllers = [\"12\"]", "commands.controllers"),
        ("max_per_minute = 0", "commands.max_per_minute"),
        ("charge_a = -1.0", "commands.charge_a"),
        ("vss = { stdout = true, file = 'a' }", "commands.vss"),
        ("limits = 1", "unknown field `limits`"),
    ] {
        let error = with(&format!("[commands]\n{text}")).unwrap_err();
        assert!(error.contains(said), "{error:?} does not say {said:?}");
    }
}
