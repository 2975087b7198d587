// Elements with attributes, listeners and children, in one call.

const SVG = "http://www.w3.org/2000/svg";

export function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function table(caption, heads, rows) {
  const head = heads.map((text) => (text ? make("th", { scope: "col" }, text) : make("td")));
  const body = rows.map((cells) =>
    make("tr", {}, ...cells.map((cell) => (cell instanceof Element ? cell : make("td", {}, String(cell))))),
  );
  return make(
    "table",
    {},
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...body),
  );
}

export function number(text) {
  return make("td", { class: "number" }, text);
}

// A box that scrolls sideways, also by keyboard, where its table is wider than the screen.
export function scrolled(label, inner) {
  return make("div", { class: "scrolled", tabindex: "0", role: "region", "aria-label": `${label}, a table` }, inner);
}

export function byId(id) {
  return document.getElementById(id);
}
