"""Runs rfm and its peers by turns, network by network, and sets their figures side by side (figures.py).

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
import subprocess
import sys

import figures

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
    "ipex": ("PyTorch with Intel's extension, channels-last", "ipex"),
    "distributed": ("PyTorch DDP over gloo, {n} ranks of one thread", "distributed"),
    "inference": ("PyTorch inference, channels-last", "inference"),
    "inference-bfloat16": ("PyTorch inference, bfloat16 autocast", "inference-bfloat16"),
    "inference-compiled": ("PyTorch inference, compiled, frozen", "inference-compiled"),
    "inference-ipex": ("PyTorch inference, Intel's extension", "inference-ipex"),
    "inference-onnxruntime": ("ONNX Runtime inference", "inference-onnxruntime"),
    "inference-openvino": ("OpenVINO inference", "inference-openvino"),
}
# Related figures follow each other, so that they meet the same state of the machine.
ORDER = [
    "rfm-float32", "channels-last", "published", "compiled", "ipex",
    "rfm-bfloat16", "bfloat16", "bfloat16-compiled",
    "rfm-one-thread", "rfm-ranks", "rfm-apart", "distributed", "one-thread",
    "rfm-inference", "inference-onnxruntime", "inference-openvino", "inference",
    "inference-compiled", "inference-ipex",
    "rfm-inference-bfloat16", "inference-bfloat16",
]  # fmt: skip
# What ranks cost each other is a percent or two, less than a shared machine's paces differ from one
# minute to the next: in every round these go by turns so often.
BY_TURNS = ["rfm-one-thread", "rfm-ranks", "rfm-apart"]
TURNS = 3
# Those that run in an environment of their own, with the PyTorch that the extension belongs to.
EXTENDED = ("ipex", "inference-ipex")
MODELS = [
    "xception", "resnet18", "resnet50", "vgg16-bn", "convnext-tiny", "efficientnet-b0",
    "efficientnet-b4", "mobilenet-v2",
]  # fmt: skip
# Five minutes.
SHORT = {
    "models": ["xception", "efficientnet-b0"],
    "keys": ["rfm-float32", "channels-last", "rfm-inference", "inference-onnxruntime",
             "inference-openvino"],
    "rounds": 1, "steps": 3, "warmup": 1,
}  # fmt: skip


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rfm", help="the program; without it only the peers are run")
    parser.add_argument("--models", help="comma-separated networks, or all; default xception")
    parser.add_argument("--threads", type=int, default=2, help="cores to use")
    parser.add_argument("--batch", type=int, default=8, help="images a step and rank")
    parser.add_argument("--crop", type=int, default=224)
    parser.add_argument("--steps", type=int, help="measured steps of one run; default 5")
    parser.add_argument("--warmup", type=int, help="steps before them; default 2")
    parser.add_argument("--rounds", type=int, help="default 3")
    parser.add_argument("--only", help="comma-separated: " + ", ".join(ORDER))
    parser.add_argument("--short", action="store_true", help="some figures, once")
    parser.add_argument("--ipex-python", help="a Python with Intel's extension for PyTorch")
    parser.add_argument("--output", help="JSON file for every figure of every run")
    parser.add_argument("--plot", help="picture of the ratios: SVG, PDF or PNG, by the file's ending")
    options = parser.parse_args()
    usual = SHORT if options.short else {"rounds": 3, "steps": 5, "warmup": 2}
    for name in ("rounds", "steps", "warmup"):
        if getattr(options, name) is None:
            setattr(options, name, usual[name])
    if options.models == "all":
        options.models = list(MODELS)
    elif options.models:
        options.models = options.models.split(",")
    else:
        options.models = usual.get("models", ["xception"])
    return options


def command(key, model, options):
    """The process that measures `key`: its arguments and what to add to its environment."""
    common = [
        "--model", model, "--batch", str(options.batch), "--crop", str(options.crop),
        "--steps", str(options.steps), "--warmup", str(options.warmup),
    ]  # fmt: skip
    single = key in ("rfm-ranks", "rfm-one-thread", "rfm-apart", "distributed", "one-thread")
    threads = ["--threads", "1" if single else str(options.threads)]
    if key in PEERS:
        ranks = ["--ranks", str(options.threads)] if key == "distributed" else []
        variant = ["--variant", PEERS[key][1]]
        python = options.ipex_python if key in EXTENDED else sys.executable
        return [python, str(PEER), *variant, *common, *threads, *ranks], {}
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


def measure(key, model, options):
    """One run's figures, or None with the reason on standard error.

    Of programs that run apart, at the same time, rates and memory are added up.
    """
    arguments, environment = command(key, model, options)
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
        print(f"{model}, {key}: status {process.returncode}: {reason}", file=sys.stderr)
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


def title(key, ranks):
    return (OURS.get(key) or PEERS[key])[0].format(n=ranks)


def chosen(options):
    """The figures that are to be measured, in order."""
    keys = [key for key in ORDER if key in PEERS or options.rfm]
    if options.only:
        names = options.only.split(",")
        unknown = set(names) - set(ORDER)
        if unknown:
            sys.exit(f"compare.py: unknown measurement {', '.join(sorted(unknown))}; there are "
                     + ", ".join(ORDER))  # fmt: skip
        keys = [key for key in keys if key in names]
    elif options.short:
        keys = [key for key in keys if key in SHORT["keys"]]
    if not options.ipex_python:
        if options.only and set(EXTENDED) & set(keys):
            sys.exit("compare.py: Intel's extension needs --ipex or --ipex-python")
        keys = [key for key in keys if key not in EXTENDED]
    if not keys:
        sys.exit("compare.py: nothing to measure: give --rfm or a peer in --only")
    if "rfm-ranks" in keys and not shutil.which("mpirun"):
        sys.exit("compare.py: mpirun is missing: run launch/install-dependencies")
    return keys


def main():
    options = parse()
    keys = chosen(options)
    # Before an hour of measuring rather than behind it.
    for file in filter(None, (options.output, options.plot)):
        if not pathlib.Path(file).resolve().parent.is_dir():
            sys.exit(f"compare.py: there is no folder for {file}")
    if options.plot:
        import matplotlib  # noqa: F401

        if pathlib.Path(options.plot).suffix not in (".svg", ".pdf", ".png"):
            sys.exit("compare.py: --plot takes a name that ends with .svg, .pdf or .png")
    host = machine()
    print(f"{host['processor']}, {options.threads} of {host['cores']} cores; "
          f"crop {options.crop}, batch {options.batch}", file=sys.stderr)  # fmt: skip
    runs, failed = {model: {} for model in options.models}, set()
    for number in range(options.rounds):
        for model in options.models:
            for key in plan(keys):
                if (model, key) in failed:
                    continue
                result = measure(key, model, options)
                if result is None:
                    failed.add((model, key))
                    continue
                runs[model].setdefault(key, []).append({"round": number, **result})
                rate = result["images_per_second"]
                where = f"round {number + 1} of {options.rounds}: {model}"
                print(f"{where}: {title(key, options.threads)}: {rate:.2f}", file=sys.stderr)
    settings = {name: getattr(options, name)
                for name in ("models", "threads", "batch", "crop", "steps", "warmup", "rounds")}
    record = {"machine": host, "settings": settings, "runs": runs,
              "failed": sorted(" ".join(names) for names in failed)}  # fmt: skip
    record["ratios"] = figures.all_rows(record)
    figures.show(record, {key: title(key, options.threads) for key in ORDER})
    if options.output:
        pathlib.Path(options.output).write_text(json.dumps(record, indent=1) + "\n")
    if options.plot:
        figures.plot(record, options.plot)
    if failed:
        sys.exit(f"compare.py: without figures: {', '.join(record['failed'])}")


if __name__ == "__main__":
    main()
