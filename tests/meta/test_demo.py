"""The demo and the benchmark run end to end, shortened."""

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

import demo_figure

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_demo_runs_and_names_its_files(tmp_path: Path) -> None:
    found = subprocess.run(
        ["make", "--silent", "demo", f"DEMO_ARGS=--quick --out {tmp_path}"], cwd=ROOT, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    outcomes = json.loads((tmp_path / "demo.json").read_text())
    assert len(outcomes) == 21
    for path in tmp_path.iterdir():
        assert path.name in found.stdout
    report = (tmp_path / "report.html").read_text()
    assert "Ready to train" in report
    assert all(f'id="section-{part}"' in report for part in ("depth", "theory", "race", "weights", "plan"))
    assert (tmp_path / "demo.png").stat().st_size > 50_000
    by_name = {(o["network"], o["candidate"]): o for o in outcomes}
    for network in {o["network"] for o in outcomes}:
        assert "W301" in by_name[network, "zeros"]["findings"]
        assert set(by_name[network, "zeros"]["signal"]) == {0.0}
        assert {"W101", "W201"} & set(by_name[network, "naive normal(0.01)"]["findings"])
        assert by_name[network, "wellbegun auto"]["findings"] == []
    deep = by_name["plain conv net, 30 layers", "framework default"]
    assert "W201" in deep["findings"]
    assert deep["gradient"][0] < 1e-6 * deep["gradient"][-1]


def test_the_figure_names_each_line_beside_it_and_gives_depth_a_panel_only_where_there_is_depth(tmp_path: Path) -> None:
    rows = [
        {
            "network": network, "candidate": candidate, "signal": [level**layer for layer in range(depth)],
            "gradient": [0.0 if level == 0 else 0.1] * depth, "losses": {"0.1": [2.3, 2.3 * level]},
            "accuracy": {"0.1": 1},
        }
        for network, depth in (("deep", 12), ("flat", 2))
        for candidate, level in zip(demo_figure.LOOKS, (0, 1e-4, 0.5, 0.51, 0.9, 0.9, 1), strict=True)
    ]  # fmt: skip
    figure = demo_figure.figure_of(rows)
    titles = [axes.get_title(loc="left").replace("\n", " ") for axes in figure.axes]
    assert titles == ["deep: signal", "deep: gradient", "deep: loss", "flat: loss"]
    assert all(axes.get_legend() is None for axes in figure.axes)
    figure.canvas.draw()
    whole = figure.bbox
    for axes in figure.axes:
        names = [text for text in axes.texts if text.get_text()]
        assert {text.get_text() for text in names} == {name for name, _, _ in demo_figure.LOOKS.values()}
        boxes = [text.get_window_extent() for text in names]
        assert not any(a.overlaps(b) for a, b in combinations(boxes, 2)), axes
        assert not any(box.overlaps(axes.bbox) for box in boxes)  # no name over data
        assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 and box.y1 <= whole.y1 for box in boxes)
    demo_figure.draw(rows, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_benchmark_runs() -> None:
    """Ratios of a shared machine are no test; that the script runs and prints them is."""
    command = [sys.executable, "benchmarks/fill_rates.py", "--values", "1000000", "--repeats", "1", "--only", "rates"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode in (0, 1), found.stderr
    assert "truncated normal" in found.stdout
    assert "Budgets" in found.stdout
