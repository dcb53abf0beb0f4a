// The table of jobs: sorted, searched and turned page by page. Knows the data beside it and nothing of the outside.
"use strict";
(() => {
  const PAGE = 50, PAPER = 100, NOTHING = "\u2013";
  const element = (id) => document.getElementById(id);
  if (!element("jobs-data")) return; // there are no jobs
  const { rows, columns } = JSON.parse(element("jobs-data").textContent);
  const table = element("jobs-table"), body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const search = element("jobs-search"), status = element("jobs-state"), said = element("jobs-status");
  const at = (column, row) => {
    const cell = column.cells[row];
    return cell === null || column.choices === undefined ? cell : column.choices[cell];
  };

  // Numbers are written as the rest of the page writes them.
  const grouped = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ",");
  const signed = (number, write) => (number < 0n ? "-" + write(-number) : write(number));
  const cents = (nano) => {
    const all = ((nano + 5000000n) / 10000000n).toString().padStart(3, "0");
    return nano > 0n && nano < 10000000n ? "< $0.01" : "$" + grouped(all.slice(0, -2)) + "." + all.slice(-2);
  };
  const dollars = (nano) => {
    const all = nano.toString().padStart(10, "0"), rest = all.slice(-9).replace(/0+$/, "");
    return "$" + all.slice(0, -9) + (rest && "." + rest);
  };
  const duration = (value) => {
    if (value < 10) {
      const tenths = Math.floor(value * 10 + 0.5);
      return Math.floor(tenths / 10) + "." + (tenths % 10) + " s";
    }
    const whole = Math.floor(value + 0.5);
    for (const [size, unit, below, smaller] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
      if (whole >= size) {
        const rest = Math.floor((whole % size) / below);
        return grouped(String(Math.floor(whole / size))) + " " + unit + (rest ? ` ${rest} ${smaller}` : "");
      }
    }
    return whole + " s";
  };
  const moment = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19) + "Z";
  const written = {
    text: (cell) => [cell],
    time: (cell) => [moment(cell).slice(0, 16).replace("T", " "), moment(cell)],
    count: (cell) => [signed(BigInt(cell), (number) => grouped(number.toString()))],
    money: (cell) => [signed(BigInt(cell), cents), signed(BigInt(cell), dollars)],
    seconds: (cell) => [duration(cell), `${cell} s`],
  };

  const order = Array.from({ length: rows }, (_, row) => row);
  let found = order, page = 0;

  const draw = (from, until) => {
    const lines = found.slice(from, until).map((row) => {
      const line = document.createElement("tr");
      columns.forEach((column, place) => {
        const cell = document.createElement(place ? "td" : "th");
        const value = at(column, row), [told, exact] = value === null ? [NOTHING] : written[column.kind](value);
        cell.textContent = told;
        if (!place) cell.scope = "row";
        if (exact !== undefined && exact !== told) cell.title = exact;
        if (heads[place].className) cell.className = heads[place].className;
        line.append(cell);
      });
      return line;
    });
    body.replaceChildren(...lines);
  };
  const number = (count) => grouped(String(count));
  const show = () => {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    draw(page * PAGE, (page + 1) * PAGE);
    const first = page * PAGE + 1, last = Math.min(found.length, first + PAGE - 1);
    const which = found.length ? `${number(first)} to ${number(last)} of ${number(found.length)}` : "No";
    const whole = found.length === rows ? "" : `, of ${number(rows)} in all`;
    said.textContent = `${which} ${found.length === 1 ? "job" : "jobs"}${whole}`;
    element("jobs-page").textContent = `Page ${number(page + 1)} of ${number(pages)}`;
    for (const [id, ends] of [["first", page === 0], ["back", page === 0], ["next", page === pages - 1], ["last", page === pages - 1]])
      element(`jobs-${id}`).disabled = ends;
  };

  // What is searched: all texts of a row, put together when first asked for.
  let texts = null;
  const searched = () => {
    const lower = columns.filter((column) => column.kind === "text").map((column) => ({
      cells: column.cells, choices: (column.choices ?? column.cells).map((text) => text.toLowerCase()), direct: !column.choices,
    }));
    texts = order.slice().sort((a, b) => a - b).map((row) =>
      lower.map(({ cells, choices, direct }) => (cells[row] === null ? "" : choices[direct ? row : cells[row]])).join("\n"));
  };
  const state = columns.find((_, place) => heads[place].textContent === "Status");
  const pick = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (wanted.length && texts === null) searched();
    const kind = status.value === "" ? -1 : Number(status.value);
    found = order.filter((row) => (kind < 0 || state.cells[row] === kind) && wanted.every((word) => texts[row].includes(word)));
    page = 0;
    show();
  };

  const ranks = (column) => {
    if (column.kind !== "text") return column.cells.map((cell) => (typeof cell === "string" ? BigInt(cell) : cell));
    const lower = (text) => [text.toLowerCase(), text];
    const less = ([a, x], [b, y]) => (a < b || (a === b && x < y) ? -1 : a === b && x === y ? 0 : 1);
    const names = (column.choices ?? column.cells).map(lower);
    const place = new Array(names.length);
    names.map((_, index) => index).sort((a, b) => less(names[a], names[b])).forEach((index, rank) => { place[index] = rank; });
    return column.cells.map((cell, row) => (cell === null ? null : place[column.choices ? cell : row]));
  };
  const sort = (column, head) => {
    const before = head.getAttribute("aria-sort");
    const rising = before ? before === "descending" : column.kind === "text";
    column.ranks ??= ranks(column);
    const rank = column.ranks, way = rising ? 1 : -1;
    // Rows without a value stay last either way; equal ones keep the order that they had.
    order.sort((a, b) => {
      const x = rank[a], y = rank[b];
      if (x === null || y === null) return (x === null) - (y === null);
      return x < y ? -way : x > y ? way : 0;
    });
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    pick();
  };

  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(columns[place], head));
    head.append(button);
  });
  state.choices.map((text, place) => [text, place]).sort(([a], [b]) => (a < b ? -1 : 1)).forEach(([text, place]) => {
    const option = document.createElement("option");
    option.value = place;
    option.textContent = text;
    status.append(option);
  });
  search.addEventListener("input", pick);
  status.addEventListener("change", pick);
  const turn = { first: () => 0, back: () => page - 1, next: () => page + 1, last: () => Infinity };
  for (const [id, where] of Object.entries(turn))
    element(`jobs-${id}`).addEventListener("click", () => { page = where(); show(); });
  element("jobs-tools").hidden = element("jobs-pages").hidden = false;

  // On paper there is nothing to turn or to open.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((part) => { part.open = true; });
    draw(0, PAPER);
    said.textContent = `The first ${number(Math.min(PAPER, found.length))} of ${number(found.length)} jobs`;
  });
  addEventListener("afterprint", () => {
    closed.forEach((part) => { part.open = false; });
    show();
  });
  show();
})();
