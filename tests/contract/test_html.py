"""Reports in a real browser: they open, sort, search, draw, speak, and let nothing in."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from html_reports import CLOSING, DEPTH, EVIL, Encoder, Evil, faults, large_plan, mended, race
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

import wellbegun as wb

NAMES = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-sync --disable-background-networking"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None, "scripts/browser installs Chromium"
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS.split(), "--disable-component-update"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports on disk."""
    folder = tmp_path_factory.mktemp("reports")
    model, before, result, theory = mended()
    evil = Evil()
    batch = torch.randn(16, 16)
    bad, plan = wb.check(evil, batch), wb.plan(evil, batch, seed=0)
    made = {
        "mended": wb.report(result, theory, before=before, model=model, path=folder / "mended.html", title="Digits"),
        "broken": wb.report(before, path=folder / "broken.html"),
        "evil": wb.report(plan, bad, model=evil, path=folder / "evil.html", title=EVIL),
        "encoder": wb.report(wb.check(Encoder(), torch.randn(8, 6, 32)), path=folder / "encoder.html"),
        "encoder-plan": wb.report(wb.plan(Encoder(), torch.randn(8, 6, 32)), path=folder / "encoder-plan.html"),
        "race": wb.report(race(), path=folder / "race.html"),
        "large": wb.report(large_plan(), path=folder / "large.html"),
    }
    assert all(isinstance(path, Path) for path in made.values())
    return {name: Path(path) for name, path in made.items()}


