
// The span that all lanes show, and its axis: buttons, keys, dragging, and the wheel with Ctrl.

const range = { from: data.since, to: Math.max(data.until, data.now + 1), first: data.since, last: Math.max(data.until, data.now + 1) };
const STEPS = [300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000];
const SPAN_MIN = 600;

function show(from, to) {
  const whole = range.last - range.first;
  const span = Math.min(whole, Math.max(SPAN_MIN, to - from));
  const start = Math.min(Math.max(from, range.first), range.last - span);
  range.from = start;
  range.to = start + span;
  redraw();
}

function zoom(factor, around) {
  const middle = around === undefined ? (range.from + range.to) / 2 : around;
  show(middle - (middle - range.from) * factor, middle + (range.to - middle) * factor);
}

function pan(share) {
  const ahead = (range.to - range.from) * share;
  show(range.from + ahead, range.to + ahead);
}

// The instants of the axis' marks: whole steps of the wall clock.
function marks(width) {
  const least = (range.to - range.from) * 66 / Math.max(width, 1);
  const step = STEPS.find((step) => step >= least) || STEPS[STEPS.length - 1];
  const found = [];
  for (let wall = Math.ceil(local(range.from) / step) * step; found.length < 200; wall += step) {
    const at = wall - zoneAt(wall - zoneAt(range.from)[1])[1];
    if (at > range.to) break;
    found.push({ at, isDay: wall % 86400 === 0 });
  }
  return found;
}

function place(at, width) { return (at - range.from) / (range.to - range.from) * width; }

function drawAxis(node) {
  const width = node.clientWidth || 600;
  node.setAttribute("viewBox", `0 0 ${width} 34`);
  const parts = [];
  let end = -10;
  for (const mark of marks(width)) {
    const x = place(mark.at, width);
    const words = mark.isDay ? weekday(mark.at) + " " + clock(mark.at).slice(5, 10) : clock(mark.at).slice(11);
    parts.push(svg("line", { x1: x, x2: x, y1: 22, y2: 34 }));
    if (x + 2 > end && x + 2 + words.length * 6.4 <= width) {
      parts.push(svg("text", { x: x + 2, y: 18, class: mark.isDay ? "day" : null }, words));
      end = x + 6 + words.length * 6.4;
    }
  }
  const now = place(data.now, width);
  if (now >= 0 && now <= width) parts.push(svg("line", { class: "now", x1: now, x2: now, y1: 20, y2: 34 }));
  node.replaceChildren(svg("title", {}, `From ${clock(range.from)} to ${clock(range.to)}. Arrow keys move, plus and minus zoom, 0 shows all.`), ...parts);
  node.setAttribute("aria-label", `Time axis from ${clock(range.from)} to ${clock(range.to)}: arrow keys move, plus and minus zoom, 0 shows all`);
}

function onAxisKey(event) {
  const acts = {
    ArrowLeft: () => pan(-0.25), ArrowRight: () => pan(0.25), PageUp: () => pan(-1), PageDown: () => pan(1), "+": () => zoom(0.5), "=": () => zoom(0.5),
    "-": () => zoom(2), "0": () => show(range.first, range.last), Home: () => show(range.first, range.first + range.to - range.from),
    End: () => show(range.last - (range.to - range.from), range.last),
  };
  if (!acts[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  acts[event.key]();
}

// Lets a drawing be dragged sideways, and zoomed by the wheel with Ctrl.
function movable(node) {
  let last = null;
  node.addEventListener("pointerdown", (event) => { last = event.clientX; node.setPointerCapture(event.pointerId); });
  node.addEventListener("pointermove", (event) => {
    if (last === null || event.clientX === last) return;
    pan((last - event.clientX) / (node.clientWidth || 1));
    last = event.clientX;
  });
  for (const end of ["pointerup", "pointercancel"]) node.addEventListener(end, () => { last = null; });
  node.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const box = node.getBoundingClientRect();
    zoom(event.deltaY > 0 ? 1.25 : 0.8, range.from + (event.clientX - box.left) / box.width * (range.to - range.from));
  }, { passive: false });
  return node;
}
