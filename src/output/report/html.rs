//! The page as a whole: head, sections, style and script, and the policy that lets nothing else in.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::escape::html as escaped;
use super::{Frame, coming, data, failures, summary, tables, words};
use crate::engine::survey::Survey;
use crate::output::measure::abbreviation;

/// How each page begins: by this it is known for one of ours.
pub const MARK: &str = "<!doctype html>\n<!-- made by etlsched report -->\n";

const STYLE: &str =
    concat!(include_str!("page/base.css"), include_str!("page/parts.css"), include_str!("page/jobs.css"), include_str!("page/print.css"));

/// One function, so that nothing of it is global.
const SCRIPT: &str = concat!(
    "(() => {\n\"use strict\";\n",
    include_str!("page/dom.js"),
    include_str!("page/time.js"),
    include_str!("page/data.js"),
    include_str!("page/axis.js"),
    include_str!("page/lane.js"),
    include_str!("page/charts.js"),
    include_str!("page/table.js"),
    include_str!("page/detail.js"),
    include_str!("page/jobs.js"),
    include_str!("page/main.js"),
    "})();\n"
);

/// Returns the page.
pub fn html(survey: &Survey, frame: &Frame) -> String {
    let title = format!("ETL report {}", words::clock(frame.made_at, frame.zone));
    let mut page = MARK.to_owned();
    let _ = write!(
        page,
        "<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<meta name=\"robots\" content=\"noindex\">\n<title>{}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#jobs\">Skip to the jobs</a>\n",
        policy(),
        escaped(&title)
    );
    page.push_str(&header(survey, frame));
    page.push_str("<main>\n");
    page.push_str(&summary::summary(survey, frame));
    page.push_str(&summary::attention(survey, frame));
    page.push_str(&tables::jobs(survey, frame));
    page.push_str(&failures::failures(survey, frame));
    page.push_str(&coming::coming(survey, frame));
    page.push_str(&tables::freshness(survey, frame));
    page.push_str("</main>\n");
    page.push_str(&footer(frame));
    let _ = write!(
        page,
        "<script type=\"application/json\" id=\"data\">{}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        data::data(survey, frame)
    );
    page
}

fn header(survey: &Survey, frame: &Frame) -> String {
    let zone = frame.zone;
    let facts = [
        ("Workspace", escaped(&frame.workspace)),
        ("Host", escaped(&frame.host)),
        ("Made", format!("{} {}", words::clock(frame.made_at, zone), escaped(&abbreviation([frame.made_at], zone)))),
        ("Span", escaped(&words::span(survey, zone))),
        ("Times in", escaped(zone.name())),
    ];
    let mut text = "<header>\n<h1>ETL report</h1>\n<dl class=\"facts\">".to_owned();
    for (name, value) in facts {
        let _ = write!(text, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    text.push_str("</dl>\n<nav aria-label=\"Sections\">");
    let sections = [
        ("#attention", "Attention"),
        ("#jobs", "Jobs"),
        ("#failures", "Failures"),
        ("#coming", "Coming load"),
        ("#freshness", "Freshness"),
    ];
    for (place, name) in sections {
        let _ = write!(text, "<a href=\"{place}\">{name}</a>");
    }
    text.push_str("</nav>\n</header>\n");
    text
}

fn footer(frame: &Frame) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let at = words::clock(frame.made_at, frame.zone);
    format!(
        "<footer>Made by etlsched {version} at {at}. Nothing on this page comes from a network, and nothing of it goes there.</footer>\n"
    )
}

/// Only this style and this script, by their hashes: no other script, handler, style, image, font, frame or request.
fn policy() -> String {
    let hash = |text: &str| base64(&Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// Returns bytes in base64 with padding (RFC 4648, 4).
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
        let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        for place in 0..4 {
            let sign = SIGNS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(sign) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn neither_style_nor_script_can_end_its_element() {
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
        for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "http:", "https:"] {
            let is_namespace = |text: &str| text.replace("http://www.w3.org/2000/svg", "").contains(forbidden);
            assert!(!is_namespace(SCRIPT), "the script uses {forbidden}");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }
}
