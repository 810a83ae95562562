// The figures of the chapters.
"use strict";
(() => {
  const { data, node, value, count, on, lines, byLayer, fresh, hundredths, show, layersAxis } = Explore;
  const STYLE = { background: "none", color: "var(--text)", fontSize: "12px", fontFamily: "inherit", overflow: "visible" };
  const round = (x, digits = 3) => show(Number(x.toPrecision(digits)));

  /** A Plot figure that follows the width: build(width) returns the options. */
  function plot(id, label, build) {
    const block = fresh(id);
    Charts.responsive(block, (width) => {
      const svg = Charts.plot({ width, height: width < 480 ? 260 : 300, marginLeft: 52, marginRight: 16, marginBottom: 42, style: STYLE, ariaLabel: label, ...build(width) });
      block.replaceChildren(svg);
    });
  }
  function tell(id, text) {
    const output = node(`${id}-text`);
    output.textContent = text;
    node(id).setAttribute("aria-valuetext", text);
  }

  // ------------------------------------------------------------------ formulas
  const formulas = data("formulas");
  on(["inputs", "outputs"], () => {
    const i = formulas.counts.indexOf(count("inputs")), o = formulas.counts.indexOf(count("outputs"));
    for (const row of document.querySelectorAll("[data-formula]")) {
      const key = row.dataset.formula, std = formulas.std[key][i][o], bound = formulas.bound[key]?.[i][o];
      row.querySelector(".std").textContent = show(std);
      row.querySelector(".law").textContent = key === "zeros" ? "0" : key === "constant" ? "0.5"
        : bound === undefined ? `N(0, ${round(std, 4)}²)` : `U(−${round(bound, 4)}, ${round(bound, 4)})`;
    }
  });

  // ------------------------------------------------------------------ 1: symmetry
  const symmetry = data("symmetry");
  const NAMES = { zeros: "all 0", constant: "all 0.5", random: "random" };
  const UNITS = ["var(--series-1)", "var(--series-2)", "var(--series-3)"];
  function net(run, frame) {
    const block = fresh("figure-net"), places = { x: [[90, 75], [90, 205]], h: [[250, 45], [250, 140], [250, 235]], y: [410, 140] };
    const svg = d3.create("svg").attr("viewBox", "0 0 500 280").attr("aria-hidden", "true").attr("font-size", 14).attr("fill", "currentColor");
    const edge = (a, b, w, colour) => svg.append("line").attr("x1", a[0]).attr("y1", a[1]).attr("x2", b[0]).attr("y2", b[1])
      .attr("stroke", w === 0 ? "var(--line)" : colour).attr("stroke-width", w === 0 ? 1 : Math.min(1 + 2.2 * Math.abs(w), 12)).attr("stroke-dasharray", w < 0 ? "7 5" : null);
    places.h.forEach((h, j) => {
      places.x.forEach((x, i) => edge(x, h, run.hidden[frame][j][i], UNITS[j]));
      edge(h, places.y, run.out[frame][j], UNITS[j]);
    });
    const circle = ([x, y], text, colour) => {
      svg.append("circle").attr("cx", x).attr("cy", y).attr("r", 24).attr("fill", "var(--ground)").attr("stroke", colour).attr("stroke-width", 2.5);
      svg.append("text").attr("x", x).attr("y", y).attr("dy", "0.35em").attr("text-anchor", "middle").text(text);
    };
    places.x.forEach((x, i) => circle(x, `x${i + 1}`, "var(--strong-line)"));
    places.h.forEach((h, j) => {
      circle(h, `h${j + 1}`, UNITS[j]);
      svg.append("text").attr("x", h[0]).attr("y", h[1] + 38).attr("text-anchor", "middle").attr("font-size", 12).attr("fill", "var(--text)")
        .attr("paint-order", "stroke").attr("stroke", "var(--ground)").attr("stroke-width", 5)
        .text(`${run.hidden[frame][j].map((w) => w.toFixed(2)).join(", ")} → ${run.out[frame][j].toFixed(2)}`);
    });
    circle(places.y, "y", "var(--strong-line)");
    block.setAttribute("role", "img");
    block.setAttribute("aria-label", `Weights at step ${run.step[frame]}. ${run.hidden[frame].map((w, j) => `Unit ${j + 1}: ${w.map((v) => v.toFixed(2)).join(" and ")} in, ${run.out[frame][j].toFixed(2)} out`).join(". ")}.`);
    block.append(svg.node());
  }
  const same = (run, frame) => run.hidden[frame].every((w) => w.every((v, i) => v === run.hidden[frame][0][i]));
  on(["symmetry", "step"], () => {
    const key = value("symmetry"), frame = count("step"), run = symmetry[key];
    tell("step", String(run.step[frame]));
    net(run, frame);
    const still = run.gradient[frame].flat().every((g) => g === 0);
    node("symmetry-text").textContent = `Step ${run.step[frame]}, loss ${run.loss[frame].toFixed(2)}. ` + (still
      ? "The gradient of every hidden weight is exactly 0: nothing moves, at this step or any other."
      : same(run, frame) ? "The three units have exactly equal weights and get exactly equal gradients: three copies of one unit, which cannot solve the task."
        : "The three units differ, each takes its own part, and together they " + (run.loss[frame] < 0.1 ? "have solved the task." : "can solve the task."));
  });
  lines("figure-symmetry", {
    label: "Loss of the three starts by training step. Random falls to 0.01; all 0 stays at 0.69; all 0.5 stops near 0.49.",
    xs: symmetry.random.step, x: { title: "training step" }, y: { title: "loss", domain: [0, 0.9] },
    series: Object.entries(NAMES).map(([key, name]) => ({ name, values: symmetry[key].loss })),
  });
  let timer = null;
  function stop() {
    clearInterval(timer);
    timer = null;
    node("play").textContent = "Play";
    node("play").setAttribute("aria-pressed", "false");
  }
  node("play").addEventListener("click", () => {
    if (timer) return stop();
    const slider = node("step"), last = Number(slider.max);
    if (Number(slider.value) >= last) slider.value = 0;
    node("play").textContent = "Pause";
    node("play").setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      if (Number(slider.value) >= last) stop();
    }, 120);
  });

  // ------------------------------------------------------------------ 2: naive scales
  const naive = data("naive");
  on(["std", "naive-activation"], () => {
    const std = naive.stds[count("std")], activation = value("naive-activation"), rms = naive.rms[activation];
    tell("std", show(std));
    const widths = Object.keys(rms), ends = widths.map((w) => rms[w][count("std")].at(-1) / 100);
    byLayer("figure-naive", `Signal by layer for std ${show(std)} at widths ${widths.join(", ")}.`, "RMS", widths.map((w) => ({ name: `width ${w}`, values: hundredths(rms[w][count("std")]) })));
    const points = widths.flatMap((w) => naive.stds.map((s, i) => ({ width: w, std: s, log: Math.max(-30, Math.min(30, rms[w][i].at(-1) / 100)) })));
    plot("figure-window", `RMS after 50 layers against std, for widths ${widths.join(", ")}.`, (width) => ({
      x: { type: "log", label: "std", ticks: [0.01, 0.1, 1], tickFormat: show },
      y: { label: "log₁₀ of the RMS after 50 layers", domain: [-31, 31], ticks: width < 480 ? 5 : 7 },
      marks: [
        Plot.rectY([{}], { y1: -2, y2: 2, fill: "var(--series-3)", fillOpacity: 0.25 }),
        Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1 }),
        Plot.ruleX([std], { stroke: "var(--strong-line)", strokeDasharray: "4 3" }),
        ...widths.map((w, i) => Plot.line(points.filter((p) => p.width === w), { x: "std", y: "log", stroke: `var(--series-${i + 1})`, strokeWidth: 2, strokeDasharray: ["", "7 4", "2 3"][i] })),
        ...widths.map((w, i) => Plot.dot(points.filter((p) => p.width === w && p.std === std), { x: "std", y: "log", fill: `var(--series-${i + 1})`, r: 5 })),
        Plot.text([{ y: 0 }], { y: "y", text: () => "size kept", frameAnchor: "left", dx: 4, textAnchor: "start", fill: "var(--text)" }),
      ],
    }));
    const word = (log) => (log > 2 ? "explodes" : log < -2 ? "vanishes" : "keeps its size");
    node("naive-text").textContent = `With std ${show(std)} for every layer: ${widths.map((w, i) => `width ${w} ${word(ends[i])}`).join(", ")}. ` + (activation === "tanh" ? "With tanh nothing can explode forward, because no output is above 1; too large a std saturates it instead." : "");
  });

  // ------------------------------------------------------------------ 3: balance
  const balance = data("balance");
  const MODES = { fan_in: "1/nᵢₙ (LeCun)", fan_out: "1/nₒᵤₜ", fan_avg: "Xavier, the middle" };
  on(["shape", "balance-activation"], () => {
    const shape = value("shape"), activation = value("balance-activation"), sizes = balance.sizes[shape];
    const curves = Object.entries(MODES).map(([mode, name]) => ({ name, both: balance.curves[`${shape} ${mode} ${activation}`].map(hundredths) }));
    const draw = (id, which, title, label) => lines(id, {
      label: `${label} in a network of ${sizes.join(", ")} units with ${activation}.`, ...layersAxis(sizes.length - 1), y: { title, log: true },
      labels: sizes.slice(1).map((n, i) => `layer ${i + 1}: ${sizes[i]} to ${n} units`), bounds: [{ value: 1, text: "" }],
      series: curves.map(({ name, both }) => ({ name, values: both[which] })),
    });
    draw("figure-balance-signal", 0, "RMS", "Signal by layer");
    draw("figure-balance-gradient", 1, "RMS, last layer = 1", "Gradient by layer");
    const end = (i, which) => round(which ? curves[i].both[1][0] : curves[i].both[0].at(-1), 2);
    node("balance-text").textContent = shape === "equal"
      ? "With equal widths all three rules are the same law: nᵢₙ = nₒᵤₜ."
      : `Signal at the end: × ${end(0, 0)} with 1/nᵢₙ, × ${end(1, 0)} with 1/nₒᵤₜ, × ${end(2, 0)} with Xavier. Gradient at the first layer: × ${end(0, 1)}, × ${end(1, 1)}, × ${end(2, 1)}. Xavier is neither’s best, and nobody’s worst.`;
  });

  // ------------------------------------------------------------------ 4: halves
  const [{ edges, before }, ...halves] = data("halves");
  on(["slope"], () => {
    const half = halves[count("slope")];
    const bars = (shares) => shares.map((share, i) => ({ low: edges[i], high: edges[i + 1], share: 100 * share }));
    const top = 12;
    plot("figure-half", `A normal signal before and after an activation with slope ${half.slope} below 0: ${round(100 * half.second)} % of the mean square is left.`, () => ({
      x: { label: "value" }, y: { label: "% of the values", domain: [0, top], ticks: 5 },
      marks: [
        Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: 5 }),
        Plot.rectY(bars(half.after).map((b) => ({ ...b, share: Math.min(b.share, top) })), { x1: "low", x2: "high", y: "share", fill: "var(--series-1)", fillOpacity: 0.45, inset: 0 }),
        Plot.line(bars(before), { x: (b) => (b.low + b.high) / 2, y: "share", stroke: "var(--series-2)", strokeWidth: 2, strokeDasharray: "7 4" }),
        ...bars(half.after).filter((b) => b.share > top).map((b) => Plot.text([b], { x: (b.low + b.high) / 2, y: top, dy: -8, text: () => `${round(b.share, 2)} % here`, fill: "var(--text)" })),
        Plot.ruleY([0]),
      ],
    }));
    node("figure-half").append(Charts.element("p", { class: "small muted facts-line" }, "Bars: after. Dashed: before."));
    byLayer("figure-he", `Signal over 30 layers with slope ${half.slope} below 0.`, "RMS", [
      { name: half.slope ? `He with 2/(1 + ${half.slope}²)` : "He", values: hundredths(half.he) },
      ...(half.slope ? [{ name: "He for ReLU", values: hundredths(half.plain) }] : []),
      { name: "Xavier", values: hundredths(half.xavier) },
    ]);
    node("he-text").textContent = `What is left of the mean square: ${round(100 * half.second, 4)} %. To make up for it the variance must be ${round(1 / half.second, 4)} / nᵢₙ: the std is ${round(half.gain, 4)} times LeCun’s.` + (half.slope === 1 ? " With slope 1 nothing is cut off: the layer is linear, and the 2 would be wrong." : "");
  });

  // ------------------------------------------------------------------ 5: tension and fixed point
  const tension = data("tension");
  on(["tension"], () => {
    const found = tension[count("tension")], step = 10 / found.shares.length, most = d3.max(found.shares.slice(1, -1));
    tell("tension", `× ${found.factor}`);
    const bars = found.shares.map((share, i) => ({ low: -5 + i * step, high: -5 + (i + 1) * step, top: -1 + Math.min(1.9, (1.6 * share) / Math.max(most, 0.02)) }));
    const curve = d3.range(-5, 5.01, 0.1).map((x) => ({ x, y: Math.tanh(x) }));
    plot("figure-tension", `Sums before tanh at ${found.factor} times LeCun's std: ${round(100 * found.straight, 2)} % on the straight part, ${round(100 * found.flat, 2)} % on the flat part.`, () => ({
      x: { label: "sum" }, y: { label: "tanh", domain: [-1, 1], ticks: 5 },
      marks: [
        Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: 5 }),
        Plot.rect(bars, { x1: "low", x2: "high", y1: -1, y2: "top", fill: "var(--series-1)", fillOpacity: 0.4 }),
        Plot.line(curve, { x: "x", y: "y", stroke: "var(--series-2)", strokeWidth: 2.5 }),
      ],
    }));
    const out = found.out.map((share, i) => ({ low: -1 + (2 * i) / found.out.length, high: -1 + (2 * (i + 1)) / found.out.length, share: 100 * share }));
    plot("figure-out", `What tanh hands on at ${found.factor} times LeCun's std.`, () => ({
      x: { label: "value handed on", domain: [-1, 1] }, y: { label: "% of the values", ticks: 5 },
      marks: [
        Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: 5 }),
        Plot.rectY(out, { x1: "low", x2: "high", y: "share", fill: "var(--series-2)", fillOpacity: 0.5, inset: 0 }), Plot.ruleY([0]),
      ],
    }));
    const word = found.straight > 0.5 ? "Slack: almost all sums stay where tanh is a straight line, so the layer is as good as linear." : found.flat > 0.4 ? "Too tight: many sums lie where tanh is flat; their gradients are lost." : "In tune: sums reach the curved part, and few get stuck.";
    node("tension-reading").textContent = `${round(100 * found.straight, 2)} % of the sums lie on the straight part (slope above 0.95), ${round(100 * found.flat, 2)} % on the flat part (slope below 0.05). ${word}`;
  });
  const homing = data("homing");
  on(["homing-activation", "homing-scheme", "homing-layer"], () => {
    const activation = value("homing-activation"), scheme = value("homing-scheme"), last = count("homing-layer");
    tell("homing-layer", String(last));
    const paths = homing[`${scheme} ${activation}`].map((path) => path.slice(0, last + 1));
    const points = paths.flatMap((path, i) => path.map(([mean, variance], layer) => ({ mean: Math.min(mean, 2), variance: Math.min(variance, 3), layer, i })));
    const starts = points.filter((p) => p.layer === 0), ends = points.filter((p) => p.layer === last);
    const [mean, variance] = [0, 1].map((which) => d3.mean(paths, (path) => path[last][which]));
    plot("figure-homing", `Mean and variance over ${last} layers with ${activation}: on average ${round(mean, 2)} and ${round(variance, 2)}.`, (width) => ({
      height: width < 480 ? 300 : 380,
      x: { label: "mean of the signal", domain: [-1.1, 2.05], ticks: 6 }, y: { label: "variance", domain: [0, 3.05], ticks: 6 }, clip: true,
      marks: [
        Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1 }), Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1 }),
        Plot.line(points, { x: "mean", y: "variance", z: "i", stroke: "var(--series-1)", strokeOpacity: 0.75, strokeWidth: 1.5 }),
        Plot.dot(points, { x: "mean", y: "variance", r: 2, fill: "var(--series-1)" }),
        Plot.dot(starts, { x: "mean", y: "variance", r: 6, stroke: "var(--series-2)", strokeWidth: 2 }),
        Plot.dot(ends, { x: "mean", y: "variance", r: 4.5, fill: "var(--series-1)", stroke: "var(--ground)" }),
        Plot.dot([{}], { x: 0, y: 1, r: 11, symbol: "plus", stroke: "var(--series-3)", strokeWidth: 3 }),
      ],
    }));
    const home = Math.abs(mean) < 0.15 && Math.abs(variance - 1) < 0.25;
    const lost = d3.max(paths, (path) => Math.max(...path[last])) > 3;
    node("homing-text").textContent = `After ${last} layers: mean ${mean.toFixed(2).replace("-0.00", "0.00")}, variance ${variance.toFixed(2)} on average. ` + (last < 3 ? "" : home ? "All have come home to mean 0 and variance 1." : lost ? "Some have left the frame: the signal grows." : variance < 0.15 ? "The signal fades." : "They settle, but not at mean 0 and variance 1.");
  });

  // ------------------------------------------------------------------ 6: products
  const singular = data("singular");
  on(["product"], () => {
    const n = count("product"), many = n + 1;
    tell("product", String(many));
    const rows = ["gaussian", "orthogonal"].flatMap((key) => singular[key].values[n].map((v, i) => ({ key, i: i + 1, log: Math.max(v / 100, -15) })));
    plot("figure-singular", `Singular values of a product of ${many} matrices.`, () => ({
      x: { label: "direction", ticks: [1, 16, 32, 48, 64] }, y: { label: "log₁₀ of the stretch", domain: [-15, 2], ticks: 6 },
      marks: [
        Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: 6 }),
        Plot.dot(rows.filter((r) => r.key === "gaussian"), { x: "i", y: "log", fill: "var(--series-2)", r: 3, symbol: "square" }),
        Plot.dot(rows.filter((r) => r.key === "orthogonal"), { x: "i", y: "log", fill: "var(--series-1)", r: 3 }),
        Plot.text([{}], { x: 40, y: 0, dy: -12, text: () => "orthogonal: all 1", fill: "var(--series-1)" }),
        Plot.text([{}], { x: 14, y: -13.6, text: () => "random normal", fill: "var(--series-2)", textAnchor: "middle" }),
      ],
    }));
    const [ga, gb] = singular.gaussian.circle[n], larger = 1 / ga;
    const shapes = [
      { centre: -1.8, colour: "var(--series-2)", axes: [1, gb / ga], name: `random normal${Math.abs(ga - 1) > 0.05 ? `, drawn × ${round(larger, 2)}` : ""}` },
      { centre: 1.8, colour: "var(--series-1)", axes: singular.orthogonal.circle[n], name: "orthogonal" },
    ];
    const ellipse = (centre, [a, b]) => d3.range(0, 6.3, 0.05).map((t) => ({ x: centre + a * Math.cos(t), y: b * Math.sin(t) }));
    plot("figure-circle", `Image of a ball after ${many} layers: half axes ${round(ga, 2)} and ${round(gb, 2)} for random normal, 1 and 1 for orthogonal matrices.`, (width) => ({
      height: 20 + ((width - 26) * 2.9) / 7.2, marginLeft: 10, marginTop: 10, marginBottom: 10, // one scale for x and y
      x: { axis: null, domain: [-3.6, 3.6] }, y: { axis: null, domain: [-1.6, 1.3] },
      marks: shapes.flatMap(({ centre, colour, axes, name }) => [
        Plot.line(ellipse(centre, [1, 1]), { x: "x", y: "y", stroke: "var(--line)", strokeDasharray: "3 3" }),
        Plot.line(ellipse(centre, axes), { x: "x", y: "y", stroke: colour, strokeWidth: 2.5, fill: colour, fillOpacity: 0.2 }),
        Plot.text([{}], { x: centre, y: -1.4, text: () => name, fill: "var(--text)" }),
      ]),
    }));
    const logs = singular.gaussian.values[n], small = logs.filter((v) => v < -200).length;
    node("orthogonal-text").textContent = `After ${many} random normal ${many === 1 ? "matrix" : "matrices"}, ${small} of ${singular.width} directions have shrunk more than a hundredfold, and the strongest is ${logs.at(-1) <= logs[0] - 1500 ? "more than 1e15" : round(10 ** ((logs[0] - logs.at(-1)) / 100), 2)} times as long as the weakest. With orthogonal ones: none, and once.`;
  });

  // ------------------------------------------------------------------ 7: mixed networks
  const hybrid = data("hybrid");
  const PLANS = { matched: "matched, layer by layer", he: "He everywhere", xavier: "Xavier everywhere" };
  for (const [id, which, title] of [["figure-hybrid-signal", "signal", "RMS"], ["figure-hybrid-gradient", "gradient", "RMS, last layer = 1"]]) {
    lines(id, {
      label: `${which} by layer of a network with ReLU, tanh and SELU, under three plans.`, ...layersAxis(hybrid.activations.length), y: { title, log: true },
      labels: hybrid.activations.map((a, i) => `layer ${i + 1}, ${a}`), bounds: [{ value: 1, text: "" }],
      series: Object.entries(PLANS).map(([key, name]) => ({ name, values: hybrid[key][which].map((v) => 10 ** v) })),
    });
  }

  // ------------------------------------------------------------------ 8: courses
  const courses = data("courses");
  for (const [id, which, title] of [["figure-course", "loss", "loss"], ["figure-moved", "moved", "way / first length"]]) {
    const series = Object.entries(courses).map(([name, course]) => ({ name, values: course[which].map((v) => (which === "loss" ? Math.min(v, 1.5) : v)) }));
    lines(id, { label: `${which} during training from four starts.`, xs: Object.values(courses)[0].step, x: { title: "training step" }, y: { title, domain: which === "loss" ? [0, 1.5] : undefined }, series });
  }
  node("course-text").textContent = Object.entries(courses).map(([name, course]) => `${name}: loss ${round(course.loss.at(-1), 2)}`).join("; ") + ".";
})();
