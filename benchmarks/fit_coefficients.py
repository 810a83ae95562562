"""Fit the polynomials of the stream contract anew, and hold the shipped coefficients against the fits.

Usage: python benchmarks/fit_coefficients.py [--only LOG EXP ...] [--json FILE]

Fits are minimax, by Remez's exchange on a grid, in 60 digits; quotients start from weighted least squares. Coefficients
are rounded one at a time, from the lowest power on, while linear programs adjust the others. Prints a Markdown table of
the largest error of each formula over its interval (of cosines absolute, else relative): with the coefficients of the
minimax fit, in exact arithmetic; with rounded ones; and evaluated in the word's own arithmetic. Names the tables whose
error is more than twice that of a fit of the same degree. Exit status 1 if that shows where it counts: if the evaluated
error is more than a quarter above the fit's.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import mp, mpf
from rich.console import Console
from scipy import optimize

from formulas import Problem, Ratio, problems
from wellbegun.engine.transforms import polynomial

mp.dps = 60
GRID, CHECK = 400, 1500  # points of a fit; points of a check in 60 digits
DENSE = 200_000  # points of a check against float64


class Grid:
    """Points, denser at both ends; what p should be there, and what an error of p counts."""

    def __init__(self, problem: Problem, count: int) -> None:
        low, high = mpf(problem.low), mpf(problem.high)
        turns = (mp.cos(mp.pi * (count - 1 - index) / (count - 1)) for index in range(count))
        points = [low + (high - low) * (1 + turn) / 2 for turn in turns]
        if problem.variable(points[0]) > problem.variable(points[-1]):
            points.reverse()
        self.x, self.target, self.weight = [], [], []
        for u in points:
            exact, base = problem.exact(u), problem.whole(u, mpf(0))
            slope = problem.whole(u, mpf(1)) - base
            self.x.append(problem.variable(u))
            self.target.append((exact - base) / slope)
            self.weight.append(abs(slope / exact) if problem.relative else abs(slope))

    def errors(self, ratio: Ratio) -> list[Any]:
        """Weighted errors of a quotient of polynomials."""
        top, bottom = ([mpf(c) for c in part][::-1] for part in ratio)
        pairs = zip(self.x, self.target, self.weight, strict=True)
        return [w * (mp.polyval(top, x) / mp.polyval(bottom, x) - g) for x, g, w in pairs]

    def worst(self, ratio: Ratio) -> float:
        """The largest."""
        return float(max(abs(error) for error in self.errors(ratio)))


# ---------------------------------------------------------------------- minimax
def minimax(grid: Grid, degrees: tuple[int, int]) -> Ratio | None:
    """Remez's exchange, started from least squares; None if it does not settle."""
    ratio = _least_squares(grid, degrees)
    errors = grid.errors(ratio)
    for _ in range(40):
        places = _alternating(errors, sum(degrees) + 2)
        if places is None:
            return None
        mean = sum(abs(errors[place]) for place in places) / len(places)
        ratio, level = _levelled(grid, places, ratio, mean if errors[places[0]] > 0 else -mean)
        errors = grid.errors(ratio)
        if max(abs(error) for error in errors) < abs(level) * (1 + mpf("1e-4")):
            return ratio
    return None


def _least_squares(grid: Grid, degrees: tuple[int, int], rounds: int = 8) -> Ratio:
    """A quotient near the best one: least squares of P - g Q, weighted by 1 / Q of the round before."""
    top, bottom = degrees
    every = range(0, len(grid.x), 4)
    x, g, w = ([column[i] for i in every] for column in (grid.x, grid.target, grid.weight))
    pairs = zip(x, g, strict=True)
    rows = [[a**k for k in range(top + 1)] + [-b * a**k for k in range(1, bottom + 1)] for a, b in pairs]
    plain, right = mp.matrix(rows), mp.matrix(g)
    below = [mpf(1)] * len(x)
    for _ in range(rounds):
        weights = [(a / b) ** 2 for a, b in zip(w, below, strict=True)]
        scaled = mp.matrix([[weight * value for value in row] for weight, row in zip(weights, rows, strict=True)])
        solved = list(mp.lu_solve(scaled.T * plain, scaled.T * right))
        ratio = tuple(solved[: top + 1]), (mpf(1), *solved[top + 1 :])
        below = [mp.polyval(list(ratio[1])[::-1], a) for a in x]
    return ratio


