"""`wellbegun explore` in a real browser: every control changes its figures, verdicts are right, nothing is fetched."""

import html
import itertools
import math
import re
import shutil
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from html_reports import faults
from playwright.sync_api import Browser, Page, sync_playwright
from typer.testing import CliRunner

from wellbegun.cli import app
from wellbegun.cli import pages as pages_module
from wellbegun.explore.page import CHAPTERS
from wellbegun.health.catalogue import COLLAPSE

NAMES = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), None)
FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-sync --disable-background-networking"
runner = CliRunner()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The page as the command writes it, and what the command said."""
    path = tmp_path_factory.mktemp("explore") / "page.html"
    result = runner.invoke(app, ["explore", "--out", str(path), "--docs", "https://example.org/guides/{}.html"])
    assert result.exit_code == 0, result.output
    return path, result.output


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None, "scripts/browser installs Chromium"
    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS.split(), "--disable-component-update"])
        yield found
        found.close()


@pytest.fixture
def look(browser: Browser, written: tuple[Path, str]) -> Iterator[Any]:
    """Open the page; at the end nothing was said on the console, and nothing but the file was asked for."""
    opened: list[tuple[Page, list[str], list[str]]] = []

    def opener(state: str = "", width: int = 1280, scheme: str = "light") -> Page:
        page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith("data:") else asked.append(request.url))
        opened.append((page, said, asked))
        page.goto(written[0].as_uri() + (f"#{state}" if state else ""))
        page.wait_for_selector("body[data-drawn]", timeout=20_000)
        return page

    yield opener
    for page, said, asked in opened:
        assert said == []
        assert len(asked) == 1
        page.context.close()


def figures(page: Page) -> dict[str, str]:
    """What each figure shows now: its drawing without ids that count up."""
    return page.evaluate(
        "() => Object.fromEntries([...document.querySelectorAll('.slot')].map((s) => "
        "[s.id, s.innerHTML.replace(/plot-[0-9a-f]+/g, '')]))"
    )


def pick(page: Page, control: str, value: str) -> None:
    """As a learner does: choose in a list, or move a slider with the keyboard."""
    if page.locator(f"#{control}").evaluate("(e) => e.tagName") == "SELECT":
        page.select_option(f"#{control}", value)
        return
    page.focus(f"#{control}")
    page.keyboard.press("Home")
    for _ in range(int(value)):
        page.keyboard.press("ArrowRight")


def sentence(page: Page) -> str:
    return page.locator("#verdict .sentence").inner_text()


# ---------------------------------------------------------------------- the command and the file
def test_the_command_writes_one_small_file_and_says_where(written: tuple[Path, str]) -> None:
    path, said = written
    assert f"Page written to {path}" in said
    assert "Open it in a browser." in said  # no screen here
    text = path.read_text()
    assert len(text.encode()) <= 3_000_000
    assert not re.findall(r"""(?:src|href)=["']?(?:https?:)?//(?!example\.org)""", text)
    assert "connect-src" not in text
    assert "default-src 'none'" in html.unescape(text)


