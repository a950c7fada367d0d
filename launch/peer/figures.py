"""What launch/benchmark measured, as ratios: a table, the same as data, and a plot.

    python3 launch/peer/figures.py FILE.json [--plot FILE.svg]

prints the table of a file that --output wrote. A ratio of rates is the median of each round's own, since a
shared machine is now faster and now slower, and within a round both had the same one.
"""

import argparse
import json
import pathlib
import statistics

# The fastest of these is what a training step is held against. Without those that are needed, there is no
# verdict: the fastest may be missing.
FLOAT32_PEERS = ("published", "channels-last", "compiled")
FLOAT32_NEEDED = ("channels-last", "compiled")
BFLOAT16_PEERS = ("bfloat16", "bfloat16-compiled")
INFERENCE_PEERS = ("inference-onnxruntime", "inference-openvino", "inference-openvino-throughput")
PYTORCH_INFERENCE = ("inference", "inference-compiled")
# In which figures all threads do a float32 step, or infer: the first tells the arithmetic of an image.
SAME_WORK = (
    ("rfm-float32", "rfm-ranks", "rfm-apart", *FLOAT32_PEERS, "ipex", "distributed"),
    ("rfm-inference", *INFERENCE_PEERS, *PYTORCH_INFERENCE, "inference-ipex"),
)
# What this project asks of its step, over the fastest of PyTorch's.
ASKED_OF_STEP = {"xception": 2.0, "efficientnet-b0": 2.5, "efficientnet-b4": 2.5, "mobilenet-v2": 2.5}
USUALLY_ASKED = 1.4
# And of inference, over the fastest or as a share of the processor's peak, whichever is less.
ASKED_OF_INFERENCE = 1.15
ASKED_OF_PEAK = 0.85


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


def shares(runs, operations):
    """Of each float32 figure, the share of the processor's multiply-add peak, by the arithmetic that the
    network asks for (rfm's own count), however much a program does."""
    limits = [report["arithmetic_limit"] for report in operations.values()]
    found = {}
    for keys in SAME_WORK:
        work = quotient(median(runs, keys[0], "gflops_per_second"), rate(runs, keys[0]))
        if work and limits:
            found.update({key: rate(runs, key) * work * 1e9 / max(limits) for key in keys if runs.get(key)})
    return found


def busy(run, threads):
    """What tells that a figure may not have had the machine to itself, in words; else nothing."""
    signs = []
    if run.get("load_before", 0) > threads + 0.5:
        signs.append(f"load {run['load_before']:.1f} before it began")
    # Threads of a peer that others take the processor from; but some parts of it have one thread only.
    used = quotient(run.get("processor_seconds_per_step"), run.get("seconds_per_step"))
    share = quotient(used, run.get("threads", 1) * run.get("ranks", 1))
    if share is not None and share < 0.9:
        signs.append(f"its threads ran {100 * share:.0f} % of the time")
    return ", ".join(signs)


