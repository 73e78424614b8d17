//! One man page: what clap_mangen renders, in the sections and with the synopsis that readers of man pages know. Pure.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};
use clap_mangen::Man as Page;

use crate::error::Failure;
use crate::exit_code;

/// The heading under which the options of every command stand.
pub const GLOBAL_OPTIONS: &str = "Global options";

/// Variables that are no option's, with what they do.
const VARIABLES: &[(&str, &str)] = &[
    ("ETLSCHED_TIMEZONE", "The zone for display and the default of jobs, in place of timezone in etlsched.yaml."),
    ("ETLSCHED_TRUSTED_OWNER", "The number of a user whose files are used as one's own are. Never read from .env."),
    ("ETLSCHED_NOW", "The present instant where slots are concerned (RFC 3339): for tests and simulation."),
    ("NO_COLOR", "Where it is set and not empty, nothing is coloured, unless --color always asks for it."),
    ("TZDIR", "The folder of the time zone rules, in place of the system's."),
];

/// The files of a workspace.
const FILES: &[(&str, &str)] = &[
    ("etlsched.yaml", "Settings, connections, what jobs share."),
    ("jobs/", "The jobs: JOB.yaml is the job JOB."),
    (".env", "Variables for ${NAME} in these files; those of the environment win. For its owner alone (0600)."),
    (".etlsched/", "What etlsched writes: the state store (state.db), the embedded warehouse (warehouse.db), rejected rows (rejects/)."),
];

/// Returns a command's page; `name` is its title, `etlsched-run`.
///
/// # Errors
/// A fault of the renderer.
pub fn page(command: &Command, name: &str) -> Result<String, Failure> {
    let is_main = command.has_subcommands() && !name.contains('-');
    let (about, mut examples) = apart(&command.get_long_about().map(ToString::to_string).unwrap_or_default());
    let after = command.get_after_long_help().or_else(|| command.get_after_help()).map(ToString::to_string).unwrap_or_default();
    examples.push_str(&apart(&after).1);
    let mut shown = command.clone();
    if !about.is_empty() {
        shown = shown.long_about(about);
    }
    let rendered = rendered(&shown, name)?;
    let (mut text, sections) = sections(&rendered);
    let mut section = |heading: &str, body: &str| {
        if !body.is_empty() {
            let _ = write!(text, ".SH {heading}\n{body}");
        }
    };
    let of = |heading: &str| sections.iter().find(|(known, _)| known == heading).map_or("", |(_, body)| body.as_str());
    section("NAME", of("NAME"));
    section("SYNOPSIS", &synopsis(command, name));
    section("DESCRIPTION", of("DESCRIPTION"));
    section("OPTIONS", &with_dots(of("OPTIONS"), command));
    section("\"GLOBAL OPTIONS\"", of(&GLOBAL_OPTIONS.to_uppercase()));
    let help =
        if is_main { entries([("etlsched help COMMAND", "Print the help of a command, as its --help does")]) } else { String::new() };
    section("SUBCOMMANDS", &format!("{}{help}", of("SUBCOMMANDS")));
    section("EXAMPLES", &verbatim(&examples));
    if is_main {
        let codes: Vec<(String, &str)> = exit_code::ALL.iter().map(|(code, meaning)| (code.to_string(), *meaning)).collect();
        section("\"EXIT STATUS\"", &entries(codes.iter().map(|(code, meaning)| (code.as_str(), *meaning))));
        section("ENVIRONMENT", &environment(command));
        section("FILES", &entries(FILES.iter().copied()));
    } else {
        section("\"EXIT STATUS\"", "Those of \\fBetlsched\\fR(1), which has the environment and the files too.\n");
        section("\"SEE ALSO\"", "\\fBetlsched\\fR(1)\n");
    }
    Ok(text)
}

fn rendered(command: &Command, name: &str) -> Result<String, Failure> {
    let mut text = Vec::new();
    let source = format!("etlsched {}", env!("CARGO_PKG_VERSION"));
    let page = Page::new(command.clone()).title(name).section("1").source(source).date("").manual("etlsched");
    page.render(&mut text).map_err(|error| Failure::internal(format!("man page {name}: {error}")))?;
    String::from_utf8(text).map_err(|_| Failure::internal(format!("man page {name} is not text")))
}

