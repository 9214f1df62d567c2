//! Which file of a crate imports which, read from the sources: enough of Rust's syntax for `mod`, `use` and paths.
//!
//! Test code does not count, and neither do `mod` and `pub use`: a parent may show what its parts define. A name that is
//! imported by way of a re-export counts as imported from the file that defines it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Name of a module inside its crate, `a::b`; the root's is empty.
pub type Module = String;

/// Imports of each module of a crate.
pub type Graph = BTreeMap<Module, BTreeSet<Module>>;

/// The modules of a crate that are compiled outside tests, and what each imports of the others.
pub fn graph(src: &Path) -> Graph {
    let mut files = BTreeMap::new();
    read(src, src, &mut files);
    graph_of(files)
}

/// [`graph`] of sources by module.
pub fn graph_of(files: BTreeMap<Module, String>) -> Graph {
    let files: BTreeMap<Module, File> =
        files.into_iter().map(|(module, text)| (module.clone(), File::parse(&module, &text))).collect();
    let mut live = BTreeSet::new();
    reach("", &files, &mut live);
    let resolver = Resolver { files: &files, live: &live };
    live.iter()
        .map(|module| {
            let imports = files[module].paths.iter().filter_map(|path| resolver.owner(path, 0));
            (module.clone(), imports.filter(|import| import != module).collect())
        })
        .collect()
}

/// Groups of two modules or more of which each leads to each other one.
pub fn circles(graph: &Graph) -> Vec<BTreeSet<Module>> {
    let reaches = |from: &Module| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(module) = open.pop() {
            for next in graph.get(module).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Module, BTreeSet<Module>> =
        graph.keys().map(|module| (module, reaches(module))).collect();
    let mut out: Vec<BTreeSet<Module>> = Vec::new();
    for (module, seen) in &reached {
        if out.iter().any(|circle| circle.contains(*module)) {
            continue;
        }
        let back = |other: &&Module| reached.get(other).is_some_and(|seen| seen.contains(*module));
        let circle: BTreeSet<Module> = seen.iter().filter(back).cloned().collect();
        if circle.len() > 1 {
            out.push(circle);
        }
    }
    out
}

fn read(folder: &Path, src: &Path, files: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            read(&path, src, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            // Beside a library, the program is a crate of its own.
            if path.ends_with("src/main.rs") && path.with_file_name("lib.rs").exists() {
                continue;
            }
            let inside = path.strip_prefix(src).expect("inside the crate").with_extension("");
            let mut names: Vec<_> = inside.iter().map(|name| name.to_string_lossy().into_owned()).collect();
            if names.last().is_some_and(|name| name == "mod" || name == "lib" || name == "main") {
                names.pop();
            }
            files.insert(names.join("::"), fs::read_to_string(&path).expect("a source file"));
        }
    }
}

fn reach(module: &str, files: &BTreeMap<Module, File>, live: &mut BTreeSet<Module>) {
    let Some(file) = files.get(module) else { return };
    if live.insert(module.to_owned()) {
        file.children.iter().for_each(|child| reach(&join(module, child), files, live));
    }
}

fn join(module: &str, child: &str) -> Module {
    if module.is_empty() { child.to_owned() } else { format!("{module}::{child}") }
}

/// What a file says of modules.
struct File {
    children: BTreeSet<String>,
    /// Paths from the crate's root that its code names.
    paths: Vec<Vec<String>>,
    /// Names that it shows of others, and where they come from.
    shown: BTreeMap<String, Vec<String>>,
}

impl File {
    fn parse(module: &str, text: &str) -> Self {
        let tokens = without_tests(&tokens(text));
        let children: BTreeSet<String> = tokens
            .windows(3)
            .filter(|window| window[0] == "mod" && window[2] == ";")
            .map(|window| window[1].clone())
            .collect();
        let mut this = Self { children, paths: Vec::new(), shown: BTreeMap::new() };
        let here: Vec<String> =
            module.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let mut at = 0;
        while at < tokens.len() {
            let before = at.checked_sub(1).map(|before| tokens[before].as_str());
            // `use<'a>` in a type is no import.
            if tokens[at] == "use" && tokens.get(at + 1).is_some_and(|next| next != "<") {
                let end = (at..tokens.len()).find(|end| tokens[*end] == ";").unwrap_or(tokens.len());
                let public = matches!(before, Some("pub" | ")"));
                for (path, name) in flatten(&tokens[at + 1..end]) {
                    let Some(path) = this.absolute(&here, &path) else { continue };
                    if public {
                        this.shown.insert(name, path);
                    } else {
                        this.paths.push(path);
                    }
                }
                at = end;
            } else if !matches!(before, Some("::" | "$" | "."))
                && tokens.get(at + 1).is_some_and(|next| next == "::")
            {
                let mut path = vec![tokens[at].clone()];
                while tokens.get(at + 1).is_some_and(|next| next == "::")
                    && tokens.get(at + 2).is_some_and(|name| is_name(name))
                {
                    path.push(tokens[at + 2].clone());
                    at += 2;
                }
                this.paths.extend(this.absolute(&here, &path));
            }
            at += 1;
        }
        this
    }

