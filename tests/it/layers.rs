//! Holds src/ to the map in src/lib.rs: who may import whom, who reads clocks and environment, who prints, how long a file is.
//!
//! Comments, string literals and `#[cfg(test)]` modules don't count.

use std::path::Path;

use crate::etl::repository;

/// The longest file, tests left out.
const LINES_MAX: usize = 430;

/// The layers, lowest first, as in src/lib.rs.
const LAYERS: [&[&str]; 9] = [
    &["exit_code", "clock", "secret", "text", "private", "process"],
    &["zone", "schedule", "batch"],
    &["plan", "run", "connect"],
    &["source", "destination", "scheduler", "state", "notify"],
    &["job", "workspace"],
    &["load", "engine"],
    &["output", "error"],
    &["command"],
    &["cli", "lib", "main"],
];

/// Who may import its neighbour of the same layer: (file, neighbour).
const NEIGHBOURS: [(&str, &str); 6] =
    [("schedule", "zone"), ("plan", "run"), ("connect", "plan"), ("workspace", "job"), ("output", "error"), ("lib", "cli")];

/// What a lower number alone would allow, and the two processes don't: (file, what it must not know).
const STRANGERS: [(&str, &str); 12] = [
    ("engine", "source"),
    ("engine", "destination"),
    ("load", "state"),
    ("job", "source"),
    ("job", "destination"),
    ("job", "state"),
    ("output", "source"),
    ("output", "destination"),
    ("output", "load"),
    ("command", "source"),
    ("command", "destination"),
    ("command", "load"),
];

/// The hidden command that is the worker's entry.
const WORKER_ENTRY: (&str, &str) = ("command/load.rs", "load");

