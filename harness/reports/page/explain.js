"use strict";
// What `harness explain` found of a cell: its words, and a plot per question, layers down.

/** A plot of the layers that have a value, one bar or point each, in the model's order. */
function layerPlot(title, layers, values, traces, layout, ...notes) {
  const shown = layers.filter((layer) => values(layer));
  if (!shown.length) return [];
  const made = plotPart(title, false, (area) => draw(area, () => traces(shown), () => ({
    yaxis: { autorange: "reversed", type: "category" }, ...layout,
  })), ...notes.filter(Boolean).map((text) => el("p", { class: "muted" }, text)));
  made.lastChild.style.height = `${Math.max(180, 90 + 18 * shown.length)}px`;
  return [made];
}

const hover = (shown, key) => shown.map((layer) => [layer.name, layer.tensor, key(layer), layer.cause].filter(Boolean).map(label).join("<br>"));

function bars(shown, value, text, name, shade) {
  return { type: "bar", orientation: "h", name, y: shown.map((layer) => label(layer.name)), x: shown.map(value), text: hover(shown, text), textposition: "none", hovertemplate: "%{text}<extra></extra>", marker: { color: shade } };
}

function errorPlot(found) {
  return layerPlot("Error of each layer against float", found.layers, (layer) => layer.own !== null || layer.all !== null, (shown) => [
    bars(shown, (layer) => layer.own, (layer) => `adds ${layer.own === null ? "nothing" : `${layer.own.toFixed(1)} dB`}`, "this layer alone", "#2f7ed8"),
    { type: "scatter", mode: "markers", name: "with all before it", y: shown.map((layer) => label(layer.name)), x: shown.map((layer) => layer.all), marker: { color: "#e07b00", size: 8 }, text: hover(shown, (layer) => (layer.all === null ? "" : `in all ${layer.all.toFixed(1)} dB`)), hovertemplate: "%{text}<extra></extra>" },
  ], { xaxis: { title: { text: "signal to error, dB (shorter is worse)" } } });
}

function lossPlot(found) {
  const points = found.layers.some((layer) => layer.regained !== null);
  const note = points ? "Computed on the host: the score with this layer alone back in float, less the quantized model's; bars are 95 % intervals." : "Computed on the host: what is left of the outputs' squared error with this layer alone back in float.";
  if (!points) {
    return layerPlot("One layer back in float", found.layers, (layer) => layer.left !== null, (shown) => [
      bars(shown, (layer) => layer.left, (layer) => `${(100 * layer.left).toFixed(1)} % of the error left`, "error left", "#1f9d55"),
    ], { xaxis: { title: { text: "share of the error left" }, rangemode: "tozero" } }, note);
  }
  return layerPlot("One layer back in float", found.layers, (layer) => layer.regained !== null, (shown) => [{
    type: "scatter", mode: "markers", y: shown.map((layer) => label(layer.name)), x: shown.map((layer) => layer.regained), marker: { color: "#1f9d55", size: 9 },
    error_x: { type: "data", symmetric: false, color: "#1f9d5580", thickness: 1.5, width: 0, array: shown.map((layer) => (layer.high === null ? 0 : layer.high - layer.regained)), arrayminus: shown.map((layer) => (layer.low === null ? 0 : layer.regained - layer.low)) },
    text: hover(shown, (layer) => `${layer.regained >= 0 ? "+" : ""}${layer.regained.toFixed(4)}${layer.low === null ? "" : ` [${layer.low.toFixed(4)}, ${layer.high.toFixed(4)}]`}`), hovertemplate: "%{text}<extra></extra>",
  }], { xaxis: { title: { text: label(`${found.metric} regained`) }, zeroline: true } }, note);
}

function costPlot(found) {
  const time = found.cost_unit === "ns";
  const [scale, unit] = time ? timeUnit(found.layers.map((layer) => layer.cost)) : [1, found.cost_unit];
  const basis = time && found.cost_basis && found.cost_basis !== "device" ? `Time basis: ${found.cost_basis}; says nothing of a real board.` : "";
  return layerPlot("What each layer takes", found.layers, (layer) => layer.cost !== null, (shown) => {
    const made = [bars(shown, (layer) => layer.cost / scale, (layer) => layer.cost_text, "this backend", "#2f7ed8")];
    if (shown.some((layer) => layer.beside !== null)) {
      made.push(bars(shown, (layer) => (layer.beside === null ? null : layer.beside / scale), (layer) => (layer.beside === null ? "" : `${time ? duration(layer.beside) : layer.beside} without the delegate`), label(`without the delegate (${found.beside})`), "#b23ac7"));
    }
    return made;
  }, { xaxis: { title: { text: unit } }, barmode: "group" }, basis);
}

function stepsPlot(found) {
  if (!found.histogram) return [];
  const { op, bars: counts } = found.histogram;
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  return [plotPart(`How far ${op} is off`, true, (area) => draw(area, () => [{
    type: "bar", x: counts.map(([lsb]) => lsb), y: counts.map(([, count]) => (100 * count) / total), marker: { color: counts.map(([lsb]) => (Math.abs(lsb) > 1 ? colour("alarm") : "#2f7ed8")) }, hovertemplate: "%{x} steps: %{y:.2f} %<extra></extra>",
  }], () => ({ xaxis: { title: { text: "steps off the nearest (both ends: and more)" }, dtick: 1 }, yaxis: { title: { text: "% of outputs" } } })))];
}

function explainParts(cell) {
  const found = cell.explained;
  if (!found) return [];
  const words = part("Explained", el("p", {}, el("b", {}, found.answer)),
    el("p", { class: "muted" }, found.asked),
    el("ul", { class: "muted" }, ...found.got.map((line) => el("li", {}, line))));
  for (const [what, command] of found.advice) {
    words.append(el("p", {}, `Try ${what}`));
    if (command) words.append(el("div", { class: "command" }, el("code", {}, command), el("button", { type: "button", class: "copy" }, "copy")));
  }
  const causes = found.layers.filter((layer) => layer.cause || layer.wrong);
  const rows = causes.length ? [rowsOf(["layer", "on the device", "adds dB", "cause"], causes.map((layer) => [layer.name, layer.on, layer.own === null ? "" : layer.own.toFixed(1), layer.cause]))] : [];
  return [words, ...stepsPlot(found), ...errorPlot(found), ...lossPlot(found), ...costPlot(found), ...rows];
}
