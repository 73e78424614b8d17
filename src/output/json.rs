//! Results as JSON.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

use crate::text::is_steering;

/// Prints a value as indented JSON.
pub fn print(value: &impl Serialize) {
    let text = serde_json::to_string_pretty(value).expect("our shapes have string keys and finite numbers");
    super::print(&escaped(&text));
}

/// Returns JSON with everything that steers terminals or the reading order as escapes: JSON itself asks for those below U+0020 only.
fn escaped(json: &str) -> Cow<'_, str> {
    let is_raw = |character: char| !character.is_ascii() && is_steering(character);
    if !json.contains(is_raw) {
        return Cow::Borrowed(json);
    }
    let mut clean = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_raw(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(clean, "\\u{unit:04x}");
            }
        } else {
            clean.push(character);
        }
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_an_escape_of_the_same_value() {
        let value = ["a\u{9b}31m", "b\u{202e}c\u{1b}[0m", "d\u{e0041}", "é 名前 👍"];
        let json = escaped(&serde_json::to_string(&value).unwrap()).into_owned();
        assert_eq!(json, r#"["a\u009b31m","b\u202ec\u001b[0m","d\udb40\udc41","é 名前 👍"]"#);
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), value);
    }
}
