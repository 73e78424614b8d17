//! Builds the tree from the parser's events. Limits what a hostile file may cost, finds duplicate keys, refuses merge keys and tags.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::positions::{ALIASES_MAX, DEPTH_MAX, Entry, Fault, Node, Origin, Place, Scalar, ScalarKind, Value, resolve};
use super::syntax;

/// How many values a document may have, aliases written out: nested aliases multiply.
const NODES_MAX: usize = 25_000;
/// How many bytes of text aliases may add.
const ALIAS_BYTES_MAX: usize = 1024 * 1024;

/// Parses a document; a tree that was cut is not given out: its missing keys are not the user's fault.
pub fn build(origin: Origin, text: &str) -> (Option<Node>, Vec<Fault>) {
    let mut builder = Builder {
        origin,
        text,
        faults: Vec::new(),
        stack: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        aliases: 0,
        nodes: 0,
        anchored: 0,
        bytes: 0,
    };
    match builder.run() {
        Ok(()) => (builder.root, builder.faults),
        Err(fault) => (None, vec![fault]),
    }
}

/// The key of which `null` is one of the words.
const NULL_WORD: &str = "invalid_values";

struct Builder<'a> {
    origin: Origin,
    text: &'a str,
    faults: Vec<Fault>,
    stack: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    aliases: usize,
    nodes: usize,
    /// Values kept beside the tree for aliases: anchors inside anchors multiply too.
    anchored: usize,
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
            let (event, span) = event.map_err(|error| syntax::fault(self.origin, self.text, &error))?;
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
                    let is_plain = style == ScalarStyle::Plain && !self.is_word(&text);
                    let kind = if is_plain { resolve(&text) } else { ScalarKind::Text };
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

    /// Whether a plain `null` is a word of its key rather than no value.
    fn is_word(&self, text: &str) -> bool {
        let Some(Open { content: Content::Map { key: Some((key, _)), .. }, .. }) = self.stack.last() else { return false };
        key == NULL_WORD && text == "null"
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
            let (nodes, bytes) = node.size();
            self.anchored += nodes;
            self.bytes += bytes;
            if self.bytes > ALIAS_BYTES_MAX || self.anchored > NODES_MAX {
                return Err(self.fault(node.place, "anchors inside anchors without end", "write the values out"));
            }
            self.anchors.insert(anchor, node.clone());
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
