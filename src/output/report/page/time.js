
// Times in the user's zone, by the rules that came with the page; spans and numbers as the terminal has them.

const data = JSON.parse(document.getElementById("data").textContent);

function zoneAt(at) {
  let found = data.zone[0] || [0, 0, "UTC"];
  for (const segment of data.zone) if (segment[0] <= at) found = segment;
  return found;
}

// Seconds since 1970 as if the wall clock were UTC.
function local(at) { return at + zoneAt(at)[1]; }

function stamp(at) { return new Date(local(at) * 1000).toISOString(); }

function clock(at) { return stamp(at).slice(0, 16).replace("T", " "); }

function clockFull(at) { return stamp(at).slice(0, 19).replace("T", " ") + " " + zoneAt(at)[2]; }

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

function weekday(at) { return DAYS[new Date(local(at) * 1000).getUTCDay()]; }

function count(number) { return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ","); }

function plural(number, noun) { return count(number) + " " + noun + (number === 1 ? "" : "s"); }

function short(number) {
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (number >= size) return (number / size).toFixed(number >= 10 * size ? 0 : 1) + " " + unit;
  }
  return String(Math.round(number));
}

function two(number) { return String(number).padStart(2, "0"); }

function span(seconds) {
  if (seconds < 9.95) return Math.max(0, seconds).toFixed(1) + " s";
  const whole = Math.round(seconds);
  if (whole < 60) return whole + " s";
  if (whole < 3600) return Math.floor(whole / 60) + "m " + two(whole % 60) + "s";
  if (whole < 86400) return Math.floor(whole / 3600) + "h " + two(Math.floor(whole % 3600 / 60)) + "m";
  return Math.floor(whole / 86400) + "d " + two(Math.floor(whole % 86400 / 3600)) + "h";
}

function ago(at) {
  const seconds = data.now - at;
  if (seconds < 90) return "just now";
  if (seconds < 5400) return Math.round(seconds / 60) + " min ago";
  if (seconds < 129600) return Math.round(seconds / 3600) + " h ago";
  return Math.round(seconds / 86400) + " days ago";
}
