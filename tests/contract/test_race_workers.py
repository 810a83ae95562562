"""Workers that die, Ctrl-C, and a Dask cluster: nothing is lost, and the results are those of an undisturbed race."""

import functools
import inspect
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import joblib
import pytest
from distributed import Client
from joblib.externals.loky import process_executor
from torch import nn

import wellbegun as wb
from wellbegun.errors import ArgumentError

pytestmark = pytest.mark.slow  # processes are started, and each of them imports torch

RATES, SEEDS, STEPS = (1e-3, 3e-3), 2, 4


def calm(candidates: Any, **options: Any) -> wb.Race:
    """A race of a function made here, which no worker can import."""

    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    known: dict[str, Any] = {"rates": RATES, "seeds": SEEDS, "steps": STEPS, **options}
    return wb.race(candidates, build, "digits", **known)


def losses(found: wb.Race) -> dict[Any, tuple[float, ...]]:
    return {trial.key: trial.losses for trial in found.trials}


@functools.cache
def undisturbed() -> wb.Race:
    return calm(dict(zip("abc", (None, "classic", "auto"), strict=True)), jobs=1)


def killing(marker: Path, times: int, inside: str = "b") -> dict[str, Any]:
    """Candidates as in `undisturbed`, of which one kills its process the first few times it is used, with kill -9."""

    def deadly(model: nn.Module, batch: Any, seed: int) -> None:
        import os
        import signal

        import wellbegun

        done = len(list(marker.parent.glob(marker.name + "*")))
        if done < times:
            marker.with_name(f"{marker.name}{done}-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        wellbegun.initialize(model, batch, recipe="classic", seed=seed, threads=1)

    return {"a": None, inside: deadly, "c": "auto"}


# ---------------------------------------------------------------------- local processes
def test_a_killed_local_worker_costs_nothing_but_time(tmp_path: Path) -> None:
    found = calm(killing(tmp_path / "kill", 1), jobs=2)
    assert len(list(tmp_path.iterdir())) == 1, "a worker was killed"
    assert losses(found) == losses(undisturbed())
    assert all(trial.status == "done" for trial in found.trials)


def test_a_trial_that_kills_its_worker_every_time_fails_and_the_others_do_not(tmp_path: Path) -> None:
    found = calm(killing(tmp_path / "kill", 1000), jobs=2, rates=RATES[:1], seeds=1)
    failed = [trial for trial in found.trials if trial.status == "failed"]
    assert {trial.candidate for trial in failed} == {"b"}
    assert len(failed) == 1
    assert "its worker died 3 times, at last while nothing else ran" in failed[0].error
    wanted = {key: curve for key, curve in losses(undisturbed()).items() if key[0] != "b" and key[2:] == (RATES[0], 0)}
    assert {t.key: t.losses for t in found.trials if t.status == "done"} == wanted


def test_a_worker_that_stops_for_want_of_work_ends_no_race_where_warnings_are_errors() -> None:
    """joblib warns of it in the thread that starts another one, which an error would end: the race waited for ever."""
    text = "A worker stopped while some jobs were given to the "
    assert text in inspect.getsource(process_executor), "joblib's words, which are filtered"
    with pytest.raises(UserWarning):
        warnings.warn(text, UserWarning, stacklevel=1)  # the control: all warnings are errors here
    calm(["default"], rates=RATES[:1], seeds=1, steps=1, jobs=1)
    warnings.warn(text, UserWarning, stacklevel=1)


SCRIPT = """
import signal
import sys
import wellbegun as wb
from torch import nn

class Net(nn.Module):                       # defined in __main__, with a lambda beside it
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    def forward(self, x):
        return self.layers(x)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run in the background, it is ignored
    path, steps, jobs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    def tell(done, total, name):
        print(done, flush=True)
    found = wb.race({"one": None, "two": lambda model: None, "auto": "auto"}, lambda: Net(), "digits",
                    rates=[1e-3, 3e-3], seeds=3, steps=steps, jobs=jobs, resume=path, progress=tell)
    print("interrupted" if found.interrupted else "whole", len(found.trials), flush=True)
"""


def script(folder: Path, *arguments: object) -> "subprocess.Popen[str]":
    (folder / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(folder / "script.py"), *map(str, arguments)]
    # a session of its own, so that Ctrl-C can be sent to the whole group, as a terminal does
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def test_ctrl_c_keeps_what_is_done_and_the_same_call_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "race.parquet"
    process = script(tmp_path, path, 200, 2)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 3:
            break
    os.killpg(process.pid, signal.SIGINT)
    out, errors = process.communicate(timeout=LONG)
    assert process.returncode == 0, errors
    told = re.search(r"interrupted (\d+)", out)
    assert told, out
    assert "Traceback" not in errors
    kept = wb.Race.load(path)
    assert kept.interrupted
    assert 3 <= len(kept.trials) == int(told[1]) < 18
    process = script(tmp_path, path, 200, 1)
    out, errors = process.communicate(timeout=LONG)
    assert out.splitlines()[0] == told[1], "starts from what was kept"
    assert out.splitlines()[-1] == "whole 18", errors
    whole = losses(wb.Race.load(path))
    assert {key: whole[key] for key in losses(kept)} == losses(kept)
    assert all(whole["one", "adam", r, s] == whole["two", "adam", r, s] for r in (1e-3, 3e-3) for s in range(3))


# ---------------------------------------------------------------------- a cluster
LONG = 600  # seconds after which a cluster that does not start is a failure: a busy machine takes its time


class Cluster:
    """A scheduler and workers, each a process of its own; the scheduler takes a free port and tells it in a file."""

    def __init__(self, folder: Path, *options: str, names: Sequence[str] = ("one", "two")) -> None:
        self.folder, self.address = folder, folder / "scheduler.json"
        told = "--scheduler-file", str(self.address), "--no-dashboard"
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0", *told)
        self.workers = [
            self.start("worker", *told, *options, "--nthreads", "1", "--name", name) for name in names
        ]  # which wait for the file, as clients do

    def client(self) -> Client:
        """Connected, when all workers are."""
        found = Client(scheduler_file=str(self.address), timeout=LONG)
        found.wait_for_workers(len(self.workers), timeout=LONG)
        return found

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / "log").open("ab") as log:
            command = [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]]
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.terminate()  # a nanny ends its worker
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(tmp_path, "--no-nanny")
    try:
        with found.client():
            yield found
    finally:
        found.stop()


