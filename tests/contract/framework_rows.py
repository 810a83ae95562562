"""One model a row, one framework a column: what `test_frameworks.py` and `test_keras.py` compare, as a table."""

from collections.abc import Mapping

COLUMNS: Mapping[str, str] = {
    "nnx": "Flax NNX",
    "linen": "Flax Linen",
    "equinox": "Equinox",
    "haiku": "Haiku",
    "plain": "a tree and a function",
    "keras": "Keras, on PyTorch and on JAX",
}
"""Each is compared with PyTorch."""
ABOUT: Mapping[str, str] = {
    "mlp": "dense layers, an activation written where it is used", "relu": "dense layers with relu and tanh",
    "bare": "arrays without layers, a gated unit, two inputs",
    "conv": "convolutions: strided, depthwise, 1x1; batch and group norm", "residual": "residual convolutions, a pool",
    "dense": "a class for each place of an image", "transformer": "two GPT blocks, attention by products",
    "fused": "the same, attention by one function", "tied": "attention with heads as axes, RMS norm, a tied readout",
    "siren": "sines, a mean and a spread", "by hand": "normalizations written by hand, after the sum",
    "vae": "a code that is drawn around a mean", "weight norm": "a weight computed as magnitude times direction",
    "shared layer": "one layer used twice, a dict batch", "experts": "experts behind a gate, three axes",
    "autoencoder": "a narrow code", "transposed": "transposed convolutions", "u-net": "down, up, and a skip",
    "separable": "a depthwise block with group norm", "lstm": "an LSTM cell in a loop", "gru": "a GRU cell in a loop",
    "gated": "gates of tanh and sigmoid", "mixer": "layers across rows and along them",
    "heads": "attention whose weights have three axes", "gpt": "a GPT block with positions",
    "gpt, tied": "a table that is also the readout", "llama": "a gated unit behind an RMS norm",
    "encoder-decoder": "attention to an encoder, a dict batch",
}  # fmt: skip
_OWN_LAYER = "Its own attention layer names its parts otherwise"
ABSENT: Mapping[tuple[str, str], str] = {
    ("tied", "equinox"): _OWN_LAYER, ("tied", "haiku"): _OWN_LAYER, ("tied", "plain"): "It has no layers of its own",
}  # fmt: skip
"""Why a framework has no such model."""
_NORM = "`auto` does not mirror units through a normalization of channels that is written by hand"
EXCEPT: Mapping[tuple[str, str], str] = {("conv", "plain"): _NORM, ("residual", "plain"): _NORM}
"""What of the plan of `auto` differs."""


def table() -> str:
    """In Markdown."""
    lines = [f"| model | {' | '.join(COLUMNS.values())} |", f"|---|{'---|' * len(COLUMNS)}"]
    notes = dict.fromkeys([*ABSENT.values(), *EXCEPT.values()])
    marks = {note: "abc"[place] for place, note in enumerate(notes)}
    for row, about in ABOUT.items():
        cells = []
        for column in COLUMNS:
            absent, differs = ABSENT.get((row, column)), EXCEPT.get((row, column))
            note = absent or differs
            cells.append(("–" if absent else "=") + (f" <sup>{marks[note]}</sup>" if note else ""))
        lines.append(f"| {row}: {about} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"<sup>{mark}</sup> {note}.  " for note, mark in marks.items())]).rstrip()
