"use strict";
// What every script of the page uses. Texts of records reach the page as text, never as markup.
const DATA = JSON.parse(document.getElementById("data").textContent);
const CELLS = new Map(DATA.cells.map((cell) => [cell.id, cell]));
const PICKS = new Set(DATA.picks);

/** An element with attributes and children; a child that is no element becomes text. */
function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A text for plotly, which reads a few tags in labels: here none is one. */
function label(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** The value of a colour of the style sheet, as it is now. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** 5940 -> "5.94 µs": three digits in the unit that suits. */
function duration(ns) {
  for (const [limit, scale, unit] of [[1e3, 1, "ns"], [1e6, 1e3, "µs"], [1e9, 1e6, "ms"], [Infinity, 1e9, "s"]]) {
    if (ns < limit) return `${(ns / scale).toPrecision(3)} ${unit}`;
  }
  return "";
}

/** The unit that suits a list of times: its length in ns, and its name. */
function timeUnit(values) {
  const most = Math.max(...values.filter((value) => value !== null && value !== undefined), 0);
  return most < 1e3 ? [1, "ns"] : most < 1e6 ? [1e3, "µs"] : most < 1e9 ? [1e6, "ms"] : [1e9, "s"];
}

/** 1240000 -> "1.24 mJ": three digits in the unit that suits. */
function energy(nj) {
  const [scale, unit] = energyUnit([nj]);
  return `${(nj / scale).toPrecision(3)} ${unit}`;
}

/** The unit that suits a list of energies: its length in nJ, and its name. */
function energyUnit(values) {
  const most = Math.max(...values.filter((value) => value !== null && value !== undefined), 0);
  return most < 1e3 ? [1, "nJ"] : most < 1e6 ? [1e3, "µJ"] : most < 1e9 ? [1e6, "mJ"] : [1e9, "J"];
}

const drawn = new Map();

/** Draws a plot in the page's colours, and again whenever these change. */
function draw(area, traces, layout) {
  drawn.set(area, [traces, layout]);
  paint(area);
}

function paint(area) {
  const [traces, layout] = drawn.get(area);
  const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true };
  const styled = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("ink"), size: 12 }, margin: { l: 10, r: 10, t: 24, b: 10 },
    hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("ink") } },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 1, xanchor: "right" },
    ...layout(), xaxis: { ...axis, ...(layout().xaxis || {}) }, yaxis: { ...axis, ...(layout().yaxis || {}) },
  };
  Plotly.react(area, traces(), styled, { displaylogo: false, responsive: true, displayModeBar: false });
}

function forget(areas) {
  for (const area of areas) {
    if (drawn.delete(area)) Plotly.purge(area);
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const area of drawn.keys()) paint(area);
  document.dispatchEvent(new Event("colours"));
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy");
  if (!button) return;
  const code = button.parentElement.querySelector("code");
  getSelection().selectAllChildren(code);
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "copied";
  } catch {
    button.textContent = "selected"; // a page from disk may not be allowed to write the clipboard
  }
});
