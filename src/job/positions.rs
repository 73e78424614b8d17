//! The tree of a YAML document, in which every key and value knows its line and column. Knows nothing of jobs.
//!
//! Scalars are resolved by the core schema of YAML 1.2 (<https://yaml.org/spec/1.2.2/#103-core-schema>): `yes` and `on` are text.

/// The largest document in bytes; job files have a few hundred.
pub const BYTES_MAX: usize = 1024 * 1024;
/// How deep lists and maps may stand in each other.
pub const DEPTH_MAX: usize = 64;
/// How many aliases a document may have.
pub const ALIASES_MAX: usize = 100;

/// How many characters may stand in a document that can begin or part values in brackets. The parser reads a bracket to its end
/// before it says anything of it, and takes some 180 bytes for each of these.
const FLOW_CHARACTERS_MAX: usize = 50_000;

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The job's own file.
    Job,
    /// etlsched.yaml.
    Workspace,
    /// An environment variable.
    Environment,
    /// A built-in default.
    BuiltIn,
}

/// A place in a file, from 1; 0 for values that stand in no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file.
    pub origin: Origin,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text, a number, a boolean or null.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map, in the file's order.
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key begins.
    pub place: Place,
    /// The value.
    pub node: Node,
}

/// A value that is neither list nor map.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// The text, with `${NAME}`s replaced.
    pub text: String,
    /// What the text means.
    pub kind: ScalarKind,
    /// Where `${NAME}` stood in it: the text as written.
    pub template: Option<Box<Template>>,
}

/// A text with `${NAME}`s.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    /// As written in the file.
    pub text: String,
    /// The names used.
    pub names: Vec<String>,
    /// Those that the environment doesn't have and that have no default.
    pub missing: Vec<String>,
}

/// What a scalar means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScalarKind {
    /// null, ~ or nothing
    Null,
    /// true, false
    Bool(bool),
    /// A whole number
    Int(i64),
    /// Any other number
    Float(f64),
    /// Text
    Text,
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where; line 0 for the document as a whole.
    pub place: Place,
    /// A lower-case fragment.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Node {
    /// Makes a scalar that stands in no file.
    pub fn scalar(origin: Origin, text: impl Into<String>, kind: ScalarKind) -> Self {
        let scalar = Scalar { text: text.into(), kind, template: None };
        Self { place: Place { origin, line: 0, column: 0 }, value: Value::Scalar(scalar) }
    }

    /// Makes a map that stands in no file.
    pub fn map(origin: Origin) -> Self {
        Self { place: Place { origin, line: 0, column: 0 }, value: Value::Map(Vec::new()) }
    }

    /// Returns the entries of a map.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar(_) | Value::List(_) => &[],
        }
    }

    /// Returns a key's entry, unless its value is null.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key && !entry.node.is_null())
    }

    /// Returns a key's value, unless it is null.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// Whether the value is null: the same as a key that isn't there.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(Scalar { kind: ScalarKind::Null, .. }))
    }

    /// Returns the scalar.
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Calls `visit` for this value and every value in it.
    pub fn walk(&self, visit: &mut impl FnMut(&Node)) {
        visit(self);
        match &self.value {
            Value::Scalar(_) => {}
            Value::List(items) => items.iter().for_each(|item| item.walk(visit)),
            Value::Map(entries) => entries.iter().for_each(|entry| entry.node.walk(visit)),
        }
    }

    /// Calls `change` for every scalar in it.
    pub fn scalars_mut(&mut self, change: &mut impl FnMut(&mut Scalar)) {
        match &mut self.value {
            Value::Scalar(scalar) => change(scalar),
            Value::List(items) => items.iter_mut().for_each(|item| item.scalars_mut(change)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| entry.node.scalars_mut(change)),
        }
    }

    /// Returns how many values there are, and the bytes of their text.
    pub fn size(&self) -> (usize, usize) {
        let (mut nodes, mut bytes) = (0, 0);
        self.walk(&mut |node| {
            nodes += 1;
            match &node.value {
                Value::Scalar(scalar) => bytes += scalar.text.len(),
                Value::List(_) => {}
                Value::Map(entries) => bytes += entries.iter().map(|entry| entry.key.len()).sum::<usize>(),
            }
        });
        (nodes, bytes)
    }
}

