"""hf:config.json as MODEL: built from the file alone, planned, filled and checked with an input of its own making."""

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

import wellbegun as wb
from wellbegun._loading import load_model
from wellbegun.cli import app
from wellbegun.errors import MissingDependencyError, ModelError

hf = pytest.importorskip("transformers")
runner = CliRunner()
SMALL = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT = {"vocab_size": 50, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0, **SMALL}
IMAGE = {"image_size": 16, "patch_size": 4, **SMALL}
CONFIGS: dict[str, tuple[Any, str | None]] = {
    "gpt2": (hf.GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=4, n_positions=16), "GPT2LMHeadModel"),
    "llama": (hf.LlamaConfig(num_key_value_heads=2, **TEXT), "LlamaForCausalLM"),
    "vit": (hf.ViTConfig(num_labels=5, **IMAGE), "ViTForImageClassification"),
    "bert": (hf.BertConfig(max_position_embeddings=24, **TEXT), "BertForMaskedLM"),
    "bert, no class": (hf.BertConfig(max_position_embeddings=24, **TEXT), None),
    "t5": (
        hf.T5Config(vocab_size=50, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4),
        "T5ForConditionalGeneration",
    ),
    "clip": (
        hf.CLIPConfig(text_config={**TEXT, "max_position_embeddings": 16}, vision_config=IMAGE, projection_dim=24),
        "CLIPModel",
    ),
}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def saved(folder: Path, name: str) -> Path:
    """The config of this name as a file, as the library writes it."""
    config, architecture = CONFIGS[name]
    config.architectures = [architecture] if architecture else None
    config.to_json_file(folder / "config.json")
    return folder / "config.json"


def run(*arguments: str, status: int = 0) -> str:
    found = runner.invoke(app, list(arguments))
    assert found.exit_code == status, found.output
    return found.output


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_is_planned_without_an_input(tmp_path: Path, name: str) -> None:
    file = saved(tmp_path, name)
    entries = json.loads(run("plan", f"hf:{file}", "-s", "0", "-f", "json"))["entries"]
    architecture = CONFIGS[name][1]
    model = load_model(f"hf:{file}")
    assert type(model).__name__ == (architecture or "BertModel")
    assert [entry["name"] for entry in entries] == [
        entry.name for entry in wb.plan(model, seed=0).entries
    ]  # a model built in Python needs no batch either
    fills = {entry["name"] for entry in entries if entry["action"] == "fill"}
    kept = {entry["name"] for entry in entries if entry["action"] == "keep"}
    assert len(fills | kept) > 15
    if name == "t5":  # queries hold the divisor of its attentions
        assert "shared.weight" in kept
        assert {entry["role"] for entry in entries if entry["name"] in fills} == {"norm_scale"}
    else:
        assert kept == ({"logit_scale"} if name == "clip" else set())


def test_init_and_check_of_a_folder_with_a_config(tmp_path: Path) -> None:
    saved(tmp_path, "gpt2")
    weights = tmp_path / "w.safetensors"
    found = json.loads(run("init", f"hf:{tmp_path}", "-o", str(weights), "-s", "3", "-f", "json"))
    assert found["healthy"]
    model = load_model(f"hf:{tmp_path}")
    wb.initialize(model, seed=3)
    with safe_open(weights, "pt") as file:
        for name in list(file.keys()):
            assert torch.equal(file.get_tensor(name), dict(model.state_dict())[name]), name
    checked = runner.invoke(app, ["check", f"hf:{tmp_path}", "-f", "json", "-i", "2,16:int64<50"])
    found = json.loads(checked.output)
    assert checked.exit_code == (0 if found["healthy"] else 1)
    tables = {parameter["name"]: parameter["rms"] for parameter in found["parameters"]}
    assert tables["transformer.wte.weight"] == pytest.approx(0.02, rel=0.1)  # as the library draws it


