"""Formulas as drawings: TeX, set by matplotlib's mathtext, in the colour of the text around them."""

import functools
import html

import matplotlib as mpl
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.textpath import TextPath

SIZE = 16.0
_LETTERS = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}


def drawn(source: str) -> str:
    r"""SVG of `\(...\)`, on the baseline of its line, or of `\[...\]`, on a line of its own."""
    tex, display = source[2:-2].strip(), source.startswith(r"\[")
    picture = svg(tex.replace(r"\frac", r"\dfrac") if display else tex, 1.2 if display else 1.1)
    return f'<div class="formula">{picture}</div>' if display else picture


@functools.cache
def svg(tex: str, scale: float) -> str:
    text = f"${' '.join(tex.split())}$"
    with mpl.rc_context({"mathtext.fontset": "stix"}):
        font = FontProperties(size=SIZE)
        width, height, depth, _, _ = MathTextParser("path").parse(text, 72, font)
        path = TextPath((0, 0), text, size=SIZE, prop=font)
    steps = [
        _LETTERS[int(code)]
        + ("" if code == 79 else " ".join(f"{value:.2f}".rstrip("0").rstrip(".") for value in values))
        for values, code in path.iter_segments(simplify=False)
    ]
    size = f"width:{width / SIZE * scale:.3f}em;vertical-align:{-depth / SIZE * scale:.3f}em"
    return (
        f'<svg class="math" role="img" aria-label="{html.escape(tex)}" style="{size}" '
        f'viewBox="0 {depth - height:.2f} {width:.2f} {height:.2f}">'
        f'<path transform="scale(1,-1)" d="{"".join(steps)}"/></svg>'
    )
