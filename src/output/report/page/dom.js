
// What fails is said on the page.

function tell(message) {
  document.documentElement.dataset.trouble = message;
  document.querySelector("main").prepend(el("p", { class: "warn", role: "alert" }, "Part of this page could not be drawn: " + message));
}

window.addEventListener("error", (event) => tell(event.message));
document.addEventListener("securitypolicyviolation", (event) => tell("refused by the page's policy: " + event.violatedDirective));

// Elements. Text from data only ever becomes a text node or an attribute's value.

function put(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, String(value));
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}

function el(name, attributes, ...children) {
  return put(document.createElement(name), attributes, children);
}

function svg(name, attributes, ...children) {
  return put(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function badge(words, kind) {
  return el("span", { class: "badge " + kind }, words);
}

function option(value, words) {
  return el("option", { value }, words);
}

// Calls `draw` once before the next frame, however often it was asked.
function lazily(draw) {
  let isAsked = false;
  return () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(() => { isAsked = false; draw(); });
  };
}
