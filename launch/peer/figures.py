"""What launch/benchmark measured, as ratios: a table, the same as data, and a plot.

    python3 launch/peer/figures.py FILE.json [--plot FILE.svg]

prints the table of a file that --output wrote. A ratio of rates is the median of each round's own, since a
shared machine is now faster and now slower, and within a round both had the same one.
"""

import argparse
import json
import pathlib
import statistics

# The fastest of these is what a training step is held against.
FLOAT32_PEERS = ("published", "channels-last", "compiled")
BFLOAT16_PEERS = ("bfloat16", "bfloat16-compiled")
INFERENCE_PEERS = ("inference-onnxruntime", "inference-openvino")
# What this project asks of its step, over the fastest of PyTorch's.
ASKED_OF_STEP = {"xception": 2.0, "efficientnet-b0": 2.5, "efficientnet-b4": 2.5, "mobilenet-v2": 2.5}
USUALLY_ASKED = 1.4


def median(runs, key, field):
    values = [run[field] for run in runs.get(key, []) if run.get(field) is not None]
    return statistics.median(values) if values else None


def rate(runs, key):
    return median(runs, key, "images_per_second")


def quotient(above, below):
    return above / below if above is not None and below else None


def fastest(runs, keys):
    """The measurement with the highest median, or None."""
    known = [key for key in keys if runs.get(key)]
    return max(known, key=lambda key: rate(runs, key), default=None)


def ratio(runs, key, peer, times=1):
    """The median of the rates over `times` the peer's, each over that of the same round and turn; of
    a round's medians where one of both was measured more often."""
    ratios = []
    for number in {run["round"] for run in runs.get(key, [])}:
        ours, theirs = (
            [run["images_per_second"] for run in runs.get(name, []) if run["round"] == number]
            for name in (key, peer)
        )
        if ours and theirs and len(ours) != len(theirs):
            ours, theirs = [statistics.median(ours)], [statistics.median(theirs)]
        ratios += [mine / (times * other) for mine, other in zip(ours, theirs)]
    return statistics.median(ratios) if ratios else None


def rows(runs, model, ranks):
    """What a network's figures come to: what is compared, with what, value, bound, and whether that is
    the least or the most. Without what was not measured."""
    found = []

    def add(figure, value, bound, kind="least", peer=""):
        if value is None:
            return
        met = None if bound is None else value >= bound if kind == "least" else value <= bound
        found.append({"model": model, "figure": figure, "peer": peer, "value": value,
                      "bound": bound, "kind": kind, "met": met})  # fmt: skip

    def compare(figure, key, peers, bound):
        peer = fastest(runs, peers)
        add(figure, ratio(runs, key, peer), bound, peer=peer)

    asked = ASKED_OF_STEP.get(model, USUALLY_ASKED)
    compare("float32 step", "rfm-float32", FLOAT32_PEERS, asked)
    if fastest(runs, FLOAT32_PEERS) != "published":
        compare("float32 step", "rfm-float32", ("published",), None)
    compare("float32 step", "rfm-float32", ("ipex",), 1.8 if model == "xception" else None)
    compare("bfloat16 step", "rfm-bfloat16", ("rfm-float32",), 0.95)
    compare("bfloat16 step", "rfm-bfloat16", BFLOAT16_PEERS, None)
    compare("inference", "rfm-inference", INFERENCE_PEERS, 1.15)
    compare("inference", "rfm-inference", ("inference", "inference-compiled"), None)
    compare("inference", "rfm-inference", ("inference-ipex",), None)
    compare("inference bfloat16", "rfm-inference-bfloat16", ("inference-bfloat16",), None)
    add(f"{ranks} ranks over {ranks} times one",
        ratio(runs, "rfm-ranks", "rfm-one-thread", times=ranks), 0.97)
    # What two programs cost each other that have nothing to do with each other.
    add(f"{ranks} programs over {ranks} times one",
        ratio(runs, "rfm-apart", "rfm-one-thread", times=ranks), None)
    compare(f"{ranks} ranks", "rfm-ranks", ("distributed",), None)
    for key in ("rfm-float32", "rfm-bfloat16", "rfm-inference"):
        add(f"{key[4:]} over the rate of its multiplies",
            quotient(median(runs, key, "percent_of_gemm"), 100), None)
    memories = [median(runs, key, "peak_memory_bytes") for key in ("channels-last", "compiled")]
    add("memory over the leanest", quotient(median(runs, "rfm-float32", "peak_memory_bytes"),
        min((value for value in memories if value), default=None)), 0.5, "most")  # fmt: skip
    add("share of the step spent waiting for data",
        median(runs, "rfm-float32", "data_wait_fraction"), 0.01, "most")
    add("heap allocations a step", median(runs, "rfm-float32", "allocations_per_step"), 0, "most")
    return found


def all_rows(record):
    ranks = record["settings"]["threads"]
    return [row for model, runs in record["runs"].items() for row in rows(runs, model, ranks)]


def show(record, titles):
    """Prints rates and ratios."""
    print(f"\n{'images per second':<18}{'':<50}{'median':>9}{'range':>17}{'memory':>10}")
    for model, runs in record["runs"].items():
        for key, measured in runs.items():
            rates = [run["images_per_second"] for run in measured]
            memory = median(runs, key, "peak_memory_bytes")
            if key == "rfm-ranks" and memory:
                memory *= record["settings"]["threads"]  # it reports a rank's, the peer the sum
            spread = f"{min(rates):.2f}-{max(rates):.2f}"
            size = f"{memory / 1e9:.2f} GB" if memory else ""
            print(f"{model:<18}{titles.get(key, key):<50}{statistics.median(rates):>9.2f}"
                  f"{spread:>17}{size:>10}")  # fmt: skip
    print(f"\n{'ratio':<18}{'':<42}{'over':<24}{'value':>8}{'asked':>10}")
    for row in all_rows(record):
        asked = ""
        if row["bound"] is not None:
            asked = f"{'>=' if row['kind'] == 'least' else '<='} {row['bound']:g}"
        mark = "  missed" if row["met"] is False else ""
        print(f"{row['model']:<18}{row['figure']:<42}{row['peer']:<24}{row['value']:>8.3f}"
              f"{asked:>10}{mark}")  # fmt: skip


def plot(record, path):
    """Bars of the ratios to other programs."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot

    shown = [row for row in all_rows(record) if row["peer"] and row["peer"] != "rfm-float32"]
    labels = [f"{row['model']}, {row['figure']}, over {row['peer']}" for row in shown]
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.28 * len(shown)), layout="constrained")
    axes.barh(range(len(shown)), [row["value"] for row in shown], color="#3b6ea5")
    axes.set_yticks(range(len(shown)), labels)
    for place, row in enumerate(shown):
        axes.text(row["value"], place, f" {row['value']:.2f}", va="center", fontsize=8)
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=8)
    axes.set_xlabel("rfm's images per second over the peer's")
    machine = record["machine"]
    axes.set_title(f"{machine['processor']}, {record['settings']['threads']} cores, "
                   f"{machine['date'][:10]}", fontsize=9)  # fmt: skip
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--plot", help="SVG, PDF or PNG file, by its ending")
    options = parser.parse_args()
    record = json.loads(pathlib.Path(options.file).read_text())
    show(record, {})
    if options.plot:
        plot(record, options.plot)


if __name__ == "__main__":
    main()
