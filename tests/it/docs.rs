//! man/, README.md and the files that it shows are true of this build.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use etlsched::exit_code;
use etlsched::plan::kinds::{DESTINATIONS, SOURCES};
use etlsched::scheduler::EXPORTERS;

use crate::etl::{Ended, Etl, repository};

#[test]
fn the_man_pages_are_those_of_this_command_line() {
    let etl = Etl::new();
    etl.run(&["man", "pages"]).exits(0);
    let fresh = pages(&etl.path("pages"));
    let kept = pages(&repository().join("man"));
    let fix = "run `cargo run -- man man` in the repository and commit what it writes";
    assert_eq!(fresh.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>(), "man/ holds other pages than this build: {fix}");
    for (name, page) in &fresh {
        assert!(kept[name] == *page, "man/{name} is not what this build prints: {fix}");
    }
}

#[test]
fn the_readme_lists_the_exit_codes_with_their_meanings() {
    let readme = readme();
    let section = section(&readme, "Exit codes");
    let listed: Vec<(String, String)> = section
        .lines()
        .filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|')?.split_once('|'))
        .map(|(code, meaning)| (code.trim().to_owned(), meaning.trim().replace('`', "")))
        .filter(|(code, _)| code.bytes().all(|byte| byte.is_ascii_digit()))
        .collect();
    let expected: Vec<(String, String)> = exit_code::ALL.iter().map(|(code, meaning)| (code.to_string(), (*meaning).to_owned())).collect();
    assert_eq!(listed, expected, "README.md, section Exit codes, against src/exit_code.rs");
}

#[test]
fn help_lists_the_exit_codes() {
    let help = Etl::new().run(&["--help"]).exits(0);
    for (code, meaning) in exit_code::ALL {
        let line = format!("{code:>3}  ");
        let words: String = help.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.stdout.contains(&line) && words.contains(meaning), "--help says nothing of exit code {code}: {meaning}");
    }
}

/// Whether a section of README.md has a table with a row for a kind.
fn has_row(heading: &str, title: &str) -> bool {
    section(&readme(), heading).lines().any(|line| line.strip_prefix(&format!("| {title} ")).is_some())
}

#[test]
fn every_kind_of_source_has_a_row_in_the_readme_and_an_example_that_is_valid() {
    for kind in SOURCES {
        assert!(has_row("Sources", kind.title), "README.md, section Sources, has no row that begins with {}", kind.title);
        let connections = kind.example.connection.map(|connection| format!("connections:\n  {connection}\n")).unwrap_or_default();
        assert_eq!(kind.example.connection.is_some(), kind.needs_connection, "{}: the example of its connection", kind.name);
        let etl = Etl::new().file("etlsched.yaml", connections);
        etl.write("jobs/shown.yaml", format!("data_sources:\n  - {}\n", kind.example.source));
        etl.run(&["validate"]).exits(0);
        let shown = etl.run(&["source", "list", "-o", "json"]).exits(0).json();
        assert_eq!(shown["sources"][0]["type"], kind.name, "{shown:#}");
    }
}

#[test]
fn every_kind_of_destination_has_a_row_in_the_readme_an_example_that_is_valid_and_a_conformance_run() {
    for kind in DESTINATIONS {
        assert!(has_row("Destinations", kind.title), "README.md, section Destinations, has no row that begins with {}", kind.title);
        let name = kind.example.split(':').next().expect("the name of a connection");
        let etl = Etl::new().csv_job("shown", "", "a\n1\n");
        etl.write("etlsched.yaml", format!("destination: {name}\nconnections:\n  {}\n", kind.example));
        etl.run(&["validate"]).exits(0);
        let tests = repository().join("src/destination").join(kind.name).join("tests.rs");
        let tests = std::fs::read_to_string(&tests).unwrap_or_else(|error| panic!("{}: {error}", tests.display()));
        assert!(tests.contains("conformance::all("), "{} doesn't run the conformance suite", kind.name);
    }
}

