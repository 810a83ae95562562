"""A graph is saved, read back in a process without torch, and planned there: the plans are the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_graph_meaning import MODELS
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from wellbegun.errors import ArgumentError
from wellbegun.graph import graph_from_dict, graph_to_dict
from wellbegun.planning import make_plan
from wellbegun.storage import load_graph, save_graph
from wellbegun.torch.trace.recording import trace

READ = """
import json, sys
from pathlib import Path
from wellbegun.planning import make_plan
from wellbegun.storage import load_graph, plan_to_json
for path in sorted(Path(sys.argv[1]).glob("*.json")):
    graph = load_graph(path)
    plans = [json.loads(plan_to_json(make_plan(graph, recipe=recipe, seed=0))) for recipe in ("auto", "classic")]
    path.with_suffix(".plans").write_text(json.dumps(plans))
assert not {"torch", "jax"} & set(sys.modules)
"""


class Centred(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return (weight - weight.mean(1, keepdim=True)) * 0.5


def computed() -> tuple[nn.Module, torch.Tensor]:
    """Weights computed from parameters, and functions of all kinds."""
    layers = [nn.Linear(8, 16), nn.Softplus(), nn.Linear(16, 16), nn.Hardswish(), nn.Linear(16, 16), nn.PReLU()]
    model = nn.Sequential(*layers, nn.Linear(16, 4))
    parametrize.register_parametrization(model[2], "weight", Centred())
    parametrizations.weight_norm(model[4])
    return model, torch.rand(6, 8)


def between(layer: nn.Module) -> tuple[nn.Module, torch.Tensor]:
    return nn.Sequential(nn.Linear(8, 8), layer, nn.Linear(8, 3)), torch.rand(4, 8)


MORE = {
    "computed": computed,
    "gelu": lambda: between(nn.GELU()),
    "mish": lambda: between(nn.Mish()),
    "elu": lambda: between(nn.ELU(0.5)),
}


def test_a_saved_graph_plans_the_same_without_torch(tmp_path: Path) -> None:
    expected = {}
    for name, make in {**MODELS, **MORE}.items():
        graph = trace(*make())
        path = save_graph(graph, tmp_path / f"{name}.json".replace(" ", "_"))
        plans = [make_plan(graph, recipe=recipe, seed=0).to_dict() for recipe in ("auto", "classic")]
        expected[path.with_suffix(".plans")] = json.loads(json.dumps(plans))
        again = load_graph(path)
        assert again == graph
        assert graph_to_dict(again) == graph_to_dict(graph)
    assert len(expected) >= 20
    subprocess.run([sys.executable, "-c", READ, str(tmp_path)], check=True)
    for path, plans in expected.items():
        assert json.loads(path.read_text()) == plans, path.name


def test_what_only_the_framework_can_evaluate_is_unknown_afterwards() -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.bessel_j0(x) * x

    model = nn.Sequential(nn.Linear(8, 8), Odd(), nn.Linear(8, 3))
    graph = trace(model, (4, 8))
    again = graph_from_dict(json.loads(json.dumps(graph_to_dict(graph))))
    steps = [[o.function for o in g.operations if o.kind == "pointwise"][-1] for g in (graph, again)]
    grid = torch.linspace(-2, 2, 9).double().numpy()
    assert (
        abs(steps[0](grid) - (torch.special.bessel_j0(torch.tensor(grid)) * torch.tensor(grid)).numpy()).max() < 1e-12
    )
    assert (steps[1](grid) != steps[1](grid)).all()
    for recipe in ("auto", "classic", "siren"):
        assert len(make_plan(again, recipe=recipe, seed=0)) == 4


@pytest.mark.parametrize("broken", [{}, {"format": 2}, {"format": 1}, {"format": 1, "functions": [["root"]]}])
def test_files_that_are_no_graphs(broken: dict) -> None:
    with pytest.raises(ArgumentError, match="graph: "):
        graph_from_dict(broken)
