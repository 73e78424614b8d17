//! Results as JSON.

use serde::Serialize;

/// Prints a value as indented JSON.
pub fn print(value: &impl Serialize) {
    let text = serde_json::to_string_pretty(value).expect("our shapes have string keys and finite numbers");
    super::print(&text);
}