def rows(runs, model, ranks, operations, is_plain):
    """What a network's figures come to: what is compared, with what, value, bound, whether that is the
    least or the most, and what the verdict lacks. Without what was not measured."""
    found = []
    peak = shares(runs, operations)

    def add(figure, value, bound, kind="least", peer="", needed=(), note=""):
        if value is None:
            return
        lacking = [key for key in needed if not runs.get(key)]
        met = None
        if bound is not None and not lacking:
            met = value >= bound if kind == "least" else value <= bound
        found.append({"model": model, "figure": figure, "peer": peer, "value": value, "bound": bound,
                      "kind": kind, "met": met, "incomplete": lacking, "note": note})  # fmt: skip

    def compare(figure, key, peers, bound=None, needed=(), note=""):
        peer = fastest(runs, peers)
        add(figure, ratio(runs, key, peer), bound, "least", peer, needed, note)

    asked = ASKED_OF_STEP.get(model, USUALLY_ASKED)
    compare("float32 step", "rfm-float32", FLOAT32_PEERS, asked, FLOAT32_NEEDED)
    if fastest(runs, FLOAT32_PEERS) != "published":
        compare("float32 step", "rfm-float32", ("published",))
    compare("float32 step", "rfm-float32", ("ipex",), 1.8 if model == "xception" else None)
    add("float32 step over the multiply-add peak", peak.get("rfm-float32"), None)
    compare("bfloat16 step", "rfm-bfloat16", ("rfm-float32",), 0.95)
    # Whoever has bfloat16 that is slower would take float32.
    compare("bfloat16 step", "rfm-bfloat16", BFLOAT16_PEERS + FLOAT32_PEERS)
    asked, note = ASKED_OF_INFERENCE, ""
    at_peak = quotient(ASKED_OF_PEAK, peak.get(fastest(runs, INFERENCE_PEERS)))
    if at_peak is not None and at_peak < asked:
        asked, note = at_peak, f"{100 * ASKED_OF_PEAK:.0f} % of the peak"
    compare("inference", "rfm-inference", INFERENCE_PEERS, asked, INFERENCE_PEERS, note)
    compare("inference", "rfm-inference", PYTORCH_INFERENCE)
    compare("inference", "rfm-inference", ("inference-ipex",))
    add("inference over the multiply-add peak", peak.get("rfm-inference"), None)
    # No peer but PyTorch's eager one infers in bfloat16.
    compare("inference bfloat16, PyTorch alone", "rfm-inference-bfloat16",
            ("inference-bfloat16", *PYTORCH_INFERENCE))  # fmt: skip
    add(f"{ranks} ranks over {ranks} times one",
        ratio(runs, "rfm-ranks", "rfm-one-thread", times=ranks), 0.97)
    # What two programs cost each other that have nothing to do with each other.
    add(f"{ranks} programs over {ranks} times one",
        ratio(runs, "rfm-apart", "rfm-one-thread", times=ranks), None)
    compare(f"{ranks} ranks", "rfm-ranks", ("distributed",))
    for key in ("rfm-float32", "rfm-bfloat16", "rfm-inference"):
        add(f"{key[4:]} over the rate of its multiplies",
            quotient(median(runs, key, "percent_of_gemm"), 100), None)
    add_memory(runs, add, is_plain)
    # Inference counts neither. The worst of the others stands for all.
    for figure, field, bound in (("share of the step waiting for data", "data_wait_fraction", 0.01),
                                 ("heap allocations a step", "allocations_per_step", 0)):  # fmt: skip
        values = {key: median(runs, key, field)
                  for key in runs if key.startswith("rfm-") and "inference" not in key}  # fmt: skip
        values = {key: value for key, value in values.items() if value is not None}
        worst = max(values, key=values.get, default=None)
        note = f"{worst}, the most of {len(values)}"
        add(figure, values.get(worst), bound, "most", note=note if len(values) > 1 else "")
    return found


def add_memory(runs, add, is_plain):
    """Memory over the least that a peer takes for the float32 step: as it is, and less what Python and its
    libraries take before the network is there. Held against what is asked for only where the peers' memory is as it
    comes: told to keep it, they may take more."""
    ours = median(runs, "rfm-float32", "peak_memory_bytes")
    whole, rest = {}, {}
    for key in (*FLOAT32_PEERS, "ipex"):
        if runs.get(key):
            whole[key] = median(runs, key, "peak_memory_bytes")
            rest[key] = whole[key] - (median(runs, key, "imported_memory_bytes") or 0)
    for figure, sizes, bound in (("memory over the leanest", whole, 0.5 if is_plain else None),
                                 ("the same, its libraries not counted", rest, None)):  # fmt: skip
        peer = min(sizes, key=sizes.get, default=None)
        add(figure, quotient(ours, sizes.get(peer)), bound, "most", peer, FLOAT32_NEEDED)