#[test]
fn the_readme_has_a_row_for_every_scheduler() {
    let readme = readme();
    let section = section(&readme, "Schedulers");
    let rows: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name).collect();
    let names: Vec<&str> = EXPORTERS.iter().map(|exporter| exporter.name()).collect();
    assert_eq!(rows, names, "README.md, section Schedulers, against src/scheduler/mod.rs");
}

/// A block that begins with `# etlsched.yaml` is the workspace's file, every other one a job.
#[test]
fn every_yaml_block_of_the_readme_is_valid() {
    for Block { line, text } in blocks(&readme(), "```yaml") {
        let is_workspace = text.starts_with("# etlsched.yaml");
        let etl = Etl::new().file(if is_workspace { "etlsched.yaml" } else { "jobs/shown.yaml" }, &text);
        let ended = etl.run(&["validate"]);
        assert_eq!(ended.code, Some(0), "README.md:{line}:\n{}{}", ended.stdout, ended.stderr);
    }
}

/// The commands of the console blocks (`$ ` lines), in order, as one session that begins in an empty folder. Those that build or
/// test the repository itself are left out: CI runs them.
#[test]
#[cfg(unix)]
fn the_commands_of_the_readme_work_in_their_order() {
    let blocks = blocks(&readme(), "```console");
    let commands: Vec<&str> = blocks.iter().flat_map(|block| block.text.lines()).filter_map(|line| line.strip_prefix("$ ")).collect();
    let session: Vec<&str> =
        commands.into_iter().filter(|command| !command.starts_with("cargo ") && !command.starts_with("tests/")).collect();
    assert!(session.iter().any(|command| command.starts_with("etlsched run")), "the README shows no run: {session:?}");
    let etl = Etl::new();
    std::fs::remove_dir(etl.path("jobs")).expect("an empty folder");
    let ended = shell(&etl, &format!("set -ex\n{}", session.join("\n")));
    assert_eq!(ended.code, Some(0), "the last command shown failed:\n{}{}", ended.stdout, ended.stderr);
}

fn readme() -> String {
    let path = repository().join("README.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn pages(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            let text = std::fs::read_to_string(entry.path()).expect("a page");
            (entry.file_name().to_string_lossy().into_owned(), text.replace("\r\n", "\n"))
        })
        .collect()
}

/// Returns the text below a heading, up to the next heading of any level.
fn section<'text>(text: &'text str, heading: &str) -> &'text str {
    let mut start = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with('#') {
            match start {
                Some(start) => return &text[start..at],
                None if line.trim_start_matches('#').trim() == heading => start = Some(at + line.len()),
                None => {}
            }
        }
        at += line.len();
    }
    &text[start.unwrap_or_else(|| panic!("README.md has no heading {heading:?}"))..]
}

/// A fenced block.
struct Block {
    line: usize,
    text: String,
}

fn blocks(text: &str, fence: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open = None;
    for (index, line) in text.lines().enumerate() {
        match open {
            None if line.starts_with("```") => {
                open = Some(line.trim() == fence);
                if open == Some(true) {
                    found.push(Block { line: index + 1, text: String::new() });
                }
            }
            Some(_) if line.trim() == "```" => open = None,
            Some(true) => {
                let block = found.last_mut().expect("pushed when the fence opened");
                block.text.push_str(line);
                block.text.push('\n');
            }
            _ => {}
        }
    }
    assert!(!found.is_empty(), "README.md has no {fence} block");
    found
}

#[cfg(unix)]
fn shell(etl: &Etl, command: &str) -> Ended {
    let program = Path::new(env!("CARGO_BIN_EXE_etlsched"));
    let folder = program.parent().expect("a program lies in a folder").display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(etl.path(""))
        .env_clear()
        .env("PATH", path)
        .env("HOME", etl.path(""))
        .stdin(Stdio::null())
        .output()
        .expect("sh starts");
    Ended::new(etl, &[command], output)
}
