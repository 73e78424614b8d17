//! The HTML of a message: tables, inline styles, no images, nothing that is loaded. Colours change with the reader's scheme where the
//! client lets them, and stay readable where it inverts them.

use std::fmt::Write as _;

use crate::run::{RunStatus, SourceStatus};

use super::content::{self, Content, SourceLine, Tone};

const FONT: &str = "-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const MONO: &str = "ui-monospace,SFMono-Regular,Menlo,Consolas,'Liberation Mono',monospace";

/// What dark clients change, by class; everything else stands at the elements, since some clients drop this.
const STYLE: &str = "\
:root{color-scheme:light dark;supported-color-schemes:light dark}\
@media (prefers-color-scheme:dark){\
.pg{background:#0d1117!important}.cd{background:#161b22!important;border-color:#3d444d!important}\
.tx{color:#e6edf3!important}.mu{color:#9da7b1!important}.ln{border-color:#3d444d!important}\
.co{background:#0d1117!important;color:#e6edf3!important;border-color:#3d444d!important}\
.bad{color:#ff8182!important}.warn{color:#e3b341!important}.good{color:#56d364!important}}";

/// Lays a message out as a document.
pub(super) fn html(content: &Content) -> String {
    let mut page = String::with_capacity(16 * 1024);
    let title = escaped(&content.subject);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"supported-color-schemes\" content=\"light dark\">\
         <meta name=\"format-detection\" content=\"telephone=no,date=no,address=no,email=no,url=no\">\
         <title>{title}</title><style>{STYLE}</style></head>\n\
         <body class=\"pg\" style=\"margin:0;padding:0;background:#f6f8fa;-webkit-text-size-adjust:100%\">\n"
    );
    // What a list of mails shows below the subject.
    if let Some(lead) = content.lead.first() {
        let _ = writeln!(page, "<div style=\"display:none;max-height:0;overflow:hidden\">{}</div>", escaped(lead));
    }
    let _ = write!(
        page,
        "<table role=\"presentation\" class=\"pg\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" \
         style=\"background:#f6f8fa\"><tr><td align=\"center\" style=\"padding:12px 8px\">\n\
         <table role=\"presentation\" class=\"cd\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" \
         style=\"max-width:640px;background:#ffffff;border:1px solid #d1d9e0;border-radius:8px;border-collapse:separate;\
         font-family:{FONT};font-size:15px;line-height:1.45;text-align:left\">\n"
    );
    head(content, &mut page);
    causes(content, &mut page);
    list(content, &mut page);
    jobs(content, &mut page);
    commands(content, &mut page);
    sources(content, &mut page);
    strip(content, &mut page);
    facts(content, &mut page);
    log_tail(content, &mut page);
    footer(content, &mut page);
    page.push_str("</table>\n</td></tr></table>\n</body></html>\n");
    page
}

fn head(content: &Content, page: &mut String) {
    let (colour, class) = tone(content.tone);
    let _ = write!(page, "<tr><td style=\"padding:16px 16px 4px;border-top:4px solid {colour};border-radius:8px 8px 0 0\">");
    if content.is_test {
        let _ = write!(
            page,
            "<p style=\"margin:0 0 12px;padding:8px 12px;background:#0550ae;color:#ffffff;border-radius:6px\">\
             <strong>This is a test:</strong> nothing happened.</p>"
        );
    }
    let _ = write!(
        page,
        "<h1 class=\"{class}\" style=\"margin:0 0 8px;font-size:20px;line-height:1.25;color:{colour};{BREAK}\">{}</h1>",
        escaped(&content.headline)
    );
    for sentence in &content.lead {
        let _ = write!(page, "<p class=\"tx\" style=\"margin:0 0 8px;color:#1f2328;{BREAK}\">{}</p>", escaped(sentence));
    }
    page.push_str("</td></tr>\n");
}

/// Long words are parted rather than pushing a phone's page wide.
const BREAK: &str = "overflow-wrap:anywhere;word-break:break-word";

fn begin(page: &mut String, title: &str) {
    let _ = write!(
        page,
        "<tr><td style=\"padding:12px 16px 4px\"><h2 class=\"tx\" style=\"margin:0 0 6px;font-size:15px;line-height:1.3;\
         font-weight:700;color:#1f2328\">{}</h2>",
        escaped(title)
    );
}

const END: &str = "</td></tr>\n";

