"""The demo and the benchmark run end to end, shortened."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.slow
def test_the_benchmark_runs() -> None:
    """Ratios of a shared machine are no test; that the script runs and prints them is."""
    command = [sys.executable, "benchmarks/fill_rates.py", "--values", "1000000", "--repeats", "1"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode in (0, 1), found.stderr
    assert "truncated normal" in found.stdout
    assert "Budgets" in found.stdout
