//! Which ends the jobs have, each once: connections by their names, and sources that need none.

use std::collections::BTreeMap;

use super::scene::{Scene, told};
use crate::job::positions::{Node, Value};
use crate::job::{Job, JobId, Loaded};
use crate::plan::SourceKind;
use crate::process;

/// A connection, or a source without one.
#[derive(Debug)]
pub struct Ends {
    /// How lines name it.
    pub subject: String,
    /// Whether no server is behind it.
    pub is_local: bool,
    /// Who is asked for it.
    pub asked: Asked,
    has_name: bool,
}

/// Through which job an end is asked.
#[derive(Debug)]
pub enum Asked {
    /// Through this one.
    Job {
        /// The job.
        job: JobId,
        /// As what.
        way: Way,
    },
    /// Through none: variables of every job that uses it have no value.
    Unset {
        /// One of them.
        job: JobId,
        /// What is missing.
        problem: String,
    },
    /// Through none, for this reason: it is for other users, or the jobs that use it lack something else.
    Left(String),
}

/// As what an end is asked.
#[derive(Debug)]
pub enum Way {
    /// As this source.
    Source(String),
    /// As the destination.
    Destination,
}

impl Ends {
    /// Whether it has no name of its own: many of them are told in one line.
    pub fn is_plain(&self) -> bool {
        !self.has_name
    }
}

/// Returns the ends of all jobs, connections first, each group in the order of their names.
pub fn ends(scene: &Scene) -> Vec<Ends> {
    let mut named: BTreeMap<(bool, String), Ends> = BTreeMap::new();
    let mut plain = Vec::new();
    let declared = scene.workspace.as_ref().and_then(|workspace| workspace.settings().tree.get("connections"));
    let lacks =
        |name: &str, item: Option<&Node>| item.is_some_and(is_unset) || declared.and_then(|all| all.get(name)).is_some_and(is_unset);
    for loaded in &scene.jobs {
        let job = &loaded.job;
        for (source, item) in job.sources.iter().zip(items(loaded)) {
            let connection = item.and_then(connection_of);
            let way = || Way::Source(source.name.clone());
            let is_local = is_local(&source.kind);
            match connection {
                Some(name) => keep(&mut named, false, name, is_local, asked(job, Some(name), way(), lacks(name, item))),
                None => {
                    let subject = format!("{}, source {}", job.id, source.name);
                    plain.push(Ends { subject, is_local, asked: asked(job, None, way(), item.is_none_or(is_unset)), has_name: false });
                }
            }
        }
        let destination = &job.destination;
        let is_file = destination.kind.file().is_some();
        let asked = asked(job, Some(&destination.name), Way::Destination, lacks(&destination.name, None));
        keep(&mut named, true, &destination.name, is_file, asked);
    }
    named.into_values().chain(plain).collect()
}

/// Of several jobs that use a connection the first that can be resolved is asked.
fn keep(named: &mut BTreeMap<(bool, String), Ends>, is_destination: bool, name: &str, is_local: bool, asked: Asked) {
    let subject = if is_destination { format!("{name} (destination)") } else { name.to_owned() };
    let known = named.get(&(is_destination, name.to_owned()));
    if known.is_none_or(|known| !matches!(known.asked, Asked::Job { .. }) && matches!(asked, Asked::Job { .. })) {
        named.insert((is_destination, name.to_owned()), Ends { subject, is_local, asked, has_name: true });
    }
}

/// `is_unset` is whether a variable of this end itself has no value.
fn asked(job: &Job, connection: Option<&str>, way: Way, is_unset: bool) -> Asked {
    let user = process::user_name();
    let is_ours = |users: &[String]| process::is_root() || users.contains(&user);
    let foreign: Vec<_> = job.reserved.iter().filter(|reserved| !is_ours(&reserved.users)).collect();
    if let Some(own) = foreign.iter().find(|reserved| Some(reserved.connection.as_str()) == connection) {
        let whose = if own.users.is_empty() { "root".to_owned() } else { own.users.join(", ") };
        return Asked::Left(format!("not asked: it is for {whose} (users:), not for {user}"));
    }
    if let Some(other) = foreign.first() {
        return Asked::Left(format!("not asked: job {} uses connection {} too, which is not for {user}", job.id, other.connection));
    }
    match job.missing_variables.first() {
        Some(problem) if is_unset => Asked::Unset { job: job.id.clone(), problem: told(problem) },
        Some(problem) => Asked::Left(format!("not asked: job {} lacks something else: {}", job.id, told(problem))),
        None => Asked::Job { job: job.id.clone(), way },
    }
}

/// Returns what the file says of each source of a job, in their order.
fn items(loaded: &Loaded) -> Vec<Option<&Node>> {
    let items = match loaded.tree.get("data_sources").map(|node| &node.value) {
        Some(Value::List(items)) if items.len() == loaded.job.sources.len() => items.as_slice(),
        _ => &[],
    };
    let mut nodes: Vec<Option<&Node>> = items.iter().map(Some).collect();
    nodes.resize(loaded.job.sources.len(), None);
    nodes
}

/// Whether a variable has no value that stands somewhere in a node.
fn is_unset(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(scalar) => scalar.template.as_ref().is_some_and(|template| !template.missing.is_empty()),
        Value::List(items) => items.iter().any(is_unset),
        Value::Map(entries) => entries.iter().any(|entry| is_unset(&entry.node)),
    }
}

fn connection_of(source: &Node) -> Option<&str> {
    Some(source.get("connection")?.as_scalar()?.text.as_str())
}

fn is_local(kind: &SourceKind) -> bool {
    match kind {
        SourceKind::Csv(plan) => !plan.path.contains("://"),
        SourceKind::Sqlite(_) => true,
        SourceKind::Api(_) | SourceKind::Mysql(_) | SourceKind::Odbc(_) | SourceKind::Postgresql(_) => false,
    }
}
