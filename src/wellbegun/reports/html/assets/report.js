// Reports: copy a remedy, choose among charts.
"use strict";
for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    const said = button.nextElementSibling;
    try {
      await navigator.clipboard.writeText(source.textContent);
      said.textContent = "Copied.";
    } catch { // no permission: select it, so that one key copies it
      getSelection().selectAllChildren(source);
      said.textContent = "Selected: press Ctrl+C.";
    }
  });
}

for (const select of document.querySelectorAll("[data-choice]")) {
  const specs = Charts.data(select.dataset.choice);
  const figure = select.closest("figure");
  const show = () => {
    const spec = specs[select.value];
    figure.querySelector(".legend")?.remove();
    const fresh = Charts.element("div", { class: "chart" }); // a chart has its own listeners
    figure.querySelector(".chart").replaceWith(fresh);
    const facts = figure.querySelector(".facts");
    if (facts) facts.replaceChildren(...spec.facts.flatMap(([name, text]) => [Charts.element("dt", {}, name), Charts.element("dd", {}, text)]));
    if (spec.kind === "bars" && spec.expected) Charts.legend(fresh, ["counted", "law"], true);
    Charts.draw(fresh, spec);
  };
  select.addEventListener("change", show);
  show();
}