impl Scalar {
    /// Returns the text as the file has it: what messages may show without giving a secret away.
    pub fn shown(&self) -> &str {
        self.template.as_ref().map_or(&self.text, |template| &template.text)
    }

    /// Whether a variable in it has no value.
    pub fn is_missing(&self) -> bool {
        self.template.as_ref().is_some_and(|template| !template.missing.is_empty())
    }
}

/// Resolves a plain scalar by the core schema.
pub fn resolve(text: &str) -> ScalarKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return ScalarKind::Null,
        "true" | "True" | "TRUE" => return ScalarKind::Bool(true),
        "false" | "False" | "FALSE" => return ScalarKind::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return ScalarKind::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return ScalarKind::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return ScalarKind::Float(f64::NAN),
        _ => {}
    }
    if let Some(digits) = text.strip_prefix("0x").filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return i64::from_str_radix(digits, 16).map_or(ScalarKind::Text, ScalarKind::Int);
    }
    if let Some(digits) = text.strip_prefix("0o").filter(|digits| digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'))) {
        return i64::from_str_radix(digits, 8).map_or(ScalarKind::Text, ScalarKind::Int);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(ScalarKind::Int).or_else(|_| text.parse().map(ScalarKind::Float)).unwrap_or(ScalarKind::Text);
    }
    let is_float = unsigned.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'))
        && unsigned.bytes().any(|byte| byte.is_ascii_digit())
        && unsigned.starts_with(|character: char| character.is_ascii_digit() || character == '.');
    match text.parse() {
        Ok(number) if is_float => ScalarKind::Float(number),
        _ => ScalarKind::Text,
    }
}

/// Checks that bytes are text that YAML allows; cuts a byte order mark off.
///
/// # Errors
/// Too many bytes, invalid UTF-8, or a control character, with its place.
pub fn text(origin: Origin, bytes: &[u8]) -> Result<&str, Fault> {
    let whole = Place { origin, line: 0, column: 0 };
    if bytes.len() > BYTES_MAX {
        let message = format!("the file has {} bytes; at most {BYTES_MAX} are read", bytes.len());
        return Err(Fault { place: whole, message, hint: None });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let place = place_of(origin, &bytes[..error.valid_up_to()]);
        Fault { place, message: "the file is not UTF-8 here".to_owned(), hint: Some("save the file as UTF-8".to_owned()) }
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_refused =
        |character: char| (character.is_control() && !matches!(character, '\t' | '\n' | '\r' | '\u{85}')) || character == '\u{feff}';
    if text.bytes().filter(|byte| matches!(byte, b'[' | b'{' | b',' | b'?')).count() > FLOW_CHARACTERS_MAX {
        let message = format!("more than {FLOW_CHARACTERS_MAX} commas and brackets");
        return Err(Fault { place: whole, message, hint: Some("split the job".to_owned()) });
    }
    match text.char_indices().find(|(_, character)| is_refused(*character)) {
        None => Ok(text),
        Some((index, character)) => Err(Fault {
            place: place_of(origin, &text.as_bytes()[..index]),
            message: format!("control character U+{:04X}: YAML allows none", u32::from(character)),
            hint: Some("remove it, or write it as an escape in double quotes".to_owned()),
        }),
    }
}

fn place_of(origin: Origin, before: &[u8]) -> Place {
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |index| index + 1);
    Place { origin, line, column: String::from_utf8_lossy(&before[start..]).chars().count() + 1 }
}

/// Parses a document; `None` where it is empty or can't be parsed. The tree stands even where keys are doubled, for the checks
/// that follow.
pub fn parse(origin: Origin, text: &str) -> (Option<Node>, Vec<Fault>) {
    super::tree::build(origin, text)
}

#[cfg(test)]
#[path = "positions_tests.rs"]
mod tests;
