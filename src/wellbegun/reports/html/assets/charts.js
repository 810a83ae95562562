// Charts over Observable Plot. Values are read in one way by pointer and by keyboard; marks differ in shape, not only in colour.
"use strict";
const Charts = (() => {
  const DASHES = ["", "7 4", "2 3", "10 3 2 3", "", "7 4", "2 3"];
  const SYMBOLS = ["circle", "square", "triangle", "diamond", "star", "wye", "cross"];
  const colour = (i) => `var(--series-${(i % 7) + 1})`;
  const data = (id) => JSON.parse(document.getElementById(id).textContent);
  const number = (value) => typeof value === "number";

  /** A number as the tables show it; the texts "nan" and "inf" stay texts. */
  function show(value) {
    if (value === null || value === undefined) return "none";
    if (!number(value)) return String(value);
    if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
    const size = Math.abs(value);
    if (size < 1e-3 || size >= 1e6) return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
    return String(Number(value.toPrecision(3)));
  }
  const tick = (value) => (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5)
    ? value.toExponential().replace("e+", "e") : String(Number(value.toPrecision(6))));

  const element = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };

  /** A drawing with one name. Plot names its marks too, which a group without a role may not be. */
  function plot(options) {
    const svg = Plot.plot(options);
    svg.setAttribute("role", "img");
    for (const group of svg.querySelectorAll("g[aria-label]")) {
      group.dataset.mark = group.getAttribute("aria-label");
      group.removeAttribute("aria-label");
    }
    return svg;
  }

  /** Draw now and whenever the width changes. */
  function responsive(block, paint) {
    let width = 0;
    const look = () => {
      const now = Math.round(block.clientWidth);
      if (now && now !== width) paint((width = now));
    };
    new ResizeObserver(look).observe(block);
    look();
    return () => width && paint(width);
  }

  /** Values at one place of a chart: under the pointer, or where the arrow keys have moved to. */
  function reader(block, label) {
    const tip = element("div", { class: "tip", role: "status", "aria-live": "polite" });
    tip.hidden = true;
    Object.assign(block, { tabIndex: 0 });
    block.setAttribute("role", "group");
    block.setAttribute("aria-label", `${label} Arrow keys read the values.`);
    let svg, marks, at = -1;
    function move(index) {
      at = Math.max(0, Math.min(marks.count - 1, index));
      const [x, y] = marks.place(at);
      marks.cursor(at);
      const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      tip.replaceChildren(...marks.text(at).map((line, i) => element("div", i ? {} : { class: "place" }, line)));
      tip.hidden = false;
      const left = x * scale > block.clientWidth / 2 ? x * scale - tip.offsetWidth - 12 : x * scale + 12;
      tip.style.left = `${Math.max(0, Math.min(block.clientWidth - tip.offsetWidth, left))}px`;
      tip.style.top = `${Math.max(0, y * scale)}px`;
    }
    function leave() { at = -1; tip.hidden = true; marks?.cursor(-1); }
    block.addEventListener("pointermove", (event) => {
      if (!svg || !marks.count) return;
      const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
      move(marks.nearest((event.clientX - box.left) * scale, (event.clientY - box.top) * scale));
    });
    block.addEventListener("pointerleave", leave);
    block.addEventListener("blur", leave);
    block.addEventListener("keydown", (event) => {
      const step = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: Infinity }[event.key];
      if (event.key === "Escape") leave();
      if (step === undefined || !marks.count) return;
      event.preventDefault();
      move(at < 0 && step < 0 ? 0 : Math.min(step, marks.count - 1));
    });
    return (drawn, found) => { // a new drawing
      [svg, marks] = [drawn, found];
      block.replaceChildren(svg, tip);
      leave();
    };
  }

  /** A line across the chart at the place that is read. */
  function cursor(svg, horizontal = false) {
    const line = d3.select(svg).append("line").attr("stroke", "currentColor").attr("stroke-opacity", 0.6).attr("display", "none");
    const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    return (position) => line.attr("display", position === null ? "none" : null)
      .attr("x1", horizontal ? 0 : position).attr("x2", horizontal ? width : position)
      .attr("y1", horizontal ? position : 0).attr("y2", horizontal ? position : height - 30);
  }

  function legend(block, names, areas = false) {
    if (names.length < 2) return;
    const items = names.map((name, i) => {
      const svg = d3.create("svg").attr("width", 34).attr("height", 14).attr("aria-hidden", "true");
      if (areas && i === 0) svg.append("rect").attr("x", 3).attr("y", 1).attr("width", 28).attr("height", 12).attr("fill", colour(i)).attr("fill-opacity", 0.35);
      else {
        svg.append("line").attr("x1", 0).attr("x2", 34).attr("y1", 7).attr("y2", 7).attr("stroke", colour(i)).attr("stroke-width", 2).attr("stroke-dasharray", DASHES[i % 7]);
        if (!areas) svg.append("path").attr("transform", "translate(17,7)").attr("fill", colour(i)).attr("d", d3.symbol(symbol(i), 45)());
      }
      return element("li", {}, svg.node(), name);
    });
    block.before(element("ul", { class: "legend" }, ...items));
  }
  const symbol = (i) => d3[`symbol${SYMBOLS[i % 7][0].toUpperCase()}${SYMBOLS[i % 7].slice(1)}`];

  /** Powers of ten, seven at most. */
  function powers([low, high]) {
    const [from, to] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
    const step = Math.max(1, Math.ceil((to - from) / 6));
    return d3.range(Math.ceil(from / step) * step, to + 1, step).map((power) => Number(`1e${power}`)); // 1 is one of them
  }

  /** Smallest and largest value to show; on a log scale 0 stands at the bottom edge, inf and nan at the top. */
  function extent(spec) {
    const log = spec.y.log;
    const all = spec.series.flatMap((s) => [...s.values, ...(s.low ?? []), ...(s.high ?? [])]).concat((spec.bounds ?? []).map((b) => b.value));
    const seen = all.filter((v) => number(v) && (!log || v > 0));
    if (!log) return spec.y.domain ?? d3.nice(...pad(d3.extent(seen)), 5);
    let [low, high] = seen.length ? d3.extent(seen) : [1e-3, 1];
    if (all.some((v) => v === 0)) low /= 10;
    if (all.some((v) => typeof v === "string")) high *= 10;
    if (high / low < 10) [low, high] = [low / 2, high * 2];
    return [10 ** Math.floor(Math.log10(low) + 1e-9), 10 ** Math.ceil(Math.log10(high) - 1e-9)];
  }
  const pad = ([low, high]) => (low === undefined ? [0, 1] : low === high ? [low - 1, high + 1] : [low, high]);

  /** Series over a common axis: {label, xs, labels, x: {title}, y: {title, log}, series: [{name, values, low, high}], bounds}. */
  function lines(block, spec) {
    const domain = extent(spec), log = spec.y.log;
    const put = (v) => (v === null || v === undefined ? NaN : !number(v) ? domain[1] : log && v <= 0 ? domain[0] : v);
    const off = (v) => typeof v === "string" || (log && v !== null && v <= 0);
    legend(block, spec.series.map((s) => s.name));
    const render = reader(block, spec.label);
    const dense = spec.xs.length <= 80, every = Math.ceil(spec.xs.length / 12);
    const marked = (at, i) => dense || at % every === Math.floor((every * (i + 0.5)) / spec.series.length); // a few on long lines
    return responsive(block, (width) => {
      const narrow = width < 480;
      const rows = (s) => spec.xs.map((x, i) => ({ x, y: put(s.values[i]), off: off(s.values[i]), low: put(s.low?.[i]), high: put(s.high?.[i]) }));
      const marks = spec.series.flatMap((s, i) => {
        const points = rows(s);
        return [
          ...(s.low ? [Plot.areaY(points, { x: "x", y1: "low", y2: "high", fill: colour(i), fillOpacity: 0.18 })] : []),
          Plot.line(points, { x: "x", y: "y", stroke: colour(i), strokeWidth: 2, strokeDasharray: DASHES[i % 7] }),
          Plot.dot(points.filter((p, at) => !p.off && marked(at, i)), { x: "x", y: "y", fill: colour(i), symbol: SYMBOLS[i % 7], r: spec.xs.length > 30 && dense ? 2.5 : 3.5 }),
          Plot.dot(points.filter((p) => p.off), { x: "x", y: "y", stroke: colour(i), symbol: "times", r: 4, strokeWidth: 2 }),
        ];
      });
      const [first, last] = d3.extent(spec.xs);
      const svg = plot({
        width, height: narrow ? 260 : 320, marginLeft: 52, marginRight: 16, marginBottom: 42, ariaLabel: spec.label,
        style: { background: "none", color: "var(--text)", fontSize: "12px", fontFamily: "inherit" },
        x: { label: spec.x.title, domain: first === last ? [first - 1, last + 1] : [first, last],
          ticks: d3.ticks(first, last, narrow ? 5 : 10).filter(Number.isInteger), tickFormat: tick },
        y: { label: spec.y.title, type: log ? "log" : "linear", domain, ticks: log ? powers(domain) : 5, tickFormat: tick, clamp: true },
        marks: [
          Plot.gridY({ ticks: log ? powers(domain) : 5, stroke: "var(--line)", strokeOpacity: 1 }),
          ...(spec.bounds ?? []).flatMap((b) => [
            Plot.ruleY([b.value], { stroke: "var(--strong-line)", strokeDasharray: "1 3", strokeWidth: 1.5 }),
            Plot.text([b], { x: last, y: "value", text: "text", textAnchor: "end", dy: -8,
              fill: "var(--muted)", stroke: "var(--ground)", strokeWidth: 4 }),
          ]),
          ...marks,
        ],
      });
      const x = svg.scale("x"), rule = cursor(svg);
      render(svg, {
        count: spec.xs.length,
        place: (i) => [x.apply(spec.xs[i]), 24],
        nearest: (px) => d3.bisectCenter(spec.xs, x.invert(px)),
        cursor: (i) => rule(i < 0 ? null : x.apply(spec.xs[i])),
        text: (i) => [
          spec.labels?.[i] ?? `${spec.x.title} ${spec.xs[i]}`,
          ...spec.series.filter((s) => s.values[i] !== null && s.values[i] !== undefined).map((s) => `${s.name}: ${show(s.values[i])}`
            + (s.low ? ` (quarter of runs below ${show(s.low[i])}, quarter above ${show(s.high[i])})` : "")),
        ],
      });
    });
  }

  /** Counted values as bars, and the law's shares as a line: {label, edges, counts, expected}. */
  function bars(block, spec) {
    const total = d3.sum(spec.counts) || 1;
    const bins = spec.counts.map((count, i) => ({
      low: spec.edges[i], high: spec.edges[i + 1], count, share: count / total, law: spec.expected?.[i] ?? NaN,
    }));
    const render = reader(block, spec.label);
    return responsive(block, (width) => {
      const svg = plot({
        width, height: width < 480 ? 240 : 300, marginLeft: 52, marginRight: 16, marginBottom: 42, ariaLabel: spec.label,
        style: { background: "none", color: "var(--text)", fontSize: "12px", fontFamily: "inherit" },
        x: { label: "value", ticks: width < 480 ? 4 : 8, tickFormat: tick },
        y: { label: "share of values, %", percent: true, ticks: 5, grid: false },
        marks: [
          Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: 5 }),
          Plot.rectY(bins, { x1: "low", x2: "high", y: "share", fill: colour(0), fillOpacity: 0.35, stroke: colour(0), inset: 0 }),
          ...(spec.expected ? [
            Plot.line(bins, { x: (b) => (b.low + b.high) / 2, y: "law", stroke: colour(1), strokeWidth: 2, strokeDasharray: DASHES[1] }),
          ] : []),
          Plot.ruleY([0]),
        ],
      });
      const x = svg.scale("x"), rule = cursor(svg), middle = (i) => (bins[i].low + bins[i].high) / 2;
      render(svg, {
        count: bins.length,
        place: (i) => [x.apply(middle(i)), 24],
        nearest: (px) => d3.bisectCenter(bins.map((_, i) => middle(i)), x.invert(px)),
        cursor: (i) => rule(i < 0 ? null : x.apply(middle(i))),
        text: (i) => [
          `${show(bins[i].low)} to ${show(bins[i].high)}`,
          `counted: ${bins[i].count.toLocaleString("en")} (${show(100 * bins[i].share)} %)`,
          ...(spec.expected ? [`law: ${show(100 * bins[i].law)} %`] : []),
        ],
      });
    });
  }

  /** Differences with their intervals, a row for each: {label, x: {title}, rows: [{name, value, low, high}]}. */
  function intervals(block, spec) {
    const render = reader(block, spec.label);
    return responsive(block, (width) => {
      const certain = (row) => row.low > 0 || row.high < 0;
      const svg = plot({
        width, height: 34 * spec.rows.length + 60, marginLeft: 16, marginRight: 16, marginBottom: 42, ariaLabel: spec.label,
        style: { background: "none", color: "var(--text)", fontSize: "12px", fontFamily: "inherit" },
        x: { label: spec.x.title, ticks: width < 480 ? 4 : 8, tickFormat: tick, nice: true },
        y: { axis: null, domain: spec.rows.map((row) => row.name) },
        marks: [
          Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1 }),
          Plot.ruleX([0], { stroke: "var(--strong-line)", strokeWidth: 1.5 }),
          Plot.ruleY(spec.rows, { y: "name", x1: "low", x2: "high", stroke: (row) => (certain(row) ? "sure" : "open"), strokeWidth: 3 }),
          Plot.dot(spec.rows, { y: "name", x: "value", r: 5, strokeWidth: 2,
            fill: (row) => (certain(row) ? "sure" : "open"), stroke: (row) => (certain(row) ? "sure" : "open") }),
          Plot.text(spec.rows, { y: "name", text: "name", frameAnchor: "left", dy: -12, textAnchor: "start", fill: "var(--text)" }),
        ],
        color: { domain: ["sure", "open"], range: [colour(0), "var(--strong-line)"] },
      });
      const y = svg.scale("y"), x = svg.scale("x"), rule = cursor(svg, true);
      const at = (i) => y.apply(spec.rows[i].name) + (y.bandwidth ?? 0) / 2;
      render(svg, {
        count: spec.rows.length,
        place: (i) => [x.apply(spec.rows[i].value), at(i) + 10],
        nearest: (_, py) => d3.leastIndex(spec.rows, (a, b) => Math.abs(y.apply(a.name) - py) - Math.abs(y.apply(b.name) - py)),
        cursor: (i) => rule(i < 0 ? null : at(i)),
        text: (i) => {
          const row = spec.rows[i];
          return [row.name, `${show(row.value)}, between ${show(row.low)} and ${show(row.high)}`, ...(row.notes ?? [])];
        },
      });
    });
  }

  const kinds = { lines, bars, intervals };
  /** Draw what a spec says: {kind, ...}. */
  const draw = (block, spec) => kinds[spec.kind](block, spec);

  for (const block of document.querySelectorAll("[data-chart]")) draw(block, data(block.dataset.chart));
  return { data, show, element, plot, draw, lines, bars, intervals, legend, reader, responsive };
})();