fn causes(content: &Content, page: &mut String) {
    if content.causes.is_empty() {
        return;
    }
    begin(page, "Why");
    let (colour, _) = tone(content.tone);
    for cause in &content.causes {
        let _ = write!(
            page,
            "<div style=\"margin:0 0 12px;padding:0 0 0 12px;border-left:3px solid {colour}\">\
             <p class=\"tx\" style=\"margin:0 0 4px;color:#1f2328;{BREAK}\"><strong>{}</strong></p>\
             <p class=\"tx\" style=\"margin:0 0 4px;font-family:{MONO};font-size:13px;color:#1f2328;{BREAK}\">{}</p>",
            escaped(&cause.title),
            escaped(&cause.message)
        );
        if let Some(hint) = &cause.hint {
            let _ = write!(
                page,
                "<p class=\"tx\" style=\"margin:0 0 4px;color:#1f2328;{BREAK}\"><strong>What to do:</strong> {}</p>",
                escaped(hint)
            );
        }
        let _ = write!(page, "<p class=\"mu\" style=\"margin:0;font-size:13px;color:#59636e;{BREAK}\">{}</p></div>", escaped(&cause.note));
    }
    muted(page, content.more_causes.as_deref());
    page.push_str(END);
}

fn jobs(content: &Content, page: &mut String) {
    if content.jobs.is_empty() {
        return;
    }
    begin(page, "Jobs");
    page.push_str(
        "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"border-collapse:collapse;font-size:14px\">",
    );
    for job in &content.jobs {
        let details: Vec<String> = job.details.iter().map(|detail| escaped(detail)).collect();
        let details = if details.is_empty() {
            String::new()
        } else {
            format!("<br><span class=\"mu\" style=\"font-size:13px;color:#59636e\">{}</span>", details.join("<br>"))
        };
        let _ = write!(
            page,
            "<tr><td class=\"tx ln\" style=\"padding:6px 0;border-bottom:1px solid #d1d9e0;color:#1f2328;{BREAK}\">{}{details}</td></tr>",
            escaped(&job.name)
        );
    }
    page.push_str("</table>");
    muted(page, content::more(content.job_count, content.jobs.len(), "job").as_deref());
    page.push_str(END);
}

fn list(content: &Content, page: &mut String) {
    let Some((title, lines)) = &content.list else { return };
    begin(page, title);
    page.push_str("<ul style=\"margin:0 0 8px;padding:0 0 0 20px\">");
    for line in lines {
        let _ = write!(page, "<li class=\"tx\" style=\"margin:0 0 2px;color:#1f2328;{BREAK}\">{}</li>", escaped(line));
    }
    page.push_str("</ul>");
    page.push_str(END);
}

fn commands(content: &Content, page: &mut String) {
    begin(page, "Commands");
    for (what, command) in &content.commands {
        let _ = write!(
            page,
            "<p class=\"tx\" style=\"margin:0 0 4px;color:#1f2328\">{}</p>\
             <p class=\"co\" style=\"margin:0 0 10px;padding:8px 10px;background:#f6f8fa;border:1px solid #d1d9e0;border-radius:6px;\
             font-family:{MONO};font-size:13px;color:#1f2328;{BREAK}\">{}</p>",
            escaped(what),
            escaped(command)
        );
    }
    page.push_str(END);
}

fn sources(content: &Content, page: &mut String) {
    if content.sources.is_empty() {
        return;
    }
    begin(page, "Sources");
    page.push_str(
        "<table width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"border-collapse:collapse;font-size:14px\"><tr>",
    );
    for (name, align) in [("Source", "left"), ("Rows", "right"), ("Took", "right")] {
        let pad = if align == "left" { "4px 8px 4px 0" } else { "4px 0 4px 8px" };
        let _ = write!(
            page,
            "<th scope=\"col\" align=\"{align}\" class=\"mu ln\" style=\"padding:{pad};border-bottom:1px solid #d1d9e0;\
             font-weight:600;font-size:13px;color:#59636e\">{name}</th>"
        );
    }
    page.push_str("</tr>");
    content.sources.iter().for_each(|source| row(source, page));
    page.push_str("</table>");
    muted(page, content.more_sources.as_deref());
    page.push_str(END);
}

fn row(source: &SourceLine, page: &mut String) {
    let (mark, colour, class) = match source.status {
        SourceStatus::Success => ("✓", "#1a7f37", "good"),
        SourceStatus::Failed | SourceStatus::Timeout => ("✕", "#cf222e", "bad"),
        SourceStatus::Cancelled | SourceStatus::Skipped => ("–", "#59636e", "mu"),
        SourceStatus::Waiting | SourceStatus::Running => ("…", "#59636e", "mu"),
    };
    // The details have a row of their own, as wide as the table: paths are long, and phones are narrow.
    let line = "border-bottom:1px solid #d1d9e0";
    let below = if source.details.is_empty() { line } else { "border-bottom:0" };
    let _ = write!(
        page,
        "<tr><td class=\"tx ln\" style=\"padding:6px 8px 4px 0;{below};vertical-align:top;color:#1f2328;{BREAK}\">{}<br>\
         <span class=\"{class}\" style=\"font-size:13px;color:{colour}\">{mark} {}</span>",
        escaped(&source.name),
        source.status.as_str()
    );
    for value in [&source.rows, &source.took] {
        let _ = write!(
            page,
            "</td><td align=\"right\" class=\"tx ln\" style=\"padding:6px 0 4px 8px;{below};vertical-align:top;color:#1f2328;\
             white-space:nowrap\">{}",
            escaped(value)
        );
    }
    page.push_str("</td></tr>");
    if !source.details.is_empty() {
        let details: Vec<String> = source.details.iter().map(|detail| escaped(detail)).collect();
        let _ = write!(
            page,
            "<tr><td colspan=\"3\" class=\"mu ln\" style=\"padding:0 0 6px;{line};font-size:13px;color:#59636e;{BREAK}\">{}</td></tr>",
            details.join("<br>")
        );
    }
}