def test_the_dtype_of_the_config_is_kept(tmp_path: Path) -> None:
    config = hf.LlamaConfig(num_key_value_heads=2, dtype="bfloat16", **TEXT)
    config.architectures = ["LlamaForCausalLM"]
    config.to_json_file(tmp_path / "config.json")
    entries = json.loads(run("plan", f"hf:{tmp_path}", "-f", "json"))["entries"]
    assert {entry["dtype"] for entry in entries} == {"bfloat16"}


CODE = """
from pathlib import Path
from typer.testing import CliRunner
from wellbegun.cli import app
found = CliRunner().invoke(app, ["plan", "hf:config.json", "-s", "0", "-o", "plan.json"])
peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]  # ru_maxrss knows the parent's too
print(found.exit_code, int(peak) / 1024)
"""


def test_seventy_billion_parameters_take_no_memory(tmp_path: Path) -> None:
    sizes = {"vocab_size": 128256, "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80}
    config = hf.LlamaConfig(num_attention_heads=64, num_key_value_heads=8, **sizes)
    config.architectures = ["LlamaForCausalLM"]
    config.to_json_file(tmp_path / "config.json")
    found = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True, check=True)
    status, megabytes = found.stdout.split()[-2:]
    assert status == "0", found.stdout
    assert float(megabytes) < 1000
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert len(plan["entries"]) == 723


def test_a_small_model_has_memory_so_that_paths_that_need_values_can_be_planned(tmp_path: Path) -> None:
    file = saved(tmp_path, "llama")
    assert not any(tensor.is_meta for tensor in load_model(f"hf:{file}", light=True).parameters())
    config = json.loads(file.read_text()) | {"vocab_size": 4_000_000}
    file.write_text(json.dumps(config))
    assert all(tensor.is_meta for tensor in load_model(f"hf:{file}", light=True).parameters())


WRONG = [
    (None, "there is no file"),
    ("{", "as JSON"),
    ("[]", 'has no "model_type"'),
    ('{"hidden_size": 3}', 'has no "model_type"'),
    ('{"model_type": "lama"}', "does not know. Did you mean 'llama'?"),
    ('{"model_type": "my_own", "auto_map": {}}', "write a factory, path.py:factory"),
    ('{"model_type": "llama", "architectures": ["LamaForCausalLM"]}', "names the class 'LamaForCausalLM'"),
    ('{"model_type": "llama", "architectures": ["LlamaConfig"]}', "names the class 'LlamaConfig'"),
    ('{"model_type": "bert", "hidden_size": 30, "num_attention_heads": 4}', "cannot be built"),
    ('{"model_type": "bert", "hidden_act": "no_such_function"}', "cannot be built"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[str(row[0])[:40] for row in WRONG])
@pytest.mark.parametrize("command", ["plan", "check"])
def test_what_is_no_config_is_one_message(tmp_path: Path, command: str, text: str | None, message: str) -> None:
    file = tmp_path / "config.json"
    if text is not None:
        file.write_text(text)
    found = runner.invoke(app, [command, f"hf:{file}"])
    assert found.exit_code == 2
    assert message in " ".join(found.output.split())
    assert "Traceback" not in found.output


def test_without_the_library_the_message_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = saved(tmp_path, "gpt2")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingDependencyError, match="pip install transformers"):
        load_model(f"hf:{file}")


def test_a_backbone_is_built_and_not_fetched(tmp_path: Path) -> None:
    sizes = {"num_queries": 5, "d_model": 32, "num_labels": 6, "encoder_layers": 1, "decoder_layers": 1}
    config = hf.DetrConfig(use_timm_backbone=True, use_pretrained_backbone=True, backbone="resnet18", **sizes)
    config.architectures = ["DetrForObjectDetection"]
    (tmp_path / "config.json").write_text(json.dumps({**json.loads(config.to_json_string())}))
    if importlib.util.find_spec("timm") is None:
        with pytest.raises(ModelError, match="timm"):
            load_model(f"hf:{tmp_path}")
    else:
        load_model(f"hf:{tmp_path}")


def test_the_help_names_the_form() -> None:
    assert "hf:config.json" in run("plan", "--help")
