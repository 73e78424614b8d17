//! What `notify test` sent, or would send.

use serde_json::{Value, json};

use super::table::{Align, Rows};
use super::{Format, json as as_json, print};
use crate::notify::{Channel, Kind, Message, render};

/// What became of one message to one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The way it went.
    pub channel: Channel,
    /// The recipient, without secrets.
    pub recipient: String,
    /// What it was about; `None` for pings.
    pub kind: Option<Kind>,
    /// Whether it went.
    pub told: Told,
}

/// Whether a message went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It did.
    Sent,
    /// It was not to be sent.
    LeftOut,
    /// It didn't.
    Failed {
        /// Why.
        message: String,
        /// What to do.
        hint: Option<String>,
        /// Whether a real one would be tried again.
        is_temporary: bool,
    },
}

/// Prints what became of messages.
pub fn print_outcomes(outcomes: &[Outcome], format: Format) {
    match format {
        Format::Json => {
            let is_all_sent = outcomes.iter().all(|outcome| !matches!(outcome.told, Told::Failed { .. }));
            as_json::print(&json!({"success": is_all_sent, "notifications": outcomes.iter().map(object).collect::<Vec<_>>()}));
        }
        Format::Csv => {
            let columns = ["channel", "recipient", "kind", "status", "error", "hint"];
            let mut rows = Rows::new(columns.map(|name| (name, Align::Left)));
            outcomes.iter().for_each(|outcome| rows.push(cells(outcome)));
            print(&rows.csv());
        }
        Format::Table => print(&text(outcomes)),
    }
}

fn object(outcome: &Outcome) -> Value {
    let Outcome { channel, recipient, kind, told } = outcome;
    let (error, hint) = match told {
        Told::Sent | Told::LeftOut => (None, None),
        Told::Failed { message, hint, .. } => (Some(message), hint.as_ref()),
    };
    let kind = kind.map(Kind::as_str);
    json!({"channel": channel.as_str(), "recipient": recipient, "kind": kind, "status": status(told), "error": error, "hint": hint})
}

fn cells(outcome: &Outcome) -> Vec<String> {
    let Outcome { channel, recipient, kind, told } = outcome;
    let (error, hint) = match told {
        Told::Sent | Told::LeftOut => (String::new(), String::new()),
        Told::Failed { message, hint, .. } => (message.clone(), hint.clone().unwrap_or_default()),
    };
    let kind = kind.map_or("", Kind::as_str);
    vec![channel.as_str().to_owned(), recipient.clone(), kind.to_owned(), status(told).to_owned(), error, hint]
}

fn status(told: &Told) -> &'static str {
    match told {
        Told::Sent => "sent",
        Told::LeftOut => "skipped",
        Told::Failed { is_temporary: true, .. } => "failed, would be tried again",
        Told::Failed { is_temporary: false, .. } => "failed",
    }
}

/// Returns the table, and below it each reason once.
fn text(outcomes: &[Outcome]) -> String {
    let mut rows = Rows::new(["Recipient", "Kind", "Status"].map(|name| (name, Align::Left)));
    let mut reasons: Vec<String> = Vec::new();
    for outcome in outcomes {
        rows.push(vec![named(outcome), outcome.kind.map_or("-", Kind::as_str).to_owned(), status(&outcome.told).to_owned()]);
        let reason = match &outcome.told {
            Told::Sent => continue,
            Told::LeftOut => format!("{}: only pinged with --healthcheck", named(outcome)),
            Told::Failed { message, hint, .. } => {
                let hint = hint.as_deref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
                format!("{}: {message}{hint}", named(outcome))
            }
        };
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    if outcomes.iter().any(|outcome| outcome.kind == Some(Kind::Invalid)) {
        reasons.push("invalid: told to the people under defaults in etlsched.yaml, since nobody can read the job's own".to_owned());
    }
    let reasons: Vec<String> = reasons.iter().map(|reason| crate::text::printable_lines(reason)).collect();
    if reasons.is_empty() { rows.text() } else { format!("{}\n\n{}", rows.text(), reasons.join("\n")) }
}

/// Returns a recipient as `logs --run` names it; what has an address needs no channel, nor what has no address.
fn named(outcome: &Outcome) -> String {
    let Outcome { channel, recipient, .. } = outcome;
    if *channel == Channel::Email || !recipient.contains(" #") { recipient.clone() } else { format!("{recipient} ({})", channel.as_str()) }
}

/// Prints what messages say.
pub fn print_messages(messages: &[Message], format: Format) {
    let rendered = messages.iter().map(|message| (message.kind, render(message)));
    match format {
        Format::Json => {
            let object = |(kind, mail): (Kind, crate::notify::Rendered)| json!({"kind": kind.as_str(), "subject": mail.subject, "text": mail.text, "html": mail.html});
            as_json::print(&json!({"success": true, "messages": rendered.map(object).collect::<Vec<_>>()}));
        }
        Format::Csv => {
            let mut rows = Rows::new(["kind", "subject", "text"].map(|name| (name, Align::Left)));
            rendered.for_each(|(kind, mail)| rows.push(vec![kind.as_str().to_owned(), mail.subject, mail.text]));
            print(&rows.csv());
        }
        Format::Table => {
            let texts: Vec<String> = rendered.map(|(_, mail)| format!("Subject: {}\n\n{}", mail.subject, mail.text)).collect();
            print(&texts.join(&format!("\n{}\n\n", "=".repeat(76))));
        }
    }
}
