"""The site: its code runs, it builds strictly, every public name is on it, and nothing on it asks the network."""

import importlib
import importlib.util
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import documents
import griffe
import pytest

import wellbegun as wb
from wellbegun.health import CATALOGUE
from wellbegun.planning import RECIPES
from wellbegun.schemes.catalogue import FAMILIES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md"))
PACKAGES = (
    "",
    ".errors",
    ".explore",
    ".health",
    ".integrations",
    ".laws",
    ".materialize",
    ".planning",
    ".schemes",
    ".storage",
    ".testing",
    ".theory",
)


# ---------------------------------------------------------------------- code
@pytest.fixture(scope="module")
def outcomes() -> list[Any]:
    return list(documents.run(PAGES))


@pytest.mark.slow
@pytest.mark.parametrize("page", [str(path.relative_to(ROOT)) for path in PAGES])
def test_code_on_pages_runs(page: str, outcomes: list[Any]) -> None:
    of_page = [outcome for outcome in outcomes if outcome.document == str(ROOT / page)]
    assert len(of_page) == len(documents.steps((ROOT / page).read_text()))
    failed = [str(outcome) for outcome in of_page if outcome.failed]
    assert not failed, "\n".join(failed)


def test_pages_have_something_to_run() -> None:
    steps = {path.name: documents.steps(path.read_text()) for path in PAGES if path.parent.name in ("guides", "howto")}
    silent = {"index.md", "explore.md"}  # lists of pages; a command of twenty seconds, which has tests of its own
    assert {name for name, found in steps.items() if not found} <= silent
    assert sum(len(found) for found in steps.values()) > 50
    shown = re.findall(r"^```(\w+)", "".join(path.read_text() for path in PAGES), re.MULTILINE)
    assert not re.findall(r"^\)  # \S", "".join(path.read_text() for path in PAGES), re.MULTILINE)  # a claim not seen
    assert set(shown) <= {
        "python",
        "console",
        "toml",
        "json",
        "yaml",
        "text",
    }  # a language that nothing runs would go unnoticed


@pytest.mark.slow
def test_wrong_claims_are_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    blocks = [
        "```python\nx = 1 + 1\nprint(x)  # 2\n```",
        "```python\nprint(x)  # 3\n```",
        "```python\nraise ValueError('no')\n```",
        "```python\nimport warnings; warnings.warn('old', DeprecationWarning)\n```",
        '```python title="sub/net.py"\nnumber = 5\n```',
        "```python\nfrom sub.net import number\nprint(number)  # 5\n```",
        "```console\n$ wellbegun gain relu\n...\nno such line\n$ wellbegun gain nonsense  # exit status 2\n```",
    ]
    page.write_text("\n\n".join(blocks))
    found = documents.run([page])
    assert [outcome.failed for outcome in found] == [False, True, True, True, False, False, True, False]
    assert "NameError" in documents.run([page], apart=True)[1].output  # each block for itself


def test_the_home_page_names_what_the_core_needs() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    told = re.search(r"The core needs ([^.]*)\.", (DOCS / "index.md").read_text())
    assert told is not None
    names = re.split(r",\s+|\s+and\s+", told[1].lower())
    assert sorted(names) == sorted(re.split(r"[>=<]", text)[0] for text in needed)


