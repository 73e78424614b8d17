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
    let blocks = blocks_of(&readme(), &["yaml"]);
    assert!(blocks.len() > 5, "{} blocks", blocks.len());
    let readme = readme();
    let lines: Vec<&str> = readme.lines().collect();
    let mut settings: Option<Block> = None;
    for block in blocks {
        let Block { line, text, .. } = &block;
        let is_workspace = text.starts_with("# etlsched.yaml");
        // A state store must be known before anything else is.
        let etl = Etl::new().env("STATE_PASSWORD", "hunter22").file(if is_workspace { "etlsched.yaml" } else { "jobs/shown.yaml" }, text);
        // A job may use what the settings shown in its own section declare.
        let is_near = |settings: &&Block| {
            !lines[settings.line..*line].iter().any(|line| line.starts_with('#') && line.contains("# ") && !line.starts_with("# "))
        };
        if let Some(settings) = settings.as_ref().filter(is_near).filter(|_| !is_workspace) {
            etl.write("etlsched.yaml", &settings.text);
        }
        let ended = etl.run(&["validate"]);
        assert_eq!(ended.code, Some(0), "README.md:{line}:\n{}{}", ended.stdout, ended.stderr);
        if is_workspace {
            settings = Some(block);
        }
    }
}

/// What the blocks of the documents may be: each is looked at by a test, or shows no more than an output or another tool's file.
const LANGUAGES: [&str; 6] = ["console", "sh", "yaml", "text", "ruby", "crontab"];

#[test]
fn every_block_says_what_it_is() {
    for name in DOCUMENTS {
        for Block { line, language, .. } in blocks(&document(name)) {
            assert!(LANGUAGES.contains(&language.as_str()), "{name}:{line}: a block of {language:?}; known are {}", LANGUAGES.join(", "));
        }
    }
}

/// Commands that no test runs as they are shown, by their beginnings, and why.
#[cfg(unix)]
const NOT_RUN: [(&str, &str); 4] = [
    ("cargo ", "builds this repository: CI does"),
    ("tests/", "tests this repository: CI does"),
    ("python manage.py", "Django is not here; tests/it/parity.rs gives `create --from` an entry of its dump"),
    ("jq ", "reads that dump"),
];

/// The commands of the console blocks (`$ ` lines) and of the sh blocks, in order, as one session that begins in an empty folder.
#[test]
#[cfg(unix)]
fn the_commands_of_the_readme_work_in_their_order() {
    let blocks = blocks_of(&readme(), &["console", "sh"]);
    let session: Vec<String> = blocks.iter().flat_map(commands).filter(|command| reason_not_to_run(command).is_none()).collect();
    assert!(session.iter().any(|command| command.starts_with("etlsched run")), "the README shows no run: {session:?}");
    let etl = with_crontab(Etl::new());
    std::fs::remove_dir(etl.path("jobs")).expect("an empty folder");
    let ended = shell(&etl, &format!("set -ex\n{}", session.join("\n")));
    assert_eq!(ended.code, Some(0), "the last command shown failed:\n{}{}", ended.stdout, ended.stderr);
}

#[test]
#[cfg(unix)]
fn every_reason_not_to_run_a_command_is_needed() {
    let all: Vec<String> = DOCUMENTS.iter().flat_map(|name| blocks(&document(name))).flat_map(|block| commands(&block)).collect();
    for (beginning, reason) in NOT_RUN {
        assert!(all.iter().any(|command| command.starts_with(beginning)), "no document shows {beginning:?} ({reason})");
    }
}

/// Returns the commands of a block: of a console those behind `$ `, of a script all but remarks.
#[cfg(unix)]
fn commands(block: &Block) -> Vec<String> {
    let lines = block.text.lines();
    match block.language.as_str() {
        "console" => lines.filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect(),
        "sh" => lines.filter(|line| !line.trim().is_empty() && !line.starts_with('#')).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(unix)]
fn reason_not_to_run(command: &str) -> Option<&'static str> {
    NOT_RUN.iter().find(|(beginning, _)| command.starts_with(beginning)).map(|(_, reason)| *reason)
}

