//! Reads `Link` headers (RFC 8288). What can't be read is an error: a next page that is overlooked is data that is lost.

/// Returns the targets of the links with a relation, in their order.
///
/// # Errors
/// The reason, in words.
pub(super) fn targets(header: &str, rel: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut rest = header.trim_start_matches(is_gap);
    while !rest.is_empty() {
        let open = rest.strip_prefix('<').ok_or("a link has no target in < >")?;
        let (target, after) = open.split_once('>').ok_or("the target of a link has no end")?;
        let (parameters, after) = parameters(after)?;
        let value = |name: &str| parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        let is_of_page = value("anchor").is_none();
        if is_of_page && value("rel").is_some_and(|words| words.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case(rel))) {
            found.push(target.trim().to_owned());
        }
        rest = after.trim_start_matches(is_gap);
    }
    Ok(found)
}

fn is_gap(sign: char) -> bool {
    sign == ',' || sign.is_ascii_whitespace()
}

/// Names in lower case, and values.
type Parameters = Vec<(String, String)>;

/// Reads the parameters of a link up to the comma that ends it; returns them and what follows.
fn parameters(text: &str) -> Result<(Parameters, &str), String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if rest.is_empty() || rest.starts_with(',') {
            return Ok((found, rest));
        }
        rest = rest.strip_prefix(';').ok_or("a link's parameters don't begin with ;")?.trim_start();
        let end = rest.find([';', ',', '=']).unwrap_or(rest.len());
        let name = rest[..end].trim().to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            (value, rest) = parameter_value(after.trim_start())?;
            rest = rest.trim_start();
        }
        // `<a>;;rel=next` and `<a>;` are lenient reading of the standard's own appendix B.3.
        if !name.is_empty() {
            found.push((name, value));
        }
    }
}

fn parameter_value(text: &str) -> Result<(String, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return Ok((text[..end].trim().to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut is_escaped = false;
    for (at, sign) in quoted.char_indices() {
        match sign {
            _ if is_escaped => {
                value.push(sign);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => return Ok((value, &quoted[at + 1..])),
            _ => value.push(sign),
        }
    }
    Err("a quoted value of a link has no end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, expected: &[&str]) {
        assert_eq!(targets(header, "next"), Ok(expected.iter().map(|&target| target.to_owned()).collect()), "{header}");
    }

    #[test]
    fn links_are_found_in_every_spelling() {
        let github =
            r#"<https://api.github.com/r?page=1>; rel="prev", <https://api.github.com/r?page=3>; rel="next", <https://a/>; rel="last""#;
        check(github, &["https://api.github.com/r?page=3"]);
        check("</r?page=2>;rel=next", &["/r?page=2"]);
        check("<?a=1,2;3>; rel=\"first  NEXT\"; title=\"a, <b>; rel=\\\"next\\\"\"", &["?a=1,2;3"]);
        check("<a>; title=\"x\" ; REL = next ,, <b>;rel=\"next\"", &["a", "b"]);
        check("<a>; rel=prev; rel=next", &[]);
        check("<a>; rel=next; anchor=\"/other\"", &[]);
        check("<a>; rel=\"nextpage\", <b>, <c>;", &[]);
        check("", &[]);
    }

    #[test]
    fn a_link_that_cannot_be_read_is_refused() {
        for (header, reason) in [
            ("https://a/; rel=next", "a link has no target in < >"),
            ("<https://a/; rel=next", "the target of a link has no end"),
            ("<a>; rel=\"next", "a quoted value of a link has no end"),
            ("<a> rel=next", "a link's parameters don't begin with ;"),
        ] {
            assert_eq!(targets(header, "next"), Err(reason.to_owned()), "{header}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_panic(header in "[<>;,=\"\\\\ a-é]{0,40}") {
            let _ = targets(&header, "next");
        }

        #[test]
        fn what_was_written_is_read(target in "[^<>\\s]{1,20}", title in "[^\\pC]{0,20}") {
            let quoted = title.replace('\\', "\\\\").replace('"', "\\\"");
            let header = format!("<https://x/>; rel=prev, <{target}> ; title=\"{quoted}\"; rel=\"a next\", <b>; rel=last");
            proptest::prop_assert_eq!(targets(&header, "next"), Ok(vec![target]));
        }
    }
}