def _levelled(grid: Grid, places: Sequence[int], ratio: Ratio, level: Any) -> tuple[Ratio, Any]:
    """The quotient whose weighted errors at the places are level, with alternating signs: Newton's method from one
    nearby. For polynomials the equations are linear, and one step is exact."""
    top, bottom = len(ratio[0]) - 1, len(ratio[1]) - 1
    for _ in range(12):
        rows, right = [], []
        for sign, place in enumerate(places):
            x, unit = grid.x[place], (-1) ** sign / grid.weight[place]
            powers = [x**k for k in range(max(top, bottom) + 1)]
            goal, below = grid.target[place] + level * unit, mp.polyval(list(ratio[1])[::-1], x)
            rows.append(powers[: top + 1] + [-goal * power for power in powers[1 : bottom + 1]] + [-unit * below])
            right.append(goal - level * unit * below)
        solved = list(mp.lu_solve(mp.matrix(rows), mp.matrix(right)))
        ratio, before, level = (tuple(solved[: top + 1]), (mpf(1), *solved[top + 1 : -1])), level, solved[-1]
        if not bottom or abs(level - before) <= abs(level) * mpf("1e-6"):
            break
    return ratio, level


def _alternating(errors: list[Any], count: int) -> list[int] | None:
    """Places of extremes with alternating signs; extra ones are dropped from the lower end."""
    found: list[int] = []
    for index, error in enumerate(errors):
        if found and (errors[found[-1]] > 0) == (error > 0):
            if abs(error) > abs(errors[found[-1]]):
                found[-1] = index
        else:
            found.append(index)
    while len(found) > count:
        found.pop(0 if abs(errors[found[0]]) < abs(errors[found[-1]]) else -1)
    return found if len(found) == count else None


# ---------------------------------------------------------------------- rounding
def rounded(grid: Grid, ratio: Ratio, real: type) -> Ratio:
    """Coefficients of the word: one after the other is rounded, and linear programs move those that follow."""
    top, bottom = list(ratio[0]), list(ratio[1])
    free = [(top, index) for index in range(len(top))] + [(bottom, index) for index in range(1, len(bottom))]
    while free:
        part, index = free.pop(0)
        part[index] = mpf(float(real(float(part[index]))))
        for _ in range(2 if len(bottom) > 1 and free else bool(free)):  # a quotient is linear only nearby
            moves = _moves(grid, (tuple(top), tuple(bottom)), [(part is top, at) for part, at in free])
            for (part, at), move in zip(free, moves, strict=True):
                part[at] += move
    return tuple(top), tuple(bottom)


def _moves(grid: Grid, ratio: Ratio, free: list[tuple[bool, int]]) -> list[Any]:
    """Changes of the free coefficients that make the largest error least, to first order."""
    errors = grid.errors(ratio)
    unit = max(abs(error) for error in errors)
    top, bottom = ([mpf(c) for c in part][::-1] for part in ratio)
    columns = []
    for is_top, power in free:
        column = []
        for x, w in zip(grid.x, grid.weight, strict=True):
            below = mp.polyval(bottom, x)
            slope = w * x**power / below
            column.append(slope if is_top else -slope * mp.polyval(top, x) / below)
        columns.append(column)
    scales = [max(abs(value) for value in column) for column in columns]
    matrix = np.array([[float(v / s) for v in column] for column, s in zip(columns, scales, strict=True)]).T
    residual = np.array([float(error / unit) for error in errors])
    ones = np.ones((len(residual), 1))
    bounds = np.block([[matrix, -ones], [-matrix, -ones]])
    cost = np.zeros(len(free) + 1)
    cost[-1] = 1
    found = optimize.linprog(cost, bounds, np.concatenate([-residual, residual]), bounds=(None, None))
    if found.x is None or found.x[-1] > 1:
        return [mpf(0)] * len(free)
    return [mpf(move) * unit / scale for move, scale in zip(found.x[:-1], scales, strict=True)]