def test_a_browser_is_opened_where_there_is_a_screen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened: list[str] = []
    monkeypatch.setattr("wellbegun.explore.write", lambda path, **_: Path(path))
    monkeypatch.setattr(webbrowser, "open", lambda uri: opened.append(uri) or True)
    monkeypatch.setattr(pages_module.sys.stdout.__class__, "isatty", lambda _: True, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("CI", raising=False)
    target = tmp_path / "a b.html"
    assert pages_module._opened(target) is True
    assert opened == [target.as_uri()]
    monkeypatch.setenv("CI", "1")
    assert pages_module._opened(target) is False
    monkeypatch.delenv("CI")
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(pages_module.sys, "platform", "linux")
    assert pages_module._opened(target) is False
    result = runner.invoke(app, ["explore", "--out", str(target), "--no-open"])
    assert result.exit_code == 0
    assert opened == [target.as_uri()]
    assert "Open it" not in result.output


@pytest.mark.parametrize(
    ("out", "words"), [("nowhere/page.html", "there is no folder 'nowhere'"), (".", "is a folder. Name a file")]
)
def test_wrong_places_are_told_before_anything_is_measured(
    out: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wellbegun.explore.page.content", lambda *_: pytest.fail("measured"))
    result = runner.invoke(app, ["explore", "--out", out])
    assert result.exit_code == 2
    assert words in result.output.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- the playground
def test_every_control_changes_its_figures(look: Any) -> None:
    page = look()
    play = {"figure-signal", "figure-gradient", "figure-signals", "figure-gradients", "figure-shares"}
    changes = [
        ("scheme", "lecun_uniform", play | {"figure-weights"}),
        ("compare", "none", {"figure-signal", "figure-gradient"}),
        ("activation", "silu", play),
        ("depth", "10", play),
        ("width", "16", play | {"figure-weights"}),
        ("scale", "6", play | {"figure-weights"}),
        ("symmetry", "random", {"figure-net"}),
        ("step", "30", {"figure-net"}),
        ("std", "3", {"figure-naive", "figure-window"}),
        ("naive-activation", "tanh", {"figure-naive", "figure-window"}),
        ("shape", "hourglass", {"figure-balance-signal", "figure-balance-gradient"}),
        ("balance-activation", "tanh", {"figure-balance-signal", "figure-balance-gradient"}),
        ("slope", "3", {"figure-half", "figure-he"}),
        ("tension", "4", {"figure-tension", "figure-out"}),
        ("homing-activation", "relu", {"figure-homing"}),
        ("homing-scheme", "he", {"figure-homing"}),
        ("homing-layer", "4", {"figure-homing"}),
        ("product", "30", {"figure-singular", "figure-circle"}),
    ]
    controls = page.evaluate("() => [...document.querySelectorAll('main select, main input')].map((c) => c.id)")
    assert set(controls) == {control for control, _, _ in changes} | {"inputs", "outputs"}
    now = figures(page)
    assert all("<svg" in drawn for drawn in now.values())
    for control, value, expected in changes:
        pick(page, control, value)
        then = figures(page)
        assert {name for name in now if now[name] != then[name]} == expected, control
        now = then


VERDICTS = [
    ("scheme=he_normal&activation=relu&depth=50", "Healthy", "good"),
    ("scheme=xavier_normal&activation=relu&depth=50", "Vanishing", "bad"),
    ("scheme=xavier_normal&activation=relu&depth=50&scale=4", "Healthy", "good"),
    ("scheme=large&activation=relu&depth=50", "Exploding: signal and gradient", "bad"),
    ("scheme=small&activation=tanh&depth=50", "Vanishing: signal and gradient", "bad"),
    ("scheme=large&activation=tanh&depth=50", "Exploding gradient", "bad"),
    ("scheme=lecun_normal&activation=sigmoid&depth=20", "Vanishing gradient", "bad"),
    ("scheme=lecun_normal&activation=selu&depth=50", "Healthy", "good"),
    ("scheme=orthogonal&activation=tanh&depth=50", "Healthy", "good"),
    ("scheme=mirrored&activation=gelu&depth=30", "Healthy", "good"),
    ("scheme=zeros&activation=tanh", "Symmetric and silent", "bad"),
    ("scheme=constant&activation=tanh", "Symmetric: every layer", "bad"),
    ("scheme=large&activation=relu&depth=2&width=16", "Healthy", "good"),
]


def test_verdicts_of_known_combinations(look: Any) -> None:
    page = look()
    for state, words, kind in VERDICTS:
        page.evaluate("(state) => { location.hash = state; }", state)
        page.wait_for_function(
            "(words) => document.querySelector('#verdict .sentence').innerText.includes(words)", arg=words
        )
        assert kind in (page.locator("#verdict").get_attribute("class") or "").split(), state
    page.evaluate("() => { location.hash = 'scheme=he_normal&activation=relu&compare=xavier_normal'; }")
    page.wait_for_function(
        "() => document.querySelector('#verdict .other')?.innerText.includes('Xavier normal: Vanishing')"
    )
    text = page.locator("#verdict").inner_text()
    assert "relu keeps 50 % of the mean square" in text
    assert f"about {math.sqrt(2 / 256):.3g}; here it is {math.sqrt(2 / 256):.3g}, just that" in text


def test_one_measure_decides_whether_inputs_have_become_the_same(look: Any) -> None:
    """Of "healthy" and "no difference between inputs" the page says one, by the bound of check."""
    page, seen = look(), set()
    for scheme, activation in itertools.product(
        ("he_normal", "orthogonal", "large", "fan_in_uniform"), ("relu", "tanh", "sigmoid")
    ):
        state = f"scheme={scheme}&compare=none&activation={activation}&depth=50"
        page.evaluate("(state) => { location.hash = state; }", state)
        page.wait_for_function(f"() => document.body.dataset.drawn === '{scheme} none {activation} 50 256 3'")
        text = page.locator("#verdict").inner_text()
        near = re.search(r"differ by (\S+) \(1 minus their cosine\)", text)
        collapsed = near is not None and float(near[1]) < COLLAPSE
        assert ("a collapse." in text) == collapsed, text
        if "Healthy:" in text:
            assert not collapsed
            assert not re.search("hardly|cannot|no difference|the same", text)
        seen.add(("Healthy:" in text, near is not None, collapsed))
    assert {(True, True, False), (False, True, True)} <= seen  # both were seen


def test_the_address_keeps_what_was_picked(look: Any) -> None:
    page = look()
    pick(page, "scheme", "orthogonal")
    pick(page, "activation", "tanh")
    pick(page, "product", "20")
    assert page.evaluate("() => location.hash") == "#scheme=orthogonal&activation=tanh&product=20"
    before = figures(page)
    again = look("scheme=orthogonal&activation=tanh&product=20")
    assert again.input_value("#scheme") == "orthogonal"
    after = figures(again)
    assert {name for name in before if before[name] != after[name]} == set()
    pick(again, "scheme", "he_normal")
    pick(again, "activation", "relu")
    pick(again, "product", "9")
    assert again.evaluate("() => location.hash") == ""
    strange = look("scheme=<b>&depth=7&scale=99&product=x")
    assert [strange.input_value(f"#{name}") for name in ("scheme", "depth", "scale", "product")] == [
        "he_normal", "30", "3", "9",
    ]  # fmt: skip


def test_numbers_on_the_page_are_those_that_were_measured(look: Any) -> None:
    """He and Xavier with ReLU differ by sqrt(2) a layer, as read with the arrow keys from the chart."""
    page = look("depth=50")
    chart = page.locator("#figure-signal .chart")
    chart.focus()
    page.keyboard.press("End")
    read = page.locator("#figure-signal .tip").inner_text().split("\n")
    assert read[0] == "layer 50"
    values = {name: float(number) for name, number in (line.rsplit(": ", 1) for line in read[1:])}
    assert values["theory for it"] == 1
    assert values["He normal"] / values["Xavier normal"] == pytest.approx(2**25, rel=0.03)


# ---------------------------------------------------------------------- the chapters
def test_the_small_network_shows_symmetry_and_plays(look: Any) -> None:
    page = look()
    pick(page, "step", "60")
    assert "exactly equal weights" in page.locator("#symmetry-text").inner_text()
    pick(page, "symmetry", "zeros")
    assert "exactly 0: nothing moves" in page.locator("#symmetry-text").inner_text()
    pick(page, "symmetry", "random")
    assert "have solved the task" in page.locator("#symmetry-text").inner_text()
    page.click("#play")
    assert page.inner_text("#play") == "Pause"
    page.wait_for_function("() => Number(document.getElementById('step').value) >= 3")
    page.click("#play")
    assert page.inner_text("#play") == "Play"


def test_chapters_tables_and_links(look: Any) -> None:
    page = look()
    assert page.locator("section.chapter").count() == len(CHAPTERS) == 8
    for name in ("zero", "naive", "xavier", "he", "lecun", "orthogonal"):
        assert page.locator(f"#{name} a[href='https://example.org/guides/{name}.html']").count() == 1
    anchors = page.evaluate("() => [...document.querySelectorAll('a[href^=\"#\"]')].map((a) => a.getAttribute('href'))")
    plain = {anchor for anchor in anchors if "=" not in anchor}
    assert all(page.locator(anchor).count() == 1 for anchor in plain)
    rows = page.locator("table.choose tbody tr th").all_inner_texts()
    assert [row.split("\n")[0] for row in rows[-8:]] == [
        "Zeros", "Naive random", "Uniform, ±1/√n", "Xavier normal", "He normal", "LeCun normal", "Orthogonal",
        "Mirrored orthogonal",
    ]  # fmt: skip
    page.click("#choose tr:has-text('LeCun normal') .try")
    page.wait_for_function("() => document.body.dataset.drawn.startsWith('lecun_normal none selu 30')")
    assert "Healthy" in sentence(page)
    law = page.locator("[data-formula=xavier_uniform] .law")
    assert law.inner_text() == "U(−1, 1)"
    pick(page, "inputs", "100")
    assert law.inner_text() == f"U(−{math.sqrt(6 / 103):.3g}, {math.sqrt(6 / 103):.3g})"


def test_ids_labels_and_headings(look: Any) -> None:
    page = look()
    found = page.evaluate("""() => {
        const ids = [...document.querySelectorAll('[id]')].map((e) => e.id).filter((id) => !id.startsWith('plot-'));
        const controls = [...document.querySelectorAll('main select, main input, main button')];
        const drawings = [...document.querySelectorAll('.slot svg')].filter((s) => !s.closest('.legend'));
        const levels = [...document.querySelectorAll('h1, h2, h3, h4')].map((h) => Number(h.tagName[1]));
        return {
          twice: ids.filter((id, i) => ids.indexOf(id) !== i),
          nameless: controls.filter((c) => !c.labels?.length && !c.innerText).map((c) => c.id),
          silent: drawings.filter((s) => !s.getAttribute('aria-label') && !s.closest('[role=img][aria-label]')).length,
          figures: document.querySelectorAll('figure').length,
          unnamed: [...document.querySelectorAll('figure')]
            .filter((f) => !document.getElementById(f.getAttribute('aria-labelledby'))).length,
          jumps: levels.filter((l, i) => i && l > levels[i - 1] + 1).length,
        };
    }""")
    assert found["figures"] >= 20
    assert {key: found[key] for key in ("twice", "nameless", "silent", "unnamed", "jumps")} == {
        "twice": [], "nameless": [], "silent": 0, "unnamed": 0, "jumps": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("width", "scheme"), [(375, "dark"), (1280, "light")])
def test_axe_finds_no_fault(look: Any, width: int, scheme: str) -> None:
    assert faults(look(width=width, scheme=scheme)) == []


@pytest.mark.parametrize("width", [360, 820])
def test_narrow_screens_and_the_dark(look: Any, width: int) -> None:
    page = look("scheme=large&activation=gelu&depth=50", width=width, scheme="dark")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        "() => [...document.querySelectorAll('.slot svg')]"
        ".filter((s) => s.getBoundingClientRect().right > innerWidth + 1).length"
    )
    assert wide == 0
    ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", ground)[:3])) < 40
