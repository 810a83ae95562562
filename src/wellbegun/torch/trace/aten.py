"""ATen operations by what they do: tables of names.

The dispatcher shows every model in these few hundred operations, whatever Python wrote them: that is why the tables
can be short. What is not listed and not tagged elementwise by torch itself is opaque, and reported.
"""

from functools import cache
from typing import Any

import torch

from wellbegun import backend
from wellbegun.graph.facts import Combines
from wellbegun.graph.model import Arithmetic, Mode, Over, Reduction, Selection
from wellbegun.torch.compat import schema_of
from wellbegun.torch.handles import TensorHandle

IGNORED = frozenset({"device", "sym_size", "sym_stride", "sym_numel", "is_same_size", "_assert_async", "_assert_scalar",
                     "_has_same_storage_numel"})  # fmt: skip

# (first operand, second operand, additive bias or None): positions of the arguments of a product
PRODUCTS: dict[str, tuple[int, int, int | None]] = {
    **dict.fromkeys(("mm", "bmm", "matmul", "mv", "dot", "_sparse_mm", "grouped_mm_fallback"), (0, 1, None)),
    **dict.fromkeys(("addmm", "addmv", "baddbmm", "addbmm", "_addmm_activation", "_sparse_addmm"), (1, 2, 0)),
    "_grouped_mm": (0, 1, 3),  # rows (N, in) sorted by expert, weights (E, in, out)
}
CONVOLUTIONS = frozenset({"convolution", "_convolution", "convolution_overrideable"})
# arguments that scale and shift, what it runs over, whether it takes the mean away
NORMS: dict[str, tuple[int | None, int | None, Over, bool]] = {
    **dict.fromkeys(
        ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
         "_batch_norm_with_update", "_batch_norm_no_update", "cudnn_batch_norm", "miopen_batch_norm"),
        (1, 2, "samples", True),
    ),
    "native_layer_norm": (2, 3, "units", True),
    "native_group_norm": (1, 2, "groups", True),
    "_fused_rms_norm": (2, None, "units", False),
    "rms_norm": (2, None, "units", False),
}  # fmt: skip
LOOKUPS = {"embedding": 2, "_embedding_bag": 8, "_embedding_bag_forward_only": 8}  # position of the row that stays zero
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
STATISTICS = MEANS | {"var", "std", "var_mean", "std_mean", "norm", "linalg_vector_norm"}  # may be of a norm by hand
CONCATS = frozenset({"cat", "stack"})
SPLITS = frozenset({"split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "unbind", "chunk"})
ENTRIES = {  # what moves do to entries
    name: what
    for what, listed in {
        "same": "view _unsafe_view reshape t transpose permute unsqueeze squeeze clone contiguous _to_copy detach "
        "_reshape_copy view_copy movedim swapaxes lift_fresh lift_fresh_copy squeeze_ unsqueeze_ view_as_complex "
        "view_as_real alias",
        "reordered": "flip roll rot90 pixel_shuffle pixel_unshuffle channel_shuffle transpose_ t_",
        "repeated": "expand repeat expand_copy im2col unfold",
        "part": "slice",
        "picked": "index index_select gather masked_select _unsafe_index take sort topk as_strided_copy as_strided_ "
        "_pack_padded_sequence _sparse_coo_tensor_with_dims_and_tensors _to_dense",
        "padded": "constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d diag_embed "
        "replication_pad2d replication_pad3d _pad_packed_sequence block_diag",
        "masked": "masked_fill masked_fill_ tril triu tril_ triu_ native_dropout _fused_dropout index_fill nan_to_num "
        "index_fill_ masked_scatter masked_scatter_ fake_quantize_per_tensor_affine_cachemask embedding_renorm_ "
        "fake_quantize_per_channel_affine_cachemask",
        "written": "copy_ copy index_put index_put_ index_copy index_copy_ scatter scatter_ slice_scatter "
        "select_scatter",
    }.items()
    for name in listed.split()
}
RESHAPES = frozenset({"view", "_unsafe_view", "reshape", "_reshape_copy", "view_copy", "as_strided", "as_strided_copy",
                      "unsqueeze", "squeeze", "unsqueeze_", "squeeze_"})  # fmt: skip
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
MASKS = frozenset({"where", "masked_fill", "masked_fill_", "logical_and", "bitwise_and"})
COMBINES: dict[str, Combines] = {
    **dict.fromkeys(SUMS, "sum"), **dict.fromkeys(PRODUCTS_BY_ENTRY, "product"), **dict.fromkeys(BOUNDS, "bound"),
    **dict.fromkeys(MASKS, "select"),
}  # fmt: skip
ARITHMETIC: dict[str, Arithmetic] = {
    "add": "sum", "add_": "sum", "sub": "difference", "sub_": "difference", "mul": "product", "mul_": "product",
    "div": "quotient", "div_": "quotient", "true_divide": "quotient",
}  # fmt: skip
REDUCTIONS: dict[str, Reduction] = {
    "sum": "sum", "nansum": "sum", "mean": "mean", "norm": "length", "linalg_vector_norm": "length",
    **dict.fromkeys(("all", "any", "amax", "amin", "max", "min"), "extremum"),
}  # fmt: skip
SELECTIONS: dict[str, Selection] = {
    "topk": "ranked", "sort": "ranked", "argmax": "index", "argsort": "index", "multinomial": "drawn",
}  # fmt: skip
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


_UNTAGGED = frozenset(
    {"_prelu_kernel", "log_sigmoid_forward", "where", "hardswish", "floor_divide", "true_divide", "special_ndtr"}
)


@cache
def is_pointwise(func: Any) -> bool:
    """Elementwise by torch's own tag, or by that of the operation it carries out in place (`mish_`: `mish`), or one of
    the few that torch does not tag."""
    name = name_of(func)
    plain = name.removesuffix("_")
    if torch.Tag.pointwise in func.tags or plain in _UNTAGGED:
        return True
    packet = None if plain == name or name in ENTRIES else getattr(torch.ops.aten, plain, None)
    return packet is not None and any(torch.Tag.pointwise in getattr(packet, o).tags for o in packet.overloads())


@cache
def is_view(func: Any) -> bool:
    """Whether the output shares the memory of the first operand."""
    return bool(func.is_view) or torch.Tag.inplace_view in func.tags


@cache
def moves(func: Any) -> bool:
    """Whether the entries of the output are entries of the input, elsewhere."""
    return is_view(func) or name_of(func) in ENTRIES or name_of(func) in SPLITS


@cache
def writes_to(func: Any) -> tuple[int, ...]:
    """Positions of the arguments that an operation changes in place."""
    arguments = schema_of(func).arguments
    return tuple(i for i, a in enumerate(arguments) if a.alias_info is not None and a.alias_info.is_write)


def written(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """The tensors that a call changes in place."""
    found = []
    for position in writes_to(func):
        name = schema_of(func).arguments[position].name
        given = args[position] if position < len(args) else kwargs.get(name)
        found += [given] if isinstance(given, torch.Tensor) else []
    return found


def attended(func: Any, args: Any, kwargs: Any) -> backend.Attended | None:
    """The arguments of a built-in attention by their names in torch's schema; None if it has others."""
    names = (argument.name for argument in schema_of(func).arguments)
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    query, key = given.get("query"), given.get("key")
    if not (isinstance(query, torch.Tensor) and isinstance(key, torch.Tensor) and query.ndim == key.ndim):
        return None
    mask = given.get("attn_mask", given.get("attn_bias"))
    seen = None if mask is None else TensorHandle(mask)
    return backend.Attended(
        TensorHandle(query), TensorHandle(key), seen, bool(given.get("is_causal")), given.get("scale")
    )
