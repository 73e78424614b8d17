//! `${NAME}` in values, `.env` files, and secrets from files and commands. The environment comes in as an argument.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::strip;
use crate::secret::Secret;
use crate::text::shortened;

use super::positions::{Fault, Node, Place, ScalarKind, Template, Value};

/// How long a command may take that gives a secret.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// How many variables one value may have.
const VARIABLES_MAX: usize = 1000;
/// How long all texts with variables of a file may be together, their values put in.
const REPLACED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many variables `.env` may have.
const DOTENV_MAX: usize = 5000;
/// How many wrong lines of `.env` are listed.
const DOTENV_ERRORS_MAX: usize = 100;
/// The longest secret in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// The variables that `${NAME}` may name, and what else the process knows of its machine.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    process: BTreeMap<String, String>,
    dotenv: BTreeMap<String, String>,
    /// How many cores there are.
    pub cores: usize,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Environment({} + {} variables)", self.process.len(), self.dotenv.len())
    }
}

impl Environment {
    /// Takes the variables of the process.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>, cores: usize) -> Self {
        Self { process: variables.into_iter().collect(), dotenv: BTreeMap::new(), cores }
    }

    /// Adds the variables of `.env`; those of the process win.
    #[must_use]
    pub fn with_dotenv(mut self, variables: BTreeMap<String, String>) -> Self {
        self.dotenv = variables;
        self
    }

    /// Returns a variable's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.process.get(name).or_else(|| self.dotenv.get(name)).map(String::as_str)
    }

    /// Returns a variable of the process: what a file of the workspace must not decide.
    pub fn of_process(&self, name: &str) -> Option<&str> {
        self.process.get(name).map(String::as_str)
    }

    /// Returns the values of `.env`: what stands there is taken to be secret.
    pub fn dotenv_values(&self) -> impl Iterator<Item = &str> {
        self.dotenv.values().map(String::as_str)
    }
}

/// Replaces the variables in every text of a tree, once.
pub fn substitute(node: &mut Node, environment: &Environment, faults: &mut Vec<Fault>) {
    Substitution { environment, bytes: 0, faults }.node(node);
}

struct Substitution<'a> {
    environment: &'a Environment,
    /// How long the texts with variables are together, values put in.
    bytes: usize,
    faults: &'a mut Vec<Fault>,
}

impl Substitution<'_> {
    fn node(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::Scalar(scalar) if scalar.kind == ScalarKind::Text && scalar.text.contains("${") => {
                match replaced(&scalar.text, self.environment, REPLACED_BYTES_MAX.saturating_sub(self.bytes)) {
                    Ok((text, template)) => {
                        self.bytes += text.len();
                        scalar.template = (!template.names.is_empty()).then(|| Box::new(template));
                        scalar.text = text;
                    }
                    Err(message) => self.faults.push(fault(node.place, message)),
                }
            }
            Value::Scalar(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| self.node(item)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| self.node(&mut entry.node)),
        }
    }
}

fn fault(place: Place, message: String) -> Fault {
    Fault { place, message, hint: Some("write ${NAME} or ${NAME:-default}; $${ stands for ${ itself".to_owned()) }
}

/// Replaces the variables of one text. Where one has no value, the text stays as written.
fn replaced(text: &str, environment: &Environment, bytes_max: usize) -> Result<(String, Template), String> {
    let mut template = Template { text: text.to_owned(), ..Template::default() };
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        if rest[..start].ends_with('$') {
            result.push_str(&rest[..start - 1]);
            result.push_str("${");
            rest = &rest[start + 2..];
            continue;
        }
        result.push_str(&rest[..start]);
        let inner = &rest[start + 2..];
        let end = inner.find('}').ok_or_else(|| format!("\"{}\" has a ${{ without }}", shortened(text, 60)))?;
        let (name, default) = match inner[..end].split_once(":-") {
            None => (&inner[..end], None),
            Some((name, default)) => (name, Some(default)),
        };
        if !is_name(name) {
            return Err(format!("\"{}\" is not the name of a variable", shortened(name, 60)));
        }
        if template.names.len() == VARIABLES_MAX {
            return Err(format!("more than {VARIABLES_MAX} variables in one value"));
        }
        template.names.push(name.to_owned());
        match environment.get(name).filter(|value| default.is_none() || !value.is_empty()).or(default) {
            Some(value) => result.push_str(value),
            None => template.missing.push(name.to_owned()),
        }
        if result.len() > bytes_max {
            return Err(format!("more than {REPLACED_BYTES_MAX} bytes come out of variables"));
        }
        rest = &inner[end + 1..];
    }
    result.push_str(rest);
    if !template.missing.is_empty() {
        text.clone_into(&mut result);
    }
    Ok((result, template))
}

