"use strict";
// A model as a graph: nodes in layers from top to bottom, each in the colour of the place where it ran.
const SVG = "http://www.w3.org/2000/svg";
const NODE = { width: 150, height: 26, gapX: 18, gapY: 26, margin: 12 };
// The host's processor stands out in one colour everywhere; delegates take the others.
const ON_CPU = "#e07b00";
const DELEGATES = ["#2f7ed8", "#1f9d55", "#b23ac7", "#0e9aa7", "#8a6d1d"];

function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** place -> colour, of the places of one cell. */
function placeColours(ran) {
  const others = [...new Set(ran)].filter((place) => place !== "cpu");
  return new Map([...new Set(ran)].map((place) => [place, place === "cpu" ? ON_CPU : DELEGATES[others.indexOf(place) % DELEGATES.length]]));
}

/** The graph of a cell's model, with its legend and a tooltip per node. */
function modelGraph(cell) {
  const graph = DATA.graphs[cell.graph];
  const colours = placeColours(cell.ran);
  const reasons = new Map(cell.fallback.map(([node, , reason]) => [node, reason]));
  const layers = 1 + Math.max(...graph.nodes.map((node) => node[2]));
  const lanes = 1 + Math.max(...graph.nodes.map((node) => node[3]));
  const width = lanes * (NODE.width + NODE.gapX) - NODE.gapX + 2 * NODE.margin;
  const height = layers * (NODE.height + NODE.gapY) - NODE.gapY + 2 * NODE.margin;
  const inLayer = new Map();
  for (const [, , layer] of graph.nodes) inLayer.set(layer, (inLayer.get(layer) || 0) + 1);
  const at = graph.nodes.map(([, , layer, lane]) => ({
    x: width / 2 + (lane - (inLayer.get(layer) - 1) / 2) * (NODE.width + NODE.gapX),
    y: NODE.margin + layer * (NODE.height + NODE.gapY),
  }));
  const drawing = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "the model's nodes and where each ran" });
  for (const [from, to] of graph.edges) {
    const [a, b] = [at[from], at[to]];
    const top = a.y + NODE.height;
    const bend = Math.max(10, (b.y - top) / 2);
    // An edge over several layers passes beside the nodes between.
    const side = graph.nodes[to][2] - graph.nodes[from][2] > 1 ? NODE.width / 2 + NODE.gapX / 2 : 0;
    const path = side ? `M${a.x + 30},${top} C${a.x + side},${top + 20} ${b.x + side},${b.y - 20} ${b.x + 30},${b.y}` : `M${a.x},${top} C${a.x},${top + bend} ${b.x},${b.y - bend} ${b.x},${b.y}`;
    drawing.append(svg("path", { class: "edge", d: path }));
  }
  graph.nodes.forEach(([node, op], index) => {
    const place = cell.ran[index];
    const { x, y } = at[index];
    const name = op.length > 20 ? `${op.slice(0, 19)}…` : op;
    const reason = reasons.get(node);
    const title = svg("title", {});
    title.textContent = `node ${node} ${op}: ran on ${place}${reason ? `; ${reason}` : ""}`;
    const text = svg("text", { x, y: y + 17, "text-anchor": "middle", fill: "#fff" });
    text.textContent = `${node} ${name}`;
    drawing.append(svg("g", {}, title, svg("rect", { x: x - NODE.width / 2, y, width: NODE.width, height: NODE.height, rx: 5, fill: colours.get(place), ...(reason ? { stroke: colour("alarm"), "stroke-width": 2 } : {}) }), text));
  });
  const legend = el("p", { class: "swatches" });
  for (const [place, shade] of colours) {
    const swatch = el("i");
    swatch.style.background = shade;
    legend.append(el("span", {}, swatch, `${place}: ${cell.ran.filter((one) => one === place).length} nodes`));
  }
  if (cell.fallback.length) legend.append(el("span", { class: "muted" }, "a red edge: the delegate did not take it"));
  if (graph.left) legend.append(el("span", { class: "muted" }, `${graph.left} further nodes are not drawn`));
  return el("div", {}, legend, el("div", { class: "graph", tabindex: "0" }, drawing));
}