# ---------------------------------------------------------------------- the site
def build(*options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", *map(str, options)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Text of every page of the built site."""
    folder = tmp_path_factory.mktemp("site")
    found = build("--site-dir", folder)
    assert found.returncode == 0, found.stderr
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.html")} | {"": str(folder)}


@pytest.mark.slow
def test_pages_ask_nothing_of_the_network(site: dict[str, str]) -> None:
    asks = re.compile(r'<(?:script|img|iframe)[^>]*src="(?:https?:)?//|<link[^>]*href="(?:https?:)?//')
    assert len(site) >= 35
    assert [name for name, text in site.items() if asks.search(text)] == []
    assert asks.search('<script src="https://cdn.example/x.js">')


@pytest.mark.slow
def test_plots_and_formulas_are_drawn(site: dict[str, str]) -> None:
    whole = "".join(site.values())
    described = re.findall(r'<svg class="plot" role="img" aria-label="([^"]*)"', whole)
    plots = sum((DOCS / name).read_text().count("\n@plot(") for name in ("plots.py", "places.py"))
    assert len(described) == len(set(described)) == plots >= 20
    assert all(len(text) > 60 for text in described)
    assert len(re.findall(r'<svg class="math" role="img" aria-label="', whole)) > 100
    assert "arithmatex" not in whole
    assert "#10a0" not in whole  # colours that stand for those of the page


@pytest.mark.slow
def test_pages_open_from_disk(site: dict[str, str]) -> None:
    """In Chromium, at the width of a phone: no errors, no requests, nothing wider than the page, search finds."""
    api = pytest.importorskip("playwright.sync_api", reason="the browser test needs Playwright")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next(filter(None, map(shutil.which, names)), None)
    assert path, "scripts/browser installs Chromium"
    with api.sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page, complaints = browser.new_page(viewport={"width": 390, "height": 800}), []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("request", lambda asked: complaints.append(asked.url) if asked.url.startswith("http") else None)
        for name in ("index.html", "guides/he.html", "comparison.html", "reference/models.html", "codes.html"):
            page.goto(f"file://{site['']}/{name}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name
            assert all(box["width"] > 250 for svg in page.query_selector_all("svg.plot") if (box := svg.bounding_box()))
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(f"file://{site['']}/index.html")
        page.keyboard.press("/")
        page.keyboard.type("orthogonal gates")
        page.wait_for_selector(".md-search-result__item a[href*='orthogonal']", timeout=20_000)
        browser.close()
    assert complaints == []


@pytest.mark.slow
def test_tables_of_names_are_complete(site: dict[str, str]) -> None:
    assert all(f'id="{code.lower()}"' in site["codes.html"] for code in CATALOGUE)
    assert site["codes.html"].count("<strong>Bound:</strong>") == len(CATALOGUE)
    names = {recipe.name for recipe in RECIPES.values()}
    assert [name for name in names if f"<code>{name}</code>" not in site["reference/planning.html"]] == []
    commands = re.findall(r'id="([\w-]+)">wellbegun ', site["reference/cli.html"])
    assert {"plan", "init", "check", "race", "explore", "gain", "schemes"} <= set(commands)
    assert "--explain" in site["reference/cli.html"]


QUESTIONS = (
    "My loss is NaN",
    "My loss is 40",
    "It does not learn",
    "Which init did we use?",
    "The same weights on two machines",
    "Load the file in my trainer",
    "New head on a trained backbone",
    "Masks and padding",
    "My own scheme",
    "My own recipe",
)


@pytest.mark.parametrize("words", QUESTIONS)
def test_a_question_is_a_page_that_ends_with_the_answer(words: str) -> None:
    pages = [text for path in PAGES if f"\n# {words}\n" in f"\n{(text := path.read_text())}"]
    assert len(pages) == 1
    assert pages[0].rstrip().rpartition("\n\n")[2].startswith("**The answer**: ")
    assert f"      - {words}: howto/" in (ROOT / "mkdocs.yml").read_text()


@pytest.mark.slow
def test_search_finds_questions_by_their_words(site: dict[str, str]) -> None:
    found = json.loads((Path(site[""]) / "search" / "search_index.json").read_text())["docs"]
    titles = {item["title"] for item in found if "#" not in item["location"]}
    assert set(QUESTIONS) <= titles
    assert {"Roles", "Glossary"} <= titles


def test_every_role_is_told_and_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS)
    places, drawing = importlib.import_module("places"), importlib.import_module("drawing")
    assert places.roles_table() in (DOCS / "roles.md").read_text()  # and no role of the code lacks words
    pictures = "".join(drawing.svg(name) for name in drawing.PLOTS if name.startswith("roles-"))
    drawn = {word for text in re.findall(r"<text[^>]*>([^<]*)<", pictures) for word in re.findall(r"[a-z_]+", text)}
    assert {*places.recipe_of("auto").choices} - drawn == set()


@pytest.mark.slow
def test_every_public_name_has_its_place(site: dict[str, str]) -> None:
    places = set(re.findall(r'id="([\w.]+)"', "".join(t for name, t in site.items() if name.startswith("reference/"))))
    wanted = {f"{module.__name__}.{name}" for module in modules() for name in names_of(module)}
    shown = {name for name in wanted if name in places or canonical(name) in places}
    assert wanted - shown == set()
    assert "wellbegun.nonsense" not in places


def modules() -> Iterator[ModuleType]:
    yield from FAMILIES
    for package in PACKAGES:
        yield importlib.import_module(f"wellbegun{package}")


def names_of(module: ModuleType) -> list[str]:
    """What a module offers; exceptions have no __all__."""
    own = [name for name, value in vars(module).items() if isinstance(value, type)]
    return list(getattr(module, "__all__", own))


def canonical(name: str) -> str:
    """wellbegun.theory.gain -> wellbegun.gain, if that is the same object."""
    module, _, own = name.rpartition(".")
    value = getattr(importlib.import_module(module), own)
    return f"wellbegun.{own}" if getattr(wb, own, None) is value else name


# ---------------------------------------------------------------------- docstrings
def test_docstrings_become_markdown() -> None:
    """Fields, items over several lines, examples, papers."""
    spec = importlib.util.spec_from_file_location("docstrings", DOCS / "docstrings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    fields = "Args:\n    a, b: One\n        value.\nShapes: any. Raises: nothing.\nSource: arXiv:1502.01852."
    text = f"Sum.\n\n{fields}\n\n>>> 1\n1\n"
    found = module.markdown(text).splitlines()
    assert "- `a`, `b`: One value." in found
    assert "**Raises:** nothing." in found
    assert "**Source:** [arXiv:1502.01852](https://arxiv.org/abs/1502.01852)." in found
    assert found[-4:] == ["```pycon", ">>> 1", "1", "```"]


def undocumented(package: str, folder: Path) -> list[str]:
    """Names in __all__ without a docstring; that of data is the text below it, which only the source has."""
    module, source = importlib.import_module(package), griffe.load(package, search_paths=[folder], resolve_aliases=True)
    missing = []
    for name in names_of(module):
        value = getattr(module, name)
        text = value.__doc__ if inspect.isclass(value) or inspect.isroutine(value) else None
        if text is None and not inspect.isroutine(value):
            member = source.members[name]
            found = member.final_target if member.is_alias else member
            text = found.docstring.value if found.docstring else None
        if not (text or "").strip():
            missing.append(name)
    return missing


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_have_docstrings(package: str) -> None:
    assert undocumented(f"wellbegun{package}", ROOT / "src") == []


def test_a_name_without_docstring_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    functions = 'def f():\n    """Said."""\n\n\ndef g():\n    pass\n'
    data = 'said = {}\n"""Said."""\nbare = {}\n'
    (tmp_path / "bare_module.py").write_text(f'__all__ = ["f", "g", "said", "bare"]\n\n\n{functions}\n\n{data}')
    monkeypatch.syspath_prepend(tmp_path)
    assert undocumented("bare_module", tmp_path) == ["g", "bare"]


# ---------------------------------------------------------------------- links
@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[a](other.md)", None),
        ("[a](nowhere.md)", "nowhere.md"),
        ("[a](other.md#nothing)", "does not contain an anchor"),
        ("![a](nowhere.svg)", "nowhere.svg"),
        ("[a](/other.md)", "absolute link"),
        ("[a][wellbegun.nonsense]", "wellbegun.nonsense"),
    ],
)
def test_broken_links_fail_the_build(text: str, complaint: str | None, tmp_path: Path) -> None:
    """On a small site with the settings of the real one."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# One\n\n{text}\n")
    (tmp_path / "docs" / "other.md").write_text("# Other\n")
    changes = "docs_dir: docs\nnav: [index.md, other.md]\nhooks: []\nplugins: [autorefs]\ntheme: {name: mkdocs}\n"
    (tmp_path / "mkdocs.yml").write_text(f"INHERIT: {ROOT / 'mkdocs.yml'}\n{changes}")
    found = build("--config-file", tmp_path / "mkdocs.yml", "--site-dir", tmp_path / "site")
    assert found.returncode == (0 if complaint is None else 1), found.stderr
    assert complaint is None or complaint in found.stderr


LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_between_files(name: str) -> None:
    links = LINK.findall((ROOT / name).read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []
    assert links or name != "README.md"


def test_files_that_docstrings_name_exist() -> None:
    named = re.compile(r"\b((?:docs|tests|benchmarks|examples|scripts)/[\w./-]+\.\w+)")
    files = [path for folder in ("src", "docs") for path in (ROOT / folder).rglob("*.py")]
    texts = {path: path.read_text() for path in files}
    found = {(str(path), link) for path, text in texts.items() for link in named.findall(text)}
    assert found
    assert [pair for pair in found if not (ROOT / pair[1]).exists()] == []
