"""What is measured of a model: statistics of a pass, of parameters and of gradients, and the measured correction.

All of it works on numbers and small samples from a session of `wellbegun.backend`; no framework is named here.
"""

from wellbegun.measure.calibrate import calibrate
from wellbegun.measure.moments import moments
from wellbegun.measure.probe import probe
from wellbegun.measure.refined import refinement

__all__ = ["calibrate", "moments", "probe", "refinement"]
