"""Everything wellbegun raises on purpose.

    WellbegunError                      catch this one to catch them all
    ├── ArgumentError (ValueError)      an argument has a value outside its range
    │   ├── LayoutError                 axis roles and shape do not fit each other
    │   ├── UnknownNameError            no scheme, recipe or activation has this name
    │   └── RuleError                   a rule matches nothing, or a parameter has no rule
    ├── ArgumentTypeError (TypeError)   an argument has a wrong type
    ├── TraceError (RuntimeError)       the model, or a loss, could not be run
    ├── UnhealthyError (AssertionError)  assert_healthy found what must not be
    ├── ModelError                      a file or name that should give a model or a batch does not
    ├── FileError (OSError)             a file cannot be written
    └── MissingDependencyError (ImportError)   an optional package is needed; the message names it

Every message says who complains, which argument, what is allowed, what was given and what to do next.
A call that raises because of its arguments has changed nothing. `initialize` says what holds where a model fails later.
"""


class WellbegunError(Exception):
    """Base of every error that wellbegun raises on purpose."""


class ArgumentError(WellbegunError, ValueError):
    """An argument has a value outside its allowed range."""


class LayoutError(ArgumentError):
    """The roles of the axes and the shape do not fit each other, or fans are asked of a tensor that has none."""


class UnknownNameError(ArgumentError):
    """No scheme, recipe or activation has this name."""


class RuleError(ArgumentError):
    """A rule matches no parameter, or a parameter is matched by no rule."""


class ArgumentTypeError(WellbegunError, TypeError):
    """An argument has a type that cannot be used here."""


class TraceError(WellbegunError, RuntimeError):
    """The model, or a loss of its output, could not be run; the cause is chained."""


class UnhealthyError(WellbegunError, AssertionError):
    """A model that was asserted to be healthy is not; the message lists the findings with their remedies."""


class ModelError(WellbegunError):
    """A file or an import path that should give a model or a batch does not."""


class FileError(WellbegunError, OSError):
    """A file cannot be written; what was there before is there still."""


class MissingDependencyError(WellbegunError, ImportError):
    """An optional package is needed for this call; the message gives the command that installs it."""