def test_the_same_call_runs_on_a_dask_cluster_and_survives_a_killed_worker(cluster: Cluster, tmp_path: Path) -> None:
    seen: list[str] = []
    marker = tmp_path / "pids"
    marker.mkdir()

    def noted(model: nn.Module) -> None:
        import os
        import pathlib

        (pathlib.Path(marker) / str(os.getpid())).touch()

    def kill(done: int, total: int, name: str) -> None:
        seen.append(name)
        if done == 3:
            cluster.workers[0].send_signal(signal.SIGKILL)

    candidates = {"default": None, "noted": noted, "auto": "auto"}
    with joblib.parallel_config(backend="dask"):
        found = calm(candidates, progress=kill)
    assert cluster.workers[0].wait(timeout=LONG) == -signal.SIGKILL
    pids = {int(path.name) for path in marker.iterdir()}
    assert pids <= {worker.pid for worker in cluster.workers}, "ran on the cluster and nowhere else"
    assert losses(found) == losses(calm({**candidates, "noted": lambda model: None}, jobs=1))
    assert len(found.trials) == 12
    assert all(trial.status == "done" for trial in found.trials)


def test_a_trial_that_kills_every_worker_of_a_cluster_fails_and_the_others_do_not(tmp_path: Path) -> None:
    """joblib's own Dask backend waits for ever here."""
    cluster = Cluster(tmp_path, "--nanny", names=["one"])  # a nanny starts its worker again
    try:
        with cluster.client() as client:
            client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
            found = calm(killing(tmp_path / "kill", 1000), rates=RATES[:1], seeds=1, backend="dask")
    finally:
        cluster.stop()
    assert [(t.candidate, t.status) for t in found.trials] == [("a", "done"), ("b", "failed"), ("c", "done")]
    assert "every worker of the cluster that tried it died" in found.trials[1].error


def test_a_backend_that_is_not_there_is_told() -> None:
    with pytest.raises(ArgumentError, match="backend that joblib can use here; got 'dusk'"):
        calm(["default"], backend="dusk")
    with pytest.raises(ArgumentError, match="first create a Dask Client"):
        calm(["default"], backend="dask")
