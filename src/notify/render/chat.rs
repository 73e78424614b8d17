//! Messages as chats take them: JSON by the service behind a URL. Names, errors and data can't call people, make links or load pictures.
//!
//! Slack: <https://docs.slack.dev/reference/block-kit>, texts of at most 3,000 characters, `&` escaped; what it would take for emphasis stands in
//! plain text or in a fence. Teams: an Adaptive Card in the envelope that workflows take, made of text runs, which know no markdown; the
//! card's `fallbackText` does (<https://adaptivecards.io/explorer/AdaptiveCard.html>). Discord: at most 2,000 characters, markdown with
//! escapes. Google Chat (<https://developers.google.com/workspace/chat/format-messages>) has no escape, and whoever else shows `text` may have
//! another markdown: there a first line with signs of emphasis stands in the fence.

use serde_json::{Value, json};

use crate::notify::message::Message;
use crate::run::RunStatus;
use crate::text::shortened;

use super::content::{self, CauseLines, Content, Tone};

/// Whose form a URL wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Slack's blocks.
    Slack,
    /// Teams's workflows, and its older connectors.
    Teams,
    /// `text` alone: Google Chat refuses what it doesn't know; Discord's `/slack`.
    TextOnly,
    /// Discord's own.
    Discord,
    /// Whoever else: `text`, which Mattermost and Rocket.Chat show, and all that is known.
    Plain,
}

impl Form {
    /// Returns the form for a URL's host and path.
    pub(crate) fn of(host: &str, path: &str) -> Self {
        let is_of = |domain: &str| host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        if is_of("hooks.slack.com") || is_of("hooks.slack-gov.com") {
            Self::Slack
        } else if ["webhook.office.com", "outlook.office.com", "logic.azure.com", "powerplatform.com", "powerautomate.com"]
            .into_iter()
            .any(is_of)
        {
            Self::Teams
        } else if is_of("discord.com") || is_of("discordapp.com") {
            if path.trim_end_matches('/').ends_with("/slack") { Self::TextOnly } else { Self::Discord }
        } else if is_of("chat.googleapis.com") {
            Self::TextOnly
        } else {
            Self::Plain
        }
    }
}

/// How many causes a chat is told.
const CAUSES_MAX: usize = 4;

/// How many jobs of several.
const JOBS_MAX: usize = 20;

/// Renders a message in a form.
pub(crate) fn chat(message: &Message, form: Form) -> Value {
    let content = Content::of(message);
    match form {
        Form::Slack => slack(&content),
        Form::Teams => teams(&content),
        Form::TextOnly => json!({"text": text(&content, fenced_if_marked)}),
        Form::Discord => json!({"content": text(&content, escaped_above), "allowed_mentions": {"parse": []}}),
        Form::Plain => json!({"text": text(&content, fenced_if_marked), "event": message}),
    }
}

fn slack(content: &Content) -> Value {
    let plain = |text: &str, most: usize| json!({"type": "plain_text", "text": for_slack(text, most), "emoji": false});
    let fenced =
        |text: &str| json!({"type": "mrkdwn", "verbatim": true, "text": format!("```{}```", escaped(&in_fence(text, 2800), 2800))});
    let section = |text: Value| json!({"type": "section", "text": text});
    let mut blocks = vec![json!({"type": "header", "text": plain(&headline(content), 140)})];
    if !content.lead.is_empty() {
        blocks.push(section(plain(&content.lead.join("\n"), 2800)));
    }
    blocks.extend(content.causes.iter().take(CAUSES_MAX).map(|cause| section(fenced(&cause_text(cause)))));
    if !content.jobs.is_empty() {
        blocks.push(section(fenced(&job_lines(content, 2400).join("\n"))));
    }
    if let Some((title, lines)) = &content.list {
        blocks.push(section(fenced(&format!("{title}\n{}", lines.join("\n")))));
    }
    blocks.push(section(fenced(&command_lines(content))));
    blocks.push(json!({"type": "context", "elements": [plain(&last_line(content), 1000)]}));
    // The text is what notifications show.
    json!({"text": for_slack(&headline(content), 300), "mrkdwn": false, "blocks": blocks})
}

