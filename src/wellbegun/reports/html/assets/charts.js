// Charts over Observable Plot, with one way to read values for pointer and keyboard.
"use strict";
const Charts = (() => {
  const data = (id) => JSON.parse(document.getElementById(id).textContent);

  /** A number as the tables show it; the texts "nan" and "inf" stay texts. */
  function show(value) {
    if (value === null || value === undefined) return "none";
    if (typeof value !== "number") return String(value);
    if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-4 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(3)));
  }

  return { data, show };
})();
