"""Golden values for intervals, DeLong's test and calibration, from SciPy, scikit-learn and NumPy.

    python3 Tests/Oracle/uncertainty.py

Writes Tests/EvaluationTests/Golden/uncertainty.json. Needs numpy, scipy and scikit-learn.
"""

import json
from pathlib import Path

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import bootstrap, norm
from sklearn.metrics import average_precision_score, roc_auc_score

GOLDEN = Path(__file__).parents[1] / "EvaluationTests" / "Golden"


# Intervals


def auc(real, fake):
    real, fake = np.asarray(real), np.asarray(fake)
    return roc_auc_score(np.r_[np.zeros(len(real)), np.ones(len(fake))], np.r_[real, fake])


def average_precision(real, fake):
    return average_precision_score(
        np.r_[np.zeros(len(real)), np.ones(len(fake))], np.r_[real, fake])  # fmt: skip


def bca(rng, statistic, name, real, fake):
    """SciPy's BCa interval of two samples, with the figures that it drew."""
    result = bootstrap(
        (real, fake), statistic, n_resamples=499, vectorized=False, method="BCa", rng=rng)  # fmt: skip
    return {
        "figure": name, "real": list(real), "fake": list(fake),
        "draws": result.bootstrap_distribution.tolist(),
        "interval": [float(v) for v in result.confidence_interval],
    }  # fmt: skip


# DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver
# operating characteristic curves", Biometrics 44, 1988, as the formulas stand there; with clusters
# Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53, 1997.


def components(scores, labels):
    fake, real = scores[labels == 1], scores[labels == 0]
    wins = (fake[:, None] > real[None, :]) + 0.5 * (fake[:, None] == real[None, :])
    return wins.mean(axis=1), wins.mean(axis=0)


def delong(first, second, labels):
    v10, v01 = zip(*(components(s, labels) for s in (first, second)))
    m, n = len(v10[0]), len(v01[0])
    return np.cov(np.stack(v10)) / m + np.cov(np.stack(v01)) / n


def obuchowski(first, second, labels, sources):
    aucs = [roc_auc_score(labels, s) for s in (first, second)]
    v10, v01 = zip(*(components(s, labels) for s in (first, second)))
    fakes, reals = sources[labels == 1], sources[labels == 0]
    names = np.unique(sources)
    m, n = len(fakes), len(reals)
    x = np.array([[v[fakes == k].sum() - (fakes == k).sum() * a for v, a in zip(v10, aucs)] for k in names])
    y = np.array([[v[reals == k].sum() - (reals == k).sum() * a for v, a in zip(v01, aucs)] for k in names])
    i10, i01, i = len(np.unique(fakes)), len(np.unique(reals)), len(names)
    s10 = i10 / ((i10 - 1) * m) * x.T @ x
    s01 = i01 / ((i01 - 1) * n) * y.T @ y
    s11 = i / (i - 1) * x.T @ y
    return s10 / m + s01 / n + (s11 + s11.T) / (m * n)


def comparison(rng, count, decimals, per_source):
    labels = rng.integers(0, 2, count)
    labels[:4] = 0, 1, 0, 1
    sources = np.arange(count) // per_source
    shared = rng.normal(size=count) * 0.7 + rng.normal(size=count // per_source + 1)[sources] * 0.6
    first = (shared + labels + rng.normal(size=count)).round(decimals)
    second = (shared + 0.6 * labels + rng.normal(size=count)).round(decimals)
    aucs = [float(roc_auc_score(labels, s)) for s in (first, second)]
    covariance = (
        delong(first, second, labels) if per_source == 1
        else obuchowski(first, second, labels, sources)
    )  # fmt: skip
    error = float(np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]))
    z = (aucs[0] - aucs[1]) / error
    return {
        "first": first.tolist(), "second": second.tolist(), "labels": labels.tolist(),
        "sources": None if per_source == 1 else sources.tolist(), "aucs": aucs,
        "covariance": covariance.tolist(), "error": error, "z": z,
        "p": float(2 * norm.sf(abs(z))),
        "interval": [aucs[0] - aucs[1] + s * norm.ppf(0.975) * error for s in (-1, 1)],
    }  # fmt: skip


# Calibration


def loss(slope, bias, differences, labels):
    z = slope * differences + bias
    return float(np.mean(np.logaddexp(0, np.where(labels == 1, -z, z))))


def fit(rng, count, slope, bias):
    """Differences of logits that are `1 / slope` times as large as they should be."""
    truth = rng.normal(size=count) * 2
    labels = (rng.random(count) < 1 / (1 + np.exp(-truth))).astype(int)
    differences = ((truth - bias) / slope).astype(np.float32).astype(float)
    best = minimize_scalar(
        lambda s: loss(s, 0, differences, labels), bounds=(1e-3, 50), method="bounded",
        options={"xatol": 1e-12})  # fmt: skip
    exact = minimize(
        lambda s: loss(s[0], 0, differences, labels), [best.x], method="Nelder-Mead",
        options={"xatol": 1e-12, "fatol": 1e-16, "maxiter": 10_000})  # fmt: skip
    probabilities = 1 / (1 + np.exp(-differences * exact.x[0]))
    return {
        "differences": differences.tolist(), "labels": labels.tolist(),
        "temperature": float(1 / exact.x[0]), "before": loss(1, 0, differences, labels),
        "after": float(exact.fun), "errors": [
            calibration_error(1 / (1 + np.exp(-differences)), labels),
            calibration_error(probabilities, labels),
        ],
    }  # fmt: skip


def calibration_error(probabilities, labels, bins=15):
    """Naeini et al. 2015 and Guo et al. 2017, of the probability of fake."""
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    total = 0.0
    for b in range(bins):
        mine = place == b
        if mine.any():
            total += mine.sum() * abs(probabilities[mine].mean() - labels[mine].mean())
    return float(total / len(labels))


def main():
    rng = np.random.default_rng(17)
    intervals = []
    for count, shift in ((30, 1.2), (45, 2.5)):
        real = rng.normal(size=count).round(3)
        fake = rng.normal(shift, 1, count - 7).round(3)
        intervals.append(bca(rng, auc, "auc", real, fake))
        intervals.append(bca(rng, average_precision, "ap", real, fake))
    comparisons = [
        comparison(rng, 60, 1, 1), comparison(rng, 500, 6, 1), comparison(rng, 300, 2, 6),
        comparison(rng, 240, 1, 12),
    ]  # fmt: skip
    fits = [fit(rng, 400, 0.4, 0), fit(rng, 400, 3, 0), fit(rng, 900, 0.7, 0.5)]
    golden = {"intervals": intervals, "comparisons": comparisons, "fits": fits}
    path = GOLDEN / "uncertainty.json"
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
