"""Every code: title, why its bound is one, what to paste, where the bound comes from. Bounds exist once, here."""

from typing import Literal, NamedTuple

SIGNAL_RANGE = 100.0  # largest growth or shrinkage of the signal within a stretch without normalization
EPSILON_RANGE = 300.0  # largest shrinkage before a normalization: then its epsilon (1e-5 under a root) takes over
RESTORED_RANGE = 1e4  # the same where what is behind the normalization was measured, and is a
RESTORED = 0.1  # least RMS behind it: its epsilon has not taken over
STARVED = 1e-5  # least RMS of what comes into the first weights, where nothing that is trained enlarges it
FACTOR = 0.05  # a learned factor whose entries are all smaller is next to nothing by design
SHUT = 1e-4  # least share of the signal that comes to a readout, in a stretch without normalization
GRADIENT_RANGE = 100.0  # the same for the gradient between the last hidden layer and the first
BATCH_NORM = 1.211  # growth of gradients through a batch norm and a ReLU, whatever the weights: (1 - 1/pi)^-1/2
COLLAPSE = 1e-5  # least share of the input's differences between samples that the last hidden layer must keep
SILENT = 1e-4  # least share of a residual branch in its stream, unless it is zero
SENSITIVITY = 100.0  # largest, and inverse of the least, relative change of the output for one of the first layer's
EQUAL_SHARE = 0.5  # share of a layer's units that may be copies which never part
HALF = 65504.0  # largest float16
UNDERFLOW = 0.5  # share of a weight's gradient that may vanish in float16
BLOWN_UP = 1e6  # growth in one operation that is taken for the origin of inf or nan
LOSS_RATIO = 1.5  # largest first loss, in units of chance
SQUARED_RATIO = 10.0  # the same of a squared error: an output of unit size beside targets a third as large still learns
TRAINED_RATIO = 15.0  # the same of a trained model that is judged by labels it was not trained on
FIXED_RATIO = 100.0  # the same of cosines at a temperature, which train, but end surer than they are right
LOUDER = 3.0  # growth in one layer, in units of that in the readout, from which on the layer is named instead
LOGIT_STD = 6.0  # largest standard deviation of attention logits over keys
ENTROPY = 0.2  # least entropy of attention weights, in units of log(keys)
CHOOSING = 0.01  # the same of shares of experts and the like, which train with less: measured down to this
CODES = 0.1  # share of rows of a codebook, or of places if there are fewer, below which it is told
DEAD = 0.5  # share of units that may be dead, of those that standard normal input leaves alive
ALL_DEAD = 0.95  # share of dead units above which no chance counts
SATURATED = 0.7  # share of entries that may be flat, of those that standard normal input leaves steep
NOISE = 1e-6  # largest gradient, in units of those of weights beside it, that rounding leaves of what cancels
UPDATE_RANGE = 1e4  # largest ratio of relative updates between two weights

RAW = 30.0  # largest RMS of an input that a weight reads as it is

Severity = Literal["unhealthy", "remark"]


class Check(NamedTuple):
    """One code. `{parameter}`, `{bias}` and `{names}` in a remedy are filled in when it is found."""

    title: str
    why: str
    remedy: str
    source: str
    severity: Severity = "unhealthy"


FAMILIES = {
    "W1": "signal",
    "W2": "gradient",
    "W3": "symmetry",
    "W4": "finiteness and range",
    "W5": "first loss",
    "W6": "attention",
    "W7": "activations",
    "W8": "parameters",
    "W9": "batch",
}
"""What codes are about, by their first letters."""
TRAINED = "these are trained values, which drawing them again would lose"
"""What is said instead of a call that would draw them again."""
INSTEAD = {
    "W103": "look at what gives all samples the same values at {place}, or before it",
    "W1": "look at what else scales the signal at {place}, and at the loops it is in",
    "W2": "look at what multiplies or stops gradients between {place} and the loss",
    "W3": "look at why the units of {place} get equal inputs or gradients",
    "W4": "look at which values reach {place}",
    "W5": "look at what multiplies the output behind {place}, or check with the loss that is trained",
    "W6": "look at what scales the logits of {place}",
    "W703": "draw the rows near what is compared with them, such as from a batch of it, at {place}",
    "W": "look at what is added or multiplied before {place}",
}
"""What is said where no call mends a finding, by the first letters of its code."""
WHOLE_MODEL = "wb.initialize(model, batch)"
_ONE = "wb.initialize(model, batch, only=[{names}])"
_MEASURED = "measured: benchmarks/health.py, which trains what is called healthy"

