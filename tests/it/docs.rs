//! man/, README.md and the files that it shows are true of this build.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use etlsched::exit_code;

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

/// A block begins with a comment that names its file: `# jobs/NAME.yaml` or `# etlsched.yaml`. A job is checked in the workspace
/// of the last etlsched.yaml above it that shares its section, or without one.
#[test]
fn every_yaml_block_of_the_readme_is_valid() {
    let readme = readme();
    let mut workspace: Option<(String, String)> = None;
    for block in blocks(&readme, "```yaml") {
        let first = block.text.lines().next().unwrap_or_default();
        let file = first.trim_start_matches('#').split_whitespace().next().unwrap_or_default();
        let etl = Etl::new();
        match file {
            "etlsched.yaml" => {
                workspace = Some((block.section.clone(), block.text.clone()));
                etl.write("etlsched.yaml", &block.text);
            }
            _ if file.starts_with("jobs/") && file.ends_with(".yaml") => {
                if let Some((_, text)) = workspace.as_ref().filter(|(section, _)| *section == block.section) {
                    etl.write("etlsched.yaml", text);
                }
                etl.write(file, &block.text);
            }
            _ => panic!("README.md:{}: a YAML block begins with a comment that names its file, not {first:?}", block.line),
        }
        let ended = etl.run(&["validate"]);
        assert_eq!(ended.code, Some(0), "README.md:{}: {file}:\n{}{}", block.line, ended.stdout, ended.stderr);
    }
}

/// A console block below `<!-- tested -->` is run in a copy of the sample workspace: `$ ` lines are commands, the rest is what they
/// print, where a line `...` stands for any lines, and `#` for a digit of a time.
#[test]
#[cfg(unix)]
fn the_tested_console_blocks_of_the_readme_print_what_they_show() {
    let readme = readme();
    let etl = Etl::sample();
    for block in blocks(&readme, "```console").into_iter().filter(|block| block.is_tested) {
        for (command, expected) in commands(&block.text) {
            let ended = shell(&etl, &command);
            let printed = format!("{}{}", ended.stdout, ended.stderr);
            let expected = etl.redact(&expected);
            assert!(
                expected.is_empty() && ended.code == Some(0) || is_like(&expected, &printed),
                "README.md:{}: $ {command}\nshown:\n{expected}\nprinted (exit code {:?}):\n{printed}",
                block.line,
                ended.code
            );
        }
    }
}

#[test]
fn shown_output_is_compared_line_by_line() {
    assert!(is_like("a\nb\n", "a\nb\n"));
    assert!(is_like("a\n...\nd\n", "a\nb\nc\nd\n"));
    assert!(is_like("...\n", "anything\nat all\n"));
    assert!(!is_like("a\nb\n", "a\n"));
    assert!(!is_like("a\n", "a\nb\n"));
    assert!(!is_like("a\n...\nd\n", "a\nb\nc\n"));
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
    section: String,
    line: usize,
    is_tested: bool,
    text: String,
}

fn blocks(text: &str, fence: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut section = String::new();
    let mut before = "";
    let mut open = None;
    for (index, line) in text.lines().enumerate() {
        match open {
            None if line.starts_with("```") => {
                open = Some(line.trim() == fence);
                if open == Some(true) {
                    let is_tested = before.trim() == "<!-- tested -->";
                    found.push(Block { section: section.clone(), line: index + 1, is_tested, text: String::new() });
                }
            }
            None if line.starts_with('#') => section = line.to_owned(),
            Some(_) if line.trim() == "```" => open = None,
            Some(true) => {
                let block = found.last_mut().expect("pushed when the fence opened");
                block.text.push_str(line);
                block.text.push('\n');
            }
            _ => {}
        }
        if !line.trim().is_empty() {
            before = line;
        }
    }
    found
}

/// Takes a console block apart into commands and what is shown below each.
#[cfg(unix)]
fn commands(block: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            found.push((command.to_owned(), String::new()));
        } else if let Some((_, shown)) = found.last_mut() {
            shown.push_str(line);
            shown.push('\n');
        }
    }
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

/// Whether printed lines are as shown; a shown line `...` stands for any lines, none too.
fn is_like(shown: &str, printed: &str) -> bool {
    fn matches(shown: &[&str], printed: &[&str]) -> bool {
        match shown.split_first() {
            None => printed.is_empty(),
            Some((&"...", rest)) => (0..=printed.len()).any(|taken| matches(rest, &printed[taken..])),
            Some((first, rest)) => printed.first().is_some_and(|line| line.trim_end() == first.trim_end()) && matches(rest, &printed[1..]),
        }
    }
    matches(&shown.lines().collect::<Vec<_>>(), &printed.lines().collect::<Vec<_>>())
}
