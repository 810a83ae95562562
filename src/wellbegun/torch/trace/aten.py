"""ATen operations -> the small vocabulary of the graph. Names only; `recorder` does the bookkeeping.

The dispatcher shows every model in these few hundred operations, whatever Python wrote them: that is why the tables
can be short. What is not listed and not tagged elementwise by torch itself is opaque, and reported.
"""

from collections.abc import Collection
from functools import cache
from typing import Any, NamedTuple

import torch

from wellbegun.graph.model import Kind, Mode

IGNORED = frozenset(
    {
        "device",
        "sym_size",
        "sym_stride",
        "sym_numel",
        "is_same_size",
        "_assert_async",
        "_assert_scalar",
        "_has_same_storage_numel",
    }
)

# (first operand, second operand, additive bias or None): positions of the arguments of a product
PRODUCTS: dict[str, tuple[int, int, int | None]] = {
    "mm": (0, 1, None),
    "bmm": (0, 1, None),
    "matmul": (0, 1, None),
    "mv": (0, 1, None),
    "dot": (0, 1, None),
    "addmm": (1, 2, 0),
    "addmv": (1, 2, 0),
    "baddbmm": (1, 2, 0),
    "addbmm": (1, 2, 0),
    "_addmm_activation": (1, 2, 0),
    "_sparse_mm": (0, 1, None),
    "_sparse_addmm": (1, 2, 0),
    "_grouped_mm": (0, 1, 3),
    "grouped_mm_fallback": (0, 1, None),
}
GROUPED = frozenset({"_grouped_mm", "grouped_mm_fallback"})  # rows (N, in) sorted by expert, weights (E, in, out)
CONVOLUTIONS = frozenset({"convolution", "_convolution", "convolution_overrideable"})
# scale and shift arguments of normalizations
NORMS: dict[str, tuple[int | None, int | None]] = {
    "native_batch_norm": (1, 2),
    "_native_batch_norm_legit": (1, 2),
    "_native_batch_norm_legit_no_training": (1, 2),
    "_batch_norm_with_update": (1, 2),
    "_batch_norm_no_update": (1, 2),
    "cudnn_batch_norm": (1, 2),
    "miopen_batch_norm": (1, 2),
    "native_layer_norm": (2, 3),
    "native_group_norm": (1, 2),
    "_fused_rms_norm": (2, None),
    "rms_norm": (2, None),
}
LOOKUPS: dict[str, tuple[int, int | None]] = {
    "embedding": (0, 2),
    "_embedding_bag": (0, 8),
    "_embedding_bag_forward_only": (0, 8),
}
SOFTMAX = frozenset({"_softmax", "_log_softmax", "_safe_softmax", "_masked_softmax"})
ATTENTIONS = ("_scaled_dot_product", "_flash_attention", "_efficient_attention")
POOLS = (
    "max_pool", "avg_pool", "_adaptive_avg_pool", "adaptive_max_pool", "adaptive_avg_pool", "upsample_", "_upsample_",
    "fractional_max_pool", "max_unpool", "grid_sampler",
)  # fmt: skip
MEANS = frozenset({"mean", "sum", "amax", "amin", "max", "min", "median", "logsumexp", "nansum"})
DISTANCES = frozenset({"_cdist_forward", "_euclidean_dist"})  # from the rows of the first to those of the second
SCANS = frozenset({"cumsum", "cumsum_", "cummax", "cummin", "logcumsumexp", "col2im", "segment_reduce", "trace"})
LOSSES = frozenset(
    {"nll_loss_forward", "nll_loss2d_forward", "_ctc_loss", "multi_margin_loss", "multilabel_margin_loss"}
)
SCATTERED_SUMS = frozenset(  # into a constant: sums over neighbours; into a value: a sum of two
    {"index_add", "index_add_", "scatter_add", "scatter_add_", "scatter_reduce", "scatter_reduce_", "index_reduce",
     "index_reduce_", "_index_put_impl_"}
)  # fmt: skip
STATISTICS = MEANS | {
    "var",
    "std",
    "var_mean",
    "std_mean",
    "norm",
    "linalg_vector_norm",
}  # may belong to a norm by hand
CONCATS = frozenset({"cat", "stack"})
SPLITS = frozenset({"split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "unbind", "chunk"})
MOVES = frozenset(
    {
        "clone", "contiguous", "_unsafe_view", "_to_copy", "copy_", "copy", "lift_fresh", "lift_fresh_copy", "flip",
        "repeat", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d",
        "replication_pad2d", "replication_pad3d", "index", "index_select", "gather", "slice_scatter", "select_scatter",
        "masked_fill", "masked_fill_", "masked_select", "masked_scatter", "masked_scatter_", "index_put", "index_put_",
        "index_copy", "index_copy_", "index_fill", "index_fill_", "_unsafe_index", "take", "scatter", "scatter_",
        "tril", "triu", "tril_", "triu_", "im2col", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "sort",
        "topk", "_pack_padded_sequence", "native_dropout", "_fused_dropout", "roll", "rot90", "diag_embed",
        "_reshape_copy", "view_copy", "as_strided_copy", "as_strided_", "_pad_packed_sequence", "block_diag",
        "fake_quantize_per_tensor_affine_cachemask", "fake_quantize_per_channel_affine_cachemask",
        "embedding_renorm_", "_sparse_coo_tensor_with_dims_and_tensors", "_to_dense", "expand_copy", "nan_to_num",
    }
)  # fmt: skip
REARRANGED = SPLITS | {
    "clone", "contiguous", "_unsafe_view", "_to_copy", "lift_fresh", "lift_fresh_copy", "flip", "repeat", "roll",
    "rot90", "index_select", "gather", "_reshape_copy", "view_copy", "expand_copy", "sort", "detach", "alias",
}  # fmt: skip
ERASING = frozenset(  # moves after which some entries are no longer what they were
    {"masked_fill", "masked_fill_", "tril", "triu", "tril_", "triu_", "native_dropout", "_fused_dropout", "index_fill",
     "index_fill_", "masked_scatter", "masked_scatter_", "nan_to_num"}
)  # fmt: skip
CREATIONS: dict[str, float | None] = {  # value of the entries, None: unknown
    "zeros": 0.0, "zeros_like": 0.0, "new_zeros": 0.0, "zero_": 0.0,
    "ones": 1.0, "ones_like": 1.0, "new_ones": 1.0,
    "empty": None, "empty_like": None, "new_empty": None, "empty_strided": None, "new_empty_strided": None,
    "rand": None, "rand_like": None, "randn": None, "randn_like": None, "randint": None, "randint_like": None,
    "randperm": None, "arange": None, "linspace": None, "bernoulli": None, "bernoulli_": None, "uniform_": None,
    "normal_": None, "tril_indices": None, "triu_indices": None,
}  # fmt: skip
FILLS = frozenset({"full", "full_like", "new_full", "fill_", "fill", "scalar_tensor"})
SUMS = frozenset({"add", "sub", "rsub", "add_", "sub_", "lerp", "lerp_"})
PICKS = frozenset({"index", "index_select"})  # slices by indices, spelled without a layer
PRODUCTS_BY_ENTRY = frozenset({"mul", "div", "mul_", "div_", "true_divide", "addcmul", "addcmul_", "addcdiv"})
BOUNDS = frozenset({"maximum", "minimum", "fmax", "fmin"})  # a signal, kept within bounds
MASKS = BOUNDS | frozenset(
    {"where", "masked_fill", "masked_fill_", "copy_", "_to_copy", "clone", "logical_and", "bitwise_and"}
)

MASKED = {"masked_fill": 1, "masked_fill_": 1, "where": 0}  # position of the mask

LAYERS = {  # functions that say which argument is the weight: its position
    "linear": 1, "bilinear": 2, "conv1d": 1, "conv2d": 1, "conv3d": 1, "conv_transpose1d": 1, "conv_transpose2d": 1,
    "conv_transpose3d": 1, "layer_norm": 2, "rms_norm": 2,
}  # fmt: skip
RECURRENT: dict[str, tuple[Mode, int]] = {
    "lstm": ("lstm", 4), "gru": ("gru", 3), "rnn_tanh": ("rnn_tanh", 1), "rnn_relu": ("rnn_relu", 1),
    "lstm_cell": ("lstm", 4), "gru_cell": ("gru", 3),
    "rnn_tanh_cell": ("rnn_tanh", 1), "rnn_relu_cell": ("rnn_relu", 1),
}  # fmt: skip


@cache
def name_of(func: Any) -> str:
    """`aten.relu_.default` -> "relu_"; products in place by the name of the product."""
    name = str(func.overloadpacket.__name__)
    return name[:-1] if name.endswith("_") and name[:-1] in PRODUCTS else name


@cache
def is_pointwise(func: Any) -> bool:
    """Elementwise by torch's own tag, or one of the few it does not tag."""
    return torch.Tag.pointwise in func.tags or name_of(func) in {"_prelu_kernel", "log_sigmoid_forward", "where"}


@cache
def is_view(func: Any) -> bool:
    """Whether the output shares the memory of the first operand."""
    return bool(func.is_view) or torch.Tag.inplace_view in func.tags


@cache
def moves(func: Any) -> bool:
    """Whether the entries of the output are entries of the input, elsewhere."""
    return is_view(func) or name_of(func) in MOVES | SPLITS | {"detach", "alias"}


@cache
def rearranges(func: Any) -> bool:
    """Whether every entry of the output is one of the input: equal entries stay equal."""
    return is_view(func) or name_of(func) in REARRANGED


@cache
def writes_to(func: Any) -> tuple[int, ...]:
    """Positions of the arguments that an operation changes in place."""
    arguments = func._schema.arguments
    return tuple(i for i, a in enumerate(arguments) if a.alias_info is not None and a.alias_info.is_write)


def written(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """The tensors that a call changes in place."""
    found = []
    for position in writes_to(func):
        name = func._schema.arguments[position].name
        given = args[position] if position < len(args) else kwargs.get(name)
        found += [given] if isinstance(given, torch.Tensor) else []
    return found


class Attended(NamedTuple):
    """What a built-in attention is asked to compute."""

    query: torch.Tensor
    key: torch.Tensor
    mask: torch.Tensor | None
    causal: bool
    scale: float | None


def attended(func: Any, args: Any, kwargs: Any) -> Attended | None:
    """The arguments of a built-in attention by their names in torch's schema; None if it has others."""
    names = (argument.name for argument in func._schema.arguments)
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    query, key = given.get("query"), given.get("key")
    if not (isinstance(query, torch.Tensor) and isinstance(key, torch.Tensor) and query.ndim == key.ndim):
        return None
    mask = given.get("attn_mask", given.get("attn_bias"))
    return Attended(query, key, mask, bool(given.get("is_causal")), given.get("scale"))


def _tabled(**names: str) -> dict[str, str]:
    """Names listed by what they do -> what each of them does."""
    return {name: what for what, listed in names.items() for name in listed.split()}


ARITHMETIC = _tabled(sum="add add_", difference="sub sub_", product="mul mul_", quotient="div div_ true_divide")
REDUCTIONS = _tabled(
    sum="sum nansum", mean="mean", length="norm linalg_vector_norm", extremum="all any amax amin max min"
)
SELECTIONS = _tabled(ranked="topk sort", index="argmax argsort", drawn="multinomial")
ENTRIES = _tabled(
    same="view _unsafe_view reshape t transpose permute unsqueeze squeeze clone contiguous _to_copy _reshape_copy flip "
    "roll rot90 view_copy movedim swapaxes lift_fresh lift_fresh_copy squeeze_ unsqueeze_ transpose_ t_ pixel_shuffle "
    "pixel_unshuffle channel_shuffle view_as_complex view_as_real",
    repeated="expand repeat expand_copy im2col unfold",
    part="slice",
    padded="constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d "
    "replication_pad3d _pad_packed_sequence diag_embed block_diag",
    masked="masked_fill masked_fill_ tril triu tril_ triu_ native_dropout _fused_dropout index_fill index_fill_ "
    "masked_scatter masked_scatter_ nan_to_num fake_quantize_per_tensor_affine_cachemask "
    "fake_quantize_per_channel_affine_cachemask embedding_renorm_",
    written="copy_ copy index_put index_put_ index_copy index_copy_ scatter scatter_ slice_scatter select_scatter",
)
OVER = _tabled(
    units="native_layer_norm _fused_rms_norm rms_norm",
    samples="native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training _batch_norm_with_update "
    "_batch_norm_no_update cudnn_batch_norm miopen_batch_norm",
    groups="native_group_norm",
)
UNCENTRED = frozenset({"_fused_rms_norm", "rms_norm"})
RESHAPES = frozenset({"view", "_unsafe_view", "reshape", "_reshape_copy", "view_copy", "as_strided", "as_strided_copy",
                      "unsqueeze", "squeeze", "matmul", "bmm", "mm", "index", "gather"})  # fmt: skip


def meaning_of(func: Any, kind: str) -> dict[str, Any]:
    """What an operation of a kind does, beyond its kind: fields of `Operation`."""
    name = name_of(func)
    masked = kind == "move" and (is_pointwise(func) or name == "copy_")  # with a mask of constants
    entries = "masked" if masked else ENTRIES.get(name, "picked" if kind == "move" else "")
    return {
        "arithmetic": ARITHMETIC.get(name, ""),
        "reduction": REDUCTIONS.get(name, ""),
        "selects": SELECTIONS.get(name, ""),
        "entries": entries,
        "over": OVER.get(name, ""),
        "centred": name in OVER and name not in UNCENTRED,
        "logarithm": name == "_log_softmax",
    }


def overwrites(func: Any, first_is_signal: bool) -> int | None:
    """As in `Operation`: operations in place write over their first argument."""
    if 0 not in writes_to(func):
        return None
    return 0 if first_is_signal and name_of(func) != "copy_" else -1


def unit_axis(func: Any, args: Any, kind: str, rank: int, given: int | None, same: bool) -> int | None:
    """The axis of units of an output of some rank. `given`: that of the first operand, if it has as many axes; `same`:
    whether it has the same shape."""
    name = name_of(func)
    if not rank:
        return None
    if kind in ("linear", "recurrent", "attention", "lookup", "matmul") or OVER.get(name) == "units":
        return rank - 1
    if kind in ("conv", "conv_transpose") or name in OVER:
        return 1
    if kind == "softmax":
        axis = args[2] if name == "_masked_softmax" else args[1]
        return rank - 1 if axis is None else int(axis) % rank
    if given is None or (name in RESHAPES and not same):
        return usual_axis(rank)
    if name in ("transpose", "t", "permute"):
        order = list(range(rank))
        one, two = (args[1] % rank, args[2] % rank) if name == "transpose" else (0, rank - 1)
        order[one], order[two] = order[two], order[one]
        order = [axis % rank for axis in args[1]] if name == "permute" else order
        return order.index(given)
    return given


def usual_axis(rank: int) -> int | None:
    """Where units are, if nothing tells: channels second in images, features last elsewhere."""
    return 1 if rank > 3 else rank - 1 if rank else None


def terms(kind: str, name: str, args: Any) -> int:
    """Number of terms in a product of two values: the width of a head, if it is the product of queries and keys."""
    if kind not in ("matmul", "attention"):
        return 0
    return int(args[PRODUCTS[name][0] if name in PRODUCTS else 0].shape[-1])


def scale_of(kind: str, width: int, kwargs: Any) -> float:
    """What an attention multiplies the products of queries and keys with."""
    if kind != "attention":
        return 1.0
    given = kwargs.get("scale")
    return float(width**-0.5 if given is None else given) if width else 1.0


@cache
def kind_of(func: Any, several: bool = False) -> Kind:
    """Kind of an operation on values that depend on the batch; pointwise ones are decided by their operands.

    `several`: whether different values come in.
    """
    name = name_of(func)
    if name in SOFTMAX:
        return "softmax"
    if name.startswith(ATTENTIONS):
        return "attention"
    if name in SCATTERED_SUMS:
        return "add" if several else "mean"
    for kind, names in _KINDS.items():
        if name in names:
            return kind
    if name.startswith(POOLS):
        return "pool"
    return "move" if moves(func) else "opaque"


_KINDS: dict[Kind, Collection[str]] = {
    "norm": NORMS,
    "mean": STATISTICS | SCANS | LOSSES | DISTANCES,
    "concat": CONCATS,
    "split": SPLITS,
    "matmul": PRODUCTS,
}
