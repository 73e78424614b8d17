//! The report's page as people use it: with the keyboard alone, in light and dark, on paper; with names as long and as odd as they come.

use std::path::Path;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::etl::Etl;
use crate::report::{FAILED_RUN, HOSTILE, RUN, job, plant, workspace};

/// As long as the id of a job may be.
const LONG: &str = "the_orders_of_every_shop_in_every_country_and_their_returns_all";

/// A page with a hostile name, a long one, a cause of a thousand characters, and jobs of every kind.
fn page() -> Etl {
    let etl = workspace();
    etl.write("jobs/sales.yaml", job(&format!("name: {}\nschedule_type: hourly\n", json!(HOSTILE))));
    etl.write(&format!("jobs/{LONG}.yaml"), job(&format!("name: {}\nschedule_type: 15min\n", "全国店舗売上".repeat(12))));
    for number in 0..40 {
        etl.write(&format!("jobs/more-{number:02}.yaml"), job("schedule_type: daily\nhour: 6\n"));
    }
    plant(&etl, RUN, "2026-11-24 10:00:00", "success", None);
    let long = format!("{HOSTILE} {} {}", "no_answer_from_the_server_".repeat(20), "and in words too ".repeat(30));
    plant(&etl, FAILED_RUN, "2026-11-24 11:00:00", "failed", Some(&long));
    etl.run(&["report", "--html", "report.html"]).exits(0);
    etl
}

#[track_caller]
fn assert_untroubled(browser: &mut Browser) {
    let state = browser.value("[document.documentElement.dataset.drawn, document.documentElement.dataset.trouble || null]");
    assert_eq!(state, json!(["yes", null]));
}

/// What has the focus: its words, how it is set off, and whether it can be seen.
const FOCUSED: &str = "(() => {
    const node = document.activeElement;
    if (node === document.body) return null;
    window.visited = (window.visited || []).concat(node);
    const style = getComputedStyle(node), box = node.getBoundingClientRect();
    const words = node.getAttribute('aria-label') || (node.labels && node.labels.length ? node.labels[0].textContent : node.textContent);
    return {
        words: words.trim().replace(/\\s+/g, ' ').slice(0, 40), tag: node.localName,
        ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
        seen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
        isBehind: window.visited.length < 2 || Boolean(window.visited.at(-2).compareDocumentPosition(node) & Node.DOCUMENT_POSITION_FOLLOWING),
    };
})()";

/// Presses Tab until the page is left; returns what was met.
#[track_caller]
fn tabs(browser: &mut Browser) -> Vec<Value> {
    let mut met = Vec::new();
    loop {
        browser.press("Tab");
        let focused = browser.value(FOCUSED);
        if focused.is_null() || met.len() > 400 {
            return met;
        }
        met.push(focused);
    }
}

#[test]
fn every_control_is_reached_by_tab_in_the_order_of_the_page_and_is_seen() {
    let etl = page();
    let mut browser = Browser::open(&etl.path("report.html"), (1280, 900));
    let met = tabs(&mut browser);
    assert_untroubled(&mut browser);
    let words: Vec<&str> = met.iter().map(|focused| focused["words"].as_str().unwrap_or_default()).collect();
    let first = ["Skip to the jobs", "Attention", "Jobs", "Failures", "Coming load", "Freshness"];
    assert_eq!(words[..first.len()], first);
    let wrong: Vec<&Value> =
        met.iter().filter(|focused| focused["ring"] != true || focused["seen"] != true || focused["isBehind"] != true).collect();
    assert!(wrong.is_empty(), "without a ring, out of sight or out of order: {wrong:#?}");
    for wanted in ["Filter", "State", "Sort by", "The last 24 hours", "Earlier", "Zoom in", "Time axis from", "More", "Job", "Age"] {
        assert!(words.iter().any(|words| words.starts_with(wanted)), "no {wanted} in {words:#?}");
    }
    assert!(met.len() < 400, "the page can be left: {words:#?}");
    let all = browser.value("document.querySelectorAll('a[href], button:not(:disabled), input, select, summary, [tabindex=\"0\"]').length - document.querySelectorAll('[hidden] button, details:not([open]) :not(summary) button').length");
    assert_eq!(all, met.len(), "what a mouse reaches, Tab does: {words:#?}");
}

