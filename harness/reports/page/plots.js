"use strict";
// Score against cost, a plot per workload, device and kind of figure. A plot is drawn when it comes into view.
const PALETTE = ["#2f7ed8", "#e07b00", "#1f9d55", "#b23ac7", "#c0392b", "#0e9aa7", "#8a6d1d", "#6b6f76"];
const paretoArea = document.getElementById("pareto-plots");
const paretoX = document.getElementById("pareto-x");

/** [value, low, high] of what a cell costs; null where that is not known. Counts of a core go before times made of them. */
function costOf(cell, by) {
  if (by === "size") return cell.size_bytes === null ? null : [cell.size_bytes, cell.size_bytes, cell.size_bytes];
  if (by === "energy") return cell.energy_nj === null ? null : [cell.energy_nj, cell.energy_low_nj ?? cell.energy_nj, cell.energy_high_nj ?? cell.energy_nj];
  if (cell.count !== null) return [cell.count, cell.count, cell.count];
  if (cell.latency_ns === null) return null;
  return [cell.latency_ns, cell.latency_low_ns ?? cell.latency_ns, cell.latency_high_ns ?? cell.latency_ns];
}

/** The cells of a plot by its name; figures of two clocks or two instruments never share one. */
function paretoGroups(by) {
  const groups = new Map();
  for (const id of shown) {
    const cell = CELLS.get(id);
    const kind = by === "size" ? "" : by === "energy" ? cell.instrument : cell.count !== null ? cell.count_unit : cell.basis_text;
    const name = JSON.stringify([cell.workload, cell.device, kind, cell.score_title, cell.lower]);
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(cell);
  }
  return groups;
}

/** Those that no other cell beats in both figures, cheapest first. */
function front(points, lower) {
  const better = (a, b) => (lower ? a.score < b.score : a.score > b.score);
  const sorted = [...points].sort((a, b) => a.cost[0] - b.cost[0] || (better(a.cell, b.cell) ? -1 : 1));
  const kept = [];
  for (const point of sorted) {
    if (!kept.length || better(point.cell, kept[kept.length - 1].cell)) kept.push(point);
  }
  return kept;
}

function paretoFigure(area, points, by, kind, cells) {
  const lower = cells[0].lower;
  const size = by === "size";
  const joules = by === "energy";
  const counts = !size && !joules && cells.some((cell) => cell.count !== null);
  const costs = points.map((point) => point.cost[0]);
  const [scale, unit] = size ? [1, "bytes"] : joules ? energyUnit(costs) : counts ? [1, kind] : timeUnit(costs);
  const said = ({ cell, cost }) => {
    if (size) return `${cost[0].toLocaleString("en")} bytes`;
    if (joules) return energy(cost[0]);
    return counts ? `${cost[0].toLocaleString("en")} ${kind}` : [duration(cost[0]), cell.quality].filter(Boolean).join(", ");
  };
  const backends = [...new Set(points.map((point) => point.cell.backend))];
  const text = (point) =>
    [point.cell.recipe, `${point.cell.backend}: ${point.cell.score_title} ${point.cell.score}`, said(point)].map(label).join("<br>");
  const traces = () => {
    const edge = front(points, lower);
    const made = [{ x: edge.map((p) => p.cost[0] / scale), y: edge.map((p) => p.cell.score), mode: "lines", line: { color: colour("muted"), dash: "dot", width: 1.5, shape: "hv" }, hoverinfo: "skip", showlegend: false }];
    backends.forEach((backend, index) => {
      const own = points.filter((point) => point.cell.backend === backend);
      const bars = (value, low, high) => ({ type: "data", color: `${PALETTE[index % PALETTE.length]}80`, symmetric: false, thickness: 1, width: 0, array: high.map((h, i) => h - value[i]), arrayminus: low.map((l, i) => value[i] - l) });
      const x = own.map((p) => p.cost[0] / scale);
      const y = own.map((p) => p.cell.score);
      made.push({
        x, y, name: label(backend), mode: "markers", text: own.map(text), hovertemplate: "%{text}<extra></extra>", customdata: own.map((p) => p.cell.id),
        error_x: bars(x, own.map((p) => p.cost[1] / scale), own.map((p) => p.cost[2] / scale)),
        error_y: bars(y, own.map((p) => p.cell.score_low ?? p.cell.score), own.map((p) => p.cell.score_high ?? p.cell.score)),
        marker: { color: PALETTE[index % PALETTE.length], size: own.map((p) => (PICKS.has(p.cell.id) ? 15 : 9)), symbol: own.map((p) => (PICKS.has(p.cell.id) ? "star" : "circle")), line: { width: 1, color: colour("back") } },
      });
    });
    return made;
  };
  const wide = Math.max(...costs) / Math.min(...costs) > 15;
  draw(area, traces, () => ({
    xaxis: { title: { text: label(size ? "size, bytes" : `${joules ? "energy" : counts ? "per inference" : kind}, ${unit}`) }, type: wide ? "log" : "linear", rangemode: wide ? "normal" : "tozero" },
    yaxis: { title: { text: label(cells[0].score_title) }, ...(lower ? { autorange: "reversed" } : {}) },
    showlegend: backends.length > 1,
  }));
  area.on("plotly_click", (event) => {
    const id = event.points[0]?.customdata;
    if (id !== undefined) location.hash = `cell-${id}`;
  });
}

const inView = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    inView.unobserve(target);
    target.start();
  }
}, { rootMargin: "200px" });

function paretoAll() {
  forget([...paretoArea.querySelectorAll(".area")]);
  paretoArea.replaceChildren();
  const by = paretoX.value;
  for (const [name, cells] of paretoGroups(by)) {
    const [workload, device, kind] = JSON.parse(name);
    const points = cells
      .filter((cell) => ["ok", "estimated"].includes(cell.outcome) && cell.score !== null)
      .map((cell) => ({ cell, cost: costOf(cell, by) })).filter((point) => point.cost !== null && point.cost[0] > 0);
    if (!points.length) continue;
    const area = el("div", { class: "area" });
    const left = cells.length - points.length;
    const notes = [by === "energy" ? `measured by ${kind || "an unnamed instrument"}` : kind && kind !== "device clock" ? kind : "", left ? `${left} of ${cells.length} cells not drawn` : ""].filter(Boolean);
    paretoArea.append(el("div", { class: "plot" }, el("h3", {}, `${workload}, ${device}`), el("div", { class: "muted" }, notes.join("; ")), area));
    area.start = () => paretoFigure(area, points, by, kind, cells);
    inView.observe(area);
  }
  if (!paretoArea.children.length) paretoArea.append(el("p", { class: "muted" }, "No cell that is shown has both a score and this figure."));
}

paretoX.addEventListener("change", paretoAll);
document.addEventListener("filtered", paretoAll);
paretoAll();