# ---------------------------------------------------------------------- working precision
def evaluated(problem: Problem, ratio: Ratio) -> float:
    """Largest error of the formula in the arithmetic of the word."""
    if problem.fast is None:
        u = np.linspace(problem.low, problem.high, CHECK)
        exact = [problem.exact(mpf(float(point))) for point in u]
    else:
        u = np.linspace(problem.low, problem.high, DENSE).astype(np.float32)
        exact = problem.fast(u.astype(np.float64))
    x = problem.variable(u)
    top, bottom = (tuple(float(c) for c in part) for part in ratio)
    value = problem.whole(u, polynomial(x, top) / polynomial(x, bottom) if len(bottom) > 1 else polynomial(x, top))
    if problem.fast is None:
        pairs = zip(value.tolist(), exact, strict=True)
        return max(float(abs((mpf(got) - want) / (want if problem.relative else 1))) for got, want in pairs)
    return float(np.abs((value.astype(np.float64) - exact) / (exact if problem.relative else 1)).max())


# ---------------------------------------------------------------------- report
def neighbours(degrees: tuple[int, int]) -> list[tuple[int, int]]:
    """Degrees around the shipped ones; a quotient loses or gains in both parts, or in one."""
    top, bottom = degrees
    if not bottom:
        return [(top + step, 0) for step in (-2, -1, 0, 1)]
    return [(top - 1, bottom - 1), (top, bottom - 1), (top, bottom), (top, bottom + 1)]


def study(problem: Problem, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row for each degree, and one for what is shipped."""
    rows, grid, check = [], Grid(problem, GRID), Grid(problem, CHECK)
    for degrees in neighbours(problem.degrees):
        progress(f"{problem.name}, degree {degrees}")
        fitted = minimax(grid, degrees)
        row: dict[str, Any] = {"table": problem.name, "degrees": degrees, "minimax": None}
        if fitted is not None:
            words = rounded(grid, fitted, problem.real)
            found = {"minimax": check.worst(fitted), "rounded": check.worst(words)}
            row |= {**found, "evaluated": evaluated(problem, words)}
        rows.append(row)
    same = next(row for row in rows if row["degrees"] == problem.degrees)
    own = {"rounded": check.worst(problem.shipped), "evaluated": evaluated(problem, problem.shipped)}
    ratios = {key: own[key] / same[key] if same["minimax"] else None for key in own}
    return [*rows, {**same, **own, "of_fit": ratios["rounded"], "of_evaluated": ratios["evaluated"], "shipped": True}]


def line(row: dict[str, Any]) -> str:
    """One line of Markdown."""
    top, bottom = row["degrees"]
    degree = f"{top}/{bottom}" if bottom else str(top)
    numbers = [f"{row[key]:.1e}" if row.get(key) else "-" for key in ("minimax", "rounded", "evaluated")]
    if not row.get("shipped"):
        return f"| {row['table']} | {degree} | {' | '.join(numbers)} | |"
    times = f"{row['of_fit']:.2f}" if row["of_fit"] else "no fit"
    return f"| **{row['table']}** | **{degree}, shipped** | {' | '.join(numbers)} | {times} |"


def main() -> int:
    every = {problem.name: problem for problem in problems()}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=every, default=list(every))
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    a = parser.parse_args()
    rows = []
    print("| table | degree | minimax error | rounded coefficients | evaluated | shipped / fit |")
    print("|---|---|---|---|---|---|")
    for name in a.only:
        with Console(stderr=True).status(name) as status:
            found = study(every[name], status.update)
        print("\n".join(line(row) for row in found), flush=True)
        rows += found
    mine = [row for row in rows if row.get("shipped")]
    far = [row["table"] for row in mine if row["of_fit"] and row["of_fit"] > 2]
    print(f"\nMore than twice the error of a fit: {', '.join(far)}." if far else "\nNone is far from a fit.")
    bad = [row["table"] for row in mine if row["of_evaluated"] and row["of_evaluated"] > 1.25]
    print(f"It shows when evaluated: {', '.join(bad)}." if bad else "When evaluated, all are as good as the fits.")
    if a.json:
        a.json.write_text(json.dumps(rows, indent=1) + "\n")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
