// Shows what two rows find on the same test images. Data come as scripts, which a page may load from a folder without a server.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
const sides = [byId("left"), byId("right")];
const bundles = new Map();
let entries = [];

function synthbenchEntries(found) {
  entries = found;
  for (const select of sides) {
    for (const entry of entries) {
      const option = document.createElement("option");
      option.value = entry.id;
      option.textContent = `${entry.label} (${entry.by}, ${entry.bundle})`;
      select.append(option);
    }
  }
  if (entries.length === 0) {
    byId("said").textContent = "No entry has test images and predictions to show.";
    return;
  }
  byId("choice").hidden = false;
  fromAddress();
  addEventListener("hashchange", fromAddress);
  for (const select of sides) select.addEventListener("change", () => { toAddress(); load(); });
  byId("score").addEventListener("input", draw);
  byId("score").addEventListener("change", toAddress);
  byId("truth").addEventListener("change", draw);
  byId("choice").addEventListener("submit", (event) => event.preventDefault());
}

function synthbenchShown(found) {
  bundles.set(found.id, found);
  draw();
}

function fromAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const known = (id, otherwise) => (entries.some((entry) => entry.id === id) ? id : otherwise);
  sides[0].value = known(asked.get("a"), entries[0].id);
  sides[1].value = known(asked.get("b"), (entries.find((entry) => entry.ranked) ?? entries[0]).id);
  const score = Number(asked.get("s") ?? NaN);
  if (score >= 0 && score <= 1 && asked.get("s")) byId("score").value = String(score);
  load();
}

function toAddress() {
  history.replaceState(null, "", `#a=${sides[0].value}&b=${sides[1].value}&s=${byId("score").value}`);
}

function load() {
  for (const select of sides) {
    const { bundle } = entries.find((entry) => entry.id === select.value);
    if (bundles.has(bundle)) continue;
    bundles.set(bundle, null);
    const script = document.createElement("script");
    script.src = `entries/${bundle}/shown.js`;
    script.addEventListener("error", () => { byId("said").textContent = `${script.src} cannot be read.`; });
    document.head.append(script);
  }
  draw();
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function rectangles(boxes, kind) {
  return boxes.flatMap(([x1, y1, x2, y2]) =>
    ["halo", kind].map((name) => element("rect", { x: x1, y: y1, width: Math.max(x2 - x1, 0), height: Math.max(y2 - y1, 0), class: name })),
  );
}

function drawing(image, boxes, label) {
  const svg = element("svg", { viewBox: `0 0 ${image.width} ${image.height}`, role: "img", "aria-label": label });
  svg.append(element("image", { href: image.file, width: image.width, height: image.height }));
  if (byId("truth").checked) svg.append(...rectangles(image.boxes, "box true"));
  svg.append(...rectangles(boxes, "box"));
  return svg;
}

function draw() {
  const least = Number(byId("score").value);
  byId("least").textContent = least.toFixed(2);
  const chosen = sides.map((select) => {
    const entry = entries.find((each) => each.id === select.value);
    const bundle = bundles.get(entry.bundle);
    return bundle && { entry, bundle, row: bundle.rows.find((row) => `${entry.bundle}-${row.row}` === entry.id) };
  });
  if (!chosen.every((side) => side && side.row)) return;
  const [first, second] = chosen;
  const pairs = [];
  first.bundle.images.forEach((image, position) => {
    const other = second.bundle.images.findIndex((each) => each.n === image.n);
    if (other < 0) return;
    const pair = document.createElement("div");
    pair.className = "pair";
    [[first, image, position], [second, second.bundle.images[other], other]].forEach(([side, shown, number]) => {
      const boxes = side.row.boxes[number].filter((box) => box[4] >= least);
      const text = `test image ${shown.n}: ${boxes.length} boxes, ${shown.boxes.length} objects`;
      const half = document.createElement("div");
      const caption = document.createElement("p");
      caption.textContent = `${side.entry.label}, ${text}`;
      half.append(drawing(shown, boxes, `${side.entry.label}, ${text}`), caption);
      pair.append(half);
    });
    pairs.push(pair);
  });
  byId("pairs").replaceChildren(...pairs);
  byId("said").textContent = pairs.length ? "" : "The two bundles show no test image in common.";
}