fn teams(content: &Content) -> Value {
    let colour = match content.tone {
        Tone::Bad => "Attention",
        Tone::Warning => "Warning",
        Tone::Good => "Good",
    };
    let run = |text: &str, most: usize| json!({"type": "TextRun", "text": defused(text, most)});
    let block = |runs: Vec<Value>| json!({"type": "RichTextBlock", "inlines": runs});
    let with = |mut run: Value, key: &str, value: &str| {
        run[key] = value.into();
        run
    };
    let code = |text: &str| with(run(text, 1500), "fontType", "Monospace");
    let title = with(with(run(&headline(content), 200), "weight", "Bolder"), "size", "Large");
    let mut body = vec![block(vec![with(title, "color", colour)])];
    body.extend(content.lead.iter().map(|sentence| block(vec![run(sentence, 800)])));
    for cause in content.causes.iter().take(CAUSES_MAX) {
        body.push(block(vec![with(run(&cause.title, 300), "weight", "Bolder")]));
        body.push(block(vec![code(&cause.message)]));
        body.extend(cause.hint.iter().map(|hint| block(vec![run(&format!("What to do: {hint}"), 600)])));
    }
    body.extend(job_lines(content, 8000).iter().map(|line| block(vec![code(line)])));
    if let Some((title, lines)) = &content.list {
        body.push(block(vec![with(run(title, 100), "weight", "Bolder")]));
        body.extend(lines.iter().map(|line| block(vec![code(line)])));
    }
    for (what, command) in &content.commands {
        body.push(block(vec![run(&format!("{what}:"), 200)]));
        body.push(block(vec![code(command)]));
    }
    let mut last = with(run(&last_line(content), 600), "size", "Small");
    last["isSubtle"] = true.into();
    body.push(block(vec![last]));
    json!({"type": "message", "summary": defused(&headline(content), 200), "attachments": [{
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": null,
        "content": {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "fallbackText": in_markdown(&defused(&headline(content), 200)),
            "msteams": {"width": "Full"},
            "body": body,
        },
    }]})
}

/// Returns a message as one text: the first line, and the rest in a fence, where nobody reads markup or names. `begun` lays out the first line
/// and opens the fence.
fn text(content: &Content, begun: fn(&str) -> String) -> String {
    let mut lines: Vec<String> = content.lead.clone();
    lines.extend(content.causes.iter().take(CAUSES_MAX).map(|cause| format!("\n{}", cause_text(cause))));
    if let Some((title, list)) = &content.list {
        lines.push(format!("\n{title}\n{}", list.join("\n")));
    }
    let end = format!("\n\n{}\n\n{}", command_lines(content), last_line(content));
    // What to do stays when errors are long.
    let room = 1500_usize.saturating_sub(end.chars().count()).max(300);
    if !content.jobs.is_empty() {
        let used: usize = lines.iter().map(|line| line.chars().count() + 1).sum();
        lines.push(format!("\n{}", job_lines(content, room.saturating_sub(used + 40)).join("\n")));
    }
    let body = shortened(&lines.join("\n"), room).into_owned();
    format!("{}{}{}\n```", begun(&headline(content)), in_fence(&body, 1600), in_fence(&end, 900))
}

/// The first line above the fence, its signs escaped.
fn escaped_above(line: &str) -> String {
    format!("{}\n```\n", in_markdown(&defused(line, 200)))
}

/// The first line above the fence; within, where it has signs that may be taken for emphasis.
fn fenced_if_marked(line: &str) -> String {
    if is_marked(line) { format!("```\n{}\n\n", in_fence(line, 200)) } else { format!("{}\n```\n", defused(line, 200)) }
}

/// Whether a line has signs of emphasis; an underscore within a word is none in any markdown.
fn is_marked(line: &str) -> bool {
    let characters: Vec<char> = line.chars().collect();
    let is_in_word = |place: usize| {
        let is_letter = |at: Option<usize>| at.and_then(|at| characters.get(at)).is_some_and(|character| character.is_alphanumeric());
        is_letter(place.checked_sub(1)) && is_letter(Some(place + 1))
    };
    characters.iter().enumerate().any(|(place, character)| match character {
        '_' => !is_in_word(place),
        _ => MARKS.contains(character),
    })
}

/// What markdown takes for emphasis, code, a table or an escape.
const MARKS: [char; 6] = ['*', '_', '~', '`', '|', '\\'];

/// Returns a text with markdown's escapes.
fn in_markdown(text: &str) -> String {
    let escape = |character: char| MARKS.contains(&character).then_some('\\').into_iter().chain([character]);
    text.chars().flat_map(escape).collect()
}