/// Returns the values of the variables that a file's text names, wherever they stand in it: messages must not show them.
pub fn values_in<'a>(text: &str, environment: &'a Environment) -> Vec<&'a str> {
    let names = text.split("${").skip(1).filter_map(|rest| rest.split(['}', ':']).next()).take(VARIABLES_MAX);
    let mut values: Vec<&str> = names.filter_map(|name| environment.get(name)).collect();
    values.sort_unstable();
    values.dedup();
    values
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Parses a `.env` file: `KEY=VALUE`, comments, single and double quotes, `export`.
///
/// # Errors
/// Every line that is none of these: its number from 1, and what is wrong. Values are never in the message.
pub fn parse_dotenv(text: &str) -> Result<BTreeMap<String, String>, Vec<(usize, String)>> {
    let mut variables = BTreeMap::new();
    let mut errors = Vec::new();
    for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        match line.split_once('=') {
            Some((name, value)) if is_name(name.trim_end()) => match unquoted(value.trim_start()) {
                Ok(value) => drop(variables.insert(name.trim_end().to_owned(), value)),
                Err(message) => errors.push((index + 1, message)),
            },
            _ => errors.push((index + 1, "expected KEY=VALUE".to_owned())),
        }
        if variables.len() > DOTENV_MAX || errors.len() == DOTENV_ERRORS_MAX {
            errors.push((
                index + 1,
                format!("the lines after this one are not read: at most {DOTENV_MAX} variables and {DOTENV_ERRORS_MAX} errors"),
            ));
            break;
        }
    }
    if errors.is_empty() { Ok(variables) } else { Err(errors) }
}

fn unquoted(value: &str) -> Result<String, String> {
    let Some(quote) = value.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        let end = value.find(" #").unwrap_or(value.len());
        return Ok(value[..end].trim_end().to_owned());
    };
    let mut text = String::new();
    let mut characters = value[1..].chars();
    while let Some(character) = characters.next() {
        match character {
            _ if character == quote => {
                let rest = characters.as_str().trim_start();
                return if rest.is_empty() || rest.starts_with('#') { Ok(text) } else { Err("text behind the closing quote".to_owned()) };
            }
            '\\' if quote == '"' => match characters.next() {
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some(other @ ('"' | '\\' | '$')) => text.push(other),
                Some(other) => text.extend(['\\', other]),
                None => break,
            },
            _ => text.push(character),
        }
    }
    Err("a quote is not closed".to_owned())
}

/// Returns the secret that a value names: its text, the text of a file, or what a command prints; one final line end is cut.
///
/// # Errors
/// What kept it from being read, without the secret.
pub fn secret(node: &Node, root: &Path) -> Result<Secret, String> {
    let text = match &node.value {
        Value::Scalar(scalar) => return Ok(Secret::new(&scalar.text)),
        _ if node.get("file").is_some() => {
            let name = node.get("file").and_then(Node::as_scalar).map(|scalar| scalar.text.clone()).unwrap_or_default();
            read_file(&root.join(&name)).map_err(|error| format!("reading {name}: {error}"))?
        }
        _ => {
            let words: Vec<&str> = match node.get("command").map(|command| &command.value) {
                Some(Value::List(items)) => items.iter().filter_map(Node::as_scalar).map(|scalar| scalar.text.as_str()).collect(),
                _ => Vec::new(),
            };
            run(&words, root)?
        }
    };
    let text = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text)).unwrap_or(&text);
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(Secret::new(text)) }
}

fn read_file(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    bounded_text(file)
}

