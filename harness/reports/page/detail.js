"use strict";
// One cell in a panel: what is said of it, its trend, where its nodes ran, what its ops and samples took.
const panel = document.getElementById("detail");
const body = document.getElementById("detail-body");
let current = null;

function part(title, ...children) {
  return el("section", {}, el("h3", {}, title), ...children);
}

function plotPart(title, low, start, ...notes) {
  const area = el("div", { class: low ? "area low" : "area" });
  area.start = () => start(area);
  return el("section", { class: "plot" }, el("h3", {}, title), ...notes, area);
}

const TRENDS = [["latency_ns", "latency"], ["score", "score"], ["instructions", "instructions"], ["energy_nj", "energy"], ["size_bytes", "size"]];
/** What the board was like while a night was timed: the marker's form, so that a night reads in print, too. */
const QUALITY_MARKS = { noisy: "triangle-up", throttled: "square" };

/** The nights of one figure: values, level, the band in which a change would not have been seen, epochs and acceptances. */
function trendFigure(area, cell, name) {
  const { trend } = cell;
  const values = trend[name];
  const time = name === "latency_ns";
  const joules = name === "energy_nj";
  const [scale, unit] = time ? timeUnit(values) : joules ? energyUnit(values) : [1, name === "size_bytes" ? "bytes" : name === "score" ? cell.score_title : name];
  const nights = DATA.nights.map((night) => night[0]);
  const figure = (value) => (value === null ? "" : time ? duration(value) : joules ? energy(value) : `${value} ${unit}`);
  const quality = (i) => (time ? trend.quality?.[i] ?? "" : "");
  const text = values.map((value, i) => [nights[i], figure(value), quality(i), trend.outcome?.[i] ?? "", time ? trend.status?.[i] ?? "" : ""].filter(Boolean).map(label).join("<br>"));
  const x = nights.map((_, i) => i);
  const down = values.map((value) => (value === null ? null : value / scale));
  const traces = () => {
    const made = [];
    if (time && trend.level_ns) {
      const level = trend.level_ns.map((ns) => (ns === null ? null : ns / scale));
      const edge = (sign) => level.map((value, i) => (value === null || !trend.detectable || trend.detectable[i] === null ? null : value * (1 + sign * trend.detectable[i])));
      made.push({ x, y: edge(-1), mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false });
      made.push({ x, y: edge(1), mode: "lines", line: { width: 0 }, fill: "tonexty", fillcolor: "rgba(47,126,216,.16)", name: "would not have been seen", hoverinfo: "skip" });
      made.push({ x, y: level, mode: "lines", line: { color: colour("muted"), dash: "dash", width: 1.5 }, name: "level", hoverinfo: "skip" });
    }
    const shade = values.map((_, i) => (trend.status?.[i] === "worse" && time ? colour("alarm") : trend.status?.[i] === "suspect" && time ? "#e07b00" : "#2f7ed8"));
    made.push({ x, y: down, mode: "lines+markers", name: "night", text, hovertemplate: "%{text}<extra></extra>", line: { color: "#2f7ed8", width: 1.2 }, marker: { color: shade, size: values.map((_, i) => (quality(i) in QUALITY_MARKS ? 11 : 7)), symbol: values.map((_, i) => QUALITY_MARKS[quality(i)] ?? "circle") }, connectgaps: false });
    return made;
  };
  draw(area, traces, () => {
    const marks = [...trend.epochs.map(([i, words]) => [i - 0.5, words, colour("muted"), "epoch"]), ...trend.accepted.map(([i, words]) => [i, words, "#1f9d55", "accepted"])];
    const step = Math.max(1, Math.ceil(nights.length / 5));
    const ticks = x.filter((i) => (x.length - 1 - i) % step === 0);
    return {
      xaxis: { tickvals: ticks, ticktext: ticks.map((i) => label(DATA.nights[i][1].slice(5, 10))), tickangle: 0, range: [-0.7, Math.max(nights.length, 2) - 0.3] },
      yaxis: { title: { text: label(unit) } },
      shapes: marks.map(([i, , shade]) => ({ type: "line", x0: i, x1: i, y0: 0, y1: 1, yref: "paper", line: { color: shade, width: 1, dash: "dot" } })),
      annotations: marks.map(([i, words, shade, kind]) => ({ x: i, y: 1, yref: "paper", yanchor: "top", xanchor: "left", showarrow: false, text: kind, hovertext: label(words), font: { size: 10, color: shade } })),
    };
  });
}

/** `▲ noisy in 3 nights, ■ throttled in 1`: what the forms of the markers say; nothing where all nights were quiet. */
function qualityNote(trend) {
  const count = (word) => (trend.quality || []).filter((one) => one === word).length;
  const said = [["▲", "noisy"], ["■", "throttled"]].filter(([, word]) => count(word)).map(([mark, word]) => `${mark} ${word} in ${count(word)} of ${DATA.nights.length} nights`);
  return said.length ? el("p", { class: "muted" }, `${said.join(", ")}.`) : null;
}

function trendParts(cell) {
  if (!cell.trend) return [];
  const made = [];
  const still = [];
  for (const [name, title] of TRENDS) {
    const values = (cell.trend[name] || []).filter((value) => value !== null);
    if (!values.length) continue;
    // A line that never moves says less than a sentence; a time is drawn for its band.
    if (name !== "latency_ns" && values.every((value) => value === values[0])) {
      still.push(`${title} ${values[0].toLocaleString("en", { maximumFractionDigits: 6 })}`);
    } else {
      made.push(plotPart(`Trend: ${title}`, true, (area) => trendFigure(area, cell, name), ...(name === "latency_ns" ? [qualityNote(cell.trend)] : [])));
    }
  }
  const nights = cell.trend.outcome.filter((outcome) => outcome !== null).length;
  if (still.length && nights > 1) made.push(el("p", { class: "muted" }, `The same in all ${nights} nights: ${still.join(", ")}.`));
  const words = [...cell.trend.epochs.map(([i, text]) => [i, `new epoch: ${text}`]), ...cell.trend.accepted.map(([i, text]) => [i, `accepted: ${text}`])].sort((a, b) => a[0] - b[0]);
  if (words.length) made.push(el("ul", { class: "muted" }, ...words.map(([i, text]) => el("li", {}, `${DATA.nights[i][0]}: ${text}`))));
  return made;
}

