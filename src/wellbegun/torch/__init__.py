"""PyTorch: trace a module to a graph, write a plan into it, probe its health. Nothing else lives here."""

from wellbegun.torch.batch import InputSpec
from wellbegun.torch.calibrate import calibrate
from wellbegun.torch.lazy import materialize
from wellbegun.torch.measure import measure
from wellbegun.torch.probe import probe
from wellbegun.torch.samples import parameter_samples
from wellbegun.torch.saving import save_weights
from wellbegun.torch.shards import agreed, gathered
from wellbegun.torch.targets import apply_plan
from wellbegun.torch.trace.recording import trace

__all__ = [
    "InputSpec",
    "agreed",
    "apply_plan",
    "calibrate",
    "gathered",
    "materialize",
    "measure",
    "parameter_samples",
    "probe",
    "save_weights",
    "trace",
]
