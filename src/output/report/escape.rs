//! Text from data in HTML, in SVG, and in JSON inside a script element.

use std::fmt::Write as _;

use crate::text::printable;

/// Returns text for HTML and SVG, in elements and in quoted attributes. What steers reading order is shown as an escape.
pub(super) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in printable(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Returns text as a JSON string that may stand in a script element: no `</script>`, `<!--`, nor a line end of JavaScript's can be in it.
pub(super) fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    escaped.push('"');
    for character in printable(text).chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            '<' | '>' | '&' | '\u{0}'..='\u{1f}' | '\u{7f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(escaped, "\\u{:04x}", u32::from(character));
            }
            _ => escaped.push(character),
        }
    }
    escaped.push('"');
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_data_is_markup() {
        assert_eq!(
            html("</script><img src=x onerror='a(\"&\")'>"),
            "&lt;/script&gt;&lt;img src=x onerror=&#39;a(&quot;&amp;&quot;)&#39;&gt;"
        );
        assert_eq!(html("a\u{202e}b\u{1b}"), "a\\u{202e}b\\u{1b}");
    }

    #[test]
    fn nothing_in_data_ends_a_script() {
        let hostile = "</script><!--\"\\\u{2028}\u{202e}\n&";
        let text = json(hostile);
        assert!(!text.contains(['<', '>', '&', '\u{2028}', '\n']), "{text}");
        let read: String = serde_json::from_str(&text).unwrap();
        assert_eq!(read, printable(hostile));
    }
}
