"""The few functions most people need, over the rows below. Frameworks are imported when a function is called."""

from wellbegun.api.comparing import compare_models
from wellbegun.api.coordinates import coordinate_check
from wellbegun.api.looking import report, show
from wellbegun.api.models import Applied, Result, apply, check, initialize, plan, signal_propagation
from wellbegun.api.races import race
from wellbegun.api.resetting import reset

__all__ = ["Applied", "Result", "apply", "check", "compare_models", "coordinate_check", "initialize", "plan", "race"]
__all__ += ["report", "reset", "show", "signal_propagation"]
