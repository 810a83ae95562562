"""Scalars reach the writers people use; the callbacks look at the first real batch and change nothing."""

import math
import re
import warnings

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import wellbegun as wb
from wellbegun.errors import ArgumentError, ArgumentTypeError
from wellbegun.integrations import log_scalars

BATCH = torch.randn(32, 16, generator=torch.Generator().manual_seed(0))


def small(zero: bool = False) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4))
    wb.initialize(model, BATCH, seed=0)
    if zero:
        nn.init.zeros_(model[2].weight)
    return model


# ---------------------------------------------------------------------- writers
class Run:
    """What a Weights & Biases run takes: log(dict, step=...)."""

    def __init__(self) -> None:
        self.rows: list[tuple[dict[str, float], int]] = []

    def log(self, data: dict[str, float], step: int | None = None) -> None:
        self.rows.append((dict(data), -1 if step is None else step))


def test_tensorboard_and_a_run_take_the_same_scalars(tmp_path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    health, run = wb.check(small(zero=True), BATCH), Run()
    writer = SummaryWriter(str(tmp_path))
    written = log_scalars(health, writer, step=3)
    writer.close()
    log_scalars(health, run, step=3)
    read = EventAccumulator(str(tmp_path)).Reload()
    found = {tag: read.Scalars(tag)[0] for tag in read.Tags()["scalars"]}
    assert set(found) == set(written) == set(run.rows[0][0])
    assert run.rows[0][1] == 3
    for name, event in found.items():
        assert event.step == 3
        assert event.value == pytest.approx(written[name], rel=1e-6, nan_ok=True)
    assert written["init/findings"] > 0  # the control: a healthy model has none
    assert wb.check(small(), BATCH).scalars()["findings"] == 0
    assert all(isinstance(value, float) for value in written.values())


def test_what_takes_no_scalars_is_told() -> None:
    with pytest.raises(ArgumentTypeError, match="SummaryWriter"):
        log_scalars(wb.check(small(), BATCH), 3)
    with pytest.raises(ArgumentTypeError, match=r"health must be a Health; got 'Plan'\. .* as \.health"):
        log_scalars(wb.plan(small(), BATCH), print)  # type: ignore[arg-type]


class Tracking:
    """What the module `mlflow` takes: a thousand numbers at once, and few characters in their names."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    def log_metric(self, key: str, value: float, step: int | None = None) -> None:
        raise AssertionError("one call for each number")

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        assert len(metrics) <= 1000
        assert step == 2
        for name in metrics:
            if not re.fullmatch(r"[/\w.\- :]*", name, re.ASCII):
                raise ValueError(f"Invalid metric name: {name!r}")
        self.found |= metrics


def test_mlflow_and_wandb_take_the_scalars_that_all_others_take() -> None:
    health, tracking, run = wb.check(small(zero=True), BATCH), Tracking(), Run()
    with pytest.raises(ValueError, match="Invalid metric name"):  # the control: names as they are
        tracking.log_metrics(health.scalars(), step=2)
    written = log_scalars(health, tracking, step=2)
    assert tracking.found == written
    log_scalars(health, run, step=2)
    names, values = list(run.rows[0][0]), list(run.rows[0][0].values())
    assert values == list(written.values())
    assert len(set(written)) == len(names)
    assert written["init/findings"] == run.rows[0][0]["init/findings"] > 0
    deep = nn.Sequential(*(layer for _ in range(130) for layer in (nn.Linear(4, 4), nn.Tanh())))
    assert len(log_scalars(wb.check(deep, torch.randn(8, 4)), Tracking(), step=2)) > 1000


class Broken:
    """A logger that does not work."""

    def log_metrics(self, scalars: dict[str, float], step: int) -> None:
        raise OSError("the disk is full")


# ---------------------------------------------------------------------- transformers
def language_model(bad: bool = False):
    import transformers

    config = transformers.GPT2Config(
        n_layer=2, n_embd=32, n_head=2, vocab_size=64, n_positions=32, bos_token_id=0, eos_token_id=0
    )
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config)
    if bad:
        nn.init.normal_(model.transformer.wte.weight, std=5.0)
    return model


def trained(model, folder, *callbacks, steps: int = 2):
    import transformers

    rows = [{"input_ids": torch.arange(i, i + 16) % 64, "labels": torch.arange(i, i + 16) % 64} for i in range(32)]
    arguments = transformers.TrainingArguments(
        str(folder), max_steps=steps, per_device_train_batch_size=4, report_to=[], use_cpu=True, seed=0,
        save_strategy="no", logging_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = transformers.Trainer(model, arguments, train_dataset=rows, callbacks=list(callbacks))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)
        trainer.train()
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_a_trainer_is_checked_on_its_first_batch_and_trains_as_without(tmp_path) -> None:
    from wellbegun.integrations.transformers import CheckAtStart

    run = Run()
    callback = CheckAtStart(to=run)
    with_check = trained(language_model(), tmp_path / "a", callback)
    without = trained(language_model(), tmp_path / "b")
    assert callback.health is not None
    assert callback.health.healthy
    loss = callback.health.statistics.loss
    assert loss.chance == pytest.approx(math.log(64))
    assert loss.value == pytest.approx(math.log(64), rel=0.1)  # the model's own loss
    assert len(run.rows) == 1
    assert with_check.keys() == without.keys()
    assert all(torch.equal(with_check[name], without[name]) for name in without)


def test_a_trainer_stops_before_the_first_update(tmp_path) -> None:
    from wellbegun.integrations.transformers import CheckAtStart

    model = language_model(bad=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(AssertionError, match="W501"):
        trained(model, tmp_path, CheckAtStart(unhealthy="raise"))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with pytest.warns(UserWarning, match="W501"):
        trained(language_model(bad=True), tmp_path, CheckAtStart())
    trained(language_model(bad=True), tmp_path, CheckAtStart(unhealthy="ignore"))  # no warning: warnings are errors


@pytest.mark.parametrize("fault", ["check", "logger"])
def test_a_trainer_trains_on_when_the_check_fails(fault: str, tmp_path, monkeypatch) -> None:
    from wellbegun.integrations.transformers import CheckAtStart

    without = trained(language_model(), tmp_path / "a")
    if fault == "check":
        monkeypatch.setattr(wb.api, "check", failing)
    said = "unchecked. ZeroDivisionError" if fault == "check" else "scalars are lost. OSError: the disk is full."
    with pytest.warns(UserWarning, match=said) as seen:
        found = trained(language_model(), tmp_path / "b", CheckAtStart(unhealthy="raise", to=Broken()))
    assert len(seen) == 1
    assert all(torch.equal(found[name], without[name]) for name in without)


def test_what_a_broken_logger_loses_is_not_the_finding(tmp_path) -> None:
    from wellbegun.integrations.lightning import CheckAtStart
    from wellbegun.integrations.transformers import CheckAtStart as CheckBeforeTraining

    with pytest.warns(UserWarning, match="scalars are lost"), pytest.raises(AssertionError, match="W501"):
        trained(language_model(bad=True), tmp_path, CheckBeforeTraining(unhealthy="raise", to=Broken()))
    callback, module = CheckAtStart(unhealthy="raise"), lightning_module(zero=True)
    with pytest.raises(AssertionError, match="W301"), pytest.warns(UserWarning, match="scalars are lost"):
        fitted(module, callback, folder=tmp_path, logger=broken_logger(tmp_path))


def broken_logger(folder):
    from lightning.pytorch.loggers import CSVLogger

    class Full(CSVLogger):
        def log_metrics(self, *arguments: object, **options: object) -> None:
            raise OSError("the disk is full")

    return Full(folder)


def test_names_that_mlflow_would_take_for_one_stay_two() -> None:
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleDict({name: nn.Linear(8, 8) for name in ("é", "ü", "a(", "a)", "n" * 300)})

        def forward(self, x):
            for part in self.parts.values():
                x = torch.tanh(part(x))
            return x

    health, tracking, run = wb.check(Parts(), torch.randn(32, 8)), Tracking(), Run()
    written = log_scalars(health, tracking, step=2)
    log_scalars(health, run, step=2)
    assert list(tracking.found.values()) == list(written.values()) == list(run.rows[0][0].values())
    assert max(map(len, written)) == 250


def failing(*arguments: object, **options: object) -> None:
    raise ZeroDivisionError("an error of ours")


# ---------------------------------------------------------------------- Lightning
def digits_loader():
    bunch = load_digits()
    data = torch.utils.data.TensorDataset(
        torch.tensor(bunch.data[:256] / 8 - 1).float(), torch.tensor(bunch.target[:256])
    )
    return torch.utils.data.DataLoader(data, batch_size=64)


def lightning_module(**options):
    import lightning

    class Digits(lightning.LightningModule):
        def __init__(self, zero: bool = False, by_hand: bool = False) -> None:
            super().__init__()
            self.automatic_optimization = not by_hand
            self.net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
            wb.initialize(self.net, (8, 64), seed=0)
            if zero:
                nn.init.zeros_(self.net[0].weight)
                nn.init.zeros_(self.net[0].bias)

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, batch_idx):
            x, y = batch
            loss = nn.functional.cross_entropy(self(x), y)
            self.log("train_loss", loss)
            return loss

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    torch.manual_seed(0)
    return Digits(**options)


def fitted(module, *callbacks, folder, logger=False, steps: int = 2):
    import lightning

    trainer = lightning.Trainer(
        max_steps=steps, accelerator="cpu", logger=logger, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=list(callbacks), default_root_dir=folder,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*num_workers|.*does not have many workers|.*fewer|.*log_every|.*LeafSpec"
        )
        trainer.fit(module, digits_loader())
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_lightning_is_checked_at_step_0_and_trains_as_without(tmp_path) -> None:
    from lightning.pytorch.loggers import CSVLogger

    from wellbegun.integrations.lightning import CheckAtStart

    callback, logger = CheckAtStart(chance=math.log(10)), CSVLogger(tmp_path)
    with_check = fitted(lightning_module(), callback, folder=tmp_path, logger=logger)
    without = fitted(lightning_module(), folder=tmp_path)
    assert callback.health is not None
    assert callback.health.healthy
    assert [o.parameter for o in callback.health.statistics.operations] == ["net.0.weight", "net.2.weight"]
    assert callback.health.statistics.loss.value == pytest.approx(math.log(10), rel=0.3)
    assert all(torch.equal(with_check[name], without[name]) for name in without)
    assert "init/findings" in (next(tmp_path.rglob("metrics.csv"))).read_text()


def test_lightning_stops_before_the_first_update(tmp_path) -> None:
    from wellbegun.integrations.lightning import CheckAtStart

    module = lightning_module(zero=True)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(AssertionError, match="W301"):
        fitted(module, CheckAtStart(unhealthy="raise"), folder=tmp_path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    with pytest.warns(UserWarning, match="net.0.weight"):
        fitted(lightning_module(zero=True), CheckAtStart(), folder=tmp_path)


@pytest.mark.parametrize("names", ["batch, i", "*arguments", "batch", "batch, batch_idx=3"])
def test_the_index_of_a_batch_has_any_name(names: str, tmp_path) -> None:
    from wellbegun.integrations.lightning import CheckAtStart

    module, callback, space = lightning_module(), CheckAtStart(), {}
    exec(f"def training_step(self, {names}): return self.told(locals())", space)

    def told(self, given):
        batch = given["arguments"][0] if "arguments" in given else given["batch"]
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    type(module).training_step, type(module).told = space["training_step"], told
    fitted(module, callback, folder=tmp_path)
    assert callback.health is not None


def test_actions_are_known_ones() -> None:
    from wellbegun.integrations.lightning import CheckAtStart

    with pytest.raises(ArgumentError, match="warn"):
        CheckAtStart(unhealthy="shout")


@pytest.mark.parametrize("fault", ["check", "logger"])
def test_lightning_trains_on_when_the_check_fails(fault: str, tmp_path, monkeypatch) -> None:
    from lightning.pytorch.loggers import CSVLogger

    from wellbegun.integrations.lightning import CheckAtStart

    without, callback = fitted(lightning_module(), folder=tmp_path), CheckAtStart(unhealthy="raise")
    if fault == "check":
        monkeypatch.setattr(wb.api, "check", failing)
    else:
        monkeypatch.setattr("wellbegun.integrations.writers.log_scalars", failing)
    with pytest.warns(UserWarning, match="ZeroDivisionError: an error of ours.") as seen:
        found = fitted(lightning_module(), callback, folder=tmp_path, logger=CSVLogger(tmp_path))
    assert len(seen) == 1
    assert (callback.health is None) == (fault == "check")
    assert all(torch.equal(found[name], without[name]) for name in without)


def test_what_is_misspelled_is_told_before_a_training() -> None:
    from wellbegun.integrations.lightning import CheckAtStart
    from wellbegun.integrations.transformers import CheckAtStart as CheckBeforeTraining

    for kind in (CheckAtStart, CheckBeforeTraining):
        with pytest.raises(ArgumentError, match="W999"):
            kind(allow=["W999"])
        assert kind(allow="W301").allow == {"W301"}
    with pytest.raises(ArgumentTypeError, match="to must be a SummaryWriter"):
        CheckBeforeTraining(to=3)
    with pytest.raises(ArgumentTypeError, match="chance must be a finite number > 0"):
        CheckAtStart(chance="ten")
