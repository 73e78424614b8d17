//! What the files say of a source or a connection, as the kinds of [`crate::plan::kinds`] read it.

use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use crate::plan::kinds::{Given, Map, Tree, Wrong};
use crate::secret::Secret;

use super::load::Secrets;
use super::naming::is_glob;
use super::positions::{Entry, Node, Scalar, ScalarKind, Value};
use super::settings::{self, Settings};
use super::variables::{self, values_in};

/// A source and its connection, or a connection alone.
pub struct Said<'a> {
    /// The source's keys.
    pub source: Option<&'a Node>,
    /// The keys of the connection that it names.
    pub connection: Option<&'a Node>,
    /// For paths.
    pub settings: &'a Settings,
    /// Whether secrets are fetched.
    pub secrets: Secrets,
}

impl Said<'_> {
    fn map(&self, map: Map) -> Option<&Node> {
        match map {
            Map::Source => self.source,
            Map::Config => self.source?.get("etl_config"),
            Map::Connection => self.connection,
        }
    }
}

impl Given for Said<'_> {
    fn text(&self, map: Map, key: &str) -> Option<&str> {
        settings::text(self.map(map)?, key)
    }

    fn shown(&self, map: Map, key: &str) -> &str {
        self.map(map).and_then(|node| node.get(key)?.as_scalar()).map_or("", Scalar::shown)
    }

    fn values(&self, map: Map, key: &str) -> Vec<Secret> {
        values_in(self.shown(map, key), &self.settings.environment).into_iter().map(Secret::new).collect()
    }

    fn has(&self, map: Map, key: &str) -> bool {
        self.map(map).and_then(|node| node.get(key)).is_some_and(|node| !node.is_null())
    }

    fn secret(&self, map: Map, key: &'static str) -> Result<Option<Secret>, Wrong> {
        let Some(node) = self.map(map).and_then(|node| node.get(key)).filter(|node| !node.is_null()) else { return Ok(None) };
        if node.as_scalar().is_none() && self.secrets == Secrets::Left {
            return Ok(Some(Secret::default()));
        }
        let secret = variables::secret(node, &self.settings.root);
        secret.map(Some).map_err(|message| Wrong { key, message: format!("{key}: {message}"), hint: None })
    }

    fn boolean(&self, map: Map, key: &str) -> Option<bool> {
        settings::boolean(self.map(map)?, key)
    }

    fn int(&self, map: Map, key: &str) -> Option<i64> {
        settings::int(self.map(map)?, key)
    }

    fn texts(&self, map: Map, key: &str) -> Option<Vec<String>> {
        settings::texts(self.map(map)?, key)
    }

    fn tree(&self, map: Map, key: &str) -> Option<Tree> {
        self.map(map).and_then(|node| node.get(key)).filter(|node| !node.is_null()).map(tree)
    }

    fn secret_at(&self, map: Map, key: &'static str, path: &[&str]) -> Result<Option<Secret>, Wrong> {
        let node = self.map(map).and_then(|node| node.get(key));
        let node = path.iter().try_fold(node, |node, key| node.map(|node| node.get(key))).flatten().filter(|node| !node.is_null());
        let Some(node) = node else { return Ok(None) };
        if node.as_scalar().is_none() && self.secrets == Secrets::Left {
            return Ok(Some(Secret::default()));
        }
        let secret = variables::secret(node, &self.settings.root);
        secret.map(Some).map_err(|message| Wrong { key, message: format!("{key}.{}: {message}", path.join(".")), hint: None })
    }

    fn variables(&self, map: Map, key: &str) -> Vec<Secret> {
        let mut values = Vec::new();
        if let Some(node) = self.map(map).and_then(|node| node.get(key)) {
            node.walk(&mut |node| {
                if let Some(scalar) = node.as_scalar() {
                    values.extend(values_in(scalar.shown(), &self.settings.environment).into_iter().map(Secret::new));
                }
            });
        }
        values
    }

    fn text_map(&self, map: Map, key: &str) -> Option<Vec<(String, String)>> {
        let entries = self.map(map)?.get(key)?.entries();
        let text = |entry: &Entry| Some((entry.key.clone(), entry.node.as_scalar()?.text.clone()));
        Some(entries.iter().filter_map(text).collect())
    }

    fn file(&self, path: &str) -> PathBuf {
        self.settings.root.join(path)
    }

    fn files(&self, path: &str) -> String {
        if Path::new(path).is_absolute() {
            return path.to_owned();
        }
        let path = path.strip_prefix("./").unwrap_or(path);
        let root = self.settings.root.to_string_lossy();
        // The workspace's own folder is never a pattern.
        let root = if is_glob(path) { glob::Pattern::escape(&root) } else { root.into_owned() };
        format!("{}{}{path}", root.trim_end_matches(['/', '\\']), MAIN_SEPARATOR)
    }
}

fn tree(node: &Node) -> Tree {
    match &node.value {
        Value::Scalar(scalar) => match scalar.kind {
            ScalarKind::Null => Tree::Null,
            ScalarKind::Text => Tree::Text(scalar.text.clone()),
            ScalarKind::Bool(_) | ScalarKind::Int(_) | ScalarKind::Float(_) => Tree::Plain(scalar.text.clone()),
        },
        Value::List(items) => Tree::List(items.iter().map(tree).collect()),
        Value::Map(entries) => {
            let entries = entries.iter().filter(|entry| !entry.key.starts_with('\0'));
            Tree::Map(entries.map(|entry| (entry.key.clone(), tree(&entry.node))).collect())
        }
    }
}
