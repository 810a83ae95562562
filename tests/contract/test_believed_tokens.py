"""What learned factors next to nothing let in: healthy, since a step opens them; what is lost before them is found."""

import pytest
import torch
from torch import nn

import wellbegun as wb

WIDTH = 32


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


class Token(nn.Module):
    """A token that reads patches through factors, and is read out alone: by itself, or picked of all places."""

    def __init__(self, scale: float, *, learned: bool = True, size: float = 1.0, fading: int = 0, whole: bool = False):
        super().__init__()
        self.patches, self.places = nn.Linear(12, WIDTH), nn.Parameter(0.02 * torch.randn(1, 9, WIDTH))
        self.token, self.size, self.whole = nn.Parameter(0.02 * torch.randn(1, 1, WIDTH)), size, whole
        self.fading = nn.Sequential(*[m for _ in range(fading) for m in (nn.Linear(WIDTH, WIDTH), nn.Sigmoid())])
        made = (torch.full((WIDTH,), scale) for _ in range(4))
        self.scales = nn.ParameterList(made) if learned else list(made)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(5))
        self.attend = nn.ModuleList(nn.MultiheadAttention(WIDTH, 4, batch_first=True) for _ in range(2))
        self.inside = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, 64), nn.GELU(), nn.Linear(64, WIDTH)) for _ in range(2)
        )
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, token = self.fading(self.size * self.patches(x) + self.places), self.token.expand(len(x), -1, -1)
        for i in range(2):
            y = self.norms[2 * i](torch.cat([token, x], 1))
            token = token + self.scales[2 * i] * self.attend[i](y[:, :1], y, y, need_weights=False)[0]
            token = token + self.scales[2 * i + 1] * self.inside[i](self.norms[2 * i + 1](token))
        return self.head(self.norms[4](torch.cat([token, x], 1) if self.whole else token)[:, 0])


X = torch.randn(16, 9, 12, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-5, 1e-6])
def test_a_token_that_small_learned_factors_let_patches_into(scale: float, whole: bool) -> None:
    assert wb.check(Token(scale, whole=whole), X).codes == ()


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    "given", [{"scale": 1e-7, "learned": False}, {"scale": 1e-5, "size": 1e-7}, {"scale": 1e-5, "fading": 12}]
)
def test_what_no_step_opens_is_found(given, whole: bool) -> None:
    assert {"W103", "W201"} & {*wb.check(Token(**given, whole=whole), X).codes}


def test_a_constant_that_is_returned_first_is_no_output() -> None:
    class Process(nn.Module):
        """The mean of a Gaussian process before it has seen data, and the covariance of what a network makes."""

        def __init__(self, *, cut: bool) -> None:
            super().__init__()
            self.inside = nn.Sequential(nn.Linear(12, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 3))
            self.mean, self.cut = nn.Parameter(torch.zeros(1)), cut

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            y = self.inside(x).detach() if self.cut else self.inside(x)
            return self.mean.expand(len(x)), (-(y[:, None] - y).square().sum(-1)).exp()

    assert wb.check(Process(cut=False), X[:, 0]).codes == ()
    assert {"W201", "W801"} & {*wb.check(Process(cut=True), X[:, 0]).codes}
