
// Jobs as they came, and their runs unpacked when they are looked at.

const SUCCESS = 0, FAILED = 1, TIMEOUT = 2, CANCELLED = 3, INTERRUPTED = 4, RUNNING = 5;

function isFailure(outcome) { return outcome === FAILED || outcome === TIMEOUT || outcome === INTERRUPTED; }

// A job's runs, oldest first: { at, seconds, rows, outcome, trigger, cause, id }.
function runsOf(job) {
  if (job.runs) return job.runs;
  const ids = new Map();
  for (let place = 0; place < (job.ids || []).length; place += 2) ids.set(job.ids[place], job.ids[place + 1]);
  let at = data.since, failed = 0;
  job.runs = (job.starts || []).map((ahead, place) => {
    at += ahead;
    const letter = job.kinds.charCodeAt(place) - 65;
    const outcome = Math.floor(letter / data.triggers.length);
    const cause = isFailure(outcome) ? job.failed[failed++] : -1;
    return { at, seconds: job.tenths[place] / 10, rows: job.rows[place], outcome, trigger: letter % data.triggers.length, cause, id: ids.get(place) };
  });
  return job.runs;
}

// Its slots without a run, oldest first: { at, isSkipped, times }.
function slotsOf(job) {
  if (job.lost) return job.lost;
  let at = data.since;
  job.lost = [];
  for (let place = 0; place < (job.slots || []).length; place += 3) {
    at += job.slots[place];
    job.lost.push({ at, isSkipped: job.slots[place + 1] === 1, times: job.slots[place + 2] });
  }
  return job.lost;
}

// Its slots to come: instants.
function nextOf(job) {
  if (job.ahead) return job.ahead;
  let at = data.now;
  job.ahead = [];
  for (let place = 0; place < (job.next || []).length; place += 2) {
    for (let times = job.next[place + 1]; times > 0; times--) job.ahead.push(at += job.next[place]);
  }
  return job.ahead;
}

// How many of its runs failed, without unpacking them.
function failuresOf(job) { return (job.failed || []).length; }

function goodOf(job) {
  if (job.goods === undefined) job.goods = Array.from(job.kinds || "").filter((letter) => letter.charCodeAt(0) - 65 < data.triggers.length).length;
  return job.goods;
}

function missedOf(job) {
  return slotsOf(job).reduce((sum, slot) => sum + (slot.isSkipped ? 0 : slot.times), 0);
}

// The median of its good runs, in seconds.
function medianOf(job) {
  if (job.median !== undefined) return job.median;
  const good = (job.tenths || []).filter((_, place) => job.kinds.charCodeAt(place) - 65 < data.triggers.length).sort((a, b) => a - b);
  job.median = good.length ? good[Math.floor(good.length / 2)] / 10 : null;
  return job.median;
}

// The place of the first run at or after an instant.
function firstAt(runs, at) {
  let low = 0, high = runs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (runs[middle].at < at) low = middle + 1; else high = middle;
  }
  return low;
}
