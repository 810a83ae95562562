"""The page itself: templates, data and scripts in one file."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from wellbegun.errors import ModelError
from wellbegun.explore.content import content
from wellbegun.explore.lessons import COUNTS, FORMULAS, SLOPES_BELOW, STDS, TENSIONS
from wellbegun.explore.named import added
from wellbegun.explore.playground import CHOICES, Progress
from wellbegun.health import CATALOGUE
from wellbegun.reports.html import CHARTS, asset, page, template
from wellbegun.schemes import cards
from wellbegun.storage import write_text

HERE = "wellbegun.explore"
TITLE = "How should a neural network begin?"
# guide -> the public name whose help says most of it, for those who have the package alone
GUIDES = {
    "zero": "zeros", "naive": "normal", "xavier": "xavier_normal", "he": "he_normal", "lecun": "lecun_normal",
    "orthogonal": "orthogonal", "stable": "check",
}  # fmt: skip
# anchor, short name, title
CHAPTERS = (
    ("zero", "Zeros", "Why a network of equal units never becomes more"),
    ("naive", "Naive scales", "Why a guessed scale explodes or vanishes"),
    ("xavier", "Xavier", "Xavier: a balance between forward and backward"),
    ("he", "He", "He: making up for the half that ReLU cuts off"),
    ("lecun", "LeCun", "LeCun: the right tension, and a fixed point"),
    ("orthogonal", "Orthogonal", "Orthogonal: no direction is lost"),
    ("choose", "Which for which", "Which scheme for which layer"),
    ("stable", "Stable signals", "Stable signals and gradients: what it is all for"),
)
# what `wellbegun check` can find in plain networks; the page tells these
CODES = ("W101", "W102", "W103", "W201", "W202", "W301", "W401", "W501", "W701", "W702")
# what the table of schemes shows: choice of the playground, its activation there
TABLE = {
    "zeros": "relu",
    "small": "tanh",
    "fan_in_uniform": "tanh",
    "xavier_normal": "tanh",
    "he_normal": "relu",
    "lecun_normal": "selu",
    "orthogonal": "tanh",
    "mirrored": "relu",
}
RULES = {
    "zeros": ("Zeros", "W = 0"),
    "constant": ("Constant", "W = c, here 0.5"),
    "fan_in_uniform": ("Uniform", "U(−1/√nᵢₙ, 1/√nᵢₙ)"),
    "xavier_normal": ("Xavier normal", "N(0, σ²), σ = √(2 / (nᵢₙ + nₒᵤₜ))"),
    "xavier_uniform": ("Xavier uniform", "U(−a, a), a = √(6 / (nᵢₙ + nₒᵤₜ))"),
    "he_normal": ("He normal", "N(0, σ²), σ = √(2 / nᵢₙ)"),
    "he_uniform": ("He uniform", "U(−a, a), a = √(6 / nᵢₙ)"),
    "lecun_normal": ("LeCun normal", "N(0, σ²), σ = √(1 / nᵢₙ)"),
    "lecun_uniform": ("LeCun uniform", "U(−a, a), a = √(3 / nᵢₙ)"),
}


def write(
    path: str | Path = "explore.html",
    *,
    docs: str | None = None,
    add: Iterable[str] = (),
    progress: Progress | None = None,
) -> Path:
    """Write the page on which schemes can be tried and seen, as one HTML file that needs no network.

    Scheme, activation, depth, width and scale are picked in the page; it shows weights, signals and gradients by layer,
    measured on networks with wellbegun's weights, beside theory, and eight chapters that explain them.

    Args:
        path: The file; its folder must exist.
        docs: Where the guides are, with {} for a guide's name: "https://example.org/guides/{}.html". None: the guides
            of this repository, if the file is written into its root; else the help that says most of it is named.
        add: Schemes and recipes that can be picked too: texts such as "hadamard", "orthogonal(gain=1.2)", "gpt2@1". A
            recipe shows what it gives the middle layer of a plain network with the activation that is picked.
        progress: Called with (groups measured, all groups, what was measured).
    Returns:
        The path.
    Raises:
        ModelError: no such folder, found before anything is measured. FileError: the file cannot be written.
        UnknownNameError, ArgumentError, LayoutError: `add`, also before anything is measured.
    Cost: about 20 s on two processors, 450 MB of memory; a file of about 1.7 MB. Each kind of law that is added takes
        about 3 s and 0.1 MB more.

    >>> write("no-such-folder/explore.html")
    Traceback (most recent call last):
    wellbegun.errors.ModelError: explore: there is no folder 'no-such-folder' for the page. Make it first.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise ModelError(f"explore: there is no folder {str(target.parent)!r} for the page. Make it first.")
    if target.is_dir():
        raise ModelError(f"explore: {str(target)!r} is a folder. Name a file, such as explore.html.")
    more = added((add,) if isinstance(add, str) else add)
    text = document(content(progress, more=more), guides(target.parent, docs))
    return write_text(target, text)