#[test]
fn no_label_of_the_axis_is_cut_at_its_end() {
    let etl = page();
    for width in [1280, 900, 700] {
        let mut browser = Browser::open(&etl.path("report.html"), (width, 900));
        browser.value("document.querySelector('.axis').focus()");
        for _ in 0..5 {
            let cut = "new Promise(done => requestAnimationFrame(() => done([...document.querySelectorAll('.axis text')].filter(text => \
                       text.getBBox().x + text.getBBox().width > document.querySelector('.axis').clientWidth).map(text => text.textContent))))";
            assert_eq!(browser.value(cut), json!([]), "at {width}");
            browser.press("ArrowLeft");
            browser.press("+");
        }
    }
}

#[test]
fn what_unfolds_does_so_with_enter_and_space_and_the_axis_moves_with_its_keys() {
    let etl = page();
    let mut browser = Browser::open(&etl.path("report.html"), (1280, 900));
    browser.press("Tab");
    browser.press("Enter");
    assert_eq!(browser.value("document.activeElement.id"), "jobs", "the link leads past the head");
    browser.value("document.querySelector('.name').focus()");
    let open = "[document.querySelector('.name').getAttribute('aria-expanded'), document.querySelectorAll('.detail').length]";
    assert_eq!(browser.value(open), json!(["false", 0]));
    browser.press("Enter");
    assert_eq!(browser.value(open), json!(["true", 1]));
    browser.press("Space");
    assert_eq!(browser.value(open), json!(["false", 0]));
    browser.press("Enter");
    // A list that is drawn anew leaves open what was.
    browser.value("document.querySelector('#jobs-view select').dispatchEvent(new Event('change'))");
    assert_eq!(browser.value(open), json!(["true", 1]));
    let summary = "document.querySelector('summary')";
    assert_eq!(browser.value(&format!("{summary}.parentElement.open = false, {summary}.focus(), {summary}.parentElement.open")), false);
    browser.press("Enter");
    assert_eq!(browser.value(&format!("{summary}.parentElement.open")), true);
    let axis = "document.querySelector('.axis')";
    browser.value(&format!("{axis}.focus()"));
    let label = format!("new Promise(done => requestAnimationFrame(() => done({axis}.getAttribute('aria-label'))))");
    let whole = browser.value(&label);
    browser.press("+");
    let near = browser.value(&label);
    browser.press("ArrowLeft");
    let earlier = browser.value(&label);
    browser.press("0");
    assert!(whole != near && near != earlier, "{whole} {near} {earlier}");
    assert_eq!(browser.value(&label), whole);
    assert_untroubled(&mut browser);
}

/// Texts whose colour is too near to what is behind them: less than 4.5 to 1 (WCAG 2.2, 1.4.3).
const FAINT: &str = "(() => {
    const channels = (color) => { const c = document.createElement('canvas').getContext('2d', { willReadFrequently: true }); c.fillStyle = color; c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data]; };
    const linear = (value) => { const part = value / 255; return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4; };
    const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    const behind = (node) => {
        for (let at = node; at; at = at.parentElement) {
            const found = channels(getComputedStyle(at).backgroundColor);
            if (found[3] === 255) return found;
        }
        return [255, 255, 255, 255];
    };
    const faint = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || ['SCRIPT', 'NOSCRIPT', 'STYLE', 'OPTION'].includes(node.tagName.toUpperCase()) || !node.checkVisibility()) continue;
        if (node.closest('button:disabled, .hidden, .skip')) continue;
        const style = getComputedStyle(node), one = light(channels(node instanceof SVGElement ? style.fill : style.color)), other = light(behind(node));
        const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        if (ratio < 4.5) faint.push(`${ratio.toFixed(2)}: ${walker.currentNode.data.trim().slice(0, 40)} (${node.className.baseVal ?? node.className})`);
    }
    return [...new Set(faint)];
})()";

