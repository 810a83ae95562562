// Controls, the address of the page, the packed measurements, and the playground.
"use strict";
const Explore = (() => {
  const data = (name) => Charts.data(`data-${name}`);
  const play = data("play");
  const node = (id) => document.getElementById(id);
  const show = Charts.show;
  const painters = {}; // id of a control -> what to draw when it changes

  // ------------------------------------------------------------------ controls and the address
  const controls = [...document.querySelectorAll("main select[id], main input[type=range][id]")];
  const first = Object.fromEntries(controls.map((control) => [control.id, control.value]));
  const value = (id) => node(id).value;
  const count = (id) => Number(node(id).value);

  function address() {
    const changed = controls.filter((control) => control.value !== first[control.id]);
    const text = changed.map((control) => `${control.id}=${encodeURIComponent(control.value)}`).join("&");
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  /** What the address says; a plain anchor says nothing. */
  function restore() {
    if (!location.hash.includes("=")) return false;
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const control of controls) {
      const wanted = asked.get(control.id) ?? first[control.id];
      const known = control.tagName === "SELECT" ? [...control.options].some((o) => o.value === wanted)
        : /^\d+$/.test(wanted) && Number(wanted) <= Number(control.max);
      control.value = known ? wanted : first[control.id];
    }
    const at = asked.get("at") ?? controls.find((control) => asked.has(control.id))?.closest("section")?.id;
    if (at) node(at)?.scrollIntoView();
    return true;
  }

  /** Draw now, and again whenever one of the controls changes. */
  function on(ids, paint) {
    for (const id of ids) (painters[id] ??= new Set()).add(paint);
    paint();
  }
  const all = () => new Set(Object.values(painters).flatMap((set) => [...set]));
  for (const control of controls) {
    control.addEventListener("input", () => {
      address();
      painters[control.id]?.forEach((paint) => paint());
    });
  }
  addEventListener("hashchange", () => { if (restore()) all().forEach((paint) => paint()); });

  // ------------------------------------------------------------------ drawing
  /** A fresh chart in the place of the old one. */
  function fresh(id) {
    const block = Charts.element("div", { class: "chart" });
    node(id).replaceChildren(block);
    return block;
  }
  const lines = (id, spec) => Charts.lines(fresh(id), spec);
  const layersAxis = (depth) => ({ xs: d3.range(1, depth + 1), x: { title: "layer" } });
  const power = (log) => (log === -Infinity ? 0 : 10 ** log);
  const hundredths = (values) => values.map((v) => 10 ** (v / 100));
  /** The range check calls healthy; the lower text stands above its line where there is no room below. */
  const limits = (what, lowest) => [
    { value: what, text: `${what} times larger`, below: false },
    { value: 1 / what, text: `${what} times smaller`, below: lowest < 1 / what },
  ];
  const clampDecades = (values) => values.map((v) => (v === 0 ? 0 : Math.min(Math.max(v, 1e-30), 1e30)));
  /** Signal or gradient by layer on a log axis, with the range that check calls healthy. */
  function byLayer(id, label, title, series) {
    const depth = Math.max(...series.map((s) => s.values.length)), lowest = Math.min(...series.flatMap((s) => s.values));
    lines(id, {
      label, ...layersAxis(depth), y: { title, log: true }, bounds: limits(100, lowest),
      series: series.map((s) => ({ ...s, values: clampDecades(s.values) })),
    });
    if (lowest === 0) node(id).append(Charts.element("p", { class: "small muted facts-line" }, "× at the lower edge: exactly 0."));
  }

  // ------------------------------------------------------------------ the packed measurements
  async function unpack() {
    const { fields, data: text } = data("packed");
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const raw = new Uint8Array(await new Response(stream).arrayBuffer());
    const at = {};
    for (const [name, [start, shape, kind]] of Object.entries(fields)) {
      const size = shape.slice(1).reduce((a, b) => a * b, 1), total = shape[0] * size;
      const byte = (i) => raw[start + i];
      const wide = (i) => ((raw[start + i] | (raw[start + total + i] << 8)) << 16) >> 16;
      at[name] = (record) => d3.range(record * size, (record + 1) * size).map(kind === "i2" ? wide : byte);
    }
    return at;
  }
  /** Differences -> logarithms; 32767 below is what packing.py calls NOTHING. */
  function logs(differences) {
    let sum = 0;
    return differences.map((d) => {
      sum = ((sum + d) << 16) >> 16;
      return sum === -32768 ? -Infinity : sum / 200;
    });
  }
  const shares = (bytes) => bytes.map((b) => b / 255);
  const squares = (bytes) => bytes.map((b) => (b / 255) ** 2);

  /** Everything measured for one choice. */
  function network(at, key, activation, depth, width, scale) {
    const find = (wanted) => play.choices.find((c) => c.key === wanted), picked = find(key);
    const choice = picked.by ? find(picked.by[`${activation} ${width}`]) : picked; // what a recipe takes here
    const row = play.starts[`${choice.kind} ${activation} ${width}`] + choice.rows[width][scale];
    const d = play.depths.indexOf(depth), before = d3.sum(play.depths.slice(0, d));
    const gradient = logs(at.gradient(row)).slice(before, before + depth);
    const theoryGradient = logs(at.theory_gradient(row)).slice(0, depth);
    const kept = play.layers.filter((l) => l <= depth);
    const stored = d3.sum(play.depths.slice(0, d), (end) => play.layers.filter((l) => l <= end).length);
    const half = (play.bins + 1) / 2;
    const shape = squares(at.shape(row)), gradientShape = squares(at.gradient_shape(row));
    const extreme = at.extreme(row), number = play.depths.length;
    return {
      choice, row, depth, width, kept, known: choice.known, found: at.findings(row)[d],
      law: choice.laws[width][scale], std: choice.std[width] * play.scales[scale],
      handed: logs(at.handed(row)).slice(0, depth).map(power),
      gradient: gradient.map(power),
      theory: logs(at.theory(row)).slice(0, depth).map(power),
      theoryGradient: theoryGradient.map((v) => power(v - theoryGradient[depth - 1])),
      flat: shares(at.flat(row)).slice(0, depth), dead: shares(at.dead(row)).slice(0, depth),
      apart: logs(at.apart(row)).slice(0, depth).map(power), // 1 minus the cosine of two inputs
      signals: kept.map((_, i) => shape.slice(i * play.bins, (i + 1) * play.bins)),
      gradients: kept.map((_, i) => gradientShape.slice((stored + i) * half, (stored + i + 1) * half)),
      signalRatio: power(logs(extreme.slice(0, number))[d]), gradientRatio: power(logs(extreme.slice(number))[d]),
    };
  }

  // ------------------------------------------------------------------ distributions by layer
  /** Upright histograms side by side, one for each layer: {rows: [shares], layers, low, high, open, title, colour}. */
  function strips(id, spec) {
    const block = fresh(id), bins = spec.rows[0].length, step = (spec.high - spec.low) / bins;
    block.setAttribute("role", "img");
    block.setAttribute("aria-label", spec.label);
    const paint = (width) => {
      const height = 260, left = 44, bottom = 40, top = 10;
      const svg = d3.create("svg").attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height)
        .attr("aria-hidden", "true").attr("font-size", 12).attr("fill", "currentColor");
      const defs = svg.append("defs").append("pattern").attr("id", `${id}-beyond`).attr("width", 5).attr("height", 5)
        .attr("patternUnits", "userSpaceOnUse").attr("patternTransform", "rotate(45)");
      defs.append("rect").attr("width", 2.5).attr("height", 5).attr("fill", spec.colour);
      const x = d3.scaleBand(d3.range(spec.layers.length), [left, width - 8]).paddingInner(0.12);
      const y = d3.scaleLinear([spec.low, spec.high], [height - bottom, top]);
      for (const tick of y.ticks(5)) {
        svg.append("line").attr("x1", left).attr("x2", width - 8).attr("y1", y(tick)).attr("y2", y(tick)).attr("stroke", "var(--line)");
        svg.append("text").attr("x", left - 8).attr("y", y(tick)).attr("dy", "0.32em").attr("text-anchor", "end").text(tick);
      }
      spec.rows.forEach((row, i) => {
        const sorted = row.toSorted(d3.descending), most = Math.min(sorted[0], Math.max(1.5 * sorted[1], 0.05)), middle = x(i) + x.bandwidth() / 2;
        row.forEach((share, bin) => {
          if (share < 0.0004) return;
          const wide = Math.max(1, Math.min(1, share / most) * x.bandwidth());
          const beyond = spec.open && (bin === 0 || bin === bins - 1);
          svg.append("rect").attr("x", middle - wide / 2).attr("width", wide)
            .attr("y", y(spec.low + (bin + 1) * step)).attr("height", Math.max(1, y(spec.low) - y(spec.low + step) + 0.3))
            .attr("fill", beyond ? `url(#${id}-beyond)` : spec.colour);
        });
        svg.append("text").attr("x", middle).attr("y", height - bottom + 16).attr("text-anchor", "middle").text(spec.layers[i]);
      });
      svg.append("text").attr("x", (left + width) / 2).attr("y", height - 6).attr("text-anchor", "middle").attr("fill", "var(--muted)").text("layer");
      block.replaceChildren(svg.node());
    };
    Charts.responsive(block, paint);
  }

  /** Shares of |x| -> shares of x: the law of a gradient is symmetric. */
  const bothSides = (half) => [...half.slice(1).reverse().map((s) => s / 2), half[0], ...half.slice(1).map((s) => s / 2)];
  const beyond = (row) => row[0] + row[row.length - 1];

  // ------------------------------------------------------------------ the verdict
  const BITS = { signalGone: 1, signalHuge: 2, gradientGone: 4, gradientHuge: 8, equal: 16, alike: 32, flat: 64 };
  const times = (x) => (x === 0 ? "0" : x > 1e30 ? "more than 1e30" : x < 1e-30 ? "less than 1e-30" : show(Number(x.toPrecision(2))));

  /** {kind, sign, title, why}: one plain sentence, and the reason with numbers. */
  function judge(net) {
    const has = (bit) => (net.found & BITS[bit]) !== 0, last = net.depth - 1;
    const also = [
      ...(has("flat") ? [`In some layer ${show(Number((100 * d3.max(net.flat)).toPrecision(2)))} % of all sums lie where the activation is flat.`] : []),
      ...(has("alike") ? [`In layer ${net.depth} two inputs differ by ${times(net.apart[last])} (1 minus their cosine); check calls less than ${play.collapse.toFixed(5)} a collapse.`] : []),
    ];
    const bad = (title, ...why) => ({ kind: "bad", sign: "✕", title, why: [...why, ...also].join(" ") });
    if (has("equal")) {
      return net.choice.key === "zeros"
        ? bad("Symmetric and silent: this network cannot begin to learn.", "With zeros nothing gets through: the first layer’s gradient is 0, and all units of a layer are copies of each other.")
        : bad("Symmetric: every layer acts as a single unit.", "All weights are equal, so all units of a layer compute the same, get the same gradient, and stay the same for ever.");
    }
    const signal = `The sums inside the layers ${has("signalHuge") ? "grow" : "shrink"} to ${times(net.signalRatio)} times what came in`;
    const gradient = `the first layer’s gradient is ${times(net.gradientRatio)} times the last layer’s`;
    const healthy = "Healthy is within a factor of 100.";
    if (has("signalGone")) return bad(has("gradientGone") ? "Vanishing: signal and gradient fade away." : has("gradientHuge") ? "Vanishing signal, exploding gradient." : "Vanishing: the signal fades away.", `${signal}; ${gradient}.`, healthy);
    if (has("signalHuge")) return bad(has("gradientHuge") ? "Exploding: signal and gradient grow out of bounds." : "Exploding: the signal grows out of bounds.", `${signal}; ${gradient}.`, healthy);
    if (has("gradientGone")) return bad("Vanishing gradient: the first layers will hardly learn.", `The signal keeps its size, but ${gradient}.`, healthy);
    if (has("gradientHuge")) return bad("Exploding gradient: no learning rate fits all layers.", `The signal keeps its size, but a gradient reaches ${times(net.gradientRatio)} times the last layer’s.`, healthy);
    if (has("flat")) return bad("Saturated: the units are stuck.", "Signal and gradient keep their size, but little gets past flat ground.");
    if (has("alike")) return bad("Collapsed: the network sees no difference between inputs.", "Signal and gradient keep their size.");
    const close = net.apart[last] < 0.05 ? ` Inputs come out alike but not equal: they differ by ${times(net.apart[last])} (1 minus their cosine), and check speaks of a collapse below ${play.collapse.toFixed(5)}.` : "";
    return { kind: "good", sign: "✓", title: "Healthy: signal and gradient keep their size.", why: `An RMS of 1 came in, and layer ${net.depth} hands on ${times(net.handed[last])}; ${gradient}. Everything stays within a factor of 100.${close}` };
  }

  /** How the std compares with the one the activation asks for. */
  function advice(net, activation) {
    const asked = play.activations.find((a) => a.name === activation);
    if (net.choice.kind === "constant") return "";
    if (net.choice.kind === "mirrored") {
      return ["linear", "tanh"].includes(activation)
        ? "Mirrored pairs are not for functions that are odd, as this one: the pairs add up instead of cancelling, which acts like twice the weight."
        : "Units come in pairs of opposite sign, so the next layer sees φ(a) − φ(−a): for ReLU and its relatives that is simply a multiple of a.";
    }
    const fit = asked.gain / Math.sqrt(net.width), ratio = net.std / fit;
    const size = ratio > 1.02 ? `${show(Number(ratio.toPrecision(3)))} times that` : ratio < 0.98 ? `${show(Number(ratio.toPrecision(2)))} times that` : "just that";
    const steep = asked.name === "sigmoid" ? " But sigmoid’s slope is at most ¼: what keeps the signal cannot keep the gradient, so deep sigmoid networks need more than a scale." : "";
    return `Of a signal of unit size, ${asked.name} keeps ${show(Number((100 * asked.second).toPrecision(3)))} % of the mean square. To make up for it at width ${net.width}, the std should be about ${show(Number(fit.toPrecision(3)))}; here it is ${show(Number(net.std.toPrecision(3)))}, ${size}.${steep}`;
  }

  function verdict(net, other, activation) {
    const found = judge(net), block = node("verdict"), element = Charts.element;
    block.className = `verdict ${found.kind}`;
    const parts = [
      element("p", { class: "sentence" }, element("span", { "aria-hidden": "true" }, `${found.sign} `), found.title),
      element("p", {}, found.why),
      element("p", {}, `${net.choice.label} (${net.law}). ${advice(net, activation)}`),
    ];
    if (other) parts.push(element("p", { class: "other" }, element("strong", {}, `${other.choice.label}: `), judge(other).title));
    block.replaceChildren(...parts);
  }

  // ------------------------------------------------------------------ the playground
  function playground(at) {
    const activation = value("activation"), depth = count("depth"), width = count("width"), scale = count("scale");
    node("scale-text").textContent = `× ${show(Number(play.scales[scale].toPrecision(3)))}${[2, 4].includes(scale) ? (scale === 2 ? " (1/√2)" : " (√2)") : ""}`;
    node("scale").setAttribute("aria-valuetext", node("scale-text").textContent);
    const net = network(at, value("scheme"), activation, depth, width, scale);
    const other = value("compare") === "none" || value("compare") === value("scheme") ? null : network(at, value("compare"), activation, depth, width, scale);
    verdict(net, other, activation);
    const pairs = (measured, theory) => [
      { name: net.choice.label, values: net[measured] },
      ...(net.known ? [{ name: "theory for it", values: net[theory] }] : []),
      ...(other ? [{ name: other.choice.label, values: other[measured] }] : []),
    ];
    const what = `${net.choice.label}, ${activation}, width ${width}`;
    byLayer("figure-signal", `Signal by layer. ${what}: ${show(net.handed[0])} in layer 1, ${show(net.handed[depth - 1])} in layer ${depth}.`, "RMS", pairs("handed", "theory"));
    byLayer("figure-gradient", `Gradient by layer. ${what}: layer 1 gets ${show(net.gradient[0])} times the last layer’s.`, "RMS, last layer = 1", pairs("gradient", "theoryGradient"));
    const [low, high] = play.activations.find((a) => a.name === activation).range, open = high > 1;
    const outside = d3.max(net.signals, beyond);
    strips("figure-signals", {
      rows: net.signals, layers: net.kept, low, high, open, colour: "var(--series-1)",
      label: `Distribution of the signal in layers ${net.kept.join(", ")}, from ${low} to ${high}. ${open && outside > 0.02 ? `Up to ${show(100 * outside)} % lie beyond.` : "Almost all values lie within."}`,
    });
    strips("figure-gradients", {
      rows: net.gradients.map(bothSides), layers: net.kept, low: -3, high: 3, open: true, colour: "var(--series-3)",
      label: `Distribution of the gradient in layers ${net.kept.join(", ")}, in units of the last layer’s RMS, from -3 to 3.`,
    });
    const weights = play.weights[`${net.choice.kind} ${width}`], edges = d3.range(weights.counts.length + 1).map((i) => (-4 + (8 * i) / weights.counts.length) * (net.std || 1));
    if (net.choice.kind === "constant") {
      node("figure-weights").replaceChildren(Charts.element("p", {}, `Every weight is exactly ${show(net.std)}. There is no distribution to draw: that is the trouble.`));
    } else {
      Charts.bars(fresh("figure-weights"), { label: `Weights of ${net.choice.label}, ${net.law}, std ${show(net.std)}.`, edges, counts: weights.counts, expected: weights.expected });
      node("figure-weights").append(Charts.element("p", { class: "small muted facts-line" }, `Bars: counted. Dashed: the law ${net.law}. std ${show(Number(net.std.toPrecision(3)))}. Look at the numbers below the axis: the shape is the same at every scale.`));
    }
    lines("figure-shares", {
      label: `Shares by layer. In the last layer ${show(100 * net.flat[depth - 1])} % flat, ${show(100 * net.dead[depth - 1])} % dead, cosine of two inputs ${show(1 - net.apart[depth - 1])}.`,
      ...layersAxis(depth), y: { title: "share", domain: [0, 1] },
      series: [{ name: "flat sums", values: net.flat }, { name: "dead units", values: net.dead }, { name: "alike (cosine)", values: net.apart.map((left) => 1 - left) }],
    });
    document.body.dataset.drawn = [value("scheme"), value("compare"), activation, depth, width, scale].join(" ");
  }

  restore();
  unpack().then((at) => {
    on(["scheme", "compare", "activation", "depth", "width", "scale"], () => playground(at));
  }, (error) => {
    node("verdict").className = "verdict note";
    node("verdict").textContent = `This browser cannot unpack the measurements (${error.message}). A version from 2023 or later can.`;
  });
  return { data, node, value, count, on, lines, byLayer, fresh, hundredths, power, show, layersAxis };
})();
