//! One job: its file, etlsched.yaml and the built-in defaults brought together into a [`Job`], or every problem at once.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::process::withhold;
use crate::secret::Masker;

use super::connections;
use super::defaults;
use super::fields::{self, Use};
use super::keys::{self, RUN_KEYS};
use super::notifications;
use super::positions::{Node, Origin, Place, ScalarKind, Value};
use super::problem::{Problem, Severity};
use super::report::{Report, Text};
use super::settings::{self, Settings, boolean, filled, int, merged, set, take, text, texts, unset};
use super::sources;
use super::spec::{Job, JobId, Limits, OnOverlap, Reserved, Retry};
use super::timing;
use super::{missing, variables};

/// Whether secrets in files and from commands are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// For a run.
    Fetched,
    /// For listings and checks: no file is read, no command started.
    Left,
}

/// A job with the tree that it was made of.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The job.
    pub job: Job,
    /// Every setting that holds, each with its place.
    pub tree: Node,
    /// Every variable without a value, also those that this version's runs don't need.
    pub missing_variables: Vec<Problem>,
    /// Those of them without which people can't be told of runs, which go on all the same.
    pub untold_variables: Vec<Problem>,
}

/// Builds a job from the text of its file.
///
/// # Errors
/// Every problem, warnings too, without the values of variables.
pub fn load(id: &JobId, file: PathBuf, text: &Text, settings: &Settings, secrets: Secrets) -> Result<Loaded, Vec<Problem>> {
    build(id, file, text, settings, secrets).map_err(|mut problems| {
        let values = [text, &settings.text].map(|text| variables::values_in(&text.text, &settings.environment));
        let masker = Masker::new(values.concat().into_iter().map(str::to_owned));
        for problem in &mut problems {
            problem.message = masker.mask(&problem.message);
            problem.hint = problem.hint.as_deref().map(|hint| masker.mask(hint));
        }
        problems
    })
}