fn headline(content: &Content) -> String {
    let mark = match content.tone {
        Tone::Bad => "✕",
        Tone::Warning => "!",
        Tone::Good => "✓",
    };
    format!("{mark} {}{}", if content.is_test { "TEST: " } else { "" }, content.headline)
}

fn cause_text(cause: &CauseLines) -> String {
    let hint = cause.hint.as_deref().map(|hint| format!("\nWhat to do: {hint}")).unwrap_or_default();
    format!("{}:\n{}{hint}", cause.title, cause.message)
}

/// Returns a line for each job for which there is room, and one that says how many more there are.
fn job_lines(content: &Content, characters_max: usize) -> Vec<String> {
    let mut room = characters_max;
    let mut lines: Vec<String> = Vec::new();
    for job in content.jobs.iter().take(JOBS_MAX) {
        let line = job.text();
        let Some(left) = room.checked_sub(line.chars().count() + 1) else { break };
        room = left;
        lines.push(line);
    }
    lines.extend(content::more(content.job_count, lines.len(), "job"));
    lines
}

fn command_lines(content: &Content) -> String {
    let lines: Vec<String> = content.commands.iter().map(|(what, command)| format!("{what}:\n  {command}")).collect();
    lines.join("\n")
}

fn last_line(content: &Content) -> String {
    let marks: String = content.strip.iter().map(|cell| if cell.status == RunStatus::Success { '✓' } else { '✕' }).collect();
    let facts = content.facts.iter().filter(|(name, _)| matches!(*name, "Started" | "Next run" | "Host"));
    let facts: Vec<String> = facts.map(|(name, value)| format!("{name}: {value}")).collect();
    let strip = (!marks.is_empty()).then(|| format!("Last runs: {marks}"));
    strip.into_iter().chain(facts).collect::<Vec<_>>().join(" · ")
}

/// What stands in an address that chats make a link of by themselves, each with how much of it comes before the gap.
const ADDRESS_PARTS: [(&str, usize); 4] = [("://", 1), ("www.", 3), ("mailto:", 6), ("tel:", 3)];

/// Returns a text in which nothing calls people or is a link.
fn defused(text: &str, characters_max: usize) -> String {
    let text = uncalling(&shortened(text, characters_max));
    let lower = text.to_ascii_lowercase();
    let mut safe = String::with_capacity(text.len() + 16);
    for (place, character) in text.char_indices() {
        if ADDRESS_PARTS.iter().any(|(part, gap)| place >= *gap && lower.as_bytes()[place - gap..].starts_with(part.as_bytes())) {
            safe.push('\u{200b}');
        }
        safe.push(character);
    }
    safe
}

/// As [`defused`], but an address stays as it is and can be copied: in a fence no chat makes a link of it. A backtick stays too, and none
/// stands beside another, or they would end the fence.
fn in_fence(text: &str, characters_max: usize) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    let mut before = '`';
    for character in uncalling(&shortened(text, characters_max)).chars() {
        if (before, character) == ('`', '`') {
            safe.push('\u{200b}');
        }
        safe.push(character);
        before = character;
    }
    if before == '`' && !safe.is_empty() {
        safe.push('\u{200b}');
    }
    safe
}

/// Returns a text in which nothing calls people, or is a link with a text of its own.
fn uncalling(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    for character in text.chars() {
        match character {
            '<' => safe.push('‹'),
            '>' => safe.push('›'),
            // `@channel`, but not `etl@example.com`.
            '@' if !before.is_alphanumeric() => safe.push_str("@\u{200b}"),
            // `[text](address)`
            '(' if before == ']' => safe.push_str(" ("),
            _ => safe.push(character),
        }
        before = character;
    }
    safe
}

/// As [`defused`], with Slack's escape; that counts too.
fn for_slack(text: &str, characters_max: usize) -> String {
    escaped(&defused(text, characters_max), characters_max)
}

fn escaped(text: &str, characters_max: usize) -> String {
    let mut room = characters_max;
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        let length = if character == '&' { "&amp;".len() } else { 1 };
        let Some(left) = room.checked_sub(length) else { break };
        room = left;
        if character == '&' { safe.push_str("&amp;") } else { safe.push(character) }
    }
    safe
}

#[cfg(test)]
#[path = "chat_tests.rs"]
mod tests;