def all_rows(record):
    ranks = record["settings"]["threads"]
    operations = record.get("operations", {})
    is_plain = not record.get("environment", {}).get("peers")
    return [row for model, runs in record["runs"].items()
            for row in rows(runs, model, ranks, operations.get(model, {}), is_plain)]  # fmt: skip


def describe(record):
    """The machine, and how it was used, in lines."""
    host, settings = record["machine"], record["settings"]
    lines = [f"{host['processor']}, {settings['threads']} of {host['cores']} cores; "
             f"crop {settings['crop']}, batch {settings['batch']}"]  # fmt: skip
    if "kernel" in host:
        flags = [flag for flag in host["flags"] if flag.startswith(("avx2", "avx512", "amx", "sve", "bf16"))]
        lines.append(f"family {host['family']}, model {host['model']}: {' '.join(flags) or 'no wide vectors'}; "
                     f"{host['memory_bytes'] / 1e9:.0f} GB; Linux {host['kernel']}, {host['libc']}, "
                     f"huge pages: {host['huge_pages'] or 'none'}")  # fmt: skip
    if "environment" in record:
        peers = " ".join(f"{name}={value}" for name, value in record["environment"]["peers"].items())
        lines.append(f"peers with {peers or 'a plain environment'}")
    versions = {run["torch"] for runs in record["runs"].values() for key in runs for run in runs[key]
                if "torch" in run}  # fmt: skip
    if versions:
        lines.append(f"PyTorch {', '.join(sorted(versions))}")
    return "\n".join(lines)


def show(record, titles):
    """Prints rates and ratios."""
    threads = record["settings"]["threads"]
    print(f"\n{describe(record)}")
    print(f"\n{'images per second':<18}{'':<50}{'median':>9}{'range':>17}{'memory':>10}{'of peak':>9}")
    for model, runs in record["runs"].items():
        peak = shares(runs, record.get("operations", {}).get(model, {}))
        for key, measured in runs.items():
            rates = [run["images_per_second"] for run in measured]
            memory = median(runs, key, "peak_memory_bytes")
            if key == "rfm-ranks" and memory:
                memory *= threads  # it reports a rank's, the peer the sum
            spread = f"{min(rates):.2f}-{max(rates):.2f}"
            size = f"{memory / 1e9:.2f} GB" if memory else ""
            share = f"{100 * peak[key]:.0f} %" if key in peak else ""
            signs = [sign for sign in (busy(run, threads) for run in measured) if sign]
            mark = f"  {len(signs)} of {len(measured)}: {signs[0]}" if signs else ""
            print(f"{model:<18}{titles.get(key, key):<50}{statistics.median(rates):>9.2f}"
                  f"{spread:>17}{size:>10}{share:>9}{mark}")  # fmt: skip
    for name, reason in record.get("missing", {}).items():
        print(f"{name}: {reason}")
    print(f"\n{'ratio':<18}{'':<48}{'over':<30}{'value':>8}{'asked':>10}")
    for row in all_rows(record):
        asked = ""
        if row["bound"] is not None:
            asked = f"{'>=' if row['kind'] == 'least' else '<='} {row['bound']:.3g}"
        mark = f"  {row['note']}" if row["note"] else ""
        if row["incomplete"]:
            mark += f"  incomplete: without {', '.join(row['incomplete'])}"
        elif row["met"] is False:
            mark += "  missed"
        print(f"{row['model']:<18}{row['figure']:<48}{row['peer']:<30}{row['value']:>8.3f}"
              f"{asked:>10}{mark}")  # fmt: skip


def plot(record, path):
    """Bars of the ratios to other programs."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot

    shown = [row for row in all_rows(record)
             if row["kind"] == "least" and row["peer"] not in ("", "rfm-float32")]  # fmt: skip
    labels = [f"{row['model']}, {row['figure']}, over {row['peer']}"
              + (" (incomplete)" if row["incomplete"] else "") for row in shown]  # fmt: skip
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