fn build(id: &JobId, file: PathBuf, text: &Text, settings: &Settings, secrets: Secrets) -> Result<Loaded, Vec<Problem>> {
    let mut report = Report::new(text, &settings.text);
    let tree = settings::tree(Origin::Job, text, &settings.environment, &mut report);
    let Some(own) = tree.filter(|tree| !tree.is_null()) else {
        if !report.has_errors() {
            let nowhere = Place { origin: Origin::Job, line: 0, column: 0 };
            report.error(nowhere, "the file is empty", "`etlsched init` makes an example".to_owned());
        }
        return Err(report.finish());
    };
    fields::check(&own, &keys::JOB, Use::Used, &mut report);
    if !matches!(own.value, Value::Map(_)) {
        return Err(report.finish());
    }
    let mut node = match settings.tree.get("defaults") {
        Some(base) => merged(base, &own),
        None => own.clone(),
    };
    // Before a command is asked for a secret: it gets no other.
    let variables = variables_of(&own, settings);
    withhold(variables.iter().cloned());
    timing::settle(&mut node, settings, &mut report);
    check_required(&own, &mut report);
    let (destination, prefix) = connections::destination(&node, settings, secrets, &mut report);
    let nodes = sources::resolved(&node, settings, &mut report);
    let built = sources::build(nodes, &prefix, settings, secrets, &mut report);
    let (sources, source_nodes): (Vec<_>, Vec<_>) = built.into_iter().unzip();
    let tree = finished(node, id, source_nodes, settings);
    let schedule = timing::schedule(&tree, &mut report);
    check_retry(&tree, &mut report);
    let hash_key = hash_key(&sources, settings, secrets, &mut report);
    let notifications = notifications::of_job(&tree, settings, secrets, &mut report);
    if report.has_errors() {
        return Err(report.finish());
    }
    let used = used_connections(&tree, settings);
    let needed = needed(&tree, &used, hash_key.is_used, settings);
    let is_any_missing = settings.is_variable_missing() || settings::is_missing(&own);
    let trees = [(&own, &keys::JOB), (&settings.tree, &keys::WORKSPACE)];
    let missing = |nodes: &[&Node]| if is_any_missing { missing::variables(nodes, &trees, &report) } else { Vec::new() };
    let timezone = timing::zone(&tree);
    let config = tree.get("etl_config").cloned().unwrap_or_else(|| Node::map(Origin::BuiltIn));
    let job = Job {
        id: id.clone(),
        file,
        name: settings::text(&tree, "name").unwrap_or(id.as_str()).to_owned(),
        description: settings::text(&tree, "description").unwrap_or_default().to_owned(),
        tags: texts(&tree, "tags").unwrap_or_default(),
        is_active: boolean(&tree, "is_active").unwrap_or(defaults::IS_ACTIVE),
        is_active_line: own.entry("is_active").map(|entry| entry.place.line),
        minute_line: own.entry("minute").map(|entry| entry.place.line),
        fingerprint: hex(&canonical(&tree, &used)),
        schedule_fingerprint: hex(timing::key(&schedule, timezone).as_bytes()),
        schedule,
        timezone,
        lateness: timing::lateness(&tree),
        on_overlap: match settings::text(&tree, "on_overlap") {
            Some("wait") => OnOverlap::Wait,
            Some("fail") => OnOverlap::Fail,
            _ => OnOverlap::Skip,
        },
        destination,
        sources,
        is_parallel: boolean(&config, "parallel_processing").unwrap_or(defaults::PARALLEL_PROCESSING),
        limits: limits(&config),
        retry: retry(&tree),
        failure_threshold: small(&tree, "failure_threshold", defaults::FAILURE_THRESHOLD),
        is_partial_counted: boolean(&tree, "partial_counts").unwrap_or(defaults::PARTIAL_COUNTS),
        notifications,
        hash_key: hash_key.value,
        missing_variables: missing(&needed),
        reserved: reserved(&used),
        variables,
        warnings: Vec::new(),
    };
    let all: Vec<&Node> = needed.iter().copied().chain([&own, &settings.tree]).collect();
    let (missing_variables, untold_variables) = (missing(&all), missing(&notifications::needed(&tree, settings)));
    let warnings = report.finish();
    debug_assert!(warnings.iter().all(|problem| problem.severity == Severity::Warning), "errors ended above");
    Ok(Loaded { job: Job { warnings, ..job }, tree, missing_variables, untold_variables })
}

fn check_required(own: &Node, report: &mut Report<'_>) {
    if let Some(name) = own.get("name").filter(|name| name.as_scalar().is_some_and(|scalar| scalar.text.chars().any(char::is_control))) {
        report.error(name.place, "name: control characters and line ends can't be in a name", None);
    }
    match own.get("data_sources") {
        None => report.error(own.place, "data_sources is missing", "add data_sources: with at least one source".to_owned()),
        Some(Node { place, value: Value::List(items) }) if items.is_empty() => {
            report.error(*place, "data_sources is empty", "add at least one source".to_owned());
        }
        Some(_) => {}
    }
}

fn check_retry(tree: &Node, report: &mut Report<'_>) {
    if let (Some(minutes), Some(seconds)) = (tree.entry("retry_delay_minutes"), tree.entry("retry_delay_seconds"))
        && seconds.place.origin == minutes.place.origin
    {
        report.error(minutes.place, "retry_delay_minutes and retry_delay_seconds together", "keep one of them".to_owned());
    }
}