fn strip(content: &Content, page: &mut String) {
    if content.strip.is_empty() {
        return;
    }
    begin(page, "Last runs, the latest at the right");
    page.push_str("<table role=\"presentation\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"margin:0 0 6px\"><tr>");
    for cell in &content.strip {
        let (mark, colour, _) = mark(cell.status);
        let title = escaped(&cell.title);
        let _ = write!(
            page,
            "<td style=\"padding:0 2px 0 0\"><div title=\"{title}\" aria-label=\"{title}\" role=\"img\" style=\"width:17px;height:24px;\
             line-height:24px;border-radius:3px;background:{colour};color:#ffffff;font-size:12px;font-weight:700;text-align:center\">\
             {mark}</div></td>"
        );
    }
    page.push_str("</tr></table>");
    let mut legend: Vec<String> = Vec::new();
    for cell in &content.strip {
        let (mark, _, word) = mark(cell.status);
        let words = format!("{mark} {word}");
        if !legend.contains(&words) {
            legend.push(words);
        }
    }
    muted(page, Some(&legend.join(" · ")));
    page.push_str(END);
}

fn facts(content: &Content, page: &mut String) {
    begin(page, "Details");
    page.push_str("<table width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\" style=\"font-size:14px\">");
    for (name, value) in &content.facts {
        let _ = write!(
            page,
            "<tr><th scope=\"row\" align=\"left\" width=\"80\" class=\"mu\" style=\"padding:2px 8px 2px 0;vertical-align:top;\
             font-weight:400;color:#59636e\">{}</th><td class=\"tx\" style=\"padding:2px 0;color:#1f2328;{BREAK}\">{}</td></tr>",
            escaped(name),
            escaped(value)
        );
    }
    page.push_str("</table>");
    page.push_str(END);
}

fn log_tail(content: &Content, page: &mut String) {
    if content.log_tail.is_empty() {
        return;
    }
    begin(page, "The end of the log");
    let _ = write!(
        page,
        "<div class=\"co\" style=\"margin:0 0 10px;padding:8px 10px;background:#f6f8fa;border:1px solid #d1d9e0;border-radius:6px;\
         font-family:{MONO};font-size:12px;line-height:1.5;color:#1f2328;{BREAK}\">"
    );
    // What goes on in another line is indented, so that one sees where each begins.
    for line in &content.log_tail {
        let _ = writeln!(page, "<div style=\"padding:0 0 0 14px;text-indent:-14px\">{}</div>", escaped(line));
    }
    page.push_str("</div>");
    page.push_str(END);
}

fn footer(content: &Content, page: &mut String) {
    page.push_str("<tr><td style=\"padding:8px 16px 14px\">");
    for line in &content.footer {
        let _ = write!(page, "<p class=\"mu\" style=\"margin:0 0 4px;font-size:12px;color:#59636e;{BREAK}\">{}</p>", escaped(line));
    }
    page.push_str(END);
}

fn muted(page: &mut String, line: Option<&str>) {
    if let Some(line) = line {
        let _ = write!(page, "<p class=\"mu\" style=\"margin:4px 0;font-size:13px;color:#59636e;{BREAK}\">{}</p>", escaped(line));
    }
}

/// Returns the colour of a tone and its class.
fn tone(tone: Tone) -> (&'static str, &'static str) {
    match tone {
        Tone::Bad => ("#cf222e", "bad"),
        Tone::Warning => ("#9a6700", "warn"),
        Tone::Good => ("#1a7f37", "good"),
    }
}

/// Returns a run's character, the colour behind it and its word.
fn mark(status: RunStatus) -> (&'static str, &'static str, &'static str) {
    match status {
        RunStatus::Success => ("✓", "#1a7f37", "success"),
        RunStatus::Failed => ("✕", "#cf222e", "failed"),
        RunStatus::Timeout => ("T", "#bc4c00", "timeout"),
        RunStatus::Cancelled => ("–", "#656d76", "cancelled"),
        RunStatus::Started | RunStatus::Running => ("…", "#0550ae", "running"),
    }
}

/// Returns a text without meaning in HTML, in elements and in quoted attributes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            _ => html.push(character),
        }
    }
    html
}