/// Parts a help text from its examples, which are lines under their heading.
fn apart(text: &str) -> (String, String) {
    let Some(start) = text.find("Examples:\n").filter(|start| *start == 0 || text[..*start].ends_with('\n')) else {
        return (text.trim_end().to_owned(), String::new());
    };
    let behind = &text[start + "Examples:\n".len()..];
    let examples = behind.lines().take_while(|line| line.starts_with("  ")).map(|line| format!("{}\n", line.trim_start())).collect();
    (text[..start].trim_end().to_owned(), examples)
}

/// Parts a page into what stands before its sections and these, by heading.
fn sections(page: &str) -> (String, Vec<(String, String)>) {
    let (mut before, mut found): (String, Vec<(String, String)>) = (String::new(), Vec::new());
    for line in page.lines() {
        match (line.strip_prefix(".SH "), found.last_mut()) {
            (Some(heading), _) => found.push((heading.trim_matches('"').to_owned(), String::new())),
            (None, Some((_, body))) => body.push_str(&format!("{line}\n")),
            (None, None) => before.push_str(&format!("{line}\n")),
        }
    }
    (before, found)
}

/// Returns how a command is called: its own options with their values; of a subcommand the global ones are not listed.
fn synopsis(command: &Command, name: &str) -> String {
    let is_main = !name.contains('-');
    let is_own = |arg: &&Arg| !arg.is_hide_set() && (is_main || arg.get_help_heading().is_none());
    let is_shown = |arg: &&Arg| is_own(arg) && !matches!(arg.get_action(), ArgAction::Help | ArgAction::HelpLong | ArgAction::Version);
    let mut words = vec![format!("\\fB{}\\fR", escaped(&name.replacen('-', " ", usize::MAX)))];
    words.extend(command.get_arguments().filter(|arg| !arg.is_positional()).filter(is_shown).map(option));
    if !is_main {
        words.push("[\\fIGLOBAL OPTIONS\\fR]".to_owned());
    }
    words.extend(command.get_positionals().filter(is_shown).map(|arg| bracketed(&format!("\\fI{}\\fR", escaped(&values(arg))), arg)));
    if command.has_subcommands() {
        words.push("\\fICOMMAND\\fR".to_owned());
    }
    words.join(" ") + "\n"
}

fn option(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("\\fB\\-{short}\\fR"));
    let long = arg.get_long().map(|long| format!("\\fB\\-\\-{}\\fR", escaped(long)));
    let mut text = short.into_iter().chain(long).collect::<Vec<_>>().join("|");
    if arg.get_action().takes_values() {
        let _ = write!(text, " \\fI{}\\fR", escaped(&values(arg)));
    }
    bracketed(&text, arg)
}

fn values(arg: &Arg) -> String {
    arg.get_value_names().map_or_else(|| arg.get_id().as_str().to_owned(), |names| names.join(" "))
}

fn bracketed(text: &str, arg: &Arg) -> String {
    let dots = if matches!(arg.get_action(), ArgAction::Append | ArgAction::Count) { "..." } else { "" };
    if arg.is_required_set() { format!("{text}{dots}") } else { format!("[{text}]{dots}") }
}

/// Marks positional arguments that may come several times.
fn with_dots(options: &str, command: &Command) -> String {
    let mut text = options.to_owned();
    for arg in command.get_positionals().filter(|arg| matches!(arg.get_action(), ArgAction::Append)) {
        for (open, close) in [("[", "]"), ("<", ">")] {
            let header = format!("\n{open}\\fI{}\\fR{close}", values(arg));
            text = text.replace(&format!("{header}\n"), &format!("{header}...\n"));
        }
    }
    text
}

fn environment(main: &Command) -> String {
    let of_options = main.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| {
        let (variable, long) = (arg.get_env()?.to_string_lossy().into_owned(), arg.get_long()?);
        Some((variable, format!("As --{long} {}, which wins.", values(arg))))
    });
    let mut text = String::new();
    for (variable, meaning) in of_options {
        text.push_str(&entries([(variable.as_str(), meaning.as_str())]));
    }
    text + &entries(VARIABLES.iter().copied())
}

