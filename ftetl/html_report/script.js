// The table of jobs: sorting, searching and paging over the JSON that stands beside it in the page.
"use strict";
(() => {
  const PAGE_SIZE = 50, PRINTED_ROWS = 100, MISSING = "\u2013";
  const element = (id) => document.getElementById(id);
  if (!element("jobs-data")) return; // there are no jobs
  const { rows, columns } = JSON.parse(element("jobs-data").textContent);
  const table = element("jobs-table"), body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const search = element("jobs-search"), status = element("jobs-state"), summary = element("jobs-status");
  const valueAt = (column, row) => {
    const cell = column.cells[row];
    return cell === null || column.choices === undefined ? cell : column.choices[cell];
  };

  // Cells are formatted as the rest of the page is, by formatting.py.
  const grouped = (number) => number.toLocaleString("en-US");
  const signed = (number, format) => (number < 0n ? "-" + format(-number) : format(number));
  const cents = (nano) => {
    if (nano > 0n && nano < 10000000n) return "< $0.01";
    const all = (nano + 5000000n) / 10000000n;
    return `$${grouped(all / 100n)}.${String(all % 100n).padStart(2, "0")}`;
  };
  const dollars = (nano) => {
    const fraction = String(nano % 1000000000n).padStart(9, "0").replace(/0+$/, "");
    return `$${nano / 1000000000n}${fraction && "." + fraction}`;
  };
  const duration = (seconds) => {
    if (seconds < 10) return (Math.floor(seconds * 10 + 0.5) / 10).toFixed(1) + " s";
    const whole = Math.floor(seconds + 0.5);
    for (const [size, unit, below, smaller] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
      if (whole >= size) {
        const rest = Math.floor((whole % size) / below);
        return `${grouped(Math.floor(whole / size))} ${unit}` + (rest ? ` ${rest} ${smaller}` : "");
      }
    }
    return whole + " s";
  };
  const timestamp = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19) + "Z";
  const textAndTitle = {
    text: (cell) => [cell],
    time: (cell) => [timestamp(cell).slice(0, 16).replace("T", " "), timestamp(cell)],
    count: (cell) => [grouped(BigInt(cell))],
    money: (cell) => [signed(BigInt(cell), cents), signed(BigInt(cell), dollars)],
    seconds: (cell) => [duration(cell), `${cell} s`],
  };

  const order = Array.from({ length: rows }, (_, row) => row);
  let matching = order, page = 0;

  const tableRow = (row) => {
    const line = document.createElement("tr");
    columns.forEach((column, place) => {
      const cell = document.createElement(place ? "td" : "th"), value = valueAt(column, row);
      const [text, title] = value === null ? [MISSING] : textAndTitle[column.kind](value);
      cell.textContent = text;
      if (!place) cell.scope = "row";
      if (title !== undefined && title !== text) cell.title = title;
      if (heads[place].className) cell.className = heads[place].className;
      line.append(cell);
    });
    return line;
  };
  const draw = (from, until) => body.replaceChildren(...matching.slice(from, until).map(tableRow));
  const show = () => {
    const last = Math.max(0, Math.ceil(matching.length / PAGE_SIZE) - 1);
    page = Math.min(Math.max(page, 0), last);
    const from = page * PAGE_SIZE, until = Math.min(matching.length, from + PAGE_SIZE);
    draw(from, until);
    const range = matching.length ? `${grouped(from + 1)} to ${grouped(until)} of ${grouped(matching.length)}` : "No";
    const total = matching.length === rows ? "" : `, of ${grouped(rows)} in all`;
    summary.textContent = `${range} ${matching.length === 1 ? "job" : "jobs"}${total}`;
    element("jobs-page").textContent = `Page ${grouped(page + 1)} of ${grouped(last + 1)}`;
    for (const id of ["first", "back"]) element(`jobs-${id}`).disabled = page === 0;
    for (const id of ["next", "last"]) element(`jobs-${id}`).disabled = page === last;
  };

  let texts = null; // of each row all its texts, in lower case; made when first needed
  const textsOfRows = () => {
    const textColumns = columns.filter((column) => column.kind === "text");
    return Array.from({ length: rows }, (_, row) =>
      textColumns.map((column) => valueAt(column, row) ?? "").join("\n").toLowerCase());
  };
  const states = columns.find((_, place) => heads[place].textContent === "Status");
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length) texts ??= textsOfRows();
    matching = order.filter((row) => (status.value === "" || valueAt(states, row) === status.value)
      && words.every((word) => texts[row].includes(word)));
    page = 0;
    show();
  };

  // By letters in either case first, then by case.
  const textKey = (text) => `${text.toLowerCase()}\0${text}`;
  const sortKeys = (column) => {
    if (column.kind !== "text") return column.cells.map((cell) => (typeof cell === "string" ? BigInt(cell) : cell));
    const keys = (column.choices ?? column.cells).map(textKey);
    return column.cells.map((cell, row) => (cell === null ? null : keys[column.choices ? cell : row]));
  };
  const sort = (column, head) => {
    const before = head.getAttribute("aria-sort");
    const ascending = before ? before === "descending" : column.kind === "text";
    const keys = (column.keys ??= sortKeys(column));
    // Rows without a value stay last either way; equal ones keep the order that they had.
    order.sort((a, b) => {
      const x = keys[a], y = keys[b];
      if (x === null || y === null) return (x === null) - (y === null);
      return x === y ? 0 : (x < y) === ascending ? -1 : 1;
    });
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    filter();
  };

  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(columns[place], head));
    head.append(button);
  });
  status.append(...[...states.choices].sort().map((text) => new Option(text, text)));
  search.addEventListener("input", filter);
  status.addEventListener("change", filter);
  const targets = { first: () => 0, back: () => page - 1, next: () => page + 1, last: () => Infinity };
  for (const [id, target] of Object.entries(targets))
    element(`jobs-${id}`).addEventListener("click", () => { page = target(); show(); });
  element("jobs-tools").hidden = element("jobs-pages").hidden = false;

  // On paper nothing can be turned or opened.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((part) => { part.open = true; });
    draw(0, PRINTED_ROWS);
    summary.textContent = `The first ${grouped(Math.min(PRINTED_ROWS, matching.length))} of ${grouped(matching.length)} jobs`;
  });
  addEventListener("afterprint", () => {
    closed.forEach((part) => { part.open = false; });
    show();
  });
  show();
})();
