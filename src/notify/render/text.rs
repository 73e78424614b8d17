//! The plain text of a message: at most 76 columns, but for commands, which stand whole.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::run::RunStatus;

use super::content::{self, Content};

/// The width of lines (RFC 5322 advises 78).
const WIDTH: usize = 76;

/// Lays a message out as plain text.
pub(super) fn text(content: &Content) -> String {
    let mut page = Page::default();
    if content.is_test {
        page.wrapped("", "This is a test: nothing happened.");
        page.gap();
    }
    page.wrapped("", &content.headline);
    page.line(&"=".repeat(content.headline.width().min(WIDTH)));
    for sentence in &content.lead {
        page.gap();
        page.wrapped("", sentence);
    }
    causes(content, &mut page);
    if let Some((title, lines)) = &content.list {
        page.title(title);
        lines.iter().for_each(|line| page.wrapped("  ", line));
    }
    jobs(content, &mut page);
    page.title("Commands");
    for (what, command) in &content.commands {
        page.wrapped("", &format!("{what}:"));
        page.line(&format!("    {command}"));
    }
    sources(content, &mut page);
    strip(content, &mut page);
    page.title("Details");
    for (name, value) in &content.facts {
        page.wrapped_after(&format!("  {name:<9} "), value);
    }
    if !content.log_tail.is_empty() {
        page.title("The end of the log");
        content.log_tail.iter().for_each(|line| page.wrapped("  ", line));
    }
    page.gap();
    page.line("-- ");
    content.footer.iter().for_each(|line| page.wrapped("", line));
    page.text
}

fn causes(content: &Content, page: &mut Page) {
    if content.causes.is_empty() {
        return;
    }
    page.title("Why");
    for (index, cause) in content.causes.iter().enumerate() {
        if index > 0 {
            page.gap();
        }
        page.wrapped("", &format!("{}:", cause.title));
        page.wrapped("  ", &cause.message);
        if let Some(hint) = &cause.hint {
            page.wrapped("  ", &format!("What to do: {hint}"));
        }
        page.wrapped("  ", &format!("({})", cause.note));
    }
    if let Some(more) = &content.more_causes {
        page.gap();
        page.wrapped("", more);
    }
}

fn jobs(content: &Content, page: &mut Page) {
    if content.jobs.is_empty() {
        return;
    }
    page.title("Jobs");
    content.jobs.iter().for_each(|job| page.wrapped_after("  - ", &job.text()));
    if let Some(more) = content::more(content.job_count, content.jobs.len(), "job") {
        page.wrapped("  ", &more);
    }
}

fn sources(content: &Content, page: &mut Page) {
    if content.sources.is_empty() {
        return;
    }
    page.title("Sources");
    let width = content.sources.iter().map(|source| source.name.width()).max().unwrap_or(0).clamp(6, 36);
    let rows_width = content.sources.iter().map(|source| source.rows.width()).max().unwrap_or(0).max(4);
    page.line(&format!("  {:<width$}  {:<9}  {:>rows_width$}  {:>7}", "source", "status", "rows", "took"));
    for source in &content.sources {
        // A name that is too long has a line of its own.
        let name = if source.name.width() > width {
            page.wrapped("  ", &source.name);
            ""
        } else {
            &source.name
        };
        let name = format!("{name}{}", " ".repeat(width - name.width()));
        let line = format!("  {name}  {:<9}  {:>rows_width$}  {:>7}", source.status.as_str(), source.rows, source.took);
        page.line(line.trim_end());
        source.details.iter().for_each(|detail| page.wrapped("      ", detail));
    }
    if let Some(more) = &content.more_sources {
        page.wrapped("  ", more);
    }
}

fn strip(content: &Content, page: &mut Page) {
    if content.strip.is_empty() {
        return;
    }
    page.title("Last runs, the latest at the end");
    let marks: Vec<&str> = content.strip.iter().map(|cell| mark(cell.status)).collect();
    page.line(&format!("  {}", marks.join(" ")));
    let mut legend: Vec<String> = Vec::new();
    for cell in &content.strip {
        let words = format!("{} {}", mark(cell.status), cell.status);
        if !legend.contains(&words) {
            legend.push(words);
        }
    }
    page.line(&format!("  ({})", legend.join(", ")));
}

/// Returns the character that stands for a run in the strip.
fn mark(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Success => "+",
        RunStatus::Failed => "x",
        RunStatus::Timeout => "t",
        RunStatus::Cancelled => "c",
        RunStatus::Started | RunStatus::Running => ".",
    }
}

/// Text that grows line by line.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn gap(&mut self) {
        if !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn title(&mut self, title: &str) {
        self.gap();
        self.line(title);
        self.line(&"-".repeat(title.width()));
    }

    fn wrapped(&mut self, indent: &str, text: &str) {
        self.wrapped_after(indent, text);
    }

    /// Writes words behind a start; further lines are indented as far.
    fn wrapped_after(&mut self, start: &str, text: &str) {
        let indent = " ".repeat(start.width());
        let room = WIDTH.saturating_sub(indent.len()).max(20);
        for (index, line) in wrap(text, room).into_iter().enumerate() {
            let begin = if index == 0 { start } else { &indent };
            self.line(&format!("{begin}{line}"));
        }
    }
}

/// Parts a text into lines at its spaces; a word that is too long is parted anywhere.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut rest = word;
        loop {
            let line = lines.last_mut().expect("there is always one");
            let length = line.width();
            let gap = usize::from(length > 0);
            if length + gap + rest.width() <= width {
                line.push_str(&" "[..gap]);
                line.push_str(rest);
                break;
            }
            if rest.width() > width && length + gap + 8 < width {
                let (part, behind) = rest.split_at(fitting(rest, width - length - gap));
                line.push_str(&" "[..gap]);
                line.push_str(part);
                rest = behind;
            }
            lines.push(String::new());
        }
    }
    lines
}

/// Returns how many bytes of a text a width holds.
fn fitting(text: &str, width: usize) -> usize {
    let mut used = 0;
    let is_over = |character: char| {
        used += character.width().unwrap_or(0);
        used > width
    };
    text.find(is_over).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_whole_where_they_can_be() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a 0123456789012345678901234", 12), ["a 0123456789", "012345678901", "234"]);
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(wrap("売上 日次売上集計処理一覧", 10), ["売上", "日次売上集", "計処理一覧"], "these are two columns wide each");
    }
}