#[test]
fn every_file_keeps_to_its_layer() {
    let mut files = Vec::new();
    collect(&repository().join("src"), &mut files);
    assert!(files.len() > 30, "src/ holds {} files: the test looks at the wrong folder", files.len());
    let problems: Vec<String> = files.iter().flat_map(|(path, text)| problems(path, text)).collect();
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn every_name_of_the_map_stands_in_src() {
    let src = repository().join("src");
    let is_there = |name: &str| src.join(name).join("mod.rs").is_file() || src.join(format!("{name}.rs")).is_file();
    let gone: Vec<&str> = LAYERS.iter().copied().flatten().copied().filter(|name| !is_there(name)).collect();
    assert_eq!(gone, Vec::<&str>::new());
}

#[test]
fn planted_violations_are_convicted() {
    let check = |path: &str, text: &str, expected: &str| {
        let found = problems(path, text);
        assert!(found.iter().any(|problem| problem.contains(expected)), "{path}: {text:?} should be convicted of {expected:?}: {found:?}");
    };
    check("source/csv.rs", "use crate::destination::Load;", "imports destination");
    check("source/csv/reader.rs", "fn a() { crate::state::open() }", "imports state");
    check("destination/sqlite.rs", "use crate::{batch::Schema, source::Source};", "imports source");
    check("state/runs.rs", "use crate::{\n    plan::Event,\n    engine,\n};", "imports engine");
    check("batch/cast.rs", "pub(crate) use crate::plan;", "imports plan");
    check("clock.rs", "use super::text;", "reaches the crate's root by super");
    check("source/csv/reader.rs", "use super::super::super::state;", "reaches the crate's root by super");
    check("source/mod.rs", "use super::state;", "reaches the crate's root by super");
    check("plan/load.rs", "use etlsched::state;", "names the crate from inside");
    check("engine/workers.rs", "use crate::source;", "imports source");
    check("load/copy.rs", "use crate::state::Store;", "imports state");
    check("command/show.rs", "use crate::destination;", "imports destination");
    check("command/run.rs", "use crate::load::Stop;", "imports load");
    check("output/show.rs", "use crate::source::open;", "imports source");
    check("nowhere.rs", "", "is in no layer");
    check("engine/lease.rs", "let now = Utc::now();", "reads a clock");
    check("load/window.rs", "let now = std::time::SystemTime::now();", "reads a clock");
    check("source/csv.rs", "println!(\"{row}\");", "prints");
    check("command/list.rs", "std::io::stdout().write_all(b\"\")", "prints");
    check("engine/lease.rs", "use diesel::prelude::*;", "uses diesel");
    check("source/csv.rs", "std::env::var(\"HOME\")", "reads the environment");
    check("job/load.rs", &"let x = 1;\n".repeat(LINES_MAX + 1), "lines long");
}

#[test]
fn what_the_layers_allow_is_not_convicted() {
    let check = |path: &str, text: &str| assert_eq!(problems(path, text), Vec::<String>::new(), "{path}: {text:?}");
    check("source/csv/reader.rs", "use crate::source::csv::Sniffed; use super::super::Read; use crate::batch::Schema;");
    check("clock.rs", "pub fn now() { Utc::now() }");
    check("run/mod.rs", "/// Not for [`crate::state`]. // use crate::state;\nconst A: &str = \"crate::state println! // \\\" diesel\";");
    check("run/mod.rs", "/* crate::state /* nested */ Utc::now() */ const A: char = '\"'; fn f<'a>(a: &'a str) {}");
    check("run/mod.rs", "const A: &str = r#\"a \" crate::state \"#;");
    check("run/mod.rs", "#[cfg(test)]\nmod tests { use crate::state; fn f() { println!(\"{}\", Utc::now()) } }");
    check("command/load.rs", "use crate::load::{self, Stop};");
    check("command/delete.rs", "if io::stderr().is_terminal() {}");
    check("output/mod.rs", "print!(\"\"); io::stdout()");
    check("state/models.rs", "use diesel::prelude::*;");
}

/// Returns every .rs file below src/ as (path in src/, text); files of unit tests are left out.
pub fn collect(folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("a folder of src/") {
        let path = entry.expect("an entry").path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let is_test = stem == "tests" || stem.ends_with("_tests");
        if path.is_dir() {
            if !is_test {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
            let name = path.strip_prefix(repository().join("src")).expect("below src/").to_string_lossy().replace('\\', "/");
            files.push((name, std::fs::read_to_string(&path).expect("a source file")));
        }
    }
}

/// Returns what a file does that its place on the map forbids.
fn problems(path: &str, text: &str) -> Vec<String> {
    let own = path.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    let Some(layer) = layer_of(own) else {
        return vec![format!("src/{path} is in no layer: add {own} to the map in src/lib.rs and to LAYERS here")];
    };
    // To ask whether a terminal is there is not to print.
    let code = without_tests(&without_comments(text)).replace("io::stderr().is_terminal", "").replace("io::stdout().is_terminal", "");
    let mut found = Vec::new();
    for import in imports(&code) {
        let is_free = import == own || NEIGHBOURS.contains(&(own, import.as_str())) || own == "lib";
        let is_lower = layer_of(&import).is_some_and(|other| other < layer);
        let is_stranger = STRANGERS.contains(&(own, import.as_str())) && (path, import.as_str()) != WORKER_ENTRY;
        if is_stranger || !(is_free || is_lower || is_item_of_root(&import)) {
            found.push(format!("src/{path} (layer {layer}) imports {import}"));
        }
    }
    let depth = path.split('/').count() - usize::from(path.ends_with("/mod.rs"));
    let to_root = "super::".repeat(depth);
    let reached = code.match_indices(&to_root).map(|(at, _)| identifier(&code[at + to_root.len()..]));
    for name in reached.filter(|name| own != "lib" && layer_of(name).is_some()) {
        found.push(format!("src/{path} reaches the crate's root by super: write crate::{name} so that the layers can be read"));
    }
    let mut forbid = |is_forbidden: bool, words: &[&str], what: &str| {
        for word in words.iter().filter(|word| is_forbidden && has_word(&code, word)) {
            found.push(format!("src/{path} {what}: {word}"));
        }
    };
    forbid(own != "main", &["etlsched::"], "names the crate from inside");
    forbid(own != "clock", &["Utc::now", "Local::now", "SystemTime::now"], "reads a clock");
    forbid(own != "output", &["println!", "print!", "eprintln!", "eprint!"], "prints");
    // A worker's stdout is its pipe to the supervisor, not the user's terminal.
    forbid(own != "output" && own != "load" && path != "command/load.rs", &["io::stdout", "io::stderr", "stdout()", "stderr()"], "prints");
    forbid(own != "state", &["diesel", "diesel_migrations"], "uses diesel");
    forbid(layer <= 3 && own != "process", &["env::var", "env::var_os", "env::vars"], "reads the environment");
    let lines = code.trim_end().lines().count();
    if lines > LINES_MAX {
        found.push(format!("src/{path} is {lines} lines long, the most is {LINES_MAX}: part it by subject"));
    }
    found
}

fn layer_of(name: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&name))
}

