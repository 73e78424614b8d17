//! A job as it holds, as `show --resolved` prints it: YAML with the origin of each value in a comment.

use serde_json::{Value, json};

use super::wrap::{columns, wrapped};
use crate::job::resolved::Setting;
use crate::secret::Masker;

/// Longer lines have their comment right behind them, and don't push all others to the right.
const ALIGNED_MAX: usize = 60;

/// So much room has a comment at least, however far in it stands.
const COMMENT_MIN: usize = 20;

/// Returns lines with their comments; where a terminal of this width has no room for both, the comment stands above its line.
pub fn text(lines: &[(String, String)], columns_max: Option<u16>) -> String {
    let columns_max = columns_max.map_or(usize::MAX, usize::from);
    let commented = lines.iter().filter(|(_, origin)| !origin.is_empty());
    let width = commented.map(|(line, _)| line.chars().count()).max().unwrap_or(0).min(ALIGNED_MAX);
    let mut text = String::new();
    for (line, origin) in lines {
        text.push_str(&if origin.is_empty() { line.clone() } else { with_comment(line, origin, width, columns_max) });
        text.push('\n');
    }
    text
}

/// Returns the settings of a job as an object.
pub fn json(job: &str, settings: &[Setting], masker: &Masker) -> Value {
    let masked = |value: &Value| match value {
        Value::String(text) => masker.mask(text).into(),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().map_or_else(|| item.clone(), |text| masker.mask(text).into())).collect()
        }
        other => other.clone(),
    };
    let object = |setting: &Setting| json!({"key": masker.mask(&setting.key), "value": masked(&setting.value), "origin": setting.origin});
    json!({"success": true, "job": job, "settings": settings.iter().map(object).collect::<Vec<_>>()})
}

fn with_comment(line: &str, origin: &str, width: usize, columns_max: usize) -> String {
    let in_line = format!("{line:width$}  # {origin}");
    if columns(&in_line) <= columns_max {
        return in_line;
    }
    let close = format!("{line}  # {origin}");
    if columns(&close) <= columns_max {
        return close;
    }
    let indent = " ".repeat(line.len() - line.trim_start_matches(' ').len());
    let room = columns_max.saturating_sub(indent.len() + 2).max(COMMENT_MIN);
    let comment = wrapped(origin, (0, 0), room, usize::MAX);
    let above: String = comment.lines().map(|words| format!("{indent}# {words}\n")).collect();
    above + line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_stand_behind_their_lines_or_above_and_no_word_is_broken() {
        let lines = [
            ("data_sources:", ""),
            ("  - path: jobs/data/sales.csv", "jobs/sales.yaml:3"),
            ("    target: sales", "default: the source's name"),
        ];
        let lines = lines.map(|(line, origin)| (line.to_owned(), origin.to_owned()));
        let wide = "data_sources:\n  - path: jobs/data/sales.csv  # jobs/sales.yaml:3\n    target: sales              # default: the source's name\n";
        assert_eq!(text(&lines, None), wide);
        assert_eq!(text(&lines, Some(80)), wide);
        let close = "data_sources:\n  - path: jobs/data/sales.csv  # jobs/sales.yaml:3\n    target: sales  # default: the source's name\n";
        assert_eq!(text(&lines, Some(50)), close);
        let above = "data_sources:\n  # jobs/sales.yaml:3\n  - path: jobs/data/sales.csv\n    # default: the source's\n    # name\n    target: sales\n";
        assert_eq!(text(&lines, Some(30)), above);
    }
}
