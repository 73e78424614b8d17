
// Puts the views in their places. What fails is said on the page.

function freshRows() {
  return data.jobs.flatMap((job) => {
    const streams = job.streams || [];
    if (!streams.length) return [{ job, table: "-", at: job.good || null }];
    return streams.map(([source, stream, table, , at]) => ({ job, table, from: source === stream ? source : `${source} / ${stream}`, at }));
  });
}

function freshSection() {
  const rows = freshRows();
  const columns = [
    { name: "Job", cell: (row) => row.job.id, key: (row) => row.job.id },
    { name: "Table", cell: (row) => el("span", { title: row.from ? "from " + row.from : null }, row.table), key: (row) => row.table },
    { name: "Its job is", cell: (row) => badge(row.job.state, row.job.class), key: (row) => RANKS.indexOf(row.job.state) },
    { name: "Last success", isTime: true, cell: (row) => row.at ? clock(row.at) : "not in this span", key: (row) => row.at },
    { name: "Age", isNumber: true, cell: (row) => row.at ? ago(row.at) : "-", key: (row) => row.at ? data.now - row.at : null },
    { name: "Overdue since", isTime: true, cell: (row) => row.job.overdue ? clock(row.job.overdue) : "", key: (row) => row.job.overdue || null },
    { name: "Next", isTime: true, cell: (row) => nextOf(row.job).length ? clock(nextOf(row.job)[0]) : "-", key: (row) => nextOf(row.job)[0] || null },
  ];
  // What is stale comes first.
  const order = (row) => row.job.overdue ? [0, row.job.overdue] : [1, row.at || 0];
  rows.sort((a, b) => order(a)[0] - order(b)[0] || order(a)[1] - order(b)[1]);
  const table = pagedTable(rows, columns, 25, "Freshness of data");
  const filter = el("input", { type: "search", autocomplete: "off", placeholder: "job, table, state", oninput: (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    table.set(rows.filter((row) => words.every((word) => `${row.job.id} ${row.table} ${row.job.state}`.toLowerCase().includes(word))));
  } });
  document.getElementById("fresh-view").append(el("div", { class: "bar" }, el("label", { class: "field" }, "Filter", filter)), table.node);
  return table;
}

jobsSection();
const fresh = freshSection();
let restore = [];
window.addEventListener("beforeprint", () => {
  jobsView.size = 200;
  fill();
  // No frame comes before the paper.
  drawAll();
  restore = [fresh.all()];
  for (const details of document.querySelectorAll("details:not([open])")) {
    details.open = true;
    restore.push(() => { details.open = false; });
  }
});
window.addEventListener("afterprint", () => {
  jobsView.size = PAGE;
  fill();
  restore.forEach((act) => act());
});
document.documentElement.dataset.drawn = "yes";
