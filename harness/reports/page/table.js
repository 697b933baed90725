"use strict";
// Filters and sorting. What is shown is decided in one place, for the matrices, the plots and the table.
const form = document.getElementById("filters");
const table = document.getElementById("cell-table");
const rows = [...table.tBodies[0].rows];
const NUMERIC = new Set(["score", "delta", "cost", "size"]);
let shown = new Set(CELLS.keys());

const haystack = new Map(
  DATA.cells.map((cell) => [cell.id, [cell.name, cell.outcome, cell.said, cell.quality, cell.reason, cell.facts.map((f) => f[1]).join(" "),
    cell.fallback.map((f) => f.join(" ")).join(" ")].join(" ").toLowerCase()]));

function filter() {
  const asked = Object.fromEntries(new FormData(form));
  const words = (asked.text || "").toLowerCase().split(/\s+/).filter(Boolean);
  const takes = (cell) =>
    ["workload", "device", "backend", "outcome", "quality", "said"].every((name) => !asked[name] || cell[name] === asked[name]) &&
    words.every((word) => haystack.get(cell.id).includes(word));
  shown = new Set(DATA.cells.filter(takes).map((cell) => cell.id));
  for (const row of rows) row.hidden = !shown.has(Number(row.dataset.cell));
  for (const field of document.querySelectorAll(".matrix td[data-cell]")) {
    field.style.opacity = shown.has(Number(field.dataset.cell)) ? "" : ".15";
  }
  for (const row of document.querySelectorAll(".matrix tbody tr")) {
    const own = [...row.querySelectorAll("td[data-cell]")];
    row.hidden = shown.size < CELLS.size && !own.some((field) => shown.has(Number(field.dataset.cell)));
  }
  for (const matrix of document.querySelectorAll(".matrix")) {
    matrix.hidden = ![...matrix.querySelectorAll("tbody tr")].some((row) => !row.hidden);
  }
  const all = CELLS.size;
  document.getElementById("shown").textContent = shown.size === all ? `${all} cells` : `${shown.size} of ${all} cells`;
  document.dispatchEvent(new Event("filtered"));
}

let waiting = 0;
form.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(filter, 120);
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(filter));

/** What a row is sorted by; missing figures stand last, whichever way. */
function sortValue(row, name, column) {
  if (!NUMERIC.has(name)) return row.cells[column].textContent.toLowerCase();
  const text = name === "delta" ? row.cells[column].textContent.replace("±", "") : row.dataset[name];
  return text === "" ? null : parseFloat(text);
}

for (const head of table.tHead.rows[0].cells) {
  head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const { sort: name } = head.dataset;
    const keyed = rows.map((row) => [sortValue(row, name, head.cellIndex), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const order = a < b ? -1 : a > b ? 1 : 0;
      return down ? -order : order;
    });
    rows.splice(0, rows.length, ...keyed.map(([, row]) => row));
    table.tBodies[0].append(...rows);
  });
}

/** The cells that are shown, in the table's order. */
function shownCells() {
  return rows.map((row) => Number(row.dataset.cell)).filter((id) => shown.has(id));
}
