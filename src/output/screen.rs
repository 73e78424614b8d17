//! A terminal that is drawn again and again (`status --watch`), and given back as it was.

use std::io::{self, IsTerminal as _, Write as _};

/// The other screen, no cursor, no lines that go on in the next one (xterm's control sequences, "Private Modes").
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l";

/// All of it back.
const LEAVE: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";

/// The screen that is drawn; given back when this is dropped.
#[derive(Debug)]
pub struct Screen(());

impl Screen {
    /// Takes the screen; `None` where standard output is no terminal, or one that can't place its cursor.
    pub fn take() -> Option<Self> {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if !io::stdout().is_terminal() || is_dumb {
            return None;
        }
        write(ENTER);
        Some(Self(()))
    }

    /// Draws a text in place of what was there, cut to the screen's height.
    pub fn draw(&self, text: &str) {
        write(&frame(text, super::table::terminal_height()));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        write(LEAVE);
    }
}

fn write(text: &str) {
    let mut stdout = io::stdout().lock();
    // A terminal that has gone can't be drawn on; the signal of its end ends the process.
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Returns what draws a text: each line over the one before, the rest of the screen empty.
fn frame(text: &str, height: Option<u16>) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let height = height.map_or(usize::MAX, usize::from).max(2);
    let mut shown: Vec<String> = lines.iter().take(height).map(|line| (*line).to_owned()).collect();
    if lines.len() > height {
        shown.truncate(height - 1);
        shown.push(format!("({} more lines)", lines.len() - (height - 1)));
    }
    // Emptied before it is written: behind a line as long as the screen is wide the cursor still stands on its last character.
    let rest = if shown.len() < height { "\r\n\u{1b}[J" } else { "" };
    format!("\u{1b}[H\u{1b}[K{}{rest}", shown.join("\r\n\u{1b}[K"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_covers_the_one_before_and_never_scrolls() {
        assert_eq!(frame("a\nbc\n", Some(24)), "\u{1b}[H\u{1b}[Ka\r\n\u{1b}[Kbc\r\n\u{1b}[J");
        assert_eq!(frame("1\n2\n3\n4", Some(3)), "\u{1b}[H\u{1b}[K1\r\n\u{1b}[K2\r\n\u{1b}[K(2 more lines)");
        assert_eq!(frame("1\n2\n3", Some(3)), "\u{1b}[H\u{1b}[K1\r\n\u{1b}[K2\r\n\u{1b}[K3");
    }
}