function histogramPart(cell) {
  const { low, width, counts, beyond, samples } = cell.histogram;
  const [scale, unit] = timeUnit([low + width * counts.length]);
  const note = el("p", { class: "muted" }, `${samples.toLocaleString("en")} samples of all starts; ${beyond.toLocaleString("en")} slower ones are not drawn.`);
  return plotPart("Samples of the latency", true, (area) => draw(area, () => [{
    type: "bar", x: counts.map((_, i) => (low + (i + 0.5) * width) / scale), y: counts, width: width / scale, marker: { color: "#2f7ed8" },
    hovertemplate: `%{x:.4g} ${unit}: %{y} samples<extra></extra>`,
  }], () => ({
    bargap: 0, xaxis: { title: { text: unit } }, yaxis: { title: { text: "samples" } },
    shapes: cell.latency_ns === null ? [] : [{ type: "line", x0: cell.latency_ns / scale, x1: cell.latency_ns / scale, y0: 0, y1: 1, yref: "paper", line: { color: colour("alarm"), width: 1.5 } }],
  })), note);
}

function opTimesPart(cell) {
  const { what, values } = cell.op_times;
  const nodes = DATA.graphs[cell.graph].nodes;
  const colours = placeColours(cell.ran);
  const names = nodes.map(([node, op]) => label(`${node} ${op}`));
  const made = plotPart("Each op", false, (area) => draw(area, () => [{
    type: "bar", orientation: "h", y: names, x: values, marker: { color: cell.ran.map((place) => colours.get(place)) }, hovertemplate: "%{y}: %{x}<extra></extra>",
  }], () => ({ yaxis: { autorange: "reversed" }, xaxis: { title: { text: label(what) } } })));
  made.lastChild.style.height = `${Math.max(160, 60 + 18 * names.length)}px`;
  return made;
}

function rowsOf(heads, lines) {
  const table = el("table", {}, el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))));
  table.append(el("tbody", {}, ...lines.map((line) => el("tr", {}, ...line.map((text) => el("td", {}, String(text)))))));
  return el("div", { class: "scroll", tabindex: "0" }, table);
}

function show(cell) {
  forget([...body.querySelectorAll(".area")]);
  current = cell.id;
  document.getElementById("detail-title").textContent = cell.name;
  const facts = el("dl");
  for (const [name, text] of cell.facts) facts.append(el("dt", {}, name), el("dd", {}, text));
  body.replaceChildren();
  if (cell.reason) body.append(el("p", {}, el("b", {}, `${cell.outcome}: `), cell.reason));
  const told = cell.verdicts.filter((v) => v.status !== "same");
  if (told.length) {
    body.append(part("What became of it", el("ul", { class: "verdicts" }, ...told.map((v) =>
      el("li", { class: v.open ? "open" : "" }, el("b", {}, `${v.quantity}: ${v.status} `), v.reason)))));
  }
  body.append(facts);
  body.append(el("div", { class: "command" }, el("code", {}, cell.command), el("button", { type: "button", class: "copy" }, "copy")));
  if (cell.raw) body.append(el("p", {}, el("a", { href: cell.raw.split("/").map(encodeURIComponent).join("/") }, "raw samples (.npz)")));
  body.append(...explainParts(cell));
  body.append(...trendParts(cell));
  if (cell.graph !== null) body.append(part("Where it ran", modelGraph(cell)));
  if (cell.fallback.length) body.append(part("Left on the CPU", rowsOf(["node", "op", "why"], cell.fallback)));
  if (cell.op_times) body.append(opTimesPart(cell));
  if (cell.histogram) body.append(histogramPart(cell));
  if (cell.findings.length) {
    body.append(part("Findings", el("ul", {}, ...cell.findings.map(([severity, where, what, fix]) =>
      el("li", {}, el("span", { class: `severity-${severity}` }, severity), ` ${where}: ${what} ${fix}`)))));
  }
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
  for (const area of body.querySelectorAll(".area")) area.start();
  for (const row of rows) row.classList.toggle("current", Number(row.dataset.cell) === current);
}

function follow() {
  const found = /^#cell-(\d+)$/.exec(location.hash);
  const cell = found && CELLS.get(Number(found[1]));
  if (cell) show(cell);
  else if (panel.open) panel.close();
}

function step(by) {
  const ids = shownCells();
  if (!ids.length) return;
  const place = ids.indexOf(current);
  location.replace(`#cell-${ids[place < 0 ? 0 : (place + by + ids.length) % ids.length]}`);
}

panel.addEventListener("close", () => {
  forget([...body.querySelectorAll(".area")]);
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
});
panel.addEventListener("click", (event) => {
  if (event.target === panel) panel.close();
  const by = event.target.dataset?.step;
  if (by) step(Number(by));
});
document.getElementById("detail-close").addEventListener("click", () => panel.close());
document.addEventListener("colours", () => {
  if (panel.open && current !== null) show(CELLS.get(current));
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  if (event.key === "/") {
    event.preventDefault();
    panel.close();
    form.elements.text.focus();
  } else if (event.key === "j" || event.key === "k") {
    step(event.key === "j" ? 1 : -1);
  }
});
addEventListener("hashchange", follow);
follow();
