//! Chats: the form of each service, and that data is nothing but text in all of them.

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
            for word in ["<", ">", "@here", "@everyone", "]("] {
                assert!(!text.contains(word), "{form:?}: {word}: {text}");
            }
            // In Slack's plain text and in text runs backticks are nothing but themselves.
            let is_fenced = text.starts_with("```") || text.contains("\n```\n");
            assert!(!is_fenced || text.matches("```").count() == 2, "{form:?}: {text}");
            let shown: String = if is_fenced { text.split("```").step_by(2).collect() } else { text.to_owned() };
            for word in ["://", "www."] {
                assert!(text.starts_with("http://adaptivecards.io/") || !shown.to_lowercase().contains(word), "{form:?}: {word}: {text}");
            }
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
fn signs_of_emphasis_show_as_they_are() {
    let mut message = samples::failure();
    message.job.name = "*daily* _sales_ ~x~ `y` a\\b".to_owned();
    message.causes[0].message = "no `t_1*` in ``db`` or ```x```".to_owned();
    let head = "✕ *daily* _sales_ ~x~ `y` a\\b failed";
    let slack = chat(&message, Form::Slack);
    assert_eq!((&slack["text"], &slack["mrkdwn"]), (&json!(head), &json!(false)));
    assert_eq!(slack["blocks"][0]["text"], json!({"type": "plain_text", "text": head, "emoji": false}));
    let fenced = "no `t_1*` in `\u{200b}`db`\u{200b}` or `\u{200b}`\u{200b}`x`\u{200b}`\u{200b}`";
    assert!(slack["blocks"][2]["text"]["text"].as_str().unwrap().contains(fenced), "{slack}");
    let teams = chat(&message, Form::Teams);
    let card = &teams["attachments"][0]["content"];
    assert_eq!(card["body"][0]["inlines"][0]["text"], head);
    assert_eq!(card["fallbackText"], "✕ \\*daily\\* \\_sales\\_ \\~x\\~ \\`y\\` a\\\\b failed");
    let discord = chat(&message, Form::Discord)["content"].as_str().unwrap().to_owned();
    assert!(discord.starts_with("✕ \\*daily\\* \\_sales\\_ \\~x\\~ \\`y\\` a\\\\b failed\n```\n1 of 3 "), "{discord}");
    for form in [Form::TextOnly, Form::Plain] {
        let text = chat(&message, form)["text"].as_str().unwrap().to_owned();
        assert!(text.starts_with(&format!("```\n{head}\n\n1 of 3 ")) && text.ends_with("\n```"), "{text}");
        assert!(text.contains(fenced), "{text}");
    }
    message.job.name = "daily_sales".to_owned();
    let text = chat(&message, Form::TextOnly)["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("✕ daily_sales failed\n```\n1 of 3 "), "{text}");
}

#[test]
fn a_command_can_be_copied_whatever_signs_it_has() {
    let message = Message { workspace: "/srv/`a`*_~$x_y".to_owned(), ..samples::failure() };
    for form in [Form::Slack, Form::Teams, Form::TextOnly, Form::Discord, Form::Plain] {
        let mut all = String::new();
        walk(&chat(&message, form), &mut |text| all.push_str(text));
        assert!(all.contains("etlsched -C '/srv/`a`*_~$x_y' run daily_sales --retry-failed"), "{form:?}: {all}");
    }
}

#[test]
fn mail_addresses_stay_readable() {
    assert_eq!(defused("etl@example.com and @all (1 < 2)", 100), "etl@example.com and @\u{200b}all (1 ‹ 2)");
    let addresses = "é ftp://a.example, Www.b.example; see https://c.example";
    assert_eq!(defused(addresses, 100), "é ftp:\u{200b}//a.example, Www\u{200b}.b.example; see https:\u{200b}//c.example");
    assert_eq!(in_fence(addresses, 100), addresses);
}