fn bounded_text(reader: impl Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    reader.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!("more than {SECRET_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

fn run(words: &[&str], root: &Path) -> Result<String, String> {
    let [program, arguments @ ..] = words else { return Err("the command is empty".to_owned()) };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    strip(&mut command);
    let mut child = command.spawn().map_err(|error| format!("starting {program}: {error}"))?;
    let stdout = child.stdout.take().expect("it was piped");
    // A thread of its own, because a program that hangs must not hold us.
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(bounded_text(stdout)));
    let deadline = Instant::now() + COMMAND_TIMEOUT;
    let text = receiver.recv_timeout(COMMAND_TIMEOUT);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline && text.is_ok() => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{program} did not end within {} s", COMMAND_TIMEOUT.as_secs()));
            }
        }
    };
    match text {
        Ok(text) if status.success() => text,
        Ok(_) => Err(format!("{program} failed: {status}")),
        Err(_) => Err(format!("{program} did not end within {} s", COMMAND_TIMEOUT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment::new(
            [("NAME".to_owned(), "value".to_owned()), ("NESTED".to_owned(), "${NAME}".to_owned()), ("EMPTY".to_owned(), String::new())],
            2,
        )
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(replaced(text, &environment(), usize::MAX).map(|(text, _)| text), Ok(expected.to_owned()), "{text}");
    }

    #[test]
    fn variables_are_replaced_once_and_never_inside_a_value() {
        check("a ${NAME} b ${NAME}", "a value b value");
        check("${NESTED}", "${NAME}");
        check("${NONE:-fallback} ${NAME:-unused} ${EMPTY:-empty}", "fallback value empty");
        check("$${NAME} $NAME ${EMPTY}", "${NAME} $NAME ");
        check("${NONE:-}", "");
    }

    #[test]
    fn a_missing_variable_leaves_the_text_and_is_named() {
        let (text, template) = replaced("x ${NONE} ${NAME}", &environment(), usize::MAX).unwrap();
        assert_eq!((text.as_str(), template.missing), ("x ${NONE} ${NAME}", vec!["NONE".to_owned()]));
    }

    #[test]
    fn variables_can_not_make_a_file_grow_without_end() {
        let environment = Environment::new([("BIG".to_owned(), "x".repeat(1024 * 1024))], 1);
        let items: String = (0..10).map(|_| "- ${BIG}\n").collect();
        let (node, mut faults) = super::super::positions::parse(super::super::positions::Origin::Job, &items);
        substitute(&mut node.unwrap(), &environment, &mut faults);
        let lines: Vec<usize> = faults.iter().map(|fault| fault.place.line).collect();
        assert_eq!(lines, [5, 6, 7, 8, 9, 10]);
        assert_eq!(faults[0].message, "more than 4194304 bytes come out of variables");
    }

    #[test]
    fn a_hostile_dotenv_is_cut() {
        let many: String = (0..6000).map(|number| format!("V{number}=x\n")).collect();
        assert_eq!(parse_dotenv(&many).unwrap_err().len(), 1);
        assert_eq!(parse_dotenv(&"x\n".repeat(6000)).unwrap_err().len(), 101);
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        assert_eq!(replaced("${NAME", &environment(), usize::MAX), Err("\"${NAME\" has a ${ without }".to_owned()));
        assert_eq!(replaced("${a b}", &environment(), usize::MAX), Err("\"a b\" is not the name of a variable".to_owned()));
    }

    #[test]
    fn dotenv_knows_quotes_comments_and_export() {
        let text = "# comment\nA=1 # one\nexport B=\"two\\n\\\"2\\\"\" # x\nC='th$ree'\r\nD=\n\nE = a=b\n";
        let variables = parse_dotenv(text).unwrap();
        let expected = [("A", "1"), ("B", "two\n\"2\""), ("C", "th$ree"), ("D", ""), ("E", "a=b")];
        assert_eq!(variables, expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
    }

    #[test]
    fn wrong_lines_of_dotenv_are_told_without_their_values() {
        let errors = parse_dotenv("A=1\nhunter22\nB=\"hunter22\n2C=x\n").unwrap_err();
        let expected = [(2, "expected KEY=VALUE"), (3, "a quote is not closed"), (4, "expected KEY=VALUE")];
        assert_eq!(errors, expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn the_process_wins_over_dotenv() {
        let environment =
            environment().with_dotenv([("NAME".to_owned(), "other".to_owned()), ("MORE".to_owned(), "more".to_owned())].into());
        assert_eq!([environment.get("NAME"), environment.get("MORE")], [Some("value"), Some("more")]);
    }
}
