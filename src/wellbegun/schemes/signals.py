"""Signals: first layers that are transforms of sound and other series."""

import math
from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import choice, message, real, text_of
from wellbegun._typing import Array
from wellbegun.errors import ArgumentError, LayoutError
from wellbegun.laws import Computed, Law
from wellbegun.layout import Layout
from wellbegun.schemes.base import Scheme, spell
from wellbegun.schemes.card import near, publish, scheme


@dataclass(frozen=True)
class Fourier(Computed):
    """Windowed waves along the window of a convolution: one side of a short-time Fourier transform."""

    size: tuple[int, ...]
    gain: float = 1.0
    side: str = "real"
    window: str | None = "hann"
    scaling: str | None = None

    def rows(self, start: int, stop: int) -> Array:
        turns, time = 2 * max(self.size[0] - 1, 1), np.arange(self.size[2])
        angles = 2 * np.pi * (np.arange(start, stop)[:, None] * time % turns / turns)
        waves = np.cos(angles) if self.side == "real" else -np.sin(angles)
        return self.gain * (waves * self._window())[:, None, :]

    def _window(self) -> Array:
        if self.window is None:
            return np.ones(self.size[2])
        from scipy.signal import get_window

        taps: Array = np.asarray(get_window(self.window, self.size[2], fftbins=False), dtype=np.float64)
        squares = float(np.sqrt((taps**2).sum()))
        return taps / {"density": squares, "spectrum": float(np.abs(taps).sum())}.get(self.scaling or "", 1.0)


@dataclass(frozen=True, repr=False)
class FourierScheme(Scheme):
    """One side, for a convolution over one axis from one channel."""

    side: str
    window: str | None
    scaling: str | None

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        size = layout.canonical_shape(shape)
        self._check_axes(layout, "iko")
        if size[1] != 1 or size[0] < 2 or size[2] < 2:
            allowed = "(bands, 1, window): from one channel to 2 bands or more, over 2 places or more"
            raise LayoutError(message(self.spelling, "shape", allowed, shape))
        law = Fourier(size, 1.0, self.side, self.window, self.scaling)
        with np.errstate(all="ignore"):
            finite = np.isfinite(law.rows(0, 1)).all()
        if not finite:
            allowed = f"one over more places: the window {self.window!r} of {size[2]} is zero"
            raise LayoutError(message(self.spelling, "shape", allowed, shape))
        return law


@scheme(
    formula="Short-time Fourier: window_t cos(2 pi f t / F), or -sin, for the bands f = 0..F/2, over a scaling.",
    shapes="convolutions over one axis from one channel to F/2 + 1 bands.",
    strengths="a spectrogram as the first layer: two such convolutions give the real and the imaginary side.",
    weaknesses="deterministic; learned further it is no Fourier transform any more.",
    use="first layers over sound and other signals.",
    source="Keras `STFT` initializer, whose defaults are side 'real', window 'hann', scaling 'density'.",
    tensors="convolution",
    shape=(9, 1, 16),
    layout="oik",
    example="stft_kernel(side='imag')",
    invariants={
        "the side of the discrete Fourier transform of a windowed frame, over the root of its squares": lambda w: near(
            w[:, 0], np.fft.rfft(np.eye(16) * _hann(16), axis=1).imag.T / np.sqrt((_hann(16) ** 2).sum())
        ),
    },
)
def stft_kernel(*, side: str = "real", window: str | None = "hann", scaling: str | None = "density") -> FourierScheme:
    """Args:
        side: "real" (cosines) or "imag" (minus sines).
        window: Name of a window of `scipy.signal.get_window`, symmetric; None for none.
        scaling: "density": over the root of the window's squares; "spectrum": over its sum; None: as it is.
    Raises: ArgumentError, ArgumentTypeError here: arguments. LayoutError at the draw: another shape.

    >>> stft_kernel(window=None)((3, 1, 4), seed=0, layout="oik").round(6).tolist()[2]
    [[1.0, -1.0, 1.0, -1.0]]
    """
    choice("stft_kernel", "side", side, ("real", "imag"))
    if scaling is not None:
        choice("stft_kernel", "scaling", scaling, ("density", "spectrum"))
    if window is not None:
        from scipy.signal import get_window

        try:
            get_window(text_of("stft_kernel", "window", window), 2)
        except ValueError as error:
            allowed = "the name of a window of scipy.signal.get_window, or None"
            raise ArgumentError(message("stft_kernel", "window", allowed, window)) from error
    defaults = {"side": "real", "window": "hann", "scaling": "density"}
    text = spell("stft_kernel", {"side": side, "window": window, "scaling": scaling}, dict(defaults))
    return FourierScheme(text, side, window, scaling)


def _hann(size: int) -> Array:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / (size - 1))


# ---------------------------------------------------------------------- SincNet
LEAST = 50.0  # hertz that the layer adds to the cutoff and to the width of each band


