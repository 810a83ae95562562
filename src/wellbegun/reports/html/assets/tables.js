// Tables that sort, search and unfold, from JSON written by tables.py. Text goes in as text, never as HTML.
"use strict";
const Tables = (() => {
  const FIRST = { table: 100, cards: 8 }; // rows shown before "Show more"
  const STEP = 1000;
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };
  const NUMBER = /\d+(?:\.\d+)?(?:e[-+]?\d+)?/g;
  const masked = (text) => text.replace(NUMBER, "*");
  const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

  /** Columns with a value for each row; repeated texts are stored once. */
  function decoded(columns) {
    return columns.map((c) => {
      const cells = c.texts ? c.at.map((i) => c.texts[i]) : c.cells;
      const length = c.kind === "number" ? 0 : (c.texts ?? cells).reduce((most, text) => Math.max(most, text.length), 0);
      const width = length > 60 ? "long" : length > 18 ? "middle" : "";
      return { ...c, cells, style: `${{ number: "right", code: "code" }[c.kind] ?? ""} ${width}`.trim() };
    });
  }

  /** Numbers by size, then "inf" and "nan", then nothing; texts as people count (block 2 before block 10). */
  const order = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  function compare(a, b, numeric) {
    if (!numeric) return order.compare(a ?? "", b ?? "");
    const rank = (v) => (typeof v === "number" ? 0 : v === null || v === "" ? 2 : 1);
    return rank(a) - rank(b) || (rank(a) === 0 ? a - b : order.compare(a ?? "", b ?? ""));
  }

  /** One text for the cells of several rows; numbers that differ become a range, of first and last in the names. */
  function summary(column, rows, names) {
    const values = rows.map((row) => column.cells[row]);
    if (values.every((value) => value === values[0])) return shown(column, rows[0]);
    if (column.kind === "number") {
      const numbers = values.filter((value) => typeof value === "number");
      if (!numbers.length) return "";
      return `${Charts.show(Math.min(...numbers))} to ${Charts.show(Math.max(...numbers))}`;
    }
    const common = masked(values[0]);
    if (!values.every((value) => masked(value) === common)) return `${new Set(values).size} different`;
    if (column === names) {
      const [first, last] = [values[0], values.at(-1)].map((value) => value.split(/(\d+)/));
      return first.map((piece, place) => (piece === last[place] ? piece : `{${piece}..${last[place]}}`)).join("");
    }
    const numbers = values.map((value) => value.match(NUMBER)); // ranges of those that differ
    const between = values[0].split(NUMBER);
    return between.reduce((text, piece, place) => {
      const seen = numbers.map((found) => found[place - 1]);
      const [low, high] = [Math.min(...seen), Math.max(...seen)];
      return text + (low === high ? seen[0] : `${Charts.show(low)}…${Charts.show(high)}`) + piece;
    });
  }

  const shown = (column, row) => {
    const value = column.cells[row];
    return column.kind === "number" ? (value === null ? "" : Charts.show(value)) : (value ?? "");
  };

  class Table {
    constructor(block) {
      const data = Charts.data(block.dataset.table);
      Object.assign(this, { block, noun: data.noun, columns: decoded(data.columns), caption: data.caption });
      this.count = this.columns[0].cells.length;
      this.groups = data.groups ?? null;
      this.grouped = this.groups !== null;
      this.groupOf = [];
      this.groups?.forEach((rows, key) => rows.forEach((row) => { this.groupOf[row] = key; }));
      this.open = new Set();
      this.sorted = null; // {column, down}
      this.words = [];
      this.extra = 0; // rows asked for beyond the first
      this.cards = false;
      this.search = null; // what each row says, made at the first search
      this.build();
      this.draw();
      let width = 0;
      new ResizeObserver(() => {
        if (this.block.clientWidth !== width) { width = this.block.clientWidth; this.fit(); }
      }).observe(this.block);
    }

    /** Rows become cards where the columns have no room beside each other: none hides off the edge. */
    fit() {
      if (!this.block.clientWidth || matchMedia("print").matches) return;
      const before = this.cards;
      this.block.classList.remove("narrow");
      this.cards = this.tooWide();
      this.block.classList.toggle("narrow", this.cards);
      if (before !== this.cards) this.draw();
    }
    tooWide() { return this.scroll.scrollWidth > this.scroll.clientWidth + 1; }
    get most() { return FIRST[this.cards ? "cards" : "table"] + this.extra; }

    build() {
      const id = this.block.dataset.table;
      this.status = make("p", { role: "status", class: "muted small status" });
      const controls = make("div", { class: "controls" });
      if (this.count > 8) {
        const input = make("input", { type: "search", id: `${id}-search`, autocomplete: "off", spellcheck: "false" });
        input.addEventListener("input", () => this.find(input.value));
        const label = make("label", { for: input.id }, `Search ${this.noun}s`);
        controls.append(make("div", { class: "field" }, label, input));
      }
      if (this.groups) {
        const box = make("input", { type: "checkbox", id: `${id}-group` });
        box.checked = true;
        box.addEventListener("change", () => { this.grouped = box.checked; this.extra = 0; this.draw(); });
        controls.append(make("label", { class: "check", for: box.id }, box, " Put repeated blocks together"));
      }
      controls.append(this.status);
      this.head = make("tr", { role: "row" });
      this.columns.forEach((column, index) => this.head.append(this.heading(column, index)));
      this.body = make("tbody", { role: "rowgroup" });
      this.table = make("table", { role: "table" }, make("caption", {}, this.caption),
        make("thead", { role: "rowgroup" }, this.head), this.body);
      this.more = make("button", { type: "button", class: "more" });
      this.more.addEventListener("click", () => this.extend());
      this.scroll = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": this.caption }, this.table);
      this.block.replaceChildren(controls, this.scroll, this.more);
    }

    heading(column, index) {
      const button = make("button", { type: "button", class: "sort" }, column.title, make("span", { "aria-hidden": "true" }));
      button.addEventListener("click", () => this.sort(index));
      const cell = make("th", { role: "columnheader", scope: "col", "aria-sort": "none" }, button);
      if (column.hint) button.title = column.hint;
      if (column.kind === "number") cell.className = "right";
      return cell;
    }

    sort(index) {
      const down = this.sorted?.column === index && !this.sorted.down;
      const again = this.sorted?.column === index && this.sorted.down;
      this.sorted = again ? null : { column: index, down }; // up, down, as it was
      [...this.head.children].forEach((cell, i) =>
        cell.setAttribute("aria-sort", this.sorted?.column === i ? (down ? "descending" : "ascending") : "none"));
      this.draw();
    }

    find(text) {
      this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
      this.search ??= Array.from({ length: this.count }, (_, row) =>
        this.columns.map((column) => shown(column, row)).join("\n").toLowerCase());
      this.extra = 0;
      this.draw();
    }

    /** Rows to show, in order: lists of one row, or of the rows of a group. */
    items() {
      const hit = (row) => this.words.every((word) => this.search[row].includes(word));
      const parts = this.grouped ? this.groups : Array.from({ length: this.count }, (_, row) => [row]);
      const found = this.words.length ? parts.map((rows) => rows.filter(hit)).filter((rows) => rows.length) : parts;
      if (!this.sorted) return found;
      const { cells, kind } = this.columns[this.sorted.column];
      const sign = this.sorted.down ? -1 : 1;
      const by = (a, b) => sign * compare(cells[a], cells[b], kind === "number");
      return found.map((rows) => (rows.length > 1 ? [...rows].sort(by) : rows)).sort((a, b) => by(a[0], b[0]));
    }

    draw() {
      const items = this.items();
      const rows = items.reduce((sum, item) => sum + item.length, 0);
      const all = plural(this.count, this.noun);
      const lines = this.grouped && items.length < rows ? ` in ${plural(items.length, "line")}` : "";
      this.status.textContent = rows ? (rows < this.count ? `${rows.toLocaleString("en")} of ${all}` : all) + lines : `No ${this.noun} says that.`;
      this.body.replaceChildren(...items.slice(0, this.most).flatMap((item) => this.lines(item)));
      const hidden = items.length - this.most;
      this.more.hidden = hidden <= 0;
      if (hidden > 0) this.more.textContent = `Show ${Math.min(hidden, STEP).toLocaleString("en")} more`;
      if (!this.cards && this.tooWide()) this.fit(); // these rows are wider than those before
    }

    /** More rows, with the focus on the first of them. */
    extend() {
      const at = this.body.children.length;
      this.extra += STEP;
      this.draw();
      const first = this.body.children[at];
      if (first) { first.tabIndex = -1; first.focus(); }
    }

    lines(item) {
      if (item.length === 1) return [this.line(item[0])];
      const key = this.groupOf[item[0]];
      const open = this.open.has(key);
      const head = this.line(item, (cell) => {
        const label = make("button", { type: "button", class: "unfold", "aria-expanded": String(open) },
          make("span", { "aria-hidden": "true" }), cell.textContent);
        label.addEventListener("click", () => this.unfold(key, head, item));
        cell.replaceChildren(label, make("span", { class: "count" }, `${item.length} ${this.noun}s`));
      });
      return open ? [head, ...item.map((row) => this.line(row, null, "member"))] : [head];
    }

    unfold(key, head, item) {
      const open = !this.open.delete(key);
      if (open) this.open.add(key);
      head.querySelector(".unfold").setAttribute("aria-expanded", String(open));
      if (open) head.after(...item.map((row) => this.line(row, null, "member")));
      else for (let left = item.length; left > 0; left--) head.nextSibling.remove();
    }

    line(rows, dress = null, kind = "") {
      const row = make("tr", { role: "row", ...(kind && { class: kind }) });
      this.columns.forEach((column, index) => {
        const text = Array.isArray(rows) ? summary(column, rows, this.columns[0]) : shown(column, rows);
        const cell = index === 0 ? make("th", { role: "rowheader", scope: "row" }) : make("td", { role: "cell" });
        cell.dataset.title = column.title;
        cell.className = column.style;
        cell.textContent = text;
        if (text === "") cell.classList.add("empty");
        if (index === 0 && dress) dress(cell);
        row.append(cell);
      });
      return row;
    }
  }

  const all = [...document.querySelectorAll("[data-table]")].map((block) => new Table(block));
  return { Table, all };
})();
