"""Hugging Face: a model from the config.json that describes it, without its weights and without a network; and an
input of the right form for any model of that library, from its config. The library itself knows the framework."""

import inspect
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from wellbegun._arguments import cut, nearest, told
from wellbegun.errors import MissingDependencyError, ModelError
from wellbegun.inputs import InputSpec

T = TypeVar("T")
_ROWS = 4  # samples of a made-up batch, as for other models
_TOKENS, _AUDIO, _SIDE = 32, 16_000, 64  # longest text, samples of sound, side of an image where the config has none


def built(path: Path, run: Callable[[Callable[[], T]], T]) -> T:
    """The model that a config.json (or a folder with one) describes, with the values its class gives by itself.

    Args:
        path: The file, or its folder.
        run: Given a function that makes the model, calls it, where the framework wants that to happen.
    Raises:
        ModelError: no such file, no config, or a class that cannot be built from it. MissingDependencyError: the
            package transformers is not installed.
    Cost: that of building the model; nothing is downloaded.
    """
    data = _read(path)
    transformers = _library()
    with _offline():
        config = _config(transformers, data, path)
        build = _class(transformers, data, path)
        try:
            return run(lambda: build(config))
        except Exception as error:  # whatever the library raises on a config it cannot build
            remedy = "If it needs files that are not here, write a factory: path.py:factory."
            raise ModelError(f"model: {cut(str(path))} cannot be built: {told(error)} {remedy}") from error


def _read(path: Path) -> dict[str, Any]:
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        raise ModelError(f"model: there is no file {str(file)!r}. Give hf: and a config.json, or a folder with one.")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(f"model: cannot read {str(file)!r} as JSON: {error}.") from error
    if not isinstance(data, dict) or not isinstance(data.get("model_type"), str):
        raise ModelError(f'model: {str(file)!r} has no "model_type", so it is no config of a Hugging Face model.')
    return data


def _library() -> Any:
    try:
        with _offline():
            import transformers
    except ImportError as error:
        remedy = "Install it: pip install transformers."
        raise MissingDependencyError(f"model: hf: needs the package transformers. {remedy}") from error
    return transformers


_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def _offline() -> Iterator[None]:
    """The library reads nothing from the network, whatever a config names. It knows no other switch for that than one
    of the process, so one thread at a time turns it, and it comes back."""
    with _ONE_AT_A_TIME:
        yield from _switched_off()


def _switched_off() -> Iterator[None]:
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"  # for a library that is imported first in here
    constants = sys.modules.get("huggingface_hub.constants")
    own = getattr(constants, "HF_HUB_OFFLINE", None)
    if constants is not None:
        constants.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        if before is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = before
        if constants is not None:
            constants.HF_HUB_OFFLINE = own  # type: ignore[attr-defined]


def _config(transformers: Any, data: dict[str, Any], path: Path) -> Any:
    kinds = transformers.CONFIG_MAPPING
    name = data["model_type"]
    if name not in kinds:
        own = " Its code is not part of the library: write a factory, path.py:factory." if "auto_map" in data else ""
        hint = nearest(name, list(kinds.keys()))
        raise ModelError(
            f"model: {cut(str(path))} has model_type {name!r}, which transformers {transformers.__version__} does not "
            f"know. {hint}{own}".rstrip()
        )
    try:
        config = kinds[name].from_dict(data)
    except Exception as error:  # configs check themselves, each in its own way
        raise ModelError(f"model: {cut(str(path))} is no config of {name}: {told(error)}") from error
    if getattr(config, "use_pretrained_backbone", False):
        config.use_pretrained_backbone = False  # its weights would be fetched, and are not wanted
    return config


def _class(transformers: Any, data: dict[str, Any], path: Path) -> Any:
    """What builds the model: the class that the config names, or the plain model of its type."""
    named = (data.get("architectures") or [None])[0]
    if named is None:
        return transformers.AutoModel.from_config
    found: Any = getattr(transformers, str(named), None)
    known = isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)
    if not known:
        remedy = 'Remove "architectures" from it for the plain model of its type, or write path.py:factory.'
        raise ModelError(
            f"model: {cut(str(path))} names the class {named!r}, which transformers "
            f"{transformers.__version__} does not have. {remedy}"
        )
    return found._from_config  # in the dtype that the config asks for; the public name takes that of a task


# ---------------------------------------------------------------------- inputs
def inputs_of(model: object) -> Mapping[str, InputSpec] | None:
    """Inputs by name for a model of that library; None for any other, or if its config does not tell."""
    transformers = sys.modules.get("transformers")
    if transformers is None or not isinstance(model, transformers.PreTrainedModel):
        return None
    arguments = inspect.signature(model.forward).parameters
    names = [str(model.main_input_name)]
    config: Any = model.config
    texts, images = getattr(config, "text_config", None), getattr(config, "vision_config", None)
    placed = any(hasattr(config, key) for key in ("image_token_id", "image_token_index"))  # images stand among tokens
    if texts is not None and images is not None and not placed:
        names += ["input_ids", "pixel_values"]
    if getattr(config, "is_encoder_decoder", False):
        names += ["decoder_input_ids"]
    found = {name: _spec(name, config) for name in dict.fromkeys(names) if name in arguments}
    known = {name: spec for name, spec in found.items() if spec is not None}
    return known if known and len(known) == len(found) else None


def _spec(name: str, config: Any) -> InputSpec | None:
    if name in ("input_ids", "decoder_input_ids"):
        words = config.get_text_config()
        most = getattr(words, "max_position_embeddings", None) or getattr(words, "max_target_positions", None)
        length = min(_TOKENS, most) if isinstance(most, int) and most > 0 else _TOKENS
        size = getattr(words, "vocab_size", None)
        return None if size is None else InputSpec((_ROWS, length), "int64", int(size))
    if name == "pixel_values":
        return InputSpec((_ROWS, *_image(getattr(config, "vision_config", None) or config)))
    if name == "input_values":
        return InputSpec((_ROWS, _AUDIO))
    if name == "input_features" and hasattr(config, "num_mel_bins") and hasattr(config, "max_source_positions"):
        return InputSpec((_ROWS, config.num_mel_bins, 2 * config.max_source_positions))  # two frames for each position
    return None


def _image(config: Any) -> tuple[int, ...]:
    """Channels and sides."""
    inner = getattr(config, "backbone_config", None) or config
    side = getattr(config, "image_size", None) or getattr(inner, "image_size", None) or _SIDE
    sides = tuple(side) if isinstance(side, (list, tuple)) else (side, side)
    channels = getattr(config, "num_channels", None) or getattr(inner, "num_channels", None) or 3
    return (int(channels), *(int(size) for size in sides))