def guides(folder: Path, docs: str | None) -> dict[str, str | None]:
    """Address of each guide, None where there is none to open.

    >>> guides(Path("."), "guides/{}.html")["he"]
    'guides/he.html'
    """
    if docs is not None:
        return {name: docs.replace("{}", name) for name in GUIDES}
    addresses: dict[str, str | None] = {}
    for name in GUIDES:
        places = (f"build/site/guides/{name}.html", f"docs/guides/{name}.md")
        addresses[name] = next((place for place in places if (folder / place).is_file()), None)
    return addresses


def document(data: dict[str, Any], links: dict[str, str | None]) -> str:
    """The text of the page for `content` that was measured."""
    from wellbegun import __version__

    values: dict[str, Any] = {
        "version": __version__,
        "play": data["play"],
        "guides": links,
        "helps": GUIDES,
        "chapters": [{"id": key, "short": short, "title": title} for key, short, title in CHAPTERS],
    }
    story = template("chapters.html", HERE, **values, **_chapters())
    body = template("explore.html", HERE, **values, **_options(data["play"]), story=story)
    scripts = [asset(name) for name in CHARTS] + [asset(name, HERE) for name in ("explore.js", "chapters.js")]
    description = "Try how the first weights of a neural network decide its signals and gradients."
    named = {f"data-{key}": value for key, value in data.items()}  # sections have the short names
    return page(TITLE, body, scripts=scripts, styles=[asset("explore.css", HERE)], data=named, description=description)


def _options(play: dict[str, Any]) -> dict[str, Any]:
    """What the controls of the playground and of the formulas offer."""

    def counts(values: Any, unit: Callable[[int], str] = str) -> list[tuple[str, str]]:
        return [(str(value), unit(value)) for value in values]

    return {
        "schemes": play["shown"],
        "activations": [(each["name"], each["name"]) for each in play["activations"]],
        "depths": counts(play["depths"]),
        "widths": counts(play["widths"]),
        "counts": counts(COUNTS),
        "formulas": [{"key": key, "label": RULES[key][0], "rule": RULES[key][1]} for key in FORMULAS],
    }


def _chapters() -> dict[str, Any]:
    """What the chapters show besides figures."""
    by_name = {card.name: card for card in cards()}
    table = []
    for choice in CHOICES:
        if choice.key in TABLE:
            card = by_name[choice.scheme.spelling.partition("(")[0]]
            state = f"scheme={choice.key}&compare=none&activation={TABLE[choice.key]}&depth=30&at=playground"
            label = choice.label if choice.key != "small" else "Naive random"
            texts = {
                key: text.replace("E x^2", "the mean square")
                for key, text in card.texts().items()
                if isinstance(text, str)
            }
            table.append({**texts, "label": label, "address": state})
    slopes = [(str(index), _slope(slope)) for index, slope in enumerate(SLOPES_BELOW)]
    return {
        "naive_last": len(STDS) - 1,
        "tension_last": len(TENSIONS) - 1,
        "slopes": slopes,
        "table": table,
        "findings": [(code, CATALOGUE[code].title, CATALOGUE[code].why) for code in CODES],
    }


def _slope(slope: float) -> str:
    return {0.0: "0 (ReLU)", 1.0: "1 (linear)"}.get(slope, f"{slope:g} (leaky)")