/// A `crontab` of the workspace's own, first in PATH: what is shown of entries must not end in the tester's.
#[cfg(unix)]
fn with_crontab(etl: Etl) -> Etl {
    use std::os::unix::fs::PermissionsExt as _;
    let spool = etl.path("spool").display().to_string();
    let program = "#!/bin/sh\ncase $1 in\n-l) cat SPOOL 2>/dev/null || { echo no crontab for etl >&2; exit 1; } ;;\n-r) rm SPOOL ;;\n*) cat > SPOOL ;;\nesac\n";
    etl.write("bin/crontab", program.replace("SPOOL", &spool));
    std::fs::set_permissions(etl.path("bin/crontab"), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    etl
}

/// Every `etlsched ...` in running text is a command line that this build understands; words in capitals stand for something.
#[test]
fn every_command_in_the_text_of_the_documents_is_one() {
    let mut count = 0;
    for name in DOCUMENTS {
        for (line, span) in spans(&document(name)) {
            let ours = span.split(" && ").next().unwrap_or_default();
            let words: Vec<String> = ours.split_whitespace().map(|word| word.trim_matches(['[', ']', '.']).to_owned()).collect();
            if span.starts_with("etlsched ") && words.get(1).is_some_and(|word| !word.is_empty()) && !span.contains(['|', '<', '{', '$']) {
                count += 1;
                understood(&words).unwrap_or_else(|error| panic!("{name}:{line}: {span}: {error}"));
            }
        }
    }
    assert!(count > 40, "{count} commands in running text: the test looks at the wrong places");
}

#[test]
fn every_example_of_help_is_a_command_of_this_build() {
    let mut count = 0;
    let mut commands = vec![etlsched::cli::definition()];
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands().cloned());
        let texts = [command.get_after_help(), command.get_after_long_help(), command.get_long_about()];
        let texts: Vec<String> = texts.into_iter().flatten().map(ToString::to_string).collect();
        for line in texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix("  etlsched ")) {
            for part in format!("etlsched {line}").split(" && ").map(|part| part.split(['|', '>']).next().unwrap_or_default()) {
                count += 1;
                let words: Vec<String> = part.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect();
                understood(&words).unwrap_or_else(|error| panic!("etlsched {}: {part}: {error}", command.get_name()));
            }
        }
    }
    assert!(count > 30, "{count} examples");
}

/// Whether the command line is one, though a word that it needs may be left out in running text.
fn understood(words: &[String]) -> Result<(), String> {
    use clap::error::ErrorKind;
    match etlsched::cli::definition().try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand | ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                Ok(())
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Ok(()),
            ErrorKind::InvalidValue | ErrorKind::ValueValidation if words.iter().any(|word| is_placeholder(word)) => Ok(()),
            _ => Err(error.to_string()),
        },
    }
}

fn is_placeholder(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[test]
fn the_map_of_the_architecture_names_every_part_of_src() {
    let architecture = document("ARCHITECTURE.md");
    let map = section(&architecture, "Layers");
    for entry in std::fs::read_dir(repository().join("src")).expect("src/") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let part = name.trim_end_matches(".rs");
        let is_there = map.contains(&format!("`{part}`")) || map.contains(&format!("`{part}/`"));
        assert!(is_there, "ARCHITECTURE.md, section Layers, says nothing of src/{name}");
    }
}

/// Files and headings that links name are there.
#[test]
fn every_link_of_the_documents_leads_somewhere() {
    for name in DOCUMENTS {
        let text = document(name);
        let anchors = |text: &str| headings(text).map(anchor).collect::<Vec<String>>();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split(')').next().unwrap_or_default();
            let line = text[..at].lines().count();
            if target.contains("://") {
                continue;
            }
            let (file, wanted) = target.split_once('#').unwrap_or((target, ""));
            assert!(file.is_empty() || repository().join(file).exists(), "{name}:{line}: no file {file}");
            let there = if file.is_empty() {
                anchors(&text)
            } else {
                anchors(&std::fs::read_to_string(repository().join(file)).unwrap_or_default())
            };
            assert!(wanted.is_empty() || there.iter().any(|known| known == wanted), "{name}:{line}: no heading has the anchor #{wanted}");
        }
    }
}

/// Returns the headings outside of blocks.
fn headings(text: &str) -> impl Iterator<Item = &str> {
    let mut is_in_block = false;
    text.lines().filter(move |line| {
        is_in_block ^= line.trim_start().starts_with("```");
        !is_in_block && line.starts_with('#')
    })
}

/// Returns the anchor that web sites give a heading.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'));
    kept.map(|character| if character == ' ' { '-' } else { character }).collect()
}

/// Returns what stands between single backquotes outside of blocks, with its line.
fn spans(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut is_in_block = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_in_block = !is_in_block;
        } else if !is_in_block {
            found.extend(line.split('`').skip(1).step_by(2).map(|span| (index + 1, span.to_owned())));
        }
    }
    found
}

const DOCUMENTS: [&str; 3] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"];

fn document(name: &str) -> String {
    let path = repository().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn readme() -> String {
    document("README.md")
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
    language: String,
    text: String,
}

fn blocks_of(text: &str, languages: &[&str]) -> Vec<Block> {
    let found: Vec<Block> = blocks(text).into_iter().filter(|block| languages.contains(&block.language.as_str())).collect();
    assert!(!found.is_empty(), "no block of {}", languages.join(", "));
    found
}

/// Returns every block, also of lists, whose lines are indented.
fn blocks(text: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<usize> = None;
    for (index, line) in text.lines().enumerate() {
        let inner = line.trim_start();
        match open {
            None if inner.starts_with("```") => {
                open = Some(line.len() - inner.len());
                found.push(Block { line: index + 1, language: inner[3..].trim().to_owned(), text: String::new() });
            }
            Some(_) if inner == "```" => open = None,
            Some(indent) => {
                let block = found.last_mut().expect("pushed when the fence opened");
                block.text.push_str(line.get(indent..).unwrap_or_default());
                block.text.push('\n');
            }
            None => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

#[cfg(unix)]
fn shell(etl: &Etl, command: &str) -> Ended {
    let program = Path::new(env!("CARGO_BIN_EXE_etlsched"));
    let folder = program.parent().expect("a program lies in a folder").display();
    let path = format!("{}:{folder}:{}", etl.path("bin").display(), std::env::var("PATH").unwrap_or_default());
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
