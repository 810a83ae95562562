"""ATen operations -> the small vocabulary of the graph. Names only; `recorder` does the bookkeeping.

The dispatcher shows every model in these few hundred operations, whatever Python wrote them: that is why the tables
can be short. What is not listed and not tagged elementwise by torch itself is opaque, and reported.
"""

from typing import Any

import torch

IGNORED = frozenset(
    {"device", "sym_size", "sym_stride", "sym_numel", "is_same_size", "_assert_async", "_assert_scalar"}
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
}
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
ATTENTION = "_scaled_dot_product"
POOLS = (
    "max_pool", "avg_pool", "_adaptive_avg_pool", "adaptive_max_pool", "adaptive_avg_pool", "upsample_", "_upsample_",
    "fractional_max_pool", "max_unpool",
)  # fmt: skip
MEANS = frozenset({"mean", "sum", "amax", "amin", "max", "min", "median", "logsumexp"})
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
        "masked_fill", "masked_fill_", "index_put", "index_put_", "scatter", "tril", "triu", "im2col", "pixel_shuffle",
        "pixel_unshuffle", "channel_shuffle", "sort", "topk", "_pack_padded_sequence", "native_dropout",
        "_fused_dropout",        "roll", "_reshape_copy", "view_copy", "as_strided_copy", "_pad_packed_sequence",
    }
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
PRODUCTS_BY_ENTRY = frozenset({"mul", "div", "mul_", "div_", "true_divide"})

RECURRENT = {
    "lstm": ("lstm", 4), "gru": ("gru", 3), "rnn_tanh": ("rnn_tanh", 1), "rnn_relu": ("rnn_relu", 1),
    "lstm_cell": ("lstm", 4), "gru_cell": ("gru", 3),
    "rnn_tanh_cell": ("rnn_tanh", 1), "rnn_relu_cell": ("rnn_relu", 1),
}  # fmt: skip


def name_of(func: Any) -> str:
    """`aten.relu_.default` -> "relu_"."""
    return str(func.overloadpacket.__name__)


def is_pointwise(func: Any) -> bool:
    """Elementwise by torch's own tag, or one of the few it does not tag."""
    return torch.Tag.pointwise in func.tags or name_of(func) in {"_prelu_kernel", "log_sigmoid_forward", "where"}


def writes_to(func: Any) -> tuple[int, ...]:
    """Positions of the arguments that an operation changes in place."""
    arguments = func._schema.arguments
    return tuple(i for i, a in enumerate(arguments) if a.alias_info is not None and a.alias_info.is_write)


def terms(kind: str, name: str, args: Any) -> int:
    """Number of terms in a product of two values: the width of a head, if it is the product of queries and keys."""
    if kind not in ("matmul", "attention"):
        return 0
    return int(args[PRODUCTS[name][0] if name in PRODUCTS else 0].shape[-1])


def kind_of(func: Any) -> str:
    """Kind of an operation on values that depend on the batch; pointwise ones are decided by their operands."""
    name = name_of(func)
    if name in SOFTMAX:
        return "softmax"
    if name.startswith(ATTENTION) or name.startswith("_flash_attention") or name.startswith("_efficient_attention"):
        return "attention"
    if name in NORMS:
        return "norm"
    if name.startswith(POOLS):
        return "pool"
    if name in MEANS:
        return "mean"
    if name in CONCATS:
        return "concat"
    if name in SPLITS:
        return "split"
    if name in PRODUCTS:
        return "matmul"
    if name in MOVES or func.is_view:
        return "move"
    return "opaque"
