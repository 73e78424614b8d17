//! What a change does to texts, as a unified diff with three lines around each change.

use std::fmt::Write as _;
use std::ops::Range;

use crate::text::printable;

/// Lines shown around a change.
const CONTEXT: usize = 3;

/// Larger middles are shown as taken out and put in whole.
const CELLS_MAX: usize = 4_000_000;

/// A text before or after a change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Side<'a> {
    /// The number of its first line within what it stands in; 0 where there is no such text.
    pub line: usize,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// A run of lines that stay, go or come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Same(usize, usize),
    Gone(usize),
    Come(usize),
}

/// Returns the diff of one text; empty where nothing changes.
pub fn unified(name: &str, before: Side<'_>, after: Side<'_>) -> String {
    let (old, new) = (lines(before.bytes), lines(after.bytes));
    let steps = steps(&old, &new);
    let changes: Vec<usize> = (0..steps.len()).filter(|at| !matches!(steps[*at], Step::Same(..))).collect();
    if changes.is_empty() {
        return String::new();
    }
    let mut text = format!("--- {name}, as it is\n+++ {name}, as it should be\n");
    for hunk in hunks(&changes, steps.len()) {
        write_hunk(&mut text, &steps[hunk], &old, &new, [before.line, after.line]);
    }
    text
}

fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    text.split_inclusive('\n').map(|line| printable(line.strip_suffix('\n').unwrap_or(line)).into_owned()).collect()
}

/// The longest common subsequence, by the textbook: texts are some hundred lines long.
fn steps(old: &[String], new: &[String]) -> Vec<Step> {
    let head = old.iter().zip(new).take_while(|(one, other)| one == other).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(one, other)| one == other).count();
    let (a, b) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    let mut steps: Vec<Step> = (0..head).map(|at| Step::Same(at, at)).collect();
    if a.len().saturating_mul(b.len()) > CELLS_MAX {
        steps.extend((0..a.len()).map(|at| Step::Gone(head + at)));
        steps.extend((0..b.len()).map(|at| Step::Come(head + at)));
    } else {
        steps.extend(middle(a, b, head));
    }
    steps.extend((0..tail).map(|at| Step::Same(old.len() - tail + at, new.len() - tail + at)));
    steps
}

fn middle(a: &[String], b: &[String], head: usize) -> Vec<Step> {
    let width = b.len() + 1;
    let mut longest = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i * width + j] = if a[i] == b[j] {
                longest[(i + 1) * width + j + 1] + 1
            } else {
                longest[(i + 1) * width + j].max(longest[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j, mut steps) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            steps.push(Step::Same(head + i, head + j));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && longest[(i + 1) * width + j] >= longest[i * width + j + 1]) {
            steps.push(Step::Gone(head + i));
            i += 1;
        } else {
            steps.push(Step::Come(head + j));
            j += 1;
        }
    }
    steps
}

/// Brings changes together whose surroundings touch.
fn hunks(changes: &[usize], end: usize) -> Vec<Range<usize>> {
    let mut hunks: Vec<Range<usize>> = Vec::new();
    for at in changes {
        let range = at.saturating_sub(CONTEXT)..(at + 1 + CONTEXT).min(end);
        match hunks.last_mut() {
            Some(last) if range.start <= last.end => last.end = range.end,
            _ => hunks.push(range),
        }
    }
    hunks
}

fn write_hunk(text: &mut String, steps: &[Step], old: &[String], new: &[String], first: [usize; 2]) {
    let of_old = |step: &Step| match step {
        Step::Same(at, _) | Step::Gone(at) => Some(*at),
        Step::Come(_) => None,
    };
    let of_new = |step: &Step| match step {
        Step::Same(_, at) | Step::Come(at) => Some(*at),
        Step::Gone(_) => None,
    };
    let (olds, news): (Vec<usize>, Vec<usize>) = (steps.iter().filter_map(of_old).collect(), steps.iter().filter_map(of_new).collect());
    let place = |at: &[usize], first: usize, other: usize| match at.first() {
        Some(line) => format!("{},{}", first.max(1) + line, at.len()),
        // No lines: those of the other side stand behind this one, 0 where that is the beginning.
        None => format!("{},0", other.saturating_sub(1)),
    };
    let _ = writeln!(text, "@@ -{} +{} @@", place(&olds, first[0], first[1]), place(&news, first[1], first[0]));
    for step in steps {
        let _ = match step {
            Step::Same(at, _) => writeln!(text, " {}", old[*at]),
            Step::Gone(at) => writeln!(text, "-{}", old[*at]),
            Step::Come(at) => writeln!(text, "+{}", new[*at]),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str, expected: &str) {
        let side = |text: &'static [u8]| Side { line: usize::from(!text.is_empty()) * 5, bytes: text };
        let (before, after) = (before.to_owned().leak(), after.to_owned().leak());
        assert_eq!(unified("crontab", side(before.as_bytes()), side(after.as_bytes())), expected);
    }

    #[test]
    fn a_change_is_shown_with_what_stands_around_it() {
        check("a\nb\n", "a\nb\n", "");
        check("", "a\nb\n", "--- crontab, as it is\n+++ crontab, as it should be\n@@ -4,0 +5,2 @@\n+a\n+b\n");
        check("a\n", "", "--- crontab, as it is\n+++ crontab, as it should be\n@@ -5,1 +4,0 @@\n-a\n");
        check(
            "1\n2\n3\n4\n5\nold\n6\n7\n8\n9\n10\n11\n12\n13\n14\nlast\n",
            "1\n2\n3\n4\n5\nnew\nmore\n6\n7\n8\n9\n10\n11\n12\n13\n14\n",
            "--- crontab, as it is\n+++ crontab, as it should be\n@@ -7,7 +7,8 @@\n 3\n 4\n 5\n-old\n+new\n+more\n 6\n 7\n 8\n\
             @@ -17,4 +18,3 @@\n 12\n 13\n 14\n-last\n",
        );
    }

    #[test]
    fn where_nothing_stood_before_the_block_its_place_is_line_1() {
        let text = unified("crontab", Side::default(), Side { line: 1, bytes: b"a\n" });
        assert_eq!(text, "--- crontab, as it is\n+++ crontab, as it should be\n@@ -0,0 +1,1 @@\n+a\n");
    }

    #[test]
    fn lines_that_stay_are_found_between_others_and_nothing_steers_the_terminal() {
        check(
            "a\nb\nc\n",
            "x\nb\ny\u{1b}[31m\nc\n",
            "--- crontab, as it is\n+++ crontab, as it should be\n@@ -5,3 +5,4 @@\n-a\n+x\n b\n+y\\u{1b}[31m\n c\n",
        );
    }
}