def _edges(bands: int, rate: float, low: float) -> Array:
    """Cutoffs evenly spaced in mel, from `low` to what leaves room below half of the rate: bands + 1 of them, in Hz."""
    first, last = (2595 * math.log10(1 + hertz / 700) for hertz in (low, rate / 2 - 2 * LEAST))
    return np.asarray(700 * (10 ** (np.linspace(first, last, bands + 1) / 2595) - 1))


@dataclass(frozen=True)
class SincBank(Computed):
    """Lower cutoffs, widths, or the windowed band-pass filters that a layer makes of them; see `sinc_bands`."""

    size: tuple[int, ...]
    part: str
    rate: float
    low: float
    gain: float = 1.0

    def rows(self, start: int, stop: int) -> Array:
        edges = _edges(self.size[0], self.rate, self.low)
        if self.part == "low":
            values = edges[:-1]
        elif self.part == "band":
            values = np.diff(edges)
        else:
            half = self.size[-1] // 2
            time = np.arange(1, half + 1) / self.rate
            first, width = edges[:-1, None] + LEAST, np.diff(edges)[:, None] + LEAST
            waves = np.sin(2 * np.pi * (first + width) * time) - np.sin(2 * np.pi * first * time)
            turns = np.linspace(0, self.size[-1] / 2 - 1, half)[::-1] / self.size[-1]  # as the code has its window
            taps = 0.54 - 0.46 * np.cos(2 * np.pi * turns)
            side = waves / (2 * np.pi * time * width) * taps
            values = np.concatenate([side[:, ::-1], np.ones((len(side), 1)), side], axis=1)
        return (self.gain * values).reshape(self.size)[start:stop]


@dataclass(frozen=True, repr=False)
class SincScheme(Scheme):
    """A row for each band."""

    part: str
    rate: float
    low: float

    def _law(self, shape: tuple[int, ...], layout: Layout) -> Law:
        size = layout.canonical_shape(shape)
        filters = self.part == "filters"
        fits = len(size) == 3 and size[1] == 1 and size[2] % 2 if filters else size[1:] in ((), (1,))
        if not fits or not size or not size[0]:
            allowed = "(bands, 1, window) with an odd window" if filters else "(bands,) or (bands, 1)"
            raise LayoutError(message(self.spelling, "shape", allowed, shape))
        return SincBank(size, self.part, self.rate, self.low)


def _pass_bands(w: Array) -> bool:
    """Whether each filter answers most within its band, of edges by mel, up to what 101 taps resolve."""
    answers, edges = np.abs(np.fft.rfft(w[:, 0], 4096)).argmax(axis=1) * 16000 / 4096, _edges(len(w), 16000.0, 30.0)
    return bool(((answers > edges[:-1] - 100) & (answers < edges[1:] + 200)).all())


@scheme(
    formula=(
        "SincNet: cutoffs evenly spaced in mel from `low` to half of the rate; filters of a band [f1, f2] are "
        "(sin 2 pi f2 t - sin 2 pi f1 t) / (2 pi (f2 - f1) t) under a Hamming window, 1 at the centre."
    ),
    shapes="cutoffs and widths (bands,) or (bands, 1); filters (bands, 1, window), window odd.",
    strengths="the first layer over a raw wave starts as a bank of band-pass filters, as hearing has it.",
    weaknesses="for the sample rate that it is told; the layer adds 50 Hz to cutoffs and widths, as the code does.",
    use="`low_hz_` and `band_hz_` of SincNet layers; filters for an ordinary convolution over sound.",
    source="Ravanelli, Bengio 2018, arXiv:1808.00158, and its code, `SincConv_fast`.",
    tensors="convolution",
    shape=(20, 1, 101),
    layout="oik",
    invariants={
        "symmetric, 1 at the centre": lambda w: near(w, w[..., ::-1]) and near(w[:, 0, 50], np.ones(len(w))),
        "each answers most in its band": _pass_bands,
    },
)
def sinc_bands(*, part: str = "filters", rate: float = 16000.0, low: float = 30.0) -> SincScheme:
    """Args:
        part: "low" or "band" (what the layer learns, in Hz), or "filters".
        rate: Samples in a second, > 260: half of it is above `low` and 100 Hz.
        low: The lowest cutoff in Hz, >= 0.
    Raises: ArgumentError here: arguments. LayoutError at the draw: another shape.

    >>> low, band = (sinc_bands(part=part)((4,), seed=0, layout="o", dtype="float64") for part in ("low", "band"))
    >>> bool(np.allclose(low[1:], (low + band)[:-1])), round(float(low[0]), 6)
    (True, 30.0)
    """
    choice("sinc_bands", "part", part, ("low", "band", "filters"))
    least = real("sinc_bands", "low", low, minimum=0)
    samples = real("sinc_bands", "rate", rate, minimum=2 * (least + 2 * LEAST), exclusive=True)
    options = {"part": part, "rate": samples, "low": least}
    text = spell("sinc_bands", options, {"part": "filters", "rate": 16000.0, "low": 30.0})
    return SincScheme(text, part, samples, least)


publish(globals())
