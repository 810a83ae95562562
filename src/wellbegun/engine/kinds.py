"""Which transform belongs to which parameters: the one table the reference and the compiled kernels share."""

from wellbegun.engine.parameters import (
    CentreParameters,
    LogUniformParameters,
    NormalParameters,
    SignParameters,
    TailParameters,
    UniformParameters,
)

TRANSFORMS: dict[type, str] = {
    UniformParameters: "uniform",
    NormalParameters: "normal",
    CentreParameters: "truncated_centre",
    TailParameters: "truncated_tail",
    SignParameters: "sign",
    LogUniformParameters: "log_uniform",
}
PAIRED = frozenset({NormalParameters})  # two words -> two values; the others turn each word into one value
