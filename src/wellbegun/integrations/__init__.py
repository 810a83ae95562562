"""Health for training tools: the same scalars for TensorBoard, Weights & Biases and anything else.

`CheckAtStart` of `wellbegun.integrations.lightning` and of `wellbegun.integrations.transformers` looks at a model on
its first real batch, before the first update. None of these tools is a dependency: they are what the user has already.
"""

from wellbegun.integrations.writers import Action, act, known_action, log_scalars

__all__ = ["Action", "act", "known_action", "log_scalars"]
