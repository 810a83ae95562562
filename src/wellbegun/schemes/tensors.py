"""What a tensor does, in one word: roles of `wellbegun.planning`, and what only a scheme needs to tell apart."""

from collections.abc import Mapping
from types import MappingProxyType

from wellbegun._arguments import known

TENSORS: Mapping[str, str] = MappingProxyType(
    {
        "hidden": "a matrix or a convolution between layers",
        "readout": "the last one, which no other weight follows",
        "bias": "what is added to the output of a weight",
        "negative_slope": "the slope of a PReLU below zero",
        "multiplier": "a factor of a signal, outside a normalization",
        "norm_scale": "the factor behind a normalization, often called gamma",
        "norm_shift": "what a normalization adds, often called beta",
        "residual_out": "the last weight of a branch, before it is added to the stream",
        "residual_scale": "a factor of the branch as a whole (layer scale, skip gain)",
        "query": "what an attention asks with",
        "key": "what queries are compared with",
        "value": "what an attention averages",
        "query_key": "queries and keys in one matrix",
        "key_value": "keys and values in one matrix",
        "query_key_value": "all three in one matrix",
        "attention_out": "the weight behind an attention",
        "gate": "the factor that goes through a function, in a gated unit",
        "up": "the other factor",
        "gate_up": "both in one matrix",
        "down": "the weight behind a gated unit",
        "router": "scores that choose among experts",
        "embedding": "a table of which rows are looked up",
        "positional": "a table of places, added to a signal",
        "token": "a vector that stands among the entries of a signal, like a class token",
        "recurrent_input": "from the input to the gates, in a recurrent layer",
        "recurrent": "from the last state to the gates",
        "recurrent_bias_input": "what is added on the side of the input; forget gates are here",
        "recurrent_bias": "what is added on the side of the state",
        "recurrent_projection": "from the state to a smaller one",
        "centre": "points that distances are measured from",
        "distance_scale": "a factor of distances",
        "time_step": "the weight before a softplus that says how fast a state forgets, in a state-space layer",
        "time_step_bias": "what is added to it",
        "state": "how a state-space layer or linear attention keeps and turns its state (A, poles, decays)",
        "state_input": "what enters such a state (B)",
        "adapter_in": "the first factor of an adapter (LoRA A)",
        "adapter_out": "its second factor (LoRA B)",
        "hyper": "the last layer of a network that makes weights of another",
        "mixing": "an invertible matrix between the channels of a flow",
        "convolution": "a kernel that is moved over places",
        "upsampling": "a transposed convolution, or the convolution before a pixel shuffle",
        "coordinates": "the first layer of a network of coordinates, or its features",
        "periodic": "a later layer of a network whose activations are waves",
        "basis": "coefficients of learned functions of one input",
        "convex": "a weight that must not be negative",
    }
)
"""Every word for a tensor, and what it means."""
_OTHERS = {"q": "query", "k": "key", "v": "value", "qkv": "query_key_value", "o": "attention_out", "head": "readout"}
_OTHERS |= {"linear": "hidden", "weight": "hidden", "conv": "convolution", "norm": "norm_scale", "lookup": "embedding"}
_OTHERS |= {"layer_scale": "residual_scale", "position": "positional", "rnn": "recurrent", "kan": "basis"}


def tensor_named(owner: str, argument: str, text: str) -> str:
    """The word for a tensor, from what people call it.

    >>> tensor_named("schemes", "for", "Norm scale"), tensor_named("schemes", "for", "head")
    ('norm_scale', 'readout')
    """
    word = text.strip().lower().replace(" ", "_").replace("-", "_")
    return known(owner, argument, _OTHERS.get(word, word), TENSORS)