    /// The path from the crate's root; `None` if it leads out of the crate, or names something of this file.
    fn absolute(&self, here: &[String], path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([here, rest].concat()),
            "super" => {
                let mut here = &here[..here.len().checked_sub(1)?];
                let mut rest = rest;
                while rest.first().is_some_and(|name| name == "super") {
                    (here, rest) = (&here[..here.len().checked_sub(1)?], &rest[1..]);
                }
                Some([here, rest].concat())
            }
            child if self.children.contains(child) => Some([here, path].concat()),
            _ => None,
        }
    }
}

struct Resolver<'a> {
    files: &'a BTreeMap<Module, File>,
    live: &'a BTreeSet<Module>,
}

impl Resolver<'_> {
    /// The module that defines what a path names. Re-exports lead on, at most so many times.
    fn owner(&self, path: &[String], hops: usize) -> Option<Module> {
        for len in (0..=path.len()).rev() {
            let module = path[..len].join("::");
            if !self.live.contains(&module) {
                continue;
            }
            let shown = path.get(len).and_then(|name| self.files[&module].shown.get(name));
            return match shown {
                Some(from) if hops < 8 => self.owner(&[from, &path[len + 1..]].concat(), hops + 1),
                _ => Some(module),
            };
        }
        None
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Paths of a `use`, and the names by which they are known.
fn flatten(tokens: &[String]) -> Vec<(Vec<String>, String)> {
    let (mut out, mut stack, mut path) = (Vec::new(), vec![Vec::new()], Vec::<String>::new());
    let mut name: Option<String> = None;
    let mut at = 0;
    let mut finish = |path: &mut Vec<String>, name: &mut Option<String>, base: &[String]| {
        if !path.is_empty() {
            let last = path[path.len() - 1].clone();
            let full: Vec<String> =
                base.iter().chain(path.iter()).filter(|part| *part != "*").cloned().collect();
            // `a::{self, b}` names `a`.
            let full = if last == "self" && full.len() > 1 { full[..full.len() - 1].to_vec() } else { full };
            let shown = name.take().unwrap_or_else(|| full.last().cloned().unwrap_or_default());
            out.push((full, shown));
        }
        path.clear();
    };
    while at < tokens.len() {
        let base = stack[stack.len() - 1].clone();
        match tokens[at].as_str() {
            "::" => {}
            "as" => {
                name = tokens.get(at + 1).cloned();
                at += 1;
            }
            "{" => {
                stack.push([base, std::mem::take(&mut path)].concat());
            }
            "}" => {
                finish(&mut path, &mut name, &base);
                stack.pop();
            }
            "," => finish(&mut path, &mut name, &base),
            token => path.push(token.to_owned()),
        }
        at += 1;
    }
    let base = stack.pop().unwrap_or_default();
    finish(&mut path, &mut name, &base);
    out
}

/// Leaves out what is compiled for tests only: the item after `#[cfg(test)]`.
fn without_tests(tokens: &[String]) -> Vec<String> {
    let marker = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut out, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if tokens[at..].iter().take(marker.len()).eq(marker.iter()) {
            at += marker.len();
            let mut depth = 0_usize;
            while at < tokens.len() {
                match tokens[at].as_str() {
                    "{" => depth += 1,
                    "}" if depth <= 1 => {
                        at += usize::from(depth == 1);
                        break;
                    }
                    "}" => depth -= 1,
                    ";" if depth == 0 => {
                        at += 1;
                        break;
                    }
                    _ => {}
                }
                at += 1;
            }
        } else {
            out.push(tokens[at].clone());
            at += 1;
        }
    }
    out
}

/// Names, `::` and single signs, without comments, strings and character literals.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut at) = (Vec::new(), 0);
    let starts = |at: usize, with: &str| with.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    while at < chars.len() {
        let c = chars[at];
        if starts(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if starts(at, "/*") {
            while at < chars.len() && !starts(at, "*/") {
                at += 1;
            }
            at += 2;
        } else if c == '"' {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if c == '\'' {
            // A character literal ends in a quote; a lifetime does not.
            let literal = chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'');
            at += 1;
            if literal {
                at += if chars.get(at) == Some(&'\\') { 2 } else { 1 };
                while at < chars.len() && chars[at] != '\'' {
                    at += 1;
                }
                at += 1;
            }
        } else if c.is_alphanumeric() || c == '_' {
            let start = at;
            while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
                at += 1;
            }
            let word: String = chars[start..at].iter().collect();
            let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
            if matches!(word.as_str(), "r" | "br") && chars.get(at + hashes) == Some(&'"') {
                let end: String = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                at += hashes + 1;
                while at < chars.len() && !starts(at, &end) {
                    at += 1;
                }
                at += end.len();
            } else {
                out.push(word);
            }
        } else if starts(at, "::") {
            out.push("::".to_owned());
            at += 2;
        } else {
            if !c.is_whitespace() {
                out.push(c.to_string());
            }
            at += 1;
        }
    }
    out
}
