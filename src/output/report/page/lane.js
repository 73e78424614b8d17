
// One job's runs and slots over the span: a path for each kind, so that a lane is a dozen elements however many runs it has. Height, cap and
// gap tell kinds apart, not colour alone.

const BASE = 20;

// The outline of a run at x that is `wide` pixels long.
const SHAPES = [
  (x, wide) => `M${x} 10h${wide}v10h-${wide}z`,
  (x, wide) => `M${x} 8h${wide}v12h-${wide}zM${x + wide / 2 - 4} 1h8l-4 6z`,
  (x, wide) => `M${x} 5h${wide}v15h-${wide}zM${x + wide / 2 - 4} 1h8v3h-8z`,
  (x, wide) => `M${x} 16h${wide}v4h-${wide}z`,
  (x, wide) => `M${x} 13h${wide}v7h-${wide}zM${x} 5h${wide}v5h-${wide}z`,
  (x, wide) => `M${x} 9h${wide}v11h-${wide}z`,
];
const MISSED = (x) => `M${x - 3} 23l6 6m0 -6l-6 6`;
const SKIPPED = (x) => `M${x - 3} 26h6`;
const NEXT = (x) => `M${x - 2.5} 15a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0 -5 0`;
const KINDS = data.outcomes.concat(["missed", "skipped", "next"]);

function round(x) { return Math.round(x * 2) / 2; }

// Collects outlines by kind; what would stand on the one before it is left out.
class Outlines {
  constructor() { this.paths = new Map(); this.ends = new Map(); }
  add(kind, x, wide, outline, gap = 0) {
    const end = this.ends.get(kind);
    if (end !== undefined && x + wide <= end + gap) return;
    this.ends.set(kind, x + wide);
    this.paths.set(kind, (this.paths.get(kind) || "") + outline);
  }
}

function outlines(job, width) {
  const found = new Outlines();
  const runs = runsOf(job);
  const scale = width / (range.to - range.from);
  // A run that began before the span may reach into it.
  for (let index = Math.max(0, firstAt(runs, range.from) - 1); index < runs.length && runs[index].at <= range.to; index++) {
    const run = runs[index];
    const seconds = run.outcome === RUNNING ? Math.max(1, data.now - run.at) : run.seconds;
    const x = round((run.at - range.from) * scale), wide = Math.max(2.5, round(seconds * scale));
    if (x + wide < 1) continue;
    const from = Math.max(-4, x), cut = Math.min(x + wide, width + 4) - from;
    found.add(data.outcomes[run.outcome], from, cut, SHAPES[run.outcome](from, cut));
  }
  for (const slot of slotsOf(job)) {
    if (slot.at < range.from || slot.at > range.to) continue;
    const x = round((slot.at - range.from) * scale);
    if (slot.isSkipped) found.add("skipped", x, 6, SKIPPED(x), 2); else found.add("missed", x, 6, MISSED(x), 2);
  }
  for (const at of nextOf(job)) {
    if (at > range.to) break;
    const x = round((at - range.from) * scale);
    if (x >= 0) found.add("next", x, 5, NEXT(x), 6);
  }
  return found.paths;
}

function laneWords(job) {
  const parts = [plural(runsOf(job).length, "run"), `${count(goodOf(job))} good`];
  if (failuresOf(job)) parts.push(`${count(failuresOf(job))} failed`);
  if (missedOf(job)) parts.push(plural(missedOf(job), "missed slot"));
  const next = nextOf(job)[0];
  if (next) parts.push("next at " + clock(next));
  return parts.join(", ");
}

function drawLane(node, job) {
  const width = node.clientWidth || 600;
  node.setAttribute("viewBox", `0 0 ${width} 30`);
  const parts = marks(width).filter((mark) => mark.isDay).map((mark) => {
    const x = place(mark.at, width);
    return svg("line", { class: "grid", x1: x, x2: x, y1: 0, y2: 30 });
  });
  parts.push(svg("line", { class: "base", x1: 0, x2: width, y1: BASE + 0.5, y2: BASE + 0.5 }));
  const now = place(data.now, width);
  if (now >= 0 && now <= width) parts.push(svg("line", { class: "now", x1: now, x2: now, y1: 0, y2: 30 }));
  const paths = outlines(job, width);
  for (const kind of KINDS) if (paths.has(kind)) parts.push(svg("path", { class: kind, d: paths.get(kind) }));
  node.replaceChildren(...parts);
}

// What is nearest to a place of a lane, in words; null where nothing is near.
function nearest(job, x, width) {
  const at = range.from + x / width * (range.to - range.from), reach = 8 / width * (range.to - range.from);
  let best = null;
  const offer = (distance, words) => { if (distance <= reach && (best === null || distance < best[0])) best = [distance, words]; };
  const runs = runsOf(job), from = firstAt(runs, at);
  for (let index = Math.max(0, from - 20); index < Math.min(runs.length, from + 20); index++) {
    const run = runs[index];
    const end = run.at + (run.outcome === RUNNING ? data.now - run.at : run.seconds);
    offer(at >= run.at && at <= end ? 0 : Math.min(Math.abs(at - run.at), Math.abs(at - end)), runWords(run));
  }
  for (const slot of slotsOf(job)) {
    const what = slot.times > 1 ? plural(slot.times, "slot") + " up to here" : "slot";
    offer(Math.abs(slot.at - at), `${clock(slot.at)}: ${what} ${slot.isSkipped ? "skipped" : "missed"}`);
  }
  for (const next of nextOf(job)) offer(Math.abs(next - at), `${clock(next)}: due`);
  return best && best[1];
}

function runWords(run) {
  const took = run.outcome === RUNNING ? `running for ${span(data.now - run.at)}` : `${data.outcomes[run.outcome]} after ${span(run.seconds)}`;
  const cause = run.cause >= 0 ? ". " + data.causes[run.cause] : "";
  return `${weekday(run.at)} ${clock(run.at)}: ${took}, ${plural(run.rows, "row")}, ${data.triggers[run.trigger]}${cause}`;
}
