"""Golden values for the statistics of a comparison, from NumPy and SciPy.

    python3 Tests/Oracle/comparison.py

Writes Tests/ComparisonTests/Golden/comparison.json.
"""

import json
from pathlib import Path

import numpy as np
from scipy import stats

PATH = Path(__file__).parents[1] / "ComparisonTests" / "Golden" / "comparison.json"

rng = np.random.default_rng(7)
cases = []
for n in [2, 3, 3, 5, 10, 40]:
    first = rng.normal(0.9, 0.03, n)
    second = rng.normal(0.88, 0.03, n)
    interval = stats.ttest_rel(first, second).confidence_interval(0.95)
    cases.append({
        "first": first.tolist(), "second": second.tolist(),
        "mean": float(np.mean(first)), "sd": float(np.std(first, ddof=1)),
        "difference": float(np.mean(first - second)),
        "differenceSD": float(np.std(first - second, ddof=1)),
        "higher": int((first > second).sum()), "lower": int((first < second).sum()),
        "interval": [float(interval.low), float(interval.high)],
    })
degrees = [*range(1, 31), 50, 100, 1000, 100000]
PATH.write_text(json.dumps({
    "cases": cases,
    "quantiles": [{"degrees": n, "value": float(stats.t.ppf(0.975, n))} for n in degrees],
}) + "\n")