/// What stands out of the page to the right, unless it is in a box that scrolls by itself; names that are cut.
const OUTSIDE: &str = "(() => {
    const width = document.documentElement.clientWidth, said = (node) => `${node.localName}.${node.className.baseVal ?? node.className}: ${node.textContent.slice(0, 30)}`;
    const wide = document.documentElement.scrollWidth > width ? ['the page is ' + document.documentElement.scrollWidth + ' wide'] : [];
    const scrolls = (node) => { for (let at = node.parentElement; at; at = at.parentElement) if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(at).overflowX)) return true; return false; };
    const outside = [...document.body.querySelectorAll('*')]
        .filter((node) => node.checkVisibility() && !node.closest('svg, .skip') && node.getBoundingClientRect().right > width + 1 && !scrolls(node));
    return wide.concat(outside.map(said));
})()";

#[test]
fn every_text_can_be_read_in_light_in_dark_and_on_paper() {
    let etl = page();
    let screens = [("screen", "light"), ("screen", "dark")];
    let papers = [("print", "light"), ("print", "dark")];
    // A wide screen, a phone, and what margins leave of a sheet of A4.
    for (width, shown) in [(1280, screens), (360, screens), (718, papers)] {
        let mut browser = Browser::open(&etl.path("report.html"), (1280, 900));
        browser.resize(width, 900);
        browser.value("document.querySelector('.name').click()");
        for (media, scheme) in shown {
            browser.show_as(media, scheme);
            assert_eq!(browser.value(FAINT), json!([]), "{media}, {scheme}, {width} wide");
            assert_eq!(browser.value(OUTSIDE), json!([]), "{media}, {scheme}: {width} wide");
            keep_picture(&mut browser, &format!("{media}-{scheme}-{width}"));
        }
        assert_untroubled(&mut browser);
    }
}

/// Keeps pictures for a person to look at, where a folder for them is named.
fn keep_picture(browser: &mut Browser, name: &str) {
    let Some(folder) = std::env::var_os("ETLSCHED_PICTURES") else { return };
    let picture = browser.call("Page.captureScreenshot", &json!({"captureBeyondViewport": true}));
    std::fs::write(Path::new(&folder).join(format!("{name}.base64")), picture["data"].as_str().expect("base64")).expect("a file");
}

#[test]
fn paper_has_every_job_with_its_lane_and_nothing_that_is_pressed() {
    let etl = page();
    let mut browser = Browser::open(&etl.path("report.html"), (1280, 900));
    browser.value("document.querySelector('.name').click()");
    browser.show_as("print", "dark");
    // As the browser does before it lays the page out for paper, without a frame in between.
    let printed = browser.value(
        "(() => {
            window.dispatchEvent(new Event('beforeprint'));
            const shown = (selector) => [...document.querySelectorAll(selector)].filter((node) => node.checkVisibility()).length;
            const lanes = [...document.querySelectorAll('.lane')];
            return {
                lanes: lanes.length, empty: lanes.filter((lane) => !lane.querySelector('.base')).length, axis: document.querySelectorAll('.axis text').length > 3,
                unfolded: shown('.detail'), pressed: shown('#jobs-view .bar, nav, .pager button, .skip'), closed: document.querySelectorAll('details:not([open])').length,
                told: document.querySelector('#jobs-view > .pager').textContent.includes('1 to 42 of 42 jobs'),
                page: getComputedStyle(document.body).backgroundColor, scheme: getComputedStyle(document.documentElement).colorScheme,
                cut: [...document.querySelectorAll('.name b, .name small')].filter((node) => node.scrollWidth > node.clientWidth + 1).length,
            };
        })()",
    );
    let expected = json!({
        "lanes": 42, "empty": 0, "axis": true, "unfolded": 1, "pressed": 0, "closed": 0, "told": true, "page": "rgb(255, 255, 255)",
        "scheme": "light", "cut": 0,
    });
    assert_eq!(printed, expected);
    let after = browser.value("window.dispatchEvent(new Event('afterprint')), [document.querySelectorAll('.lane').length, document.querySelectorAll('.detail').length]");
    assert_eq!(after, json!([25, 1]), "the screen is as it was");
    let paper = browser.call("Page.printToPDF", &json!({}));
    assert!(paper["data"].as_str().is_some_and(|data| data.len() > 50_000), "there is paper");
    assert_untroubled(&mut browser);
}
