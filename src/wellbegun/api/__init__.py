"""The few functions most people need, over the rows below. Frameworks are imported when a function is called."""

from wellbegun.api.looking import report, show
from wellbegun.api.models import Result, apply, check, initialize, plan, predict
from wellbegun.api.races import race

__all__ = ["Result", "apply", "check", "initialize", "plan", "predict", "race", "report", "show"]
