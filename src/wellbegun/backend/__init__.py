"""What wellbegun asks of a framework: name parameters and operations, run a model, store weights. Protocols only.

Models, batches and what models return pass through here without being looked at: they are of type `object`, so nothing
above this file can use them otherwise than by handing them on. Tensors stay behind a `Handle`, which gives numbers and
small samples. An observer never changes a tensor: it returns effects, which are plain data, and the framework carries
them out, in place or by substituting values.
"""

from wellbegun.backend.align import Alignment
from wellbegun.backend.find import FILES, KNOWN, MODELS, belongs, default, find, named
from wellbegun.backend.framework import MOST, Backend
from wellbegun.backend.functional import FunctionalSession
from wellbegun.backend.hosted import HostedHandle
from wellbegun.backend.hosted_models import HostedBackend
from wellbegun.backend.hosted_training import HostedTrainer
from wellbegun.backend.knowledge import Knowledge
from wellbegun.backend.memory import View, holders
from wellbegun.backend.program import (
    Equation,
    Operand,
    Program,
    Shown,
    Step,
    Traced,
    Value,
    elementwise,
    nodes_of,
    number_of,
    read,
    recorded,
    values_in,
)
from wellbegun.backend.session import (
    LEAST_SHARE,
    CrossEntropy,
    Judged,
    Loss,
    Output,
    Place,
    Receive,
    Scalar,
    Session,
    Signal,
    SquaredError,
    Start,
    check_write,
    classes_of,
    main_of,
    no_scalar,
)
from wellbegun.backend.training import (
    Batch,
    Course,
    Inputs,
    Metric,
    Model,
    Optimizer,
    Trainer,
    batches,
    host_randomness,
    made,
    others_may_draw,
    samples_at,
    score,
    trained,
)
from wellbegun.backend.values import Attended, Effect, Handle, Observer, Scale, Shift, Strayed, looked_at

__all__ = [
    "FILES",
    "KNOWN",
    "LEAST_SHARE",
    "MODELS",
    "MOST",
    "Alignment",
    "Attended",
    "Backend",
    "Batch",
    "Course",
    "CrossEntropy",
    "Effect",
    "Equation",
    "FunctionalSession",
    "Handle",
    "HostedBackend",
    "HostedHandle",
    "HostedTrainer",
    "Inputs",
    "Judged",
    "Knowledge",
    "Loss",
    "Metric",
    "Model",
    "Observer",
    "Operand",
    "Optimizer",
    "Output",
    "Place",
    "Program",
    "Receive",
    "Scalar",
    "Scale",
    "Session",
    "Shift",
    "Shown",
    "Signal",
    "SquaredError",
    "Start",
    "Step",
    "Strayed",
    "Traced",
    "Trainer",
    "Value",
    "View",
    "batches",
    "belongs",
    "check_write",
    "classes_of",
    "default",
    "elementwise",
    "find",
    "holders",
    "host_randomness",
    "looked_at",
    "made",
    "main_of",
    "named",
    "no_scalar",
    "nodes_of",
    "number_of",
    "others_may_draw",
    "read",
    "recorded",
    "samples_at",
    "score",
    "trained",
    "values_in",
]
