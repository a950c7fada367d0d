"""Golden values for the metrics, from scikit-learn and SciPy.

    python3 Tests/Oracle/metrics.py

Writes Tests/EvaluationTests/Golden/metrics.json. Needs numpy, scipy and scikit-learn.
"""

import json
import warnings
from pathlib import Path

import numpy as np
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    roc_auc_score,
    roc_curve,
)

GOLDEN = Path(__file__).parents[1] / "EvaluationTests" / "Golden"


def metrics(scores, labels):
    """What scikit-learn says; null where it says that a value is undefined."""
    labels, scores = np.asarray(labels), np.asarray(scores)
    result = {
        "real": int((labels == 0).sum()),
        "fake": int((labels == 1).sum()),
        "accuracy": float(accuracy_score(labels, scores >= 0.5)),
        "auc": None, "ap": None, "eer": None, "tpr": [None] * 3,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if labels.any():
            result["ap"] = float(average_precision_score(labels, scores))
        auc = float(roc_auc_score(labels, scores))
    if labels.any() and not labels.all():
        fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
        result["auc"] = auc
        # Along the curve, so that its vertical parts are no trouble to the interpolation.
        along = np.arange(len(fpr))
        f, t = interp1d(along, fpr), interp1d(along, tpr)
        at = brentq(lambda x: f(x) + t(x) - 1, 0, len(fpr) - 1, xtol=1e-14)
        result["eer"] = float(f(at))
        result["tpr"] = [float(tpr[fpr <= rate].max()) for rate in (1e-2, 1e-3, 1e-4)]
    else:
        assert np.isnan(auc), "scikit-learn defines an AUC of one class"
    return result


def case(name, scores, labels):
    scores, labels = np.asarray(scores, dtype=float), np.asarray(labels)
    return {
        "name": name, "scores": scores.tolist(), "labels": labels.tolist(),
        "expected": metrics(scores, labels),
    }  # fmt: skip


def main():
    rng = np.random.default_rng(6)
    cases = []
    for count in (2, 3, 10, 101, 700):
        labels = rng.integers(0, 2, count)
        labels[:2] = 0, 1
        scores = 1 / (1 + np.exp(-rng.normal(labels * 1.5 - 0.75, 1)))
        cases.append(case(f"random {count}", scores, labels))
        cases.append(case(f"tied {count}", (scores * 5).round() / 5, labels))
    cases.append(case("all equal", [0.5] * 7, [0, 1, 1, 0, 1, 0, 0]))
    cases.append(case("perfect", [0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]))
    cases.append(case("inverted", [0.9, 0.8, 0.2, 0.1], [0, 0, 1, 1]))
    cases.append(case("tied across the classes", [0.2, 0.5, 0.5, 0.7], [0, 0, 1, 1]))
    cases.append(case("real only", [0.1, 0.6, 0.5], [0, 0, 0]))
    cases.append(case("fake only", [0.1, 0.6, 0.5], [1, 1, 1]))
    cases.append(case("one image", [0.7], [1]))
    cases.append(case("not probabilities", [-3, 12, 0.5, -700, 1e300], [0, 1, 0, 0, 1]))
    few = rng.integers(0, 1000, 1500) < 20
    cases.append(case("few fakes", rng.beta(1 + 2 * few, 2, 1500).round(5), few.astype(int)))

    # Large enough for the low false positive rates, from a formula that is exact in float64.
    index = np.arange(60_000)
    labels = (index * 7 % 10 < 3).astype(int)
    scores = (index * 7919 % 100_003) / 131_072 + labels * 0.375
    large = metrics(scores, labels)

    # Sources of several images, real and by several methods.
    count, names = 240, ["real", "swap", "mouth", "eyes"]
    methods = rng.integers(0, 4, count)
    labels = (methods > 0).astype(int)
    sources = [f"video {n}" if n else "" for n in rng.integers(0, 25, count)]
    scores = (1 / (1 + np.exp(-rng.normal(labels - 0.5 + methods / 3, 1)))).round(6)
    groups = {}
    for image in range(count):
        key = (sources[image] or f"own {image}", int(methods[image]))
        groups.setdefault(key, []).append(scores[image])
    means = np.array([np.mean(v) for v in groups.values()])
    parts = np.array([k[1] for k in groups])

    def by_method(scores, methods):
        return {
            names[m]: metrics(scores[keep], (methods[keep] > 0).astype(int))
            for m in (1, 2, 3)
            for keep in [(methods == 0) | (methods == m)]
        }

    grouped = {
        "scores": scores.tolist(), "labels": labels.tolist(), "methods": methods.tolist(),
        "names": names, "sources": sources,
        "overall": metrics(scores, labels), "perMethod": by_method(scores, methods),
        "sourceOverall": metrics(means, (parts > 0).astype(int)),
        "sourcePerMethod": by_method(means, parts),
    }  # fmt: skip
    path = GOLDEN / "metrics.json"
    path.write_text(
        json.dumps({"cases": cases, "large": large, "grouped": grouped}, separators=(",", ":"))
        + "\n"
    )
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
