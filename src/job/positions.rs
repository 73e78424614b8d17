//! YAML text to a tree in which every key and value knows its line and column. Limits what a hostile file may cost,
//! finds duplicate keys, refuses merge keys and tags. Knows nothing of jobs.
//!
//! Scalars are resolved by the core schema of YAML 1.2 (<https://yaml.org/spec/1.2.2/#103-core-schema>): `yes` and `on` are text.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// The largest document in bytes; job files have a few hundred.
pub const BYTES_MAX: usize = 1024 * 1024;
/// How deep lists and maps may stand in each other.
pub const DEPTH_MAX: usize = 64;
/// How many aliases a document may have.
pub const ALIASES_MAX: usize = 100;
/// How many values a document may have, aliases written out: nested aliases multiply.
const NODES_MAX: usize = 50_000;
/// How many bytes of text aliases may add.
const ALIAS_BYTES_MAX: usize = 1024 * 1024;

/// How many characters may stand in a document that can begin or part values in brackets. The parser reads a bracket to its end
/// before it says anything of it, and takes some 180 bytes for each of these.
const FLOW_CHARACTERS_MAX: usize = 100_000;

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
    pub template: Option<Template>,
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

    fn size(&self) -> (usize, usize) {
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

/// Parses a document; `None` where it is empty. The tree stands even where keys are doubled, for the checks that follow.
pub fn parse(origin: Origin, text: &str) -> (Option<Node>, Vec<Fault>) {
    let mut builder = Builder {
        origin,
        text,
        faults: Vec::new(),
        stack: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        aliases: 0,
        nodes: 0,
        bytes: 0,
    };
    if let Err(fault) = builder.run() {
        // A tree that was cut is not looked at: its missing keys are not the user's fault.
        return (None, vec![fault]);
    }
    (builder.root, builder.faults)
}

struct Builder<'a> {
    origin: Origin,
    text: &'a str,
    faults: Vec<Fault>,
    stack: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    aliases: usize,
    nodes: usize,
    bytes: usize,
}

/// A list or map whose end has not come.
struct Open {
    place: Place,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, lines: HashMap<String, usize>, key: Option<(String, Place)> },
}

impl Builder<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        let mut documents = 0;
        for event in Parser::new_from_str(self.text) {
            let (event, span) = event.map_err(|error| super::syntax::fault(self.origin, self.text, &error))?;
            let place = self.place(span);
            match event {
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(self.fault(place, "a second document begins here", "one file holds one document: remove the ---"));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.tag(place, tag.as_deref());
                    let kind = if style == ScalarStyle::Plain { resolve(&text) } else { ScalarKind::Text };
                    let scalar = Scalar { text: text.into_owned(), kind, template: None };
                    self.add(Node { place, value: Value::Scalar(scalar) }, anchor)?;
                }
                Event::SequenceStart(anchor, tag) => self.open(place, anchor, tag.as_deref(), Content::List(Vec::new()))?,
                Event::MappingStart(anchor, tag) => {
                    let content = Content::Map { entries: Vec::new(), lines: HashMap::new(), key: None };
                    self.open(place, anchor, tag.as_deref(), content)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close()?,
                Event::Alias(anchor) => self.alias(place, anchor)?,
                Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            }
        }
        Ok(())
    }

    fn place(&self, span: Span) -> Place {
        Place { origin: self.origin, line: span.start.line().max(1), column: span.start.col() + 1 }
    }

    fn fault(&self, place: Place, message: impl Into<String>, hint: &str) -> Fault {
        Fault { place, message: message.into(), hint: Some(hint.to_owned()) }
    }

    fn tag(&mut self, place: Place, tag: Option<&saphyr_parser::Tag>) {
        if let Some(tag) = tag {
            let message =
                format!("tag {}{}: tags are not allowed", crate::text::shortened(&tag.handle, 40), crate::text::shortened(&tag.suffix, 40));
            self.faults.push(self.fault(place, message, "remove it; quotes make a value text"));
        }
    }

    fn open(&mut self, place: Place, anchor: usize, tag: Option<&saphyr_parser::Tag>, content: Content) -> Result<(), Fault> {
        self.tag(place, tag);
        if self.stack.len() == DEPTH_MAX {
            return Err(self.fault(place, format!("more than {DEPTH_MAX} lists and maps in each other"), "a job file needs six"));
        }
        self.stack.push(Open { place, anchor, content });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fault> {
        let Some(Open { place, anchor, content }) = self.stack.pop() else { return Ok(()) };
        let value = match content {
            Content::List(items) => Value::List(items),
            Content::Map { entries, .. } => Value::Map(entries),
        };
        self.add(Node { place, value }, anchor)
    }

    fn alias(&mut self, place: Place, anchor: usize) -> Result<(), Fault> {
        self.aliases += 1;
        if self.aliases > ALIASES_MAX {
            return Err(self.fault(place, format!("more than {ALIASES_MAX} aliases"), "write the values out"));
        }
        let Some(node) = self.anchors.get(&anchor) else {
            return Err(self.fault(place, "an alias that stands inside its own anchor", "write the value out"));
        };
        let (nodes, bytes) = node.size();
        self.bytes += bytes;
        if self.bytes > ALIAS_BYTES_MAX || self.nodes + nodes > NODES_MAX {
            return Err(self.fault(place, "aliases that multiply without end", "write the values out"));
        }
        let mut node = node.clone();
        self.nodes += nodes - 1;
        node.place = place;
        self.add(node, 0)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self.fault(node.place, format!("more than {NODES_MAX} values in one file"), "split the job"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
            let (nodes, bytes) = node.size();
            self.bytes += bytes;
            if self.bytes > 4 * ALIAS_BYTES_MAX || nodes > NODES_MAX {
                return Err(self.fault(node.place, "anchors inside anchors without end", "write the values out"));
            }
        }
        let faults = &mut self.faults;
        match self.stack.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, lines, key }) => match key.take() {
                None => *key = Some(key_text(node, faults)),
                Some((key, place)) => {
                    if key == "<<" {
                        let hint = "repeat the keys, or put what jobs share under defaults in etlsched.yaml".to_owned();
                        faults.push(Fault { place, message: "merge keys (<<) are not allowed".to_owned(), hint: Some(hint) });
                    } else if let Some(line) = lines.get(&key) {
                        let message = format!("{} stands twice: first in line {line}", crate::text::shortened(&key, 60));
                        faults.push(Fault { place, message, hint: Some("keep one of them".to_owned()) });
                    } else {
                        lines.insert(key.clone(), place.line);
                        entries.push(Entry { key, place, node });
                    }
                }
            },
        }
        Ok(())
    }
}

fn key_text(node: Node, faults: &mut Vec<Fault>) -> (String, Place) {
    match node.value {
        Value::Scalar(scalar) => (scalar.text, node.place),
        Value::List(_) | Value::Map(_) => {
            let hint = "put quotes around values that begin with [ or {".to_owned();
            faults.push(Fault { place: node.place, message: "a list or map where a key is expected".to_owned(), hint: Some(hint) });
            (format!("\0{}:{}", node.place.line, node.place.column), node.place)
        }
    }
}

#[cfg(test)]
#[path = "positions_tests.rs"]
mod tests;
