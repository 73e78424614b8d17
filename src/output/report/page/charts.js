
// Bars of a job's last runs: how long they took, how many rows they read. The table below a chart has the numbers.

const CHART_RUNS = 120;

function barChart(title, runs, value, words) {
  const node = svg("svg", { class: "chart", role: "img" });
  const shown = runs.slice(-CHART_RUNS);
  const values = shown.map(value);
  const most = Math.max(...values, 0);
  const sorted = [...values].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] || 0;
  node.setAttribute("aria-label", `${title} of the last ${plural(shown.length, "run")}: median ${words(median)}, most ${words(most)}`);
  const draw = () => {
    const width = node.clientWidth || 320, left = 0, top = 16, bottom = 92;
    node.setAttribute("viewBox", `0 0 ${width} 96`);
    const step = Math.min(14, (width - left) / Math.max(shown.length, 1)), bar = Math.max(1, step * 0.75);
    const height = (number) => most > 0 ? Math.max(number > 0 ? 1.5 : 0, number / most * (bottom - top)) : 0;
    const parts = [svg("text", { x: 0, y: 10 }, `most ${words(most)}, median ${words(median)}`)];
    const middle = bottom - height(median);
    parts.push(svg("line", { x1: 0, x2: width, y1: bottom, y2: bottom }), svg("line", { x1: 0, x2: width, y1: middle, y2: middle, "stroke-dasharray": "3 3" }));
    shown.forEach((run, index) => {
      const x = left + index * step, tall = height(values[index]);
      const rect = svg("rect", { class: data.outcomes[run.outcome], x, y: bottom - tall, width: bar, height: tall });
      rect.append(svg("title", {}, runWords(run)));
      parts.push(rect);
      if (isFailure(run.outcome)) parts.push(svg("path", { class: "failed", d: `M${x + bar / 2 - 3} ${bottom - tall - 6}h6l-3 5z` }));
    });
    node.replaceChildren(...parts);
  };
  requestAnimationFrame(draw);
  return el("div", {}, el("h3", {}, title), node);
}
