//! Messages as chats take them: JSON by the service behind a URL. Names, errors and data can't call people, make links or load pictures.
//!
//! Slack: <https://docs.slack.dev/reference/block-kit>, texts of at most 3,000 characters, `&` escaped. Teams: an Adaptive Card in the envelope
//! that workflows take, made of text runs, which know no markdown. Discord: at most 2,000 characters.

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
        Form::TextOnly => json!({"text": text(&content)}),
        Form::Discord => json!({"content": text(&content), "allowed_mentions": {"parse": []}}),
        Form::Plain => json!({"text": text(&content), "event": message}),
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
    json!({"text": for_slack(&headline(content), 300), "blocks": blocks})
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
            "fallbackText": defused(&headline(content), 200),
            "msteams": {"width": "Full"},
            "body": body,
        },
    }]})
}

/// Returns a message as one text: the first line, and the rest in a fence, where nobody reads markup or names.
fn text(content: &Content) -> String {
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
    format!("{}\n```\n{}{}\n```", defused(&headline(content), 200), in_fence(&body, 1600), in_fence(&end, 900))
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

/// Returns a text in which nothing calls people, is a link or ends a fence.
fn defused(text: &str, characters_max: usize) -> String {
    let text = in_fence(text, characters_max);
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

/// As [`defused`], but an address stays as it is and can be copied: in a fence no chat makes a link of it.
fn in_fence(text: &str, characters_max: usize) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    for character in shortened(text, characters_max).chars() {
        match character {
            '<' => safe.push('‹'),
            '>' => safe.push('›'),
            '`' => safe.push('ʹ'),
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
mod tests {
    use super::super::samples;
    use super::*;

    const EVIL: &str = "<!channel> <@U1> @here @everyone ``` ```` [x](https://evil.example) <https://evil.example|bank> ![p](https://evil.example/p.png) &lt; HTTPS://evil.example www.evil.example";

    fn evil() -> Message {
        let mut message = samples::failure();
        message.job.name = EVIL.to_owned();
        message.host = EVIL.to_owned();
        for cause in &mut message.causes {
            cause.message = EVIL.to_owned();
            cause.hint = Some(EVIL.to_owned());
            cause.sources = vec![EVIL.to_owned()];
        }
        message
    }

    /// Calls `check` for every text that a service would show.
    fn walk(value: &Value, check: &mut impl FnMut(&str)) {
        match value {
            Value::String(text) => check(text),
            Value::Array(items) => items.iter().for_each(|item| walk(item, check)),
            Value::Object(fields) => fields.iter().filter(|(key, _)| *key != "event").for_each(|(_, value)| walk(value, check)),
            _ => {}
        }
    }

    #[test]
    fn a_url_is_told_in_the_form_of_its_service() {
        for (host, path, form) in [
            ("hooks.slack.com", "/services/T/B/x", Form::Slack),
            ("hooks.slack.com.evil.example", "/", Form::Plain),
            ("evilhooks.slack.com", "/", Form::Plain),
            ("contoso.webhook.office.com", "/webhookb2/x", Form::Teams),
            ("prod-12.westeurope.logic.azure.com", "/workflows/x", Form::Teams),
            ("default1.environment.api.powerplatform.com", "/powerautomate/x", Form::Teams),
            ("discord.com", "/api/webhooks/1/x", Form::Discord),
            ("discord.com", "/api/webhooks/1/x/slack", Form::TextOnly),
            ("chat.googleapis.com", "/v1/spaces/x/messages", Form::TextOnly),
            ("mattermost.example.com", "/hooks/x", Form::Plain),
        ] {
            assert_eq!(Form::of(host, path), form, "{host}{path}");
        }
    }

    #[test]
    fn nothing_in_a_message_calls_people_or_makes_links() {
        for form in [Form::Slack, Form::Teams, Form::TextOnly, Form::Discord, Form::Plain] {
            let value = chat(&evil(), form);
            walk(&value, &mut |text| {
                for word in ["<", ">", "@here", "@everyone", "](", "````"] {
                    assert!(!text.contains(word), "{form:?}: {word}: {text}");
                }
                let shown: String = text.split("```").step_by(2).collect();
                for word in ["://", "www."] {
                    assert!(
                        text.starts_with("http://adaptivecards.io/") || !shown.to_lowercase().contains(word),
                        "{form:?}: {word}: {text}"
                    );
                }
                let fences = text.matches("```").count();
                assert!(fences == 0 || fences == 2, "{form:?}: {text}");
            });
        }
        let slack = chat(&evil(), Form::Slack).to_string();
        assert!(!slack.replace("&amp;", "").contains('&'), "{slack}");
    }

    #[test]
    fn no_text_is_longer_than_its_service_takes() {
        let mut message = evil();
        message.causes = vec![message.causes[0].clone(); 300];
        message.causes.iter_mut().for_each(|cause| cause.message = "x".repeat(100_000));
        message.schema_changes = vec!["y".repeat(10_000); 500];
        for (form, most) in [(Form::Slack, 3000), (Form::TextOnly, 3000), (Form::Discord, 2000)] {
            walk(&chat(&message, form), &mut |text| assert!(text.chars().count() <= most, "{form:?}: {}", text.len()));
        }
        assert!(chat(&message, Form::Slack)["blocks"].as_array().unwrap().len() <= 50);
        assert!(chat(&message, Form::Teams).to_string().len() < 28 * 1024, "the most that Teams takes");
    }

    #[test]
    fn of_many_jobs_a_chat_lists_as_many_as_it_takes_and_counts_the_rest() {
        let message = samples::several(1000);
        for form in [Form::Slack, Form::Teams, Form::TextOnly, Form::Discord, Form::Plain] {
            let value = chat(&message, form);
            let mut all = String::new();
            walk(&value, &mut |text| all.push_str(&format!("{text}\n")));
            let lines: Vec<&str> = all.lines().map(|line| line.trim_matches('`')).collect();
            let listed = lines.iter().filter(|line| line.contains(": 4 runs, Thu ")).count();
            assert!(listed >= 4, "{form:?}: {all}");
            assert!(lines.contains(&format!("and {} jobs more", 1000 - listed).as_str()), "{form:?}: {listed}: {all}");
            assert!(all.contains("etlsched -C /srv/etl check"), "{form:?}: {all}");
        }
        let mut long = message;
        long.roundup.as_mut().unwrap().jobs.iter_mut().for_each(|job| job.name = "&".repeat(200));
        for (form, most) in [(Form::Slack, 3000), (Form::TextOnly, 3000), (Form::Discord, 2000)] {
            walk(&chat(&long, form), &mut |text| assert!(text.chars().count() <= most, "{form:?}: {}", text.len()));
        }
        assert!(chat(&long, Form::Teams).to_string().len() < 28 * 1024, "the most that Teams takes");
    }

    #[test]
    fn mail_addresses_stay_readable() {
        assert_eq!(defused("etl@example.com and @all (1 < 2)", 100), "etl@example.com and @\u{200b}all (1 ‹ 2)");
        let addresses = "é ftp://a.example, Www.b.example; see https://c.example";
        assert_eq!(defused(addresses, 100), "é ftp:\u{200b}//a.example, Www\u{200b}.b.example; see https:\u{200b}//c.example");
        assert_eq!(in_fence(addresses, 100), addresses);
    }
}