/// Macros and constants that stand in the crate's root are written in capitals or with `!`; modules never are.
fn is_item_of_root(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
}

/// Returns the first segment behind every `crate::`, groups taken apart.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, marker) in code.match_indices("crate::") {
        let is_word = code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == '$');
        let rest = code[at + marker.len()..].trim_start();
        match rest.strip_prefix('{') {
            _ if is_word => {}
            Some(group) => found.extend(heads(group)),
            None => found.push(identifier(rest)),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

/// Returns the first segment of every path of a `use` group, up to its closing brace.
fn heads(group: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut is_head = true;
    for (at, sign) in group.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => is_head = true,
            _ if sign.is_whitespace() => {}
            _ if is_head && depth == 0 => {
                found.push(identifier(&group[at..]));
                is_head = false;
            }
            _ => {}
        }
    }
    found
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|sign| sign.is_alphanumeric() || *sign == '_').collect()
}

/// Whether a text stands in the code as a word of its own.
fn has_word(code: &str, word: &str) -> bool {
    let is_part = |sign: char| sign.is_alphanumeric() || sign == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && (!word.ends_with(is_part) || !after.is_some_and(is_part))
    })
}

/// Returns the code with comments and the insides of string and character literals taken out; lines stay.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = code.ends_with(|before: char| before.is_alphanumeric() || before == '_');
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            comment_length(rest)
        } else if first == '"' {
            string_length(rest)
        } else if let Some(length) = raw_string_length(rest).filter(|_| !is_word) {
            length
        } else if let Some(length) = character_length(rest) {
            length
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.extend(rest[..length].chars().filter(|sign| *sign == '\n'));
        rest = &rest[length..];
    }
    code
}

fn comment_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, sign) in text.char_indices().skip(1) {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string_length(text: &str) -> Option<usize> {
    let body = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = body.bytes().take_while(|byte| *byte == b'#').count();
    if !body[hashes..].starts_with('"') {
        return None;
    }
    let start = text.len() - body.len() + hashes + 1;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text[start..].find(&end).map_or(text.len(), |at| start + at + end.len()))
}

/// Returns the length of a character literal; a lifetime is none.
fn character_length(text: &str) -> Option<usize> {
    let body = text.strip_prefix('\'')?;
    if body.starts_with('\\') {
        return body[2..].find('\'').map(|at| at + 4);
    }
    let first = body.chars().next()?;
    body[first.len_utf8()..].starts_with('\'').then(|| first.len_utf8() + 2)
}

/// Returns the code without `#[cfg(test)]` modules and without the declarations of test files.
fn without_tests(code: &str) -> String {
    let Some(start) = code.find("#[cfg(test)]") else {
        return code.to_owned();
    };
    let rest = &code[start..];
    let Some(open) = rest.find(['{', ';']) else {
        return code[..start].to_owned();
    };
    let mut depth = 0_usize;
    let mut end = rest.len();
    for (at, sign) in rest.char_indices().filter(|(at, _)| *at >= open) {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            end = at + 1;
            break;
        }
    }
    code[..start].to_owned() + &without_tests(&rest[end..])
}
