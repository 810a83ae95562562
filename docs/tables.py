"""Write the generated tables of README.md and the documents, or with --check say whether they are up to date.

Usage: python docs/tables.py [--check]
"""

import argparse
import json
import re
import sys
from functools import partial
from pathlib import Path

import entries
import places

import compatibility
from wellbegun.health import CATALOGUE
from wellbegun.planning import recipe_facts
from wellbegun.racing.statistics import interval
from wellbegun.schemes import cards
from wellbegun.schemes.catalogue import NAMES
from wellbegun.theory import moments

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "contract"))
FIGURES = Path(__file__).parent / "figures"
GAINS = ("linear", "relu", "leaky_relu(0.2)", "elu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid", "sin")


def schemes_table() -> str:
    rows = ["| scheme | strengths | weaknesses | when to use |", "|---|---|---|---|"]
    for card in cards():
        if card.name not in NAMES:  # those of other families stand on the page of schemes
            continue
        names = ", ".join(f"`{name}`" for name in (card.name, *card.aliases))
        rows.append(f"| {names} | {card.strengths} | {card.weaknesses} | {card.use} |")
    return "\n".join(rows)


def published_table() -> str:
    lines = ["| name | for | optimizer | needs | source |", "|---|---|---|---|---|"]
    for found in recipe_facts():
        needs = ", ".join(f"`{role}`" for role in found["needs"])
        wrong = "".join(f" Plans say, where it holds: \u201c{text}\u201d." for text in found["cautions"])
        cells = (
            f"`{found['name']}`",
            found["about"] + "." * bool(wrong) + wrong,
            found["optimizer"],
            needs,
            found["source"],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def gains_table() -> str:
    rows = ["| φ | E φ | E φ² | E φ'² | gain | backward gain |", "|---|---|---|---|---|---|"]
    for name in GAINS:
        found = moments(name)
        numbers = found.mean, found.second, found.slope, found.gain, found.gain_backward
        rows.append(
            f"| {name} | "
            + " | ".join(f"{number + 0.0:.6f}".replace("-0.000000", "0.000000") for number in numbers)
            + " |"
        )
    return "\n".join(rows)


def demo_table() -> str:
    """From `make demo DEMO_ARGS="--figures docs/figures/demo.json"`."""
    rows = json.loads((FIGURES / "demo.json").read_text())
    networks = list(dict.fromkeys(row["network"] for row in rows))
    lines = [f"| initialization | {' | '.join(networks)} |", "|---|" + "---|" * len(networks)]
    for candidate in dict.fromkeys(row["candidate"] for row in rows):
        cells = [_demo_cell(row) for row in rows if row["candidate"] == candidate]
        lines.append(f"| {candidate} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _demo_cell(row: dict) -> str:
    return f"{row['loss']:.2f}, {row['accuracy']:.0%} ({' '.join(row['findings']) or 'healthy'})"


def speed_table() -> str:
    """From `python benchmarks/fill_rates.py --json docs/figures/fill_rates.json`."""
    found = json.loads((FIGURES / "fill_rates.json").read_text())
    rows = [row for row in found["rates"] if row["dtype"] == "float32"]
    one, most = ({row["law"]: row for row in rows if row["threads"] == count} for count in (1, found["threads"][-1]))
    lines = [
        f"| float32, {found['values']:,} values | 1 thread, M values/s | × torch | × NumPy "
        f"| {found['threads'][-1]} threads, M values/s | × torch | of memory writes |",
        "|---|---|---|---|---|---|---|",
    ]
    for law, row in most.items():
        ratios = [_ratio(one[law]["ratios"].get(peer)) for peer in ("torch", "NumPy PCG64")]
        rest = _ratio(row["ratios"].get("torch")), f"{row['of_writes']:.0%}"
        lines.append(
            f"| {law} | {one[law]['rate']:,.0f} | {' | '.join(ratios)} | {row['rate']:,.0f} | {' | '.join(rest)} |"
        )
    return "\n".join(lines)


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def rates_table() -> str:
    found = json.loads((FIGURES / "fill_rates.json").read_text())
    lines = [
        "| dtype | threads | law | M values/s | × torch | × NumPy | of writes | of Philox alone | efficiency |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found["rates"]:
        ratios = [_ratio(row["ratios"].get(peer)) for peer in ("torch", "NumPy PCG64")]
        shares = [f"{row['of_writes']:.0%}", f"{row['of_words']:.0%}", f"{row['efficiency']:.0%}"]
        lines.append(
            f"| {row['dtype']} | {row['threads']} | {row['law']} | {row['rate']:,.0f} | {' | '.join(ratios + shares)} |"
        )
    return "\n".join(lines)


def regions_table() -> str:
    found = json.loads((FIGURES / "fill_rates.json").read_text())["regions"]
    lines = ["| part | share of the values | time of the whole | time / values |", "|---|---|---|---|"]
    for row in found["rows"]:
        lines.append(f"| {row['part']} | {row['share']:.5f} | {row['of_whole']:.5f} | {row['per_value']:.2f} |")
    return "\n".join(lines)


def orthogonal_table() -> str:
    """From `python benchmarks/orthogonal.py --json docs/figures/orthogonal.json`."""
    rows = json.loads((FIGURES / "orthogonal.json").read_text())["times"]
    lines = [
        "| shape | method | seconds | × torch | max error of WᵀW | kurtosis / Haar's | KS |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        shape = " × ".join(map(str, row["shape"]))
        numbers = f"{row['seconds']:.4f} | {row['ratio']:.1f} | {row['error']:.1e}"
        lines.append(f"| {shape} | {row['method']} | {numbers} | {row['kurtosis_ratio']:.4f} | {row['ks']:.4f} |")
    return "\n".join(lines)


def coefficients_table() -> str:
    """From `python benchmarks/fit_coefficients.py --json docs/figures/coefficients.json`."""
    lines = ["| table | degrees | minimax | rounded | evaluated |", "|---|---|---|---|---|"]
    for row in json.loads((FIGURES / "coefficients.json").read_text()):
        degrees = row["degrees"]
        shown = "shipped" if degrees is None else f"{degrees[0]}/{degrees[1]}" if degrees[1] else f"{degrees[0]}"
        numbers = [f"{row[key]:.1e}" if row.get(key) is not None else "" for key in ("minimax", "rounded", "evaluated")]
        lines.append(f"| {row['table']} | {shown} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def quality_table() -> str:
    """From `python benchmarks/quality.py --json docs/figures/quality.json`."""
    found = json.loads((FIGURES / "quality.json").read_text())
    lines = ["| test | sample | values | statistic | p |", "|---|---|---|---|---|"]
    for row in found["rows"]:
        test = row["test"].replace("|", "\\|")  # a bar would end the cell
        lines.append(f"| {test} | {row['sample']} | {row['n']:,} | {row['statistic']:.4g} | {row['p']:.3f} |")
    return "\n".join(lines)


def recipes_table() -> str:
    """From `python benchmarks/recipes.py --steps 40 --json docs/figures/recipes.json`."""
    rows = json.loads((FIGURES / "recipes.json").read_text())["rows"]
    lines = ["| network | default | classic | auto | published |", "|---|---|---|---|---|"]
    for row in rows:
        others = [name for name in row if name not in ("network", "default", "classic", "auto")]
        best = min(row[name]["score"] for name in ("default", "classic", "auto", *others))
        cells = [_score(row[name], best) for name in ("default", "classic", "auto")]
        cells.append(", ".join(f"{_score(row[name], best)} ({name})" for name in others))
        lines.append(f"| {row['network']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _score(row: dict, best: float) -> str:
    return f"**{row['score']:.2f}**" if row["score"] == best else f"{row['score']:.2f}"


def orthogonal_short_table() -> str:
    """The square sizes of the same run, as times and ratios."""
    rows = json.loads((FIGURES / "orthogonal.json").read_text())["times"]
    lines = ["| shape | torch, s | Haar, s | × torch | structured, s | × torch |", "|---|---|---|---|---|---|"]
    for shape in dict.fromkeys(tuple(row["shape"]) for row in rows):
        found = {row["method"]: row for row in rows if tuple(row["shape"]) == shape}
        cells = [f"{found['torch']['seconds']:.4f}"]
        cells += [f"{found[name]['seconds']:.4f} | {found[name]['ratio']:.1f}" for name in ("haar", "structured")]
        lines.append(f"| {' × '.join(map(str, shape))} | {' | '.join(cells)} |")
    return "\n".join(lines)


def backward_table() -> str:
    """From `python benchmarks/backward.py --json docs/figures/backward.json`."""
    lines = ["| network | signal | gradient | first ÷ last | default: gradient |", "|---|---|---|---|---|"]
    for row in json.loads((FIGURES / "backward.json").read_text()):
        cells = [_ratio3(row["auto"], key) for key in ("signal", "gradient", "first")]
        lines.append(f"| {row['network']} | {' | '.join(cells)} | {_ratio3(row['default'], 'gradient')} |")
    return "\n".join(lines)


def cost_table() -> str:
    """From `python benchmarks/initialize_time.py --repeats 5 --json docs/figures/initialize_time.json`."""
    names = "initialize", "plan", "fake pass", "fill", "step"
    lines = [
        f"| model | M parameters | {', ms | '.join(names)}, ms | initialize ÷ (2 steps + fill) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in json.loads((FIGURES / "initialize_time.json").read_text())["rows"]:
        times = " | ".join(_milliseconds(row["seconds"].get(name)) for name in names)
        lines.append(f"| {row['model']} | {row['parameters'] / 1e6:.2f} | {times} | {row['ratio']:.2f} |")
    return "\n".join(lines)


def trainings_table() -> str:
    """From `python benchmarks/trainings.py --json docs/figures/trainings.json`."""
    lines = [
        "| network | constructed | classic | auto | rates | mean, own rate | held out | mean, old rate | held out |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    found = json.loads((FIGURES / "trainings.json").read_text())
    for part, counts in found["counts"].items():
        for row in found["rows"]:
            if row["part"] == part:
                ends = [_ended(row["compared_losses"][start][rate]) for start, rate in row["rates"].items()]
                cells = [*ends, " ".join(row["rates"].values())]
                cells += [_verdict(each) for at in ("own", "old") for each in row["compared"][at]]
                lines.append(f"| {row['network']} | {' | '.join(cells)} |")
        for start in ("auto", "classic"):
            told = [counts[f"{start}, {at} rate, {name}"] for at in ("own", "old") for name in ("mean", "held out")]
            lines.append(f"| **{part}**, wins/ties/losses of {start} | | | | | {' | '.join(told)} |")
    return "\n".join(lines)


def _ended(seeds: list[list[float]]) -> str:
    return f"{sum(end for _, end in seeds) / len(seeds):.4g}"


def _verdict(each: dict) -> str:
    text = f"{each['difference']:+.2g} ± {each['interval']:.1g}"
    return {"win": f"**{text}**", "tie": text, "loss": f"{text} (loss)"}[each["verdict"]]


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{1e3 * seconds:,.0f}" if seconds >= 0.1 else f"{1e3 * seconds:.3g}"


def _ratio3(found: dict | None, key: str) -> str:
    return "vanishes" if found is None or not 1e-9 < found[key] < 1e9 else f"{found[key]:.3g}"


def transfer_table(axis: str, unit: str) -> str:
    """From `python benchmarks/transfer_of_rates.py --json docs/figures/transfer.json`."""
    rows = [row for row in json.loads((FIGURES / "transfer.json").read_text())["summary"] if row["axis"] == axis]
    first, *sizes = rows[0]["sizes"]
    heads = (
        f"best rate at {unit} {first} | {' | '.join(map(str, sizes))} | moves over {sizes[-1] // first} × the {axis}"
    )
    lines = [f"| parametrization | {heads} | held-out loss at both ends |", "|---" * (len(sizes) + 4) + "|"]
    for row in rows:
        (middle, low, high), losses = row["moves"], row["losses"]
        cells = [*(f"{rate:.2g}" for rate in row["rates"]), f"× {middle:.2f} ({low:.2f} to {high:.2f})"]
        lines.append(f"| {row['recipe']} | {' | '.join(cells)} | {losses[0]:.2f}, {losses[-1]:.2f} |")
    return "\n".join(lines)


def very_deep_table() -> str:
    """From `python benchmarks/very_deep.py --json docs/figures/very_deep.json`."""
    lines = ["| net | held out, by the recipe | as constructed |", "|---|---|---|"]
    for name, found in json.loads((FIGURES / "very_deep.json").read_text()).items():
        three = [interval(found[kind], 0.95) for kind in ("ours", "torch")]
        cells = (f"{middle:.2f} ({max(low, 0):.2f} to {min(high, 1):.2f})" for middle, low, high in three)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def codes_table() -> str:
    lines = ["| code | title | why | source |", "|---|---|---|---|"]
    for code, check in CATALOGUE.items():
        remark = " (a remark)" if check.severity == "remark" else ""
        lines.append(f"| {code} | {check.title}{remark} | {check.why} | {check.source} |")
    return "\n".join(lines)


def health_table() -> str:
    """From `python benchmarks/health.py --json docs/figures/health.json`."""
    rows = json.loads((FIGURES / "health.json").read_text())["rows"]
    lines = ["| start | known to be | codes | remarks | Adam | SGD |", "|---|---|---|---|---|---|"]
    for row in rows:
        scores = ("diverged" if row[name] is None else f"{row[name]:.3g}" for name in ("adam", "sgd"))
        codes, remarks = " ".join(row["codes"]) or "healthy", " ".join(row["remarks"])
        lines.append(
            f"| {row['name']} | {'good' if row['good'] else 'bad'} | {codes} | {remarks} | {' | '.join(scores)} |"
        )
    return "\n".join(lines)


def jax_keras_table() -> str:
    """From `python benchmarks/jax_keras_rates.py --json docs/figures/jax_keras_rates.json`."""
    rows = json.loads((FIGURES / "jax_keras_rates.json").read_text())["rows"]
    lines = ["| float32 | by | backend | first call, s | then, s |", "|---|---|---|---|---|"]
    for row in rows:
        size = "4096 × 4096 normal" if row["what"] == "normal" else "1024 × 1024 orthogonal"
        lines.append(f"| {size} | {row['by']} | {row['backend']} | {row['first']:.2f} | {row['then']:.3f} |")
    return "\n".join(lines)


def frameworks_table() -> str:
    """Of what `tests/contract/test_frameworks.py` and `test_keras.py` compare."""
    import framework_rows

    return framework_rows.table()


def jax_models_table() -> str:
    """From `python benchmarks/jax_models.py --json docs/figures/jax_models.json`."""
    rows = json.loads((FIGURES / "jax_models.json").read_text())["rows"]
    heads = "network", "in", "filled", "kept", "findings", "first loss / chance", "gradient / weight", "after 20 steps"
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        counts, ratios = row["counts"], f"{row['least']:.0e} to {row['most']:.0e}"
        told = f"{row['name']}, {row['about']} | {row['style']} | {counts['filled']} | {counts['kept']}"
        codes = ", ".join(row["codes"]) or "none"
        lines.append(f"| {told} | {codes} | {row['chance']:.2f} | {ratios} | × {row['learned']:.2f} |")
    return "\n".join(lines)


TABLES = {
    "docs/compatibility.md": {
        "criteria": compatibility.criteria_table,
        "packages": compatibility.packages_table,
        "faults": compatibility.faults_table,
    },
    "docs/howto/deep.md": {"very-deep": very_deep_table},
    "docs/howto/width.md": {
        "transfer-width": partial(transfer_table, "width", "width"),
        "transfer-depth": partial(transfer_table, "depth", "blocks"),
    },
    "docs/howto/jax.md": {"jax-models": jax_models_table},
    "docs/howto/port.md": {"frameworks": frameworks_table},
    "docs/health.md": {"codes": codes_table, "health": health_table},
    "docs/auto.md": {
        "backward": backward_table,
        "recipes": recipes_table,
        "cost": cost_table,
        "trainings": trainings_table,
    },
    "docs/comparison.md": {
        "speed": speed_table,
        "orthogonal-short": orthogonal_short_table,
        "recipes": recipes_table,
        "demo": demo_table,
    },
    "docs/guides/index.md": {"schemes": schemes_table},
    "docs/reference/planning.md": {"published": published_table},
    "docs/published.md": {"entries": entries.table},
    "docs/roles.md": {"roles": places.roles_table},
    "docs/theory/gains.md": {"gains": gains_table},
    "README.md": {"schemes": schemes_table, "gains": gains_table, "demo": demo_table, "speed": speed_table},
    "docs/engine.md": {
        "rates": rates_table,
        "regions": regions_table,
        "orthogonal": orthogonal_table,
        "coefficients": coefficients_table,
        "quality": quality_table,
        "jax-keras": jax_keras_table,
    },
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for document, tables in TABLES.items():
        text = made = (ROOT / document).read_text()
        for name, table in tables.items():
            pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
            found = re.compile(pattern, flags=re.DOTALL)
            made, count = found.subn(lambda m, t=table: m.group(1) + t() + "\n" + m.group(2), made)
            if count != 1:
                print(f"{document} has {count} places for the table {name!r}; expected 1")
                return 2
        if made != text:
            stale.append(document)
            if not check:
                (ROOT / document).write_text(made)
    if check:
        print(f"{', '.join(stale)} out of date; run: python docs/tables.py" if stale else "up to date")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
