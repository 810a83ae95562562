"""The first minutes on the command line: what a person types, and what must appear."""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import wellbegun as wb

Types = Callable[..., str]


def test_help(types: Types) -> None:
    text = types("-h")
    assert all(command in text for command in ("plan", "init", "check", "race", "codes", "recipes", "schemes"))
    assert "path.py:factory" in types("check -h")


def test_which_recipes_are_there(types: Types) -> None:
    text = types("recipes")
    assert "auto any any model; the default" in text
    assert "bert AdamW encoders as BERT" in text


def test_what_does_w201_mean(types: Types) -> None:
    assert "vanishing gradient" in types("codes")
    text = types("codes W201")
    assert all(word in text for word in ("vanishing gradient", "why", "remedy", "wb.initialize", "Glorot"))
    assert "Did you mean" in types("codes W2011", 2)


def test_my_loss_is_nan(types: Types) -> None:
    text = types("check first.py:spoiled", 1)
    assert "First loss nan" in text
    assert "W401 non-finite values at parameter 0.weight" in text
    assert "Remedy: wb.initialize(model, batch, only=['0.weight'])" in text


def test_my_loss_is_40(types: Types) -> None:
    text = types("check first.py:loud -i 64,64", 1)
    assert "W501 first loss far above chance at 2 (linear)" in text
    assert "only=['2.weight']" in text


def test_it_does_not_learn(types: Types) -> None:
    text = types("check first.py:deep -i 64,64", 1)
    assert "W201 vanishing gradient" in text
    assert "Remedy: wb.initialize(model, batch)" in text
    assert "Health: healthy" in types("init first.py:deep -i 64,64 -s 0 -o w.safetensors")


def test_which_init_did_we_use(types: Types, folder: Path) -> None:
    types("init first.py:mlp -s 7 --recipe classic -o w.safetensors")
    text = types("plan first.py:mlp --recipe classic -s 7 --explain 0.weight")
    assert "scheme he_normal()" in text
    assert "decided by recipe classic@1" in text
    assert "seed 7" in text
    with pytest.raises(wb.errors.ModelError, match="is not JSON"):  # what stands beside the weights is read by:
        wb.load_plan("w.safetensors")
    from safetensors import safe_open

    with safe_open("w.safetensors", "pt") as file:
        kept = file.metadata()
    assert kept["wellbegun.seed"] == "7"
    assert json.loads(kept["wellbegun.plan"])["recipe"] == "classic@1"


def test_the_same_weights_on_two_machines(types: Types, folder: Path, apart: Callable[[str], tuple[int, str]]) -> None:
    types("init first.py:mlp -s 3 -o here.safetensors")
    code = (
        "import sys; from wellbegun.cli import main; "
        "sys.argv = 'wellbegun init first.py:mlp -s 3 -o there.safetensors'.split(); main()"
    )
    assert apart(code)[0] == 0
    assert (folder / "here.safetensors").read_bytes() == (folder / "there.safetensors").read_bytes()


def test_load_the_file_in_my_trainer(types: Types, folder: Path) -> None:
    types("init first.py:mlp -s 3 -o w.safetensors")
    model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    model.load_state_dict(load_file("w.safetensors"))
    before = wb.initialize(model, (4, 64), seed=3).plan
    assert torch.equal(load_file("w.safetensors")["0.weight"], model[0].weight)
    assert before.seed == 3


def test_a_pt_file_is_not_what_is_written(types: Types, folder: Path) -> None:
    assert "Write 'w.safetensors'" in types("init first.py:mlp -o w.pt", 2)
    assert not (folder / "w.pt").exists()


def test_the_plan_as_a_table_for_a_spreadsheet(types: Types, folder: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "wellbegun", "plan", "first.py:mlp", "--format", "csv"], capture_output=True, text=True
    )
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    assert [row["parameter"] for row in rows] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert all(row["std"] for row in rows)


def test_a_race_on_my_csv_file(types: Types, folder: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [[*rng.normal(i % 3, 1, 4).round(2), ("rose", "iris", "lily")[i % 3]] for i in range(60)]
    lines = [",".join(map(str, row)) for row in [["a", "b", "c", "d", "kind"], *rows]]
    (folder / "flowers.csv").write_text("\n".join(lines))
    text = types("race first.py:flowers --data flowers.csv --rates 1e-2 --steps 5 --jobs 1 -c default -c auto")
    assert "target 'kind': 3 classes (iris, lily, rose)" in text
    assert "Race: " in text
    assert "auto" in text
    lines[3] = "n/a" + lines[3][lines[3].index(",") :]
    (folder / "flowers.csv").write_text("\n".join(lines))
    text = types("race first.py:flowers --data flowers.csv --steps 5 --jobs 1", 2)
    assert text == "Error: data: 'flowers.csv', line 4: column 'a' must be a finite number; got 'n/a'."


def test_only_the_first_line_please(folder: Path) -> None:
    line = f"set -o pipefail; {sys.executable} -m wellbegun check first.py:mlp | head -1"
    found = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    lines = [line for line in found.stderr.splitlines() if not re.fullmatch(r"\d+ of \d+, \d+ s: .*", line)]
    assert not lines  # but how far it is, where a machine is slow
    assert found.stdout.startswith("first.py:mlp: seed 0")
    assert found.returncode in (0, 141)  # whether all was written before the pipe closed


def test_no_torch_here(apart: Callable[[str], tuple[int, str]]) -> None:
    hidden = "import sys\nsys.modules.update({name: None for name in ('torch', 'jax', 'flax')})\n"
    status, text = apart(hidden + "import wellbegun as wb\nwb.check(object())")
    assert status == 1
    assert "PyTorch models need torch. Install it: pip install 'wellbegun[torch]'." in text
    assert apart(hidden + "import wellbegun as wb\nprint(wb.he_normal()((4, 4), seed=0).shape)") == (0, "(4, 4)\n")
    command = "from wellbegun.cli import main\nsys.argv = ['wellbegun', 'check', 'first.py:mlp']\nmain()"
    status, text = apart(hidden + command)
    assert status == 2
    assert "pip install 'wellbegun[torch]'" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("check first.py", "expected path.py:factory"),
        ("check fist.py:mlp", "there is no file 'fist.py'"),
        ("check first.py:mpl", "Did you mean 'mlp'?"),
        ("check first.py:nn", "is of type module, and no function"),
        ("check first.py:mlp -i 8x64", "a shape such as 32,1,8,8"),
        ("plan first.py:mlp --recipe ato", "Did you mean 'auto'?"),
        ("race first.py:mlp --data none.csv", "'none.csv' cannot be read as .csv: No such file"),
    ],
)
def test_a_slip_is_one_message(types: Types, line: str, told: str) -> None:
    text = types(line, 2)
    assert text.startswith("Error: ")
    assert told in text
