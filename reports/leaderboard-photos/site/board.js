// Sorts and filters the tables. Rows that the scores do not tell apart are one <tbody> each; they stay together unless that is switched off.
"use strict";

const together = document.getElementById("together");
const tables = [...document.querySelectorAll("table.board")].map((table) => ({
  table,
  bodies: [...table.tBodies].map((body) => ({ body, head: body.rows[0], rows: [...body.rows].slice(1) })),
  column: 0,
  ascending: true,
}));

function value(row, column, kind) {
  const cell = row.cells[column];
  if (kind === "text") return cell.textContent.trim().toLowerCase();
  return cell.dataset.v === "" ? null : Number(cell.dataset.v);
}

function compare(state, kind) {
  const sign = state.ascending ? 1 : -1;
  return (one, other) => {
    const [a, b] = [value(one, state.column, kind), value(other, state.column, kind)];
    if (a === null || b === null) return (a === null) - (b === null); // what has no value comes last, whichever way
    return sign * (kind === "text" ? a.localeCompare(b) : a - b); // 0 for ties: the order by rank stays
  };
}

function arrange(state) {
  const heading = state.table.tHead.rows[0].cells[state.column];
  const order = compare(state, heading.dataset.sort);
  let bodies = state.bodies;
  if (together.checked) {
    // By rank the groups themselves turn around; any other column sorts within each group.
    if (state.column === 0 && !state.ascending) {
      const ranked = bodies.filter(({ body }) => body.className === "ranked").reverse();
      bodies = [...ranked, ...bodies.filter(({ body }) => body.className !== "ranked")];
    }
    for (const { body, head, rows } of bodies) body.append(head, ...[...rows].sort(order));
    state.table.append(...bodies.map(({ body }) => body));
    for (const { head } of bodies) head.hidden = false;
  } else {
    const rows = bodies.flatMap((each) => each.rows).sort(order);
    for (const { head } of bodies) head.hidden = true;
    bodies[0].body.append(...rows);
  }
  for (const cell of state.table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", state.ascending ? "ascending" : "descending");
  filter();
}

function wanted(row, words, picks) {
  const text = row.textContent.toLowerCase();
  return words.every((word) => text.includes(word)) && picks.every(([name, pick]) => !pick || row.dataset[name] === pick);
}

function filter() {
  const words = document.getElementById("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const picks = ["level", "verdict", "kind"].map((name) => [name, document.getElementById(name).value]);
  let shown = 0;
  let all = 0;
  for (const { bodies } of tables) {
    for (const { head, rows } of bodies) {
      let left = 0;
      for (const row of rows) {
        row.hidden = !wanted(row, words, picks);
        left += !row.hidden;
      }
      head.hidden = left === 0 || !together.checked;
      shown += left;
      all += rows.length;
    }
  }
  const some = shown < all ? "; ranks are those among all rows" : "";
  document.getElementById("count").textContent = `${shown} of ${all} rows${some}`;
}

for (const state of tables) {
  [...state.table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...cell.childNodes);
    cell.append(button);
    button.addEventListener("click", () => {
      state.ascending = state.column === column ? !state.ascending : cell.dataset.first !== "descending";
      state.column = column;
      arrange(state);
    });
  });
}
const form = document.getElementById("controls");
form.hidden = tables.length === 0;
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", filter);
form.addEventListener("reset", () => setTimeout(() => tables.forEach(arrange)));
together.addEventListener("change", () => tables.forEach(arrange));
filter();
