//! Commands that documents, messages and units show: each is one that this command line accepts.

use std::path::{Path, PathBuf};

use clap::Parser as _;

use super::Cli;

/// The project's folder.
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file below a folder whose name has this ending, in order.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.to_string_lossy().ends_with(ending) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// The documents: every `.md` file at the top, in docs/ and in deploy/.
fn documents() -> Vec<PathBuf> {
    let top = std::fs::read_dir(project()).expect("the project's folder");
    let top = top
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "md"));
    top.chain(files(&project().join("docs"), ".md")).chain(files(&project().join("deploy"), ".md")).collect()
}

/// Every line of a document that is a command of ours is accepted as it stands; lines that end with `\` go on.
#[test]
fn shown_commands_parse() {
    let mut commands = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("readable").replace("\\\n", " ");
        for line in text.lines() {
            // What follows is the shell's: a comment, a redirection, the background.
            let line = ["   #", " 2> ", " 2>> ", " &"]
                .iter()
                .fold(line, |line, end| line.split(*end).next().unwrap_or(line));
            let line = line.trim();
            if line.starts_with("voltmesh ") {
                accepted(&document, line);
                commands += 1;
            }
        }
    }
    assert!(commands > 20, "only {commands} commands found");
}

/// A command that stands in backticks, in a document or in a message of the program, names commands and options that
/// exist: words in capitals, `…` and what is in brackets stand for values.
#[test]
fn named_commands_exist() {
    let (mut commands, mut wrong) = (0, Vec::new());
    let sources =
        files(&project().join("crates"), ".rs").into_iter().filter(|path| !path.ends_with("documents.rs"));
    for file in documents().into_iter().chain(sources) {
        let text = std::fs::read_to_string(&file).expect("readable");
        for piece in text.split('`').skip(1).filter(|piece| piece.starts_with("voltmesh ")) {
            if piece.contains('\n') {
                continue;
            }
            wrong.extend(unknown_part(piece).map(|what| format!("{}: `{piece}`: {what}", file.display())));
            commands += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(commands > 50, "only {commands} commands found");
}

/// What the units of systemd start is a command of ours.
#[test]
fn units_start_a_role() {
    let units = files(&project().join("deploy/systemd"), ".service");
    assert!(units.len() >= 3, "{units:?}");
    for unit in units {
        let text = std::fs::read_to_string(&unit).expect("readable");
        let command =
            text.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/")).expect("a command");
        accepted(&unit, command);
    }
}

/// Asserts that a whole command line is accepted.
fn accepted(file: &Path, command: &str) {
    let parsed = Cli::try_parse_from(words(command));
    if let Err(error) = parsed {
        panic!("{}: {command}\n{error}", file.display());
    }
}

/// The first word of a shown command that names a command or an option which does not exist.
fn unknown_part(shown: &str) -> Option<String> {
    use clap::CommandFactory as _;
    let cli = Cli::command();
    let mut command = &cli;
    let mut words = shown.split_whitespace().skip(1).peekable();
    while let Some(inner) = words.peek().and_then(|word| command.find_subcommand(word)) {
        command = inner;
        words.next();
    }
    let first = words.peek().copied().unwrap_or_default();
    if command.has_subcommands() && first.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Some(format!("no command {first}"));
    }
    let has = |of: &clap::Command, name: &str| of.get_arguments().any(|a| a.get_long() == Some(name));
    let options = words.filter_map(|word| word.strip_prefix("--"));
    let mut names = options
        .map(|word| word.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap_or(word));
    let unknown = names
        .find(|name| !["help", "version", ""].contains(name) && !has(command, name) && !has(&cli, name))?;
    Some(format!("no option --{unknown}"))
}

/// Splits a shell line as far as the command's own words go: double quotes hold a word together, `>` and `|` end them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            '>' | '|' if !quoted => break,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().expect("never empty").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
