"""What each role means and where it sits in a model: words for a table, and pictures of boxes and arrows."""

from collections.abc import Iterable, Mapping
from typing import Any

from drawing import FAINT, INK, SERIES, plot

from wellbegun.planning import recipe_of
from wellbegun.schemes import TENSORS

NO_PLACE = {  # roles that say that nothing is known
    "unused": "this batch does not reach it, and its layer does not say what it is",
    "unknown": "used in a way that the graph does not explain",
}


def roles_table() -> str:
    """Every role that recipes choose for; a role without words here is an error."""
    found = recipe_of("auto").choices
    assert found.keys() <= TENSORS.keys(), found.keys() - TENSORS.keys()
    words = {name: text for name, text in TENSORS.items() if name in found} | NO_PLACE
    rows = [f"| `{name}` | {text} |" for name, text in words.items()]
    return "\n".join(["| role | what it is |", "|---|---|", *rows])


Box = tuple[float, float, str]  # where its middle is, and its lines: names of roles, or plain words
Boxes = Mapping[str, Box]


def picture(axes: Any, title: str, boxes: Boxes, arrows: Iterable[str], captions: Iterable[Box] = ()) -> None:
    """Boxes by name, arrows as "a b", and words beside them, on a field 10 wide and 8 high, from the top."""
    axes.set(title=title, xlim=(0, 10), ylim=(8, 0))
    axes.axis("off")
    drawn = {}
    for name, (x, y, text) in boxes.items():
        is_role = text.split("\n")[0] in TENSORS
        colour, font = (SERIES[0], "monospace") if is_role else (INK, None)
        frame = {"boxstyle": "round,pad=0.35", "facecolor": "none", "edgecolor": colour if is_role else FAINT}
        options = {"family": font} if font else {}
        drawn[name] = axes.text(
            x, y, text, ha="center", va="center", color=colour, fontsize=10, bbox={**frame, "linewidth": 1.4}, **options
        )
    for pair in arrows:
        start, end = pair.split()
        ends = {"patchA": drawn[start].get_bbox_patch(), "patchB": drawn[end].get_bbox_patch()}
        style = {"arrowstyle": "->", "color": INK, "shrinkA": 2, "shrinkB": 2, **ends}
        axes.annotate("", boxes[end][:2], boxes[start][:2], arrowprops=style)
    for x, y, text in captions:
        axes.text(x, y, text, va="center", fontsize=10)


@plot("roles-plain")
def plain(axes: Any) -> None:
    boxes = {
        "x": (2.2, 0.5, "input"),
        "a": (2.2, 2.0, "hidden\nbias"),
        "f": (2.2, 3.6, "negative_slope"),
        "m": (2.2, 4.9, "multiplier"),
        "r": (2.2, 6.3, "readout\nbias"),
        "y": (2.2, 7.7, "output"),
    }
    said = [
        (4.6, 2.0, "a matrix, and what is added"),
        (4.6, 3.6, "of a PReLU"),
        (4.6, 4.9, "a factor, in no normalization"),
        (4.6, 6.3, "no other weight follows"),
    ]
    picture(axes, "A plain net", boxes, ["x a", "a f", "f m", "m r", "r y"], said)


@plot("roles-branch")
def branch(axes: Any) -> None:
    boxes = {
        "x": (1.0, 0.5, "stream"),
        "n": (4.4, 1.2, "norm_scale\nnorm_shift"),
        "a": (4.4, 3.0, "hidden\nbias"),
        "o": (4.4, 4.8, "residual_out\nbias"),
        "s": (4.4, 6.4, "residual_scale"),
        "+": (1.0, 6.4, "+"),
        "y": (1.0, 7.7, "stream"),
    }
    said = [(6.7, 1.2, "normalization"), (6.7, 4.8, "ends the branch"), (6.7, 6.4, "of the branch")]
    picture(axes, "A residual branch", boxes, ["x n", "n a", "a o", "o s", "s +", "x +", "+ y"], said)


@plot("roles-attention")
def attention(axes: Any) -> None:
    boxes = {
        "x": (5.0, 0.5, "signal"),
        "q": (1.8, 2.0, "query"),
        "k": (5.0, 2.0, "key"),
        "v": (8.2, 2.0, "value"),
        "p": (3.4, 3.5, "softmax of products"),
        "m": (6.6, 4.6, "average"),
        "o": (6.6, 6.0, "attention_out"),
        "y": (6.6, 7.5, "+ stream"),
    }
    said = [(0.1, 5.6, "In one matrix:"), (0.1, 6.3, "query_key, key_value,"), (0.1, 7.0, "query_key_value")]
    picture(axes, "Attention", boxes, ["x q", "x k", "x v", "q p", "k p", "p m", "v m", "m o", "o y"], said)


@plot("roles-gated")
def gated(axes: Any) -> None:
    boxes = {
        "x": (3.0, 0.5, "signal"),
        "g": (1.4, 2.0, "gate"),
        "u": (4.6, 2.0, "up"),
        "f": (1.4, 3.4, "function"),
        "t": (3.0, 4.7, "×"),
        "d": (3.0, 6.1, "down"),
        "y": (3.0, 7.6, "+ stream"),
        "z": (8.0, 0.5, "signal"),
        "r": (8.0, 2.0, "router"),
        "c": (8.0, 3.6, "choice"),
        "e": (8.0, 5.2, "experts"),
    }
    arrows = ["x g", "x u", "g f", "f t", "u t", "t d", "d y", "z r", "r c", "c e"]
    picture(axes, "A gated unit; experts", boxes, arrows, [(4.3, 4.0, "In one matrix:"), (4.3, 4.7, "gate_up")])


@plot("roles-tables")
def tables(axes: Any) -> None:
    boxes = {
        "x": (2.0, 0.6, "numbers of tokens"),
        "e": (2.0, 2.3, "embedding"),
        "t": (7.0, 2.3, "token"),
        "j": (2.0, 4.0, "joined"),
        "p": (7.0, 5.6, "positional"),
        "+": (2.0, 5.6, "+"),
        "y": (2.0, 7.3, "stream"),
    }
    said = [(5.4, 3.3, "a class token, say")]
    picture(axes, "Tables", boxes, ["x e", "e j", "t j", "j +", "p +", "+ y"], said)


@plot("roles-recurrent")
def recurrent(axes: Any) -> None:
    boxes = {
        "x": (2.4, 0.5, "input of this step"),
        "h": (7.6, 0.5, "state of the last"),
        "i": (2.4, 2.4, "recurrent_input\nrecurrent_bias_input"),
        "r": (7.6, 2.4, "recurrent\nrecurrent_bias"),
        "g": (5.0, 4.3, "gates"),
        "p": (5.0, 5.8, "recurrent_projection"),
        "y": (5.0, 7.4, "state of this step"),
    }
    picture(axes, "A recurrent layer", boxes, ["x i", "h r", "i g", "r g", "g p", "p y"])


@plot("roles-rare")
def rare(axes: Any) -> None:
    boxes = {
        "x": (2.4, 0.5, "input"),
        "c": (2.4, 2.2, "centre"),
        "d": (2.4, 3.7, "distances"),
        "s": (2.4, 5.2, "distance_scale"),
        "f": (2.4, 6.8, "function"),
        "u": (7.4, 0.5, "signal"),
        "t": (7.4, 2.4, "time_step\ntime_step_bias"),
        "p": (7.4, 4.2, "softplus"),
        "h": (7.4, 6.0, "how fast\na state forgets"),
    }
    title = "Distances; a state-space layer"
    picture(axes, title, boxes, ["x c", "c d", "d s", "s f", "u t", "t p", "p h"])