/// Returns a list of terms with what each means.
fn entries<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    entries.into_iter().map(|(term, meaning)| format!(".TP\n\\fB{}\\fR\n{}\n", escaped(term), line(meaning))).collect()
}

/// Returns lines as they are, in a block of their own.
fn verbatim(lines: &str) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.lines().map(|text| format!("{}\n", line(text))).collect();
    format!(".RS 4\n.nf\n{lines}.fi\n.RE\n")
}

/// Returns a line that begins no request.
fn line(text: &str) -> String {
    let text = escaped(text);
    if text.starts_with(['.', '\\']) { format!("\\&{text}") } else { text }
}

/// Returns a text in which each character stands for itself; an apostrophe is the one of the page's first lines.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\*(Aq")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Command {
        let dir = Arg::new("project").short('C').long("project").value_name("DIR").global(true).help_heading(GLOBAL_OPTIONS);
        let run = Command::new("run")
            .about("Run jobs now")
            .long_about("Run jobs now\n\nOne by one.")
            .after_long_help("Examples:\n  etlsched run a\n  .x 'b'")
            .arg(Arg::new("source").long("source").value_name("NAME").action(ArgAction::Append).help("Only this source"))
            .arg(Arg::new("due").long("due").action(ArgAction::SetTrue).help("What is due"))
            .arg(Arg::new("jobs").value_name("JOB").action(ArgAction::Append).num_args(0..).help("The jobs"));
        let mut main =
            Command::new("etlsched").about("Keep it fresh").arg(dir.env("ETLSCHED_PROJECT").help("The workspace")).subcommand(run);
        main = main.disable_help_subcommand(true);
        main.build();
        main
    }

    #[test]
    fn a_page_has_its_own_options_first_and_its_examples_in_a_section() {
        let main = made();
        let text = page(main.find_subcommand("run").expect("it is there"), "etlsched-run").expect("a page");
        let (_, text) = text.split_once(".SH SYNOPSIS\n").expect("a synopsis");
        let expected = "\\fBetlsched run\\fR [\\fB\\-\\-source\\fR \\fINAME\\fR]... [\\fB\\-\\-due\\fR] [\\fIGLOBAL OPTIONS\\fR] [\\fIJOB\\fR]...\n\
            .SH DESCRIPTION\nRun jobs now\n.PP\nOne by one.\n\
            .SH OPTIONS\n.TP\n\\fB\\-\\-source\\fR \\fI<NAME>\\fR\nOnly this source\n.TP\n\\fB\\-\\-due\\fR\nWhat is due\n\
            .TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nPrint help (see a summary with \\*(Aq\\-h\\*(Aq)\n.TP\n[\\fIJOB\\fR]...\nThe jobs\n\
            .SH \"GLOBAL OPTIONS\"\n.TP\n\\fB\\-C\\fR, \\fB\\-\\-project\\fR \\fI<DIR>\\fR\nThe workspace\n\
            .SH EXAMPLES\n.RS 4\n.nf\netlsched run a\n\\&.x \\*(Aqb\\*(Aq\n.fi\n.RE\n\
            .SH \"EXIT STATUS\"\nThose of \\fBetlsched\\fR(1), which has the environment and the files too.\n\
            .SH \"SEE ALSO\"\n\\fBetlsched\\fR(1)\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_main_page_shows_values_of_options_and_lists_codes_variables_and_files() {
        let text = page(&made(), "etlsched").expect("a page");
        let has = |part: &str| assert!(text.contains(part), "no {part:?} in\n{text}");
        has(".SH SYNOPSIS\n\\fBetlsched\\fR [\\fB\\-C\\fR|\\fB\\-\\-project\\fR \\fIDIR\\fR] \\fICOMMAND\\fR\n");
        has(".TP\n\\fBetlsched help COMMAND\\fR\nPrint the help of a command, as its \\-\\-help does\n");
        has(".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\ndone;");
        has(".SH ENVIRONMENT\n.TP\n\\fBETLSCHED_PROJECT\\fR\nAs \\-\\-project DIR, which wins.\n");
        has(".SH FILES\n.TP\n\\fBetlsched.yaml\\fR\n");
        has("\\fB.etlsched/\\fR\n");
        assert!(!text.contains("EXTRA") && !text.contains(".SH VERSION"), "{text}");
    }
}