/// Returns the job's tree as `show --resolved` prints it: tables' order, built-in defaults, sources in full.
fn finished(mut node: Node, id: &JobId, sources: Vec<Node>, settings: &Settings) -> Node {
    if node.get("name").is_none() {
        set(&mut node, "name", Node::scalar(Origin::BuiltIn, id.as_str(), ScalarKind::Text));
    }
    if node.get("destination").is_none() {
        let warehouse = || Node::scalar(Origin::BuiltIn, "warehouse", ScalarKind::Text);
        set(&mut node, "destination", settings.tree.get("destination").cloned().unwrap_or_else(warehouse));
    }
    unset(&mut node, "publish");
    let mut config = take(&mut node, "etl_config").unwrap_or_else(|| Node::map(Origin::BuiltIn));
    if config.get("max_parallel_sources").is_none() {
        let cores = settings.environment.cores.clamp(1, defaults::MAX_PARALLEL_SOURCES);
        set(&mut config, "max_parallel_sources", Node::scalar(Origin::BuiltIn, cores.to_string(), ScalarKind::Int(cores as i64)));
    }
    // The other keys stand at each source.
    let others = keys::ETL_CONFIG.keys().iter().map(|key| key.name).filter(|key| !RUN_KEYS.contains(key));
    others.for_each(|key| unset(&mut config, key));
    set(&mut node, "etl_config", filled(config, &keys::ETL_CONFIG, |key| RUN_KEYS.contains(&key)));
    let place = node.get("data_sources").map_or(node.place, |node| node.place);
    set(&mut node, "data_sources", Node { place, value: Value::List(sources) });
    let kind = text(&node, "schedule_type").unwrap_or_default().to_owned();
    let has_minutes = node.get("retry_delay_minutes").is_some();
    let is_filled = |key: &str| timing::is_filled(key, &kind) && key != "publish" && !(has_minutes && key == "retry_delay_seconds");
    filled(node, &keys::JOB, is_filled)
}

struct HashKey {
    is_used: bool,
    value: Option<crate::secret::Secret>,
}

fn hash_key(sources: &[super::spec::DataSource], settings: &Settings, secrets: Secrets, report: &mut Report<'_>) -> HashKey {
    let is_used = sources.iter().any(|source| !source.columns.hash.is_empty());
    let Some(node) = settings.tree.get("hash_key").filter(|_| is_used) else { return HashKey { is_used: false, value: None } };
    if node.as_scalar().is_none() && secrets == Secrets::Left {
        return HashKey { is_used, value: None };
    }
    match variables::secret(node, &settings.root) {
        Ok(secret) => HashKey { is_used, value: Some(secret) },
        Err(message) => {
            report.error(node.place, format!("hash_key: {message}"), None);
            HashKey { is_used, value: None }
        }
    }
}

