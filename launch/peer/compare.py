"""Runs rfm and the PyTorch peers by turns and sets their figures side by side.

launch/benchmark calls it; --help lists the options. Every measurement has processes of its own.
Rounds go through all of them, so that a slow minute of the machine meets all alike; figures are
medians over the rounds. What several ranks cost each other is measured three times a round, by turns.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys

PEER = pathlib.Path(__file__).resolve().parent / "benchmark.py"

# key: (title, arguments of rfm benchmark besides the common ones) and (title, variant).
OURS = {
    "rfm-float32": ("rfm float32", ["--precision", "float32"]),
    "rfm-bfloat16": ("rfm bfloat16", ["--precision", "bfloat16"]),
    "rfm-one-thread": ("rfm float32, one rank of one thread", ["--precision", "float32"]),
    "rfm-ranks": ("rfm float32, {n} ranks of one thread", ["--precision", "float32"]),
    "rfm-apart": ("rfm float32, {n} programs of one thread", ["--precision", "float32"]),
    "rfm-inference": ("rfm inference float32", ["--precision", "float32", "--inference"]),
    "rfm-inference-bfloat16": (
        "rfm inference bfloat16", ["--precision", "bfloat16", "--inference"]),
}  # fmt: skip
PEERS = {
    "published": ("PyTorch, the algorithm as published", "published"),
    "channels-last": ("PyTorch channels-last, input-only gradients", "channels-last"),
    "compiled": ("PyTorch, the same compiled", "compiled"),
    "bfloat16": ("PyTorch bfloat16 autocast", "bfloat16"),
    "bfloat16-compiled": ("PyTorch bfloat16 autocast, compiled", "bfloat16-compiled"),
    "one-thread": ("PyTorch channels-last, one thread", "channels-last"),
    "distributed": ("PyTorch DDP over gloo, {n} ranks of one thread", "distributed"),
    "inference": ("PyTorch inference, channels-last", "inference"),
    "inference-bfloat16": ("PyTorch inference, bfloat16 autocast", "inference-bfloat16"),
    "inference-compiled": ("PyTorch inference, compiled, frozen", "inference-compiled"),
}
# Related figures follow each other, so that they meet the same state of the machine.
ORDER = [
    "rfm-float32", "channels-last", "published", "compiled",
    "rfm-bfloat16", "bfloat16", "bfloat16-compiled",
    "rfm-one-thread", "rfm-ranks", "rfm-apart", "distributed", "one-thread",
    "rfm-inference", "inference", "inference-compiled",
    "rfm-inference-bfloat16", "inference-bfloat16",
]  # fmt: skip
# What ranks cost each other is a percent or two, less than a shared machine's paces differ from one
# minute to the next: in every round these go by turns so often.
BY_TURNS = ["rfm-one-thread", "rfm-ranks", "rfm-apart"]
TURNS = 3


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rfm", help="the program; without it only the peers are run")
    parser.add_argument("--model", default="xception", help="the network")
    parser.add_argument("--threads", type=int, default=2, help="cores to use")
    parser.add_argument("--batch", type=int, default=8, help="images a step and rank")
    parser.add_argument("--crop", type=int, default=224)
    parser.add_argument("--steps", type=int, default=5, help="measured steps of one run")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="comma-separated: " + ", ".join(ORDER))
    parser.add_argument("--output", help="JSON file for every figure of every run")
    return parser.parse_args()


def command(key, options):
    """The process that measures `key`: its arguments and what to add to its environment."""
    common = [
        "--model", options.model, "--batch", str(options.batch), "--crop", str(options.crop),
        "--steps", str(options.steps), "--warmup", str(options.warmup),
    ]  # fmt: skip
    single = key in ("rfm-ranks", "rfm-one-thread", "rfm-apart", "distributed", "one-thread")
    threads = ["--threads", "1" if single else str(options.threads)]
    if key in PEERS:
        ranks = ["--ranks", str(options.threads)] if key == "distributed" else []
        variant = ["--variant", PEERS[key][1]]
        return [sys.executable, str(PEER), *variant, *common, *threads, *ranks], {}
    program = [options.rfm, "benchmark", "--json", *OURS[key][1]]
    environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if key == "rfm-ranks":
        mpirun = ["mpirun", "-np", str(options.threads), "--oversubscribe"]
        program = [*mpirun, "--bind-to", "none", *program]
        if os.geteuid() == 0:
            environment["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
            environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    return [*program, *common, *threads], environment


def plan(keys):
    """The measurements of one round, in order."""
    together = [key for key in keys if key in BY_TURNS]
    steps = []
    for key in keys:
        if key not in together:
            steps.append(key)
        elif key == together[0]:
            steps += together * TURNS
    return steps


def measure(key, options):
    """One run's figures, or None with the reason on standard error.

    Of programs that run apart, at the same time, rates and memory are added up.
    """
    arguments, environment = command(key, options)
    started = [
        subprocess.Popen(
            arguments,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(options.threads if key == "rfm-apart" else 1)
    ]
    results = []
    # All are waited for, whatever becomes of the first.
    for process, (output, errors) in [(each, each.communicate()) for each in started]:
        result = first_object(output)
        if process.returncode == 0 and result is not None:
            results.append(result)
            continue
        lines = (errors.strip() or output.strip()).splitlines()
        reason = lines[-1] if lines else "no output"
        print(f"{key}: status {process.returncode}: {reason}", file=sys.stderr)
    if len(results) < len(started):
        return None
    total = {
        field: sum(result[field] for result in results)
        for field in ("images_per_second", "peak_memory_bytes")
    }
    return {**results[0], **total}


def first_object(text):
    """The first JSON object that starts a line; libraries may print around it."""
    start = 0
    for line in text.splitlines(keepends=True):
        if line.startswith("{"):
            try:
                return json.JSONDecoder().raw_decode(text, start)[0]
            except ValueError:
                pass
        start += len(line)
    return None


def median(runs, key, field):
    values = [run[field] for run in runs.get(key, []) if run.get(field) is not None]
    return statistics.median(values) if values else None


def quotient(above, below):
    return above / below if above is not None and below else None


def fastest(runs, *keys):
    """The measurement with the highest median, or None."""
    known = [key for key in keys if runs.get(key)]
    return max(known, key=lambda key: median(runs, key, "images_per_second"), default=None)


def ratio(runs, key, peer, times=1):
    """The median of the rates over `times` the peer's, each over that of the same round and turn; of
    a round's medians where one of both was measured more often.

    A shared machine is now faster and now slower; within a round both had the same one.
    """
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


FLOAT32_PEERS = ("published", "channels-last", "compiled")


def targets(runs, ranks):
    """(what, value, bound, whether the bound is the least or the most)."""

    def percent(key):
        return quotient(median(runs, key, "percent_of_gemm"), 100)

    memories = [median(runs, key, "peak_memory_bytes") for key in ("channels-last", "compiled")]
    memory = min((value for value in memories if value), default=None)
    waits = median(runs, "rfm-float32", "data_wait_fraction")
    return [
        ("float32 over the fastest PyTorch float32",
         ratio(runs, "rfm-float32", fastest(runs, *FLOAT32_PEERS)), 1.5, "least"),
        ("float32 over the algorithm as published",
         ratio(runs, "rfm-float32", "published"), 2.2, "least"),
        ("bfloat16 over the fastest PyTorch bfloat16",
         ratio(runs, "rfm-bfloat16", fastest(runs, "bfloat16", "bfloat16-compiled")), 1.5, "least"),
        (f"{ranks} ranks of one thread over {ranks} times one",
         ratio(runs, "rfm-ranks", "rfm-one-thread", times=ranks), 0.97, "least"),
        (f"{ranks} ranks over PyTorch DDP on {ranks} ranks",
         ratio(runs, "rfm-ranks", "distributed"), 1.5, "least"),
        ("float32 arithmetic over the GEMM rate", percent("rfm-float32"), 0.85, "least"),
        ("bfloat16 arithmetic over the GEMM rate", percent("rfm-bfloat16"), 0.70, "least"),
        ("inference over PyTorch channels-last inference",
         ratio(runs, "rfm-inference", "inference"), 1.5, "least"),
        ("peak memory over the leanest PyTorch float32",
         quotient(median(runs, "rfm-float32", "peak_memory_bytes"), memory), 0.5, "most"),
        ("share of the step spent waiting for data", waits, 0.01, "most"),
        ("heap allocations per step",
         median(runs, "rfm-float32", "allocations_per_step"), 0, "most"),
    ]  # fmt: skip


def title(key, ranks):
    return (OURS.get(key) or PEERS[key])[0].format(n=ranks)


def report(runs, options):
    ranks = options.threads
    peer = fastest(runs, *FLOAT32_PEERS)
    print(f"\n{'images per second':<50}{'median':>9}{'range':>15}{'memory':>10}")
    for key in ORDER:
        rates = [run["images_per_second"] for run in runs.get(key, [])]
        if not rates:
            continue
        memory = median(runs, key, "peak_memory_bytes")
        if key == "rfm-ranks" and memory:
            memory *= ranks  # it reports the largest rank's, the peer the sum
        spread = f"{min(rates):.2f}-{max(rates):.2f}"
        size = f"{memory / 1e9:.2f} GB" if memory else ""
        print(f"{title(key, ranks):<50}{statistics.median(rates):>9.2f}{spread:>15}{size:>10}")
    if peer:
        print(f"\nFastest PyTorch float32 step: {median(runs, peer, 'images_per_second'):.2f} "
              "images per second.")  # fmt: skip
    print("\nRatios of rates are medians of each round's and turn's own.")
    apart = ratio(runs, "rfm-apart", "rfm-one-thread", times=ranks)
    if apart:
        print(f"{ranks} programs that have nothing to do with each other did {apart:.3f} of "
              f"{ranks} times one.")  # fmt: skip
    print(f"\n{'figure':<55}{'value':>8}{'target':>10}")
    rows = []
    for name, value, bound, kind in targets(runs, ranks):
        met = None if value is None else value >= bound if kind == "least" else value <= bound
        rows.append({"figure": name, "value": value, "bound": bound, "kind": kind, "met": met})
        if value is None:
            continue
        mark = "" if met else "  missed"
        sign = ">=" if kind == "least" else "<="
        print(f"{name:<55}{value:>8.3f}{sign:>5} {bound:g}{mark}")
    return rows


def machine():
    model = ""
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return {
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def main():
    options = parse()
    keys = [key for key in ORDER if key in PEERS or options.rfm]
    if options.only:
        chosen = options.only.split(",")
        unknown = set(chosen) - set(ORDER)
        if unknown:
            sys.exit(f"compare.py: unknown measurement {', '.join(sorted(unknown))}")
        keys = [key for key in keys if key in chosen]
    if not keys:
        sys.exit("compare.py: nothing to measure: give --rfm or a peer in --only")
    if "rfm-ranks" in keys and not shutil.which("mpirun"):
        sys.exit("compare.py: mpirun is missing: run launch/install-dependencies")
    host = machine()
    print(f"{host['processor']}, {options.threads} of {host['cores']} cores; {options.model}, "
          f"crop {options.crop}, batch {options.batch}", file=sys.stderr)  # fmt: skip
    runs, failed = {}, set()
    for number in range(options.rounds):
        for key in plan(keys):
            if key in failed:
                continue
            result = measure(key, options)
            if result is None:
                failed.add(key)
                continue
            runs.setdefault(key, []).append({"round": number, **result})
            rate = result["images_per_second"]
            where = f"round {number + 1} of {options.rounds}"
            print(f"{where}: {title(key, options.threads)}: {rate:.2f}", file=sys.stderr)
    rows = report(runs, options)
    if options.output:
        settings = {name: getattr(options, name)
                    for name in ("model", "threads", "batch", "crop", "steps", "warmup", "rounds")}
        record = {"machine": host, "settings": settings, "targets": rows, "runs": runs,
                  "failed": sorted(failed)}
        pathlib.Path(options.output).write_text(json.dumps(record, indent=1) + "\n")
    if failed:
        sys.exit(f"compare.py: without figures: {', '.join(sorted(failed))}")


if __name__ == "__main__":
    main()
