
// The list of jobs with their lanes: filtered, sorted, a page at a time.

const PAGE = 25;
const RANKS = ["in error", "stuck", "late", "failing", "broken file", "running", "paused", "inactive", "ok", "never ran", "no file"];
const jobsView = { words: "", state: "", sort: "state", page: 0, size: PAGE, lanes: [], open: new Set() };

const ORDERS = {
  state: ["what needs attention", (a, b) => RANKS.indexOf(a.state) - RANKS.indexOf(b.state)],
  name: ["name", () => 0],
  last: ["last run", (a, b) => (b.last || 0) - (a.last || 0)],
  failed: ["failed runs", (a, b) => failuresOf(b) - failuresOf(a)],
  slow: ["duration", (a, b) => (medianOf(b) || 0) - (medianOf(a) || 0)],
};

function chosen() {
  const words = jobsView.words.toLowerCase().split(/\s+/).filter(Boolean);
  const isAsked = (job) => {
    if (jobsView.state && job.state !== jobsView.state) return false;
    const text = `${job.id} ${job.name || ""} ${job.state} ${job.schedule || ""}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  return data.jobs.filter(isAsked).sort((a, b) => ORDERS[jobsView.sort][1](a, b) || (a.id < b.id ? -1 : 1));
}

const list = el("ul", { class: "lanes" });
const axis = movable(svg("svg", { class: "axis", tabindex: 0, role: "group" }));
const readout = el("output", { class: "readout" });
const found = el("span", { "aria-live": "polite" });
const back = el("button", { type: "button", onclick: () => { jobsView.page--; fill(); } }, "Back");
const more = el("button", { type: "button", onclick: () => { jobsView.page++; fill(); } }, "More");
const HINT = "Point at a lane, or tap it, to read a run; unfold a job for its runs, durations and rows.";

function drawAll() {
  drawAxis(axis);
  for (const [node, job] of jobsView.lanes) drawLane(node, job);
}
const redraw = lazily(drawAll);

function fill() {
  const jobs = chosen(), pages = Math.max(1, Math.ceil(jobs.length / jobsView.size));
  jobsView.page = Math.min(Math.max(jobsView.page, 0), pages - 1);
  const shown = jobs.slice(jobsView.page * jobsView.size, (jobsView.page + 1) * jobsView.size);
  jobsView.lanes = [];
  list.replaceChildren(...shown.map(row));
  if (!shown.length) list.append(el("li", {}, el("p", { class: "calm" }, data.jobs.length ? "No job is like that." : "There are no jobs yet.")));
  back.disabled = jobsView.page === 0;
  more.disabled = jobsView.page === pages - 1;
  back.hidden = more.hidden = pages === 1;
  found.textContent = shown.length ? `${count(jobsView.page * jobsView.size + 1)} to ${count(jobsView.page * jobsView.size + shown.length)} of ${plural(jobs.length, "job")}` : "0 jobs";
  redraw();
}

function row(job) {
  const about = job.schedule || job.name || "";
  const name = el("button", { class: "name", type: "button", "aria-expanded": "false", onclick: unfold }, el("span", {}, el("b", { title: job.id }, job.id), el("small", { title: about }, about)));
  const lane = movable(svg("svg", { class: "lane", role: "img", "aria-label": laneWords(job) }));
  const item = el("li", {}, el("div", { class: "job" }, name, badge(job.state, job.class), lane));
  jobsView.lanes.push([lane, job]);
  const tell = (event) => {
    const box = lane.getBoundingClientRect();
    const words = nearest(job, event.clientX - box.left, box.width);
    readout.replaceChildren(el("b", {}, job.id), " ", words || laneWords(job));
  };
  lane.addEventListener("pointermove", tell);
  lane.addEventListener("pointerdown", tell);
  function unfold() {
    const isOpen = name.getAttribute("aria-expanded") === "true";
    name.setAttribute("aria-expanded", String(!isOpen));
    if (isOpen) item.lastChild.remove(); else item.append(detail(job));
    if (isOpen) jobsView.open.delete(job.id); else jobsView.open.add(job.id);
  }
  if (jobsView.open.has(job.id)) unfold();
  return item;
}

function controls() {
  const states = RANKS.filter((state) => data.jobs.some((job) => job.state === state));
  const filter = el("input", { type: "search", autocomplete: "off", placeholder: "name, schedule, state", oninput: (event) => { jobsView.words = event.target.value; jobsView.page = 0; fill(); } });
  const state = el("select", { onchange: (event) => { jobsView.state = event.target.value; jobsView.page = 0; fill(); } }, option("", "any state"), states.map((each) => option(each, each)));
  const sort = el("select", { onchange: (event) => { jobsView.sort = event.target.value; jobsView.page = 0; fill(); } }, Object.entries(ORDERS).map(([value, [words]]) => option(value, words)));
  const field = (words, node) => el("label", { class: "field" }, words, node);
  const act = (words, label, run) => el("button", { type: "button", "aria-label": label, title: label, onclick: run }, words);
  const hours = (number) => () => show(data.now - number * 3600, data.now + Math.min(data.until - data.now, number * 3600 / 3));
  const spans = el("div", { class: "group", role: "group", "aria-label": "Span" }, act("24 h", "The last 24 hours", hours(24)), act("3 days", "The last 3 days", hours(72)), act("All", "The whole span", () => show(range.first, range.last)));
  const moves = el("div", { class: "group", role: "group", "aria-label": "Move and zoom" }, act("\u2190", "Earlier", () => pan(-0.5)), act("\u2212", "Zoom out", () => zoom(2)), act("+", "Zoom in", () => zoom(0.5)), act("\u2192", "Later", () => pan(0.5)));
  return el("div", { class: "bar" }, field("Filter", filter), field("State", state), field("Sort by", sort), el("span", { class: "gap" }), spans, moves);
}

function legend() {
  const item = (kind, outline, words, top = 0) => el("li", {}, svg("svg", { viewBox: `0 ${top} 14 26`, "aria-hidden": "true" }, svg("path", { class: kind, d: outline })), words);
  const outcomes = data.outcomes.map((outcome, place) => item(outcome, SHAPES[place](5, 4), outcome));
  return el("ul", { class: "legend", "aria-label": "Legend" }, outcomes, item("missed", MISSED(7), "missed slot", 13), item("skipped", SKIPPED(7), "skipped slot", 13), item("next", NEXT(7), "due", 2));
}

function jobsSection() {
  axis.addEventListener("keydown", onAxisKey);
  readout.textContent = HINT;
  const head = el("div", { class: "axis-row" }, el("span"), el("span"), axis);
  const view = document.getElementById("jobs-view");
  view.append(controls(), legend(), readout, head, list, el("div", { class: "pager" }, back, more, found));
  new ResizeObserver(redraw).observe(list);
  fill();
}
