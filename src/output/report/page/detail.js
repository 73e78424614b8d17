
// What unfolds below a job: facts, charts, its streams and its runs.

function detail(job) {
  const runs = runsOf(job);
  const facts = [];
  const fact = (name, ...value) => facts.push(el("dt", {}, name), el("dd", {}, ...value));
  if (job.name) fact("Name", job.name);
  if (job.schedule) fact("Schedule", job.schedule);
  fact("Last success", job.good ? `${clockFull(job.good)} (${ago(job.good)})` : "none yet");
  if (job.overdue) fact("Overdue since", clockFull(job.overdue));
  const next = nextOf(job).slice(0, 3);
  if (next.length) fact("Next", next.map(clock).join(", "));
  fact("Type", el("code", {}, "etlsched logs " + job.id), " ", el("code", {}, "etlsched show " + job.id));
  const parts = [el("dl", {}, facts)];
  if (runs.length) {
    const seconds = barChart("Duration", runs, (run) => run.seconds, span);
    const rows = barChart("Rows read", runs, (run) => run.rows, short);
    parts.push(el("div", { class: "charts" }, seconds, rows));
    const columns = [
      { name: "Started", isTime: true, cell: (run) => `${weekday(run.at)} ${clock(run.at)}`, key: (run) => run.at },
      { name: "Result", cell: (run) => badge(data.outcomes[run.outcome], kindOf(run.outcome)), key: (run) => run.outcome },
      { name: "Took", isNumber: true, cell: (run) => run.outcome === RUNNING ? "-" : span(run.seconds), key: (run) => run.seconds },
      { name: "Rows", isNumber: true, cell: (run) => count(run.rows), key: (run) => run.rows },
      { name: "By", isTime: true, cell: (run) => data.triggers[run.trigger], key: (run) => run.trigger },
      { name: "Why, and what to type", cell: whyOf },
    ];
    parts.push(el("h3", {}, "Runs"), pagedTable([...runs].reverse(), columns, 12, "Runs of " + job.id).node);
  }
  return el("div", { class: "detail" }, parts);
}

function whyOf(run) {
  if (!isFailure(run.outcome)) return "";
  const cause = run.cause >= 0 ? data.causes[run.cause] + " " : "";
  return run.id ? el("span", {}, cause, el("code", {}, "etlsched logs --run " + run.id)) : cause;
}

function kindOf(outcome) {
  if (outcome === SUCCESS) return "good";
  if (outcome === RUNNING) return "run";
  return outcome === CANCELLED ? "idle" : "bad";
}