class Seen:
    """A page, and what it said and asked for while open."""

    def __init__(self, page: Page) -> None:
        self.page, self.said, self.asked = page, [], []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: (self.said.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", self._request)

    def _request(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.asked.append(request.url)


@pytest.fixture
def look(browser: Browser, files: dict[str, Path]) -> Iterator[Any]:
    """Open a report; at the end nothing was said on the console, and nothing but the file was asked for."""
    opened: list[Seen] = []

    def opener(name: str, width: int = 1280, scheme: str = "light", **options: Any) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        seen = Seen(context.new_page())
        opened.append(seen)
        seen.page.goto(files[name].as_uri())
        return seen.page

    yield opener
    for seen in opened:
        assert seen.said == []
        assert len(seen.asked) == 1
        assert seen.asked[0].startswith("file:")
        seen.page.context.close()


def texts(page: Page, selector: str) -> list[str]:
    return page.locator(selector).all_inner_texts()


def status(page: Page, table: str) -> str:
    return page.locator(f"[data-table={table}] [role=status]").inner_text()


# ---------------------------------------------------------------------- the whole page
def test_the_verdict_comes_first_and_says_what_to_do(look: Any) -> None:
    page = look("broken")
    assert page.locator("h1 + .verdict .sentence").inner_text().startswith("Not ready to train: vanishing ")
    assert "unhealthy" in page.locator(".verdict .badge").inner_text()
    first = mended()[1].findings[0]
    assert page.locator(".verdict .next").inner_text() == f"Next, for {first.code}: {first.remedy}"
    page = look("mended")
    assert page.title() == "Digits"
    assert f"through {DEPTH} weighted operations" in page.locator(".sentence").inner_text()
    assert "Before, it was unhealthy (W101, W201)." in page.locator(".verdict").inner_text()


def test_every_fact_of_a_finding_is_there_and_its_remedy_can_be_copied(look: Any) -> None:
    page, findings = look("broken", permissions=["clipboard-read", "clipboard-write"]), mended()[1].findings
    assert [node.get_attribute("data-code") for node in page.locator(".finding").all()] == [f.code for f in findings]
    for finding, shown in zip(findings, texts(page, ".finding"), strict=True):
        parts = (
            finding.title,
            finding.place,
            finding.why,
            finding.remedy,
            f"{finding.value:.3g}",
            f"{finding.bound:.3g}",
        )
        assert all(part in shown for part in (*parts, finding.source)), shown
    page.get_by_role("button", name=f"Copy the remedy for {findings[0].code}").click()
    expect(page.locator(".copy + [role=status]").first).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == findings[0].remedy


@pytest.mark.parametrize("name", ["mended", "broken", "race"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_is_readable_on_its_ground(look: Any, name: str, scheme: str) -> None:
    page = look(name, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 150) == (scheme == "dark")
    found = page.evaluate(CONTRAST)
    assert found["count"] > 50
    assert found["worst"] >= 4.5, found


CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => [r, g, b].map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const solid = (colour) => colour.length === 3 || colour[3] === 1;
  const ground = (node) => { for (; node; node = node.parentElement) {
    const colour = parse(getComputedStyle(node).backgroundColor);
    if (colour.length && solid(colour)) return colour; } return [255, 255, 255]; };
  let worst = Infinity, where = "", count = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || node.closest("option, script, style")) continue;
    if (!node.getClientRects().length) continue;
    const style = getComputedStyle(node);
    const fill = node.closest("svg") ? parse(style.fill) : parse(style.color);
    const [a, b] = [light(fill), light(ground(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    count += 1;
    if (ratio < worst) { worst = ratio; where = walker.currentNode.textContent.slice(0, 60); }
  }
  return { worst, where, count };
}"""


@pytest.mark.parametrize("name", ["mended", "broken", "race", "evil", "large"])
def test_a_phone_never_scrolls_sideways(look: Any, name: str) -> None:
    page = look(name, width=375)
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert page.locator("[data-table]").first.evaluate("(block) => block.classList.contains('narrow')")  # cards
    assert page.locator(".chart svg").evaluate_all(
        "(all) => all.every((svg) => svg.getBoundingClientRect().right <= 375)"
    )


@pytest.mark.parametrize("width", [375, 820, 1280])
@pytest.mark.parametrize("name", ["mended", "encoder-plan", "race", "evil", "large"])
def test_no_column_hides_off_the_edge(look: Any, name: str, width: int) -> None:
    page = look(name, width=width)
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    page.wait_for_function("""() => [...document.querySelectorAll('[data-table]')].every((block) => {
        const room = block.getBoundingClientRect().right + 1;
        return [...block.querySelectorAll('td, tbody th')].every((cell) => cell.getBoundingClientRect().right <= room);
    })""")
    columns, cards = "[data-table] thead th", page.locator("[data-table].narrow").count()
    if width == 375:
        assert cards == page.locator("[data-table]").count()
    elif width == 1280 and name in ("mended", "encoder-plan"):
        assert cards == 0
        why = page.locator(columns, has_text="why").bounding_box()
        assert why is not None
        assert why["width"] > 150  # some twenty letters in a line


def test_long_plans_fold_on_a_phone(look: Any) -> None:
    page = look("encoder-plan", width=375)
    page.get_by_label("Put repeated blocks together").uncheck()
    assert page.locator("[data-table=plan] tbody tr").count() == 8
    assert page.locator("[data-table=plan]").bounding_box()["height"] < 3_000  # type: ignore[index]
    page.get_by_role("button", name="Show 30 more").click()
    assert page.locator("[data-table=plan] tbody tr").count() == 38
    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_function("() => !document.querySelector('[data-table=plan]').classList.contains('narrow')")
    assert page.locator("[data-table=plan] tbody tr").count() == 38


def test_paper_has_no_controls(look: Any) -> None:
    page = look("mended")
    page.emulate_media(media="print", color_scheme="light")
    page.set_viewport_size({"width": 794, "height": 1123})  # A4
    assert page.locator(".copy:visible, .more:visible, input:visible, select:visible").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    assert texts(page, "[data-table=plan] thead th")[:3] == ["parameter", "shape", "role"]
    assert any("{2..96}.bias" in text for text in texts(page, "[data-table=plan] tbody th"))
    assert page.locator(".chart svg:visible").count() >= 4


@pytest.mark.parametrize(("width", "scheme"), [(375, "dark"), (1280, "light")])
def test_axe_finds_no_fault(look: Any, browser: Browser, width: int, scheme: str) -> None:
    for name in ("mended", "broken", "race"):
        assert faults(look(name, width=width, scheme=scheme, bypass_csp=True)) == []
    _, before, result, theory = mended()
    shown = "".join(item._repr_html_() for item in (result.plan, result.ledger, result.health, before, theory, race()))
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    style = "<style>:root { color-scheme: light dark }</style>"
    head = f"<html lang=en><title>notebook</title>{style}<main><h1>A</h1>"
    page.set_content(head + shown)
    assert faults(page) == []
    page.set_content(head + shown.replace('<th scope="col">std</th>', '<th scope="col"></th>'))
    assert [rule for rule, _ in faults(page)] == ["empty-table-header"]  # the control
    page.close()


def test_headings_labels_and_landmarks(look: Any) -> None:
    page = look("mended")
    assert page.locator("h1").count() == 1
    assert page.locator("html").get_attribute("lang") == "en"
    unnamed = """(all) => all.map((node) => [node.labels?.length || node.textContent.trim() || node.ariaLabel, node])
        .filter(([name]) => !name).map(([_, node]) => node.outerHTML)"""
    assert page.locator("input:visible, select:visible, button:visible").evaluate_all(unnamed) == []
    ids = page.locator("[id]").evaluate_all("(all) => all.map((node) => node.id)")
    assert len(ids) == len(set(ids))
    assert page.locator("main section").count() == page.locator(".toc a").count() >= 4


# ---------------------------------------------------------------------- tables
def test_the_plan_sorts_by_keyboard_and_says_so(look: Any) -> None:
    page, plan = look("mended"), mended()[2].plan
    page.get_by_label("Put repeated blocks together").uncheck()
    heading = page.locator("[data-table=plan] th", has_text="std")
    column = f"[data-table=plan] tbody tr td:nth-child({1 + heading.evaluate('(cell) => cell.cellIndex')})"
    stds = sorted(entry.moments().variance ** 0.5 for entry in plan.entries)  # type: ignore[union-attr]
    for order, said in ((stds, "ascending"), (stds[::-1], "descending")):
        heading.get_by_role("button").focus()
        page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == said
        shown = [float(text) for text in texts(page, column)]
        assert shown == pytest.approx(order[: len(shown)], rel=0.01)
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "none"
    assert texts(page, "[data-table=plan] tbody th") == [entry.name for entry in plan.entries]
    name = page.locator("[data-table=plan] thead th").first
    name.get_by_role("button").click()
    shown = texts(page, "[data-table=plan] tbody th")
    assert shown.index("8.weight") < shown.index("10.weight"), "numbers in names count as numbers"


def test_the_plan_is_searched_and_the_count_is_announced(look: Any) -> None:
    page, total = look("mended"), len(mended()[2].plan)
    search = page.locator("[data-table=plan]").get_by_label("Search parameters")
    assert status(page, "plan").startswith(f"{total} parameters in ")
    search.fill("readout 98")
    assert status(page, "plan") == f"1 of {total} parameters"
    assert texts(page, "[data-table=plan] tbody th") == [f"{2 * DEPTH - 2}.weight"]
    search.fill("nowhere at all")
    assert status(page, "plan") == "No parameter says that."
    assert page.locator("[data-table=plan] tbody tr").count() == 0
    search.fill("")
    assert status(page, "plan").startswith(f"{total} parameters in ")
    assert page.locator("[data-table=plan] [role=status]").count() == 1


def test_repeated_blocks_unfold(look: Any) -> None:
    page = look("mended")
    fold = page.locator("[data-table=plan] .unfold").first
    assert fold.get_attribute("aria-expanded") == "false"
    before = page.locator("[data-table=plan] tbody tr").count()
    members = int(re.findall(r"(\d+) parameters", fold.locator("xpath=..").inner_text())[0])
    fold.focus()
    page.keyboard.press("Enter")
    assert fold.get_attribute("aria-expanded") == "true"
    assert page.locator("[data-table=plan] tbody tr").count() == before + members
    page.keyboard.press("Enter")
    assert page.locator("[data-table=plan] tbody tr").count() == before


def test_ten_thousand_parameters_stay_usable(browser: Browser, files: dict[str, Path], look: Any) -> None:
    assert files["large"].stat().st_size <= 3_000_000
    page = look("large")
    spent = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert 0 < spent < 3000
    assert status(page, "plan") == "10,000 parameters"
    assert page.locator("[data-table=plan] tbody tr").count() == 100
    spent = page.evaluate("""() => {
        const box = document.querySelector('input[type=search]'), start = performance.now();
        box.value = 'blocks.9999.';
        box.dispatchEvent(new Event('input'));
        return performance.now() - start; }""")
    assert spent < 1000
    assert status(page, "plan") == "1 of 10,000 parameters"
    page.get_by_label("Search parameters").fill("")
    page.get_by_role("button", name="Show 1,000 more").click()
    assert page.locator("[data-table=plan] tbody tr").count() == 1100
    assert page.evaluate("document.activeElement.rowIndex") == 101


# ---------------------------------------------------------------------- charts
def charts(page: Page) -> list[dict[str, Any]]:
    return page.locator("figure").evaluate_all("""(all) => all.map((figure) => ({
        title: figure.querySelector('h3').textContent,
        label: figure.querySelector('svg[role=img]').getAttribute('aria-label'),
        lines: [...figure.querySelectorAll('g[data-mark=line] path')].map((path) => path.getAttribute('d')),
        dashes: [...figure.querySelectorAll('g[data-mark=line]')].map((g) => g.getAttribute('stroke-dasharray') ?? ''),
        marks: figure.querySelectorAll('g[data-mark=dot] :is(path, circle), g[data-mark=rect] rect').length }))""")


def test_charts_hold_every_operation_before_and_now(look: Any) -> None:
    drawn = {chart["title"]: chart for chart in charts(look("mended"))}
    for title in ("Forward: the signal", "Backward: the gradient"):
        chart = drawn[title]
        assert len(chart["lines"]) == 2
        for path in chart["lines"]:
            assert len(re.findall(r"[ML]|(?<=\d),", path)) >= DEPTH
            assert "NaN" not in path
        assert len(set(chart["dashes"])) == 2, "series differ in more than colour"
        assert chart["marks"] == 2 * DEPTH
        assert chart["label"] == f"{title}."
    assert {"Signal", "Gradient", "Values, counted"} <= set(drawn)
    assert drawn["Values, counted"]["marks"] > 10
    broken = charts(look("broken"))
    assert all(len(chart["lines"]) == 1 for chart in broken)


def test_attention_and_the_residual_stream_are_shown(look: Any) -> None:
    page = look("encoder")
    choice = page.locator("#signal-figure select")
    assert choice.locator("option").all_inner_texts()[:2] == ["layers and residual sums", "all weighted operations"]
    chart = page.locator("#signal-figure .chart")
    chart.focus()
    page.keyboard.press("Home")
    assert chart.locator(".tip").inner_text().startswith("sum behind blocks.layers.0.self_attn.out_proj")
    before = page.locator("#signal-figure g[data-mark=dot] path, #signal-figure g[data-mark=dot] circle").count()
    choice.select_option("all weighted operations")
    after = page.locator("#signal-figure g[data-mark=dot] path, #signal-figure g[data-mark=dot] circle").count()
    assert before == 6 < after
    page.locator("summary", has_text="Attention").click()
    assert status(page, "attentions") == "3 attentions"


def test_values_are_read_by_keyboard_and_by_pointer(look: Any) -> None:
    page, (_, before, result, _) = look("mended"), mended()
    chart = page.locator("#signal-figure .chart")
    units = [health.statistics.operations[0].input_rms for health in (before, result.health)]
    chart.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    tip = chart.locator(".tip")
    ratios = [h.statistics.operations[2].rms / unit for h, unit in zip((before, result.health), units, strict=True)]
    lines = tip.inner_text().splitlines()
    assert lines[0] == "3. 4.weight, hidden"
    assert [float(line.split(": ")[1]) for line in lines[1:]] == pytest.approx(ratios, rel=0.01)
    page.keyboard.press("End")
    assert tip.inner_text().startswith(f"{DEPTH}. ")
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] + 100)
    assert tip.inner_text().startswith(f"{DEPTH}. ")
    assert tip.get_attribute("aria-live") == "polite"


def test_a_histogram_for_each_role(look: Any) -> None:
    page = look("mended")
    choice = page.get_by_label("Parameter", exact=True)
    options = choice.locator("option").all_inner_texts()
    assert len(options) == len(set(options)) >= 5
    assert any("(readout)" in option for option in options)
    figure = page.locator("#histograms-figure")
    first = figure.inner_text()
    choice.select_option(options[-1])
    assert figure.inner_text() != first
    assert figure.locator(".chart").count() == figure.locator(".legend").count() == 1
    choice.select_option(options[0])
    assert "by the law" in figure.locator(".facts").inner_text()
    figure.locator(".chart").focus()
    page.keyboard.press("End")
    assert "counted: " in figure.locator(".tip").inner_text()


def test_a_race_shows_curves_standings_and_differences(look: Any) -> None:
    page, found = look("race"), race()
    assert page.locator(".sentence").inner_text() == f"{found.verdict}."
    assert texts(page, "[data-table=standings] tbody th") == list(found.candidates)
    drawn = charts(page)
    assert len(drawn[0]["lines"]) == len(found.standings)
    assert page.locator("#curves-figure g[data-mark=area] path").count() == len(found.standings)
    assert len(set(drawn[0]["dashes"])) == len(found.standings)
    page.get_by_label("Optimizer and rate").select_option("adam, rate 0.01")
    assert page.locator("#curves-figure g[data-mark=line] path").count() == len(found.standings)
    page.locator("details summary", has_text="Every trial").click()
    assert status(page, "trials") == f"{len(found.trials)} trials"
    failed = page.locator("[data-table=trials] tbody tr", has_text="failed")
    assert "<b>no</b>" in failed.first.inner_text()
    leading = [pair for pair in found.pairs if pair.first == found.candidates[0]]
    assert drawn[1]["title"] == f"How certain {found.candidates[0]} is ahead"
    assert drawn[1]["marks"] == len(leading)


# ---------------------------------------------------------------------- nothing gets in
def test_names_are_text(look: Any, files: dict[str, Path]) -> None:
    page = look("evil")
    assert page.title() == EVIL
    assert page.locator("h1").inner_text() == EVIL
    assert f"{EVIL}.weight" in texts(page, "[data-table=plan] tbody th")
    assert CLOSING in texts(page, "[data-table=plan] tbody th")
    assert any(EVIL in text for text in texts(page, ".finding"))
    assert page.locator("img").count() == 0
    assert page.locator("script:not([type])").count() == 5
    assert EVIL not in files["evil"].read_text()


def test_a_script_that_is_not_ours_does_not_run(browser: Browser, files: dict[str, Path], tmp_path: Path) -> None:
    text = files["broken"].read_text()
    changed = tmp_path / "changed.html"
    changed.write_text(text.replace("</body>", "<script>document.title = 'in'</script></body>"))
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(changed.as_uri())
    assert page.title() != "in"
    assert any("Content Security Policy" in line for line in said)
    page.close()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert "default-src &#39;none&#39;" in policy[1]
    assert "script-src &#39;sha256-" in policy[1]
    assert "unsafe-eval" not in policy[1]


# ---------------------------------------------------------------------- the same facts elsewhere
def test_the_page_holds_as_many_facts_as_the_json(look: Any) -> None:
    page, (_, before, result, theory) = look("mended"), mended()
    data = result.health.to_dict()
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    assert status(page, "operations") == f"{len(data['operations'])} operations"
    assert status(page, "parameters") == f"{len(data['parameters'])} parameters"
    assert page.locator(".finding").count() == len(data["findings"])
    assert status(page, "plan").startswith(f"{len(result.plan.to_dict()['entries'])} parameters")
    shown = len([row for row in theory.to_dict()["rows"] if row["kind"] != "move" or row["flagged"]])
    assert {record["outcome"] for record in result.ledger.to_dict()["records"]} == {"filled"}  # as planned: no column
    assert "outcome" not in page.locator("[data-table=plan] thead").inner_text()
    assert status(page, "propagation") == f"{shown} operations"
    assert look("broken").locator(".finding").count() == len(before.to_dict()["findings"])
    page = look("race")
    page.evaluate("document.querySelectorAll('details').forEach((node) => { node.open = true; })")
    data = race().to_dict()
    for table, noun in (("standings", "candidate"), ("pairs", "pair"), ("trials", "trial")):
        assert status(page, table) == f"{len(data[table])} {noun}s"
