
// A table that is sorted and paged here: only the rows of a page are elements. `columns` are { name, cell, key, isNumber }.

function pagedTable(rows, columns, size, caption) {
  let sorted = rows, page = 0, by = null, isDown = false;
  const body = el("tbody"), words = el("span", { "aria-live": "polite" });
  const before = el("button", { type: "button", onclick: () => { page--; draw(); } }, "Back");
  const after = el("button", { type: "button", onclick: () => { page++; draw(); } }, "More");
  const heads = columns.map((column) => {
    const inside = column.key ? el("button", { class: "sort", type: "button", onclick: () => sort(column) }, column.name) : column.name;
    return el("th", { scope: "col", class: column.isNumber ? "n" : null }, inside);
  });
  const pager = el("div", { class: "pager" }, before, after, words);
  function sort(column) {
    isDown = by === column ? !isDown : Boolean(column.isNumber);
    by = column;
    page = 0;
    heads.forEach((head, place) => columns[place] === column ? head.setAttribute("aria-sort", isDown ? "descending" : "ascending") : head.removeAttribute("aria-sort"));
    resort();
    draw();
  }
  function resort() {
    if (!by) { sorted = rows; return; }
    const compare = (a, b) => {
      const left = by.key(a), right = by.key(b);
      // What is not known comes last in either order.
      if (left === null || right === null) return (left === null) - (right === null);
      return (left < right ? -1 : left > right ? 1 : 0) * (isDown ? -1 : 1);
    };
    sorted = [...rows].sort(compare);
  }
  function draw() {
    const pages = Math.max(1, Math.ceil(sorted.length / size));
    page = Math.min(Math.max(page, 0), pages - 1);
    const shown = sorted.slice(page * size, (page + 1) * size);
    body.replaceChildren(...shown.map((row) => el("tr", {}, columns.map((column) => el("td", { class: column.isNumber ? "n" : column.isTime ? "time" : null }, column.cell(row))))));
    if (!shown.length) body.append(el("tr", {}, el("td", { colspan: columns.length }, "nothing to show")));
    before.disabled = page === 0;
    after.disabled = page === pages - 1;
    pager.hidden = pages === 1;
    words.textContent = `${count(page * size + 1)} to ${count(page * size + shown.length)} of ${count(sorted.length)}`;
  }
  draw();
  const table = el("table", {}, el("caption", { class: "hidden" }, caption), el("thead", {}, el("tr", {}, heads)), body);
  return {
    node: el("div", {}, el("div", { class: "scroll" }, table), pager),
    set(fresh) { rows = fresh; page = 0; resort(); draw(); },
    all() { const old = size; size = 1000; draw(); return () => { size = old; draw(); }; },
  };
}