CATALOGUE: dict[str, Check] = {
    "W101": Check(
        "vanishing signal",
        "hidden layers whose output shrinks a hundredfold carry rounding noise and feed nothing to what follows",
        _ONE,
        "He et al. 2015, arXiv:1502.01852, section 2.2; " + _MEASURED,
    ),
    "W102": Check(
        "exploding signal",
        "a hundredfold growth saturates activations and makes the loss depend on a few huge numbers",
        _ONE,
        "He et al. 2015, arXiv:1502.01852, section 2.2; Zhang et al. 2019, arXiv:1901.09321; " + _MEASURED,
    ),
    "W103": Check(
        "rank collapse",
        "the last hidden layer gives all samples the same output, so nothing behind it can tell them apart",
        WHOLE_MODEL,
        "Schoenholz et al. 2017, arXiv:1611.01232; Dong et al. 2021, arXiv:2103.03404",
    ),
    "W104": Check(
        "faint branch",
        "a residual branch below a ten-thousandth of its stream is heard only after many steps",
        _ONE,
        "Zhang et al. 2019, arXiv:1901.09321; De and Smith 2020, arXiv:2002.10444",
        "remark",
    ),
    "W201": Check(
        "vanishing gradient",
        "the first layers learn more than a hundred times slower than the last, whatever the learning rate",
        _ONE,
        "Glorot and Bengio 2010; Schoenholz et al. 2017, arXiv:1611.01232; " + _MEASURED,
    ),
    "W202": Check(
        "exploding gradient",
        "the first layers get gradients over a hundred times larger than the last: no learning rate fits both",
        _ONE,
        "Glorot and Bengio 2010; Schoenholz et al. 2017, arXiv:1611.01232; " + _MEASURED,
    ),
    "W203": Check(
        "output hardly depends on the input",
        "a relative change behind the first layer changes the output a hundred times less: biases or saturation rule",
        WHOLE_MODEL,
        "Poole et al. 2016, arXiv:1606.05340; Pennington et al. 2017, arXiv:1711.04735",
        "remark",
    ),
    "W204": Check(
        "chaotic output",
        "a relative change behind the first layer changes the output a hundred times more: near samples look unrelated",
        WHOLE_MODEL,
        "Poole et al. 2016, arXiv:1606.05340; Pennington et al. 2017, arXiv:1711.04735",
        "remark",
    ),
    "W301": Check(
        "equal units",
        "units with equal incoming weights compute the same and are updated the same: the layer acts as one unit",
        _ONE,
        "Goodfellow et al. 2016, Deep Learning, section 8.4",
    ),
    "W302": Check(
        "twins",
        "two parameters hold the same random numbers, as a copied layer or a repeated seed leaves them",
        "wb.initialize(model, batch, only=[{names}])",
        "torch.nn.TransformerEncoder copies its layer, and its documentation asks to initialize again",
        "remark",
    ),
    "W401": Check(
        "non-finite values",
        "nan and inf spread to every weight at the first update",
        _ONE,
        "IEEE 754: every operation on nan gives nan",
    ),
    "W402": Check(
        "beyond the range of float16",
        "values above 65504 become inf in half precision; bfloat16 has the range of float32",
        _ONE,
        "Micikevicius et al. 2018, arXiv:1710.03740",
        "remark",
    ),
    "W403": Check(
        "gradients below the range of float16",
        "most of a gradient is under 6e-8 and becomes zero in float16: use bfloat16, or keep the scaler",
        "# multiply the loss before the backward pass, and divide the gradients by as much before the update",
        "Micikevicius et al. 2018, arXiv:1710.03740, section 3.2",
        "remark",
    ),
    "W501": Check(
        "first loss far above chance",
        "a model that knows nothing should be no worse than guessing; the first steps only undo confident errors",
        _ONE,
        "Karpathy 2019, A Recipe for Training Neural Networks (verify loss at init); " + _MEASURED,
    ),
    "W601": Check(
        "large attention logits",
        "logits of standard deviation above 6 make the softmax pick one key by accident, where its slope is near zero",
        "wb.initialize(model, batch, only=[{names}])",
        "Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1; Dehghani et al. 2023, arXiv:2302.05442",
    ),
    "W602": Check(
        "attention without entropy",
        "each query looks at about one key before anything is learned, and the others get no gradient",
        "wb.initialize(model, batch, only=[{names}])",
        "Zhai et al. 2023, arXiv:2303.06296; measured: benchmarks/softmaxes.py",
    ),
    "W701": Check(
        "dead units",
        "an activation that is flat on the whole batch passes no gradient, so its unit never learns",
        "wb.initialize(model, batch, only=[{names}])",
        "Lu et al. 2019, arXiv:1903.06733; " + _MEASURED,
    ),
    "W702": Check(
        "saturated activations",
        "most entries sit where the activation is flat, so little gradient passes",
        "wb.initialize(model, batch, only=[{names}])",
        "Glorot and Bengio 2010, section 3; " + _MEASURED,
    ),
    "W703": Check(
        "dead codebook",
        "only the row that is nearest to a signal learns from it: rows that nothing is near to stay as they are",
        _ONE,
        "van den Oord et al. 2017, arXiv:1711.00937; Łańcucki et al. 2020, arXiv:2005.08520",
    ),
    "W801": Check(
        "cut off from the loss",
        "the parameter is used on the way to the output, yet no gradient comes back: a detach, no_grad or rounding",
        "# look between {parameter!r} and the loss for what stops gradients",
        "a value that gradients are stopped at has no history",
    ),
    "W802": Check(
        "no gradient",
        "the parameter is not used on this batch, or not by this loss: it stays as it is",
        "# do not train {parameter!r}, or call the layer that holds it",
        "DistributedDataParallel stops at such parameters (find_unused_parameters)",
        "remark",
    ),
    "W803": Check(
        "one rate does not fit all weights",
        "plain gradient steps change one weight relatively 10,000 times as fast as another; Adam evens that out",
        _ONE,
        "You et al. 2017, arXiv:1708.03888 (trust ratios)",
        "remark",
    ),
    "W901": Check(
        "a batch that tells nothing",
        "no samples, or nan and inf, which reach everything that is computed of it: nothing can be said of the model",
        "# mend what makes the batch: it is empty, or holds nan or inf before the model has done anything",
        "IEEE 754: every operation on nan gives nan",
    ),
    "W902": Check(
        "raw scale of the batch",
        "weights are sized for inputs of about unit scale: raw ones make the first loss huge and first steps useless",
        "# standardize the batch: subtract the mean of each column or channel, and divide by its standard deviation",
        "LeCun et al. 1998, Efficient BackProp, section 4.3",
    ),
    "W903": Check(
        "constant columns",
        "a feature that is the same in every sample tells nothing apart, and acts as a bias",
        "# leave these columns out, or look for what made them constant",
        "LeCun et al. 1998, Efficient BackProp, section 4.3",
        "remark",
    ),
    "W904": Check(
        "targets that fit no loss",
        "a loss of nan or inf is nan, and a label without a class is an error or another unit's gradient",
        "# count classes from 0, and leave out, or mask, targets that are missing",
        "IEEE 754: every operation on nan gives nan",
        "remark",
    ),
}
"""Every code."""
