//! Values that are one text with a form of its own: zones, days, times, cron lines, types, addresses.

use crate::batch::ColumnType;
use crate::notify::{Address, Mailbox};
use crate::schedule::cron;
use crate::text::{is_http, shortened};
use crate::zone::Zone;

use super::fields::{list, map, near, text, what, wrong};
use super::positions::{Entry, Node, Value};
use super::report::Report;

/// Checks the types of columns. In `{a: decimal(12,2)}` the comma ends the value, and `2)` is the next key: that is told once.
pub fn column_types(node: &Node, name: &str, report: &mut Report<'_>) {
    let mut is_cut = false;
    map(node, name, report, |entry, report| {
        let is_rest = is_cut && entry.node.is_null() && entry.key.ends_with(')');
        is_cut = entry.node.as_scalar().is_some_and(|scalar| scalar.text.contains('(') && !scalar.text.contains(')'));
        if !is_rest {
            column_type(entry, name, report);
        }
    });
}

fn column_type(entry: &Entry, name: &str, report: &mut Report<'_>) {
    let Some(text) = text(&entry.node, &format!("{name}.{}", shortened(&entry.key, 60)), report) else { return };
    if let Err(message) = ColumnType::parse(&shortened(text, 60)) {
        let hint = if text.starts_with("decimal") || text.starts_with("numeric") {
            // In `{a: decimal(12,2)}` the comma ends the value.
            (!text.ends_with(')')).then(|| "quote it: \"decimal(12,2)\"".to_owned())
        } else {
            near(text, ColumnType::names()).map(|name| format!("did you mean {name}?"))
        };
        report.error(entry.node.place, format!("{name}.{}: {message}", shortened(&entry.key, 60)), hint);
    }
}

/// Checks the name of a time zone.
pub fn zone(node: &Node, name: &str, report: &mut Report<'_>) {
    let Some(zone) = text(node, name, report) else { return };
    if zone.len() > 64 {
        return report.error(node.place, format!("{name}: {} is not a time zone", what(node)), None);
    }
    if Zone::parse(zone).is_err() {
        let nearest = Zone::nearest(zone);
        let hint = match nearest.as_slice() {
            [] => "write an IANA name such as Europe/Paris".to_owned(),
            names => format!("did you mean {}?", names.join(", ")),
        };
        report.error(node.place, format!("{name}: {} is not a time zone", what(node)), hint);
    }
}

/// Checks days with a parser that says the rule where one is wrong.
pub fn days(node: &Node, name: &str, report: &mut Report<'_>, parse: impl Fn(&str) -> Result<(), String>) {
    if let Value::List(items) = &node.value
        && items.is_empty()
    {
        return report.error(node.place, format!("{name} is an empty list"), None);
    }
    list(node, name, report, |item, report| match item.as_scalar() {
        None => wrong(item, name, "a day", None, report),
        Some(scalar) => {
            if let Err(rule) = parse(&shortened(&scalar.text, 40)) {
                report.error(item.place, format!("{name}: {} is not a day", what(item)), rule);
            }
        }
    });
}

/// Checks a time of day.
pub fn clock(node: &Node, name: &str, report: &mut Report<'_>) {
    let is_time = node.as_scalar().and_then(|scalar| scalar.text.split_once(':')).is_some_and(|(hour, minute)| {
        let is_below =
            |text: &str, limit: u8| text.len() == 2 && text.parse::<u8>().is_ok_and(|number| number < limit) && !text.starts_with('+');
        is_below(hour, 24) && is_below(minute, 60)
    });
    if !is_time {
        wrong(node, name, "a time such as \"07:30\"", None, report);
    }
}

/// Checks a cron line.
pub fn cron_line(node: &Node, name: &str, report: &mut Report<'_>) {
    let Some(line) = text(node, name, report) else { return };
    if let Err(error) = cron::Cron::parse(&shortened(line, 400)) {
        report.error(node.place, format!("{name}: {}", error.message), Some(error.hint));
    }
}

/// Checks a mail address.
pub fn email(node: &Node, name: &str, report: &mut Report<'_>) {
    let Some(address) = text(node, name, report) else { return };
    if let Err(reason) = Address::parse(address) {
        let hint = format!("{reason}; write it as name@example.com");
        wrong(node, name, "a mail address", Some(hint), report);
    }
}

/// Checks a mail address that may have a name before it.
pub fn mailbox(node: &Node, name: &str, report: &mut Report<'_>) {
    let Some(mailbox) = text(node, name, report) else { return };
    if let Err(reason) = Mailbox::parse(mailbox) {
        let hint = format!("{reason}; write name@example.com, or Name <name@example.com>");
        wrong(node, name, "a mail address", Some(hint), report);
    }
}

/// Checks an http(s) URL.
pub fn url(node: &Node, name: &str, report: &mut Report<'_>) {
    let Some(url) = text(node, name, report) else { return };
    if !is_http(url) {
        report.error(node.place, format!("{name}: expected an http or https URL"), None);
    }
}
