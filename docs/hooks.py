"""What the site is made of besides its pages: formulas, plots, and pages generated from the code."""

import html
import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import generated
import places  # noqa: F401 - fills PLOTS
import plots  # noqa: F401 - fills PLOTS
from docstrings import linked
from drawing import PLOTS, drawn
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import formulas

FRAMEWORKS = "wellbegun.torch", "wellbegun.jax", "wellbegun.keras"  # which one would have to have
ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^(`{3,}).*?^\1\s*$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"(?<![\[`])`(?:wb|wellbegun)\.((?:[a-z_]+\.)*\w+)(\([^`]*\))?`(?![\]`])")
FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>([.,;:!?)]*)', re.DOTALL)
IMAGE = re.compile(r'<img alt="([^"]*)" src="[./]*plots/([\w-]+)\.svg" ?/?>')


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Every page says of which version it speaks."""
    from wellbegun import __version__

    config.copyright = f"wellbegun {__version__}"
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Pages and plots that are made, not kept."""
    pages = {f"plots/{name}.svg": "" for name in PLOTS} | generated.pages(ROOT)
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links for papers and for names of the package, outside code."""
    parts, last = [], 0
    for fence in [*FENCE.finditer(markdown), None]:
        prose = markdown[last : fence.start() if fence else None]
        parts.append(names(linked(prose)) + (fence.group() if fence else ""))
        last = fence.end() if fence else last
    return "".join(parts)


def names(text: str) -> str:
    """`wb.plan(...)` -> a link to its place in the reference; headings stay as they are."""

    def link(found: re.Match[str]) -> str:
        module, _, own = f"wellbegun.{found[1]}".rpartition(".")
        offered = () if module.startswith(FRAMEWORKS) else getattr(_module(module), "__all__", ())
        return f"[{found[0]}][wellbegun.{found[1]}]" if own in offered else found[0]

    return "\n".join(line if line.startswith("#") else NAME.sub(link, line) for line in text.split("\n"))


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:  # an attribute of a class, or nothing of ours
        return None


def on_page_content(content: str, **_: Any) -> str:
    """Formulas and plots become drawings inside the page, which take its colours."""
    content = re.sub(r"<th([^>]*)></th>", r"<td\1></td>", content)  # a corner is no heading
    content = FORMULA.sub(formula, content)
    content = IMAGE.sub(lambda found: drawn(found[2], html.unescape(found[1])), content)
    alone = r'<p>(\s*(?:<svg class="plot".*?</svg>\s*)+)</p>'
    return re.sub(alone, r'<div class="plots">\1</div>', content, flags=re.DOTALL)


def on_post_page(output: str, **_: Any) -> str:
    """Names for what the theme leaves without: the dialog of the search, and the lists of sections that have a page."""
    search = 'data-md-component="search" role="dialog"'
    output = output.replace(search, f'{search} aria-label="Search"')
    output = re.sub(r'<label class="md-nav__title" for="(__nav[\d_]+)"', r'\g<0> id="\1_title"', output)
    return re.sub(r'(<nav class="md-nav"[^>]* aria-labelledby="__nav[\d_]+)_label"', r'\1_title"', output)


def formula(found: re.Match[str]) -> str:
    """A formula and the punctuation behind it, which stays on its line."""
    picture = formulas.drawn(html.unescape(found[2]))
    return f'<span class="together">{picture}{found[3]}</span>' if found[3] else picture


def on_post_build(config: MkDocsConfig) -> None:
    """The plots stand in the pages; their empty files go."""
    for name in PLOTS:
        (Path(config.site_dir) / "plots" / f"{name}.svg").unlink()
