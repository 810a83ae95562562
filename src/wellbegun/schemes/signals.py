"""Signals: first layers that are transforms of sound and other series."""

from dataclasses import dataclass

import numpy as np

from wellbegun._arguments import choice, message, text_of
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
        if sorted(layout.axes) != ["i", "k", "o"]:
            raise LayoutError(message(self.spelling, "layout", "that of a convolution over one axis", layout.axes))
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


publish(globals())