fn used_connections<'a>(tree: &Node, settings: &'a Settings) -> Vec<(&'a str, &'a Node)> {
    let sources = match tree.get("data_sources").map(|node| &node.value) {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    let names: Vec<&str> = sources.iter().filter_map(|source| text(source, "connection")).chain(text(tree, "destination")).collect();
    let declared = settings.tree.get("connections").map(Node::entries).unwrap_or_default();
    declared.iter().filter(|entry| names.contains(&entry.key.as_str())).map(|entry| (entry.key.as_str(), &entry.node)).collect()
}

fn reserved(used: &[(&str, &Node)]) -> Vec<Reserved> {
    let users = |node: &Node| node.get("users").filter(|users| !users.is_null()).and_then(|_| texts(node, "users"));
    used.iter().filter_map(|(name, node)| Some(Reserved { connection: (*name).to_owned(), users: users(node)? })).collect()
}

/// Returns the values that a run of this version needs.
fn needed<'a>(tree: &'a Node, used: &[(&str, &'a Node)], is_hashed: bool, settings: &'a Settings) -> Vec<&'a Node> {
    // A run doesn't stop because nobody can be told of it.
    let own = tree.entries().iter().filter(|entry| !notifications::KEYS.contains(&entry.key.as_str())).map(|entry| &entry.node);
    let key = settings.tree.get("hash_key").filter(|_| is_hashed);
    own.chain(used.iter().map(|(_, node)| *node)).chain(key).collect()
}

fn variables_of(own: &Node, settings: &Settings) -> Vec<String> {
    let mut names = settings::names(own);
    names.extend_from_slice(settings.variables());
    names.sort();
    names.dedup();
    names
}

fn limits(config: &Node) -> Limits {
    let parallel = int(config, "max_parallel_sources").and_then(|number| usize::try_from(number).ok());
    Limits {
        timeout_minutes: small(config, "timeout_minutes", defaults::TIMEOUT_MINUTES),
        memory_limit_mb: small(config, "memory_limit_mb", defaults::MEMORY_LIMIT_MB),
        max_parallel_sources: parallel.unwrap_or(1).max(1),
        cpu_nice: u8::try_from(int(config, "cpu_nice").unwrap_or(defaults::CPU_NICE)).unwrap_or(0),
    }
}

fn retry(tree: &Node) -> Retry {
    let delay_seconds = match int(tree, "retry_delay_minutes") {
        Some(minutes) => u32::try_from(minutes * 60).unwrap_or(u32::MAX),
        None => small(tree, "retry_delay_seconds", defaults::RETRY_DELAY_SECONDS),
    };
    Retry {
        max_retries: small(tree, "max_retries", defaults::MAX_RETRIES),
        delay_seconds,
        delay_max_seconds: small(tree, "retry_delay_max_seconds", defaults::RETRY_DELAY_MAX_SECONDS),
    }
}

fn small(node: &Node, key: &str, default: i64) -> u32 {
    u32::try_from(int(node, key).unwrap_or(default)).unwrap_or(u32::MAX)
}

/// Returns the job as canonical JSON: keys sorted, variables as written, secrets left out.
fn canonical(tree: &Node, used: &[(&str, &Node)]) -> Vec<u8> {
    let mut text = Vec::with_capacity(4096);
    write_canonical(tree, &mut text);
    for (name, node) in used {
        text.extend_from_slice(name.as_bytes());
        write_canonical(node, &mut text);
    }
    text
}

fn write_canonical(node: &Node, out: &mut Vec<u8>) {
    use std::io::Write as _;

    let quote = |text: &str, out: &mut Vec<u8>| serde_json::to_writer(out, text).expect("a text is JSON");
    match &node.value {
        Value::Scalar(scalar) if scalar.kind == ScalarKind::Text => quote(scalar.shown(), out),
        Value::Scalar(scalar) => match scalar.kind {
            ScalarKind::Int(number) => write!(out, "{number}").expect("a text takes all"),
            ScalarKind::Float(number) => write!(out, "{number}").expect("a text takes all"),
            ScalarKind::Bool(is) => write!(out, "{is}").expect("a text takes all"),
            ScalarKind::Null | ScalarKind::Text => out.extend_from_slice(b"null"),
        },
        Value::List(items) => {
            out.push(b'[');
            items.iter().for_each(|item| {
                write_canonical(item, out);
                out.push(b',');
            });
            out.push(b']');
        }
        Value::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().filter(|entry| is_in_fingerprint(&entry.key, &entry.node)).collect();
            sorted.sort_by(|left, right| left.key.cmp(&right.key));
            out.push(b'{');
            for entry in sorted {
                quote(&entry.key, out);
                out.push(b':');
                write_canonical(&entry.node, out);
                out.push(b',');
            }
            out.push(b'}');
        }
    }
}

/// Secrets are left out, and what the machine's cores decide: the same job has the same fingerprint on every host.
fn is_in_fingerprint(key: &str, node: &Node) -> bool {
    let is_secret = matches!(key, "healthcheck_url" | "webhooks" | "password" | "url" | "hash_key");
    let is_of_machine = key == "max_parallel_sources" && node.place.origin == Origin::BuiltIn;
    !node.is_null() && !is_secret && !is_of_machine
}

fn hex(text: &[u8]) -> String {
    use std::fmt::Write as _;

    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a text takes all");
        hex
    })
}
