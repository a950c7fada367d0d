"""Runs rfm and its peers by turns, network by network, and sets their figures side by side (figures.py).

launch/benchmark calls it; --help lists the options. Every measurement has processes of its own.
Rounds go through all of them, so that a slow minute of the machine meets all alike; figures are
medians over the rounds. What several ranks cost each other is measured three times a round, by turns.
"""

import argparse
import ast
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import time

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
    "inference-openvino": ("OpenVINO inference, batch by batch", "inference-openvino"),
    "inference-openvino-throughput": (
        "OpenVINO inference, four batches at once", "inference-openvino-throughput"),
}  # fmt: skip
# Related figures follow each other, so that they meet the same state of the machine.
ORDER = [
    "rfm-float32", "channels-last", "published", "compiled", "ipex",
    "rfm-bfloat16", "bfloat16", "bfloat16-compiled",
    "rfm-one-thread", "rfm-ranks", "rfm-apart", "distributed", "one-thread",
    "rfm-inference", "inference-onnxruntime", "inference-openvino", "inference-openvino-throughput",
    "inference", "inference-compiled", "inference-ipex",
    "rfm-inference-bfloat16", "inference-bfloat16",
]  # fmt: skip
# What ranks cost each other is a percent or two, less than a shared machine's paces differ from one
# minute to the next: in every round these go by turns so often.
BY_TURNS = ["rfm-one-thread", "rfm-ranks", "rfm-apart"]
TURNS = 3
SINGLE = [*BY_TURNS, "distributed", "one-thread"]  # one thread a process
# Those that run in an environment of their own, with the PyTorch that the extension belongs to.
EXTENDED = ["ipex", "inference-ipex"]
# They take two thirds of the time: measured for --ranks-models alone.
OF_RANKS_MODELS = [*SINGLE, *EXTENDED]
BFLOAT16_PEERS = ["bfloat16", "bfloat16-compiled", "inference-bfloat16"]
# Once a network, rfm's operations: what the processor can do at most.
OPERATIONS = {"operations-step": "rfm-float32", "operations-inference": "rfm-inference"}
# Five minutes, so nothing is compiled: the ratio of the step stays incomplete.
SHORT = {
    "models": ["xception", "efficientnet-b0"],
    "keys": ["rfm-float32", "channels-last", "rfm-inference", "inference-onnxruntime",
             "inference-openvino", "inference-openvino-throughput"],
    "rounds": 1, "steps": 3, "warmup": 1,
}  # fmt: skip

# Settings of the libraries below, which would change what is measured, begin with these. Nobody is handed any
# but those that follow.
DROPPED = (
    "RFM_GEMM", "RFM_KERNELS", "DNNL_", "ONEDNN_", "ATEN_", "MKL_", "OMP_", "GOMP_", "KMP_",
    "OPENBLAS_NUM_THREADS", "MALLOC_", "GLIBC_TUNABLES", "THP_MEM_ALLOC_ENABLE", "LRU_CACHE_CAPACITY",
)  # fmt: skip
# Others that may matter are noted.
NOTED = ("RFM_", "OPENBLAS_", "TORCH", "LD_PRELOAD")
OUR_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# rfm asks for huge pages and keeps its memory. So that its peers have the same: huge pages for PyTorch's tensors
# and for all else that malloc gives (glibc 2.35), and what is freed is kept, not handed back to the
# system and had anew, page by page, in every step. benchmark.py sets the threads.
PEER_ENVIRONMENT = {
    "THP_MEM_ALLOC_ENABLE": "1", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(16 << 30), "MALLOC_TOP_PAD_": str(64 << 20),
}  # fmt: skip


class Unmeasured(Exception):
    """Why a figure could not be had."""


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rfm", help="the program; without it only the peers are run")
    parser.add_argument("--models", help="comma-separated networks, or all; default xception")
    parser.add_argument("--ranks-models", help="those whose ranks and Intel's extension are measured, "
                        "or all; default xception, with --only all")  # fmt: skip
    parser.add_argument("--threads", type=int, default=2, help="cores to use")
    parser.add_argument("--batch", type=int, default=8, help="images a step and rank")
    parser.add_argument("--crop", type=int, default=224)
    parser.add_argument("--steps", type=int, help="measured steps of one run; default 5")
    parser.add_argument("--warmup", type=int, help="steps before them; default 2")
    parser.add_argument("--rounds", type=int, help="default 3")
    parser.add_argument("--time-limit", type=int, default=1800, help="seconds of one run at most")
    parser.add_argument("--only", help="comma-separated: " + ", ".join(ORDER))
    parser.add_argument("--short", action="store_true", help="some figures, once")
    parser.add_argument("--peer-plain", action="store_true",
                        help="without huge pages and kept memory for the peers")  # fmt: skip
    parser.add_argument("--ipex-python", help="a Python with Intel's extension for PyTorch")
    parser.add_argument("--output", help="JSON file for every figure of every run")
    parser.add_argument("--plot", help="picture of the ratios: SVG, PDF or PNG, by the file's ending")
    options = parser.parse_args()
    usual = SHORT if options.short else {"rounds": 3, "steps": 5, "warmup": 2}
    for name in ("rounds", "steps", "warmup"):
        if getattr(options, name) is None:
            setattr(options, name, usual[name])
    options.models = (options.models or ",".join(usual.get("models", ["xception"]))).split(",")
    if options.models == ["all"]:
        options.models = peers_networks()
    options.ranks_models = (options.ranks_models or ("all" if options.only else "xception")).split(",")
    if options.ranks_models == ["all"]:
        options.ranks_models = options.models
    return options


# --- What is measured ----------------------------------------------------------------------------


def peers_networks():
    """The networks that benchmark.py has, read from its text: to import it would load PyTorch."""
    for statement in ast.parse(PEER.read_text()).body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == "MODELS":
            return list(ast.literal_eval(statement.value))
    raise LookupError(f"no MODELS in {PEER}")


def known_networks(rfm):
    """The networks that rfm names in its help, or the peers' without it; None where that can't be read."""
    if not rfm:
        return peers_networks()
    try:
        asked = subprocess.run([rfm, "benchmark", "--help"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.exit(f"compare.py: {error}")
    if asked.returncode:
        sys.exit(f"compare.py: {rfm}: {last_words(asked.stderr, asked.stdout)}")
    # In what is said of --model, before the next option.
    names = re.search(r"\n\s+--model <model>((?!\n\s+--).)*?\(values: (.*?)[;)]", asked.stdout, re.DOTALL)
    return re.sub(r"\s", "", names[2]).split(",") if names else None


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
    return keys


def check(options, keys):
    """Ends the program where something is wrong: before hours of measuring rather than behind them."""
    known = known_networks(options.rfm)
    asked = dict.fromkeys(options.models + options.ranks_models)
    unknown = [name for name in asked if known and name not in known]
    if unknown:
        sys.exit(f"compare.py: unknown network {', '.join(unknown)}; there are {', '.join(known)}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if options.threads > cores:
        sys.exit(f"compare.py: --threads {options.threads} on {cores} cores")
    if options.ipex_python and not shutil.which(options.ipex_python):
        sys.exit(f"compare.py: {options.ipex_python} is no program")
    if "rfm-ranks" in keys and not shutil.which("mpirun"):
        sys.exit("compare.py: mpirun is missing: run launch/install-dependencies")
    for file in filter(None, (options.output, options.plot)):
        if not pathlib.Path(file).resolve().parent.is_dir():
            sys.exit(f"compare.py: there is no folder for {file}")
    if options.plot:
        import matplotlib  # noqa: F401

        if pathlib.Path(options.plot).suffix not in (".svg", ".pdf", ".png"):
            sys.exit("compare.py: --plot takes a name that ends with .svg, .pdf or .png")


def keys_of(model, keys, options, flags, missing):
    """Those of `keys` that `model` has; why it lacks others, where that is not by wish, goes into `missing`."""
    if model not in options.ranks_models:
        keys = [key for key in keys if key not in OF_RANKS_MODELS]
    if model not in peers_networks():
        missing[f"{model} peers"] = "launch/peer/benchmark.py has no such network"
        keys = [key for key in keys if key not in PEERS]
    # Without these instructions it multiplies bfloat16 number by number. Whoever names such a figure gets it.
    fast = {"avx512bw", "avx512vl", "avx512dq"} <= flags or {"avx_ne_convert", "bf16"} & flags
    if flags and not fast and not options.only:
        for key in filter(keys.count, BFLOAT16_PEERS):
            missing[f"{model} {key}"] = "left out: PyTorch has no fast bfloat16 without AVX-512 (or Arm's bf16)"
        keys = [key for key in keys if key not in BFLOAT16_PEERS]
    return keys


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


def command(key, model, options):
    """The process that measures `key`: its arguments and what to add to its environment."""
    common = [
        "--model", model, "--batch", str(options.batch), "--crop", str(options.crop),
        "--steps", str(options.steps), "--warmup", str(options.warmup),
        "--threads", "1" if key in SINGLE else str(options.threads),
    ]  # fmt: skip
    if key in PEERS:
        ranks = ["--ranks", str(options.threads)] if key == "distributed" else []
        python = options.ipex_python if key in EXTENDED else sys.executable
        environment = {} if options.peer_plain else PEER_ENVIRONMENT
        return [python, str(PEER), "--variant", PEERS[key][1], *common, *ranks], environment
    if key in OPERATIONS:
        inference = ["--inference"] if key == "operations-inference" else []
        return [options.rfm, "benchmark", "--operations", "--json", *inference, *common], OUR_ENVIRONMENT
    program = [options.rfm, "benchmark", "--json", *OURS[key][1]]
    environment = OUR_ENVIRONMENT
    if key == "rfm-ranks":
        mpirun = ["mpirun", "-np", str(options.threads), "--oversubscribe"]
        program = [*mpirun, "--bind-to", "none", *program]
        if os.geteuid() == 0:
            environment = {**environment, "OMPI_ALLOW_RUN_AS_ROOT": "1",
                           "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}  # fmt: skip
    return [*program, *common], environment


# --- Running -------------------------------------------------------------------------------------


def is_dropped(name):
    return name.startswith(DROPPED)


def end(process):
    """Ends what is left of a process and of all that it started. mpirun is given the time to end its ranks."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        except OSError:
            return  # nothing is left


def run(arguments, environment, limit, count=1):
    """What each of `count` processes prints, started at the same time, as JSON; or Unmeasured."""
    kept = {name: value for name, value in os.environ.items() if not is_dropped(name)}
    deadline = time.monotonic() + limit
    started = []
    try:
        for _ in range(count):
            started.append(
                subprocess.Popen(
                    arguments,
                    env={**kept, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                    start_new_session=True,
                )
            )
        # All are waited for, whatever becomes of the first.
        printed = [each.communicate(timeout=max(0, deadline - time.monotonic())) for each in started]
    except OSError as error:
        raise Unmeasured(str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise Unmeasured(f"not done after {limit} s (--time-limit)") from error
    finally:
        for process in started:
            end(process)
    results = [first_object(output) for output, _ in printed]
    for process, result, (output, errors) in zip(started, results, printed):
        if process.returncode or result is None:
            raise Unmeasured(f"status {process.returncode}: {last_words(errors, output)}")
    return results


def measure(key, model, options):
    """One run's figures, or Unmeasured.

    Of programs that run apart, at the same time, rates and memory are added up; else the worst counts.
    """
    load = os.getloadavg()[0]
    count = options.threads if key == "rfm-apart" else 1
    results = run(*command(key, model, options), options.time_limit, count)
    total = dict(results[0])
    for field, join in (("images_per_second", sum), ("peak_memory_bytes", sum),
                        ("allocations_per_step", max), ("data_wait_fraction", max)):  # fmt: skip
        values = [result[field] for result in results if result.get(field) is not None]
        if values:
            total[field] = join(values)
    if not total.keys() & {"images_per_second", "arithmetic_limit"}:
        raise Unmeasured("it prints no rate")
    return {**total, "load_before": load, "load_after": os.getloadavg()[0]}


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


def last_words(*texts):
    """The last line that has letters: mpirun frames its own with dashes."""
    for text in texts:
        for line in reversed(text.splitlines()):
            if any(letter.isalpha() for letter in line):
                return line.strip()
    return "no output"


# --- The machine ---------------------------------------------------------------------------------


def contents(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def machine():
    processor = {}
    for line in contents("/proc/cpuinfo").split("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        processor[name.strip()] = value.strip()
    flags = (processor.get("flags") or processor.get("Features", "")).split()
    telling = ("fma", "avx", "amx", "asimd", "sve", "sme", "bf16", "i8mm")
    pages = re.search(r"\[(\w+)\]", contents("/sys/kernel/mm/transparent_hugepage/enabled"))
    return {
        "processor": processor.get("model name") or platform.processor(),
        "family": processor.get("cpu family", ""),
        "model": processor.get("model", ""),
        "stepping": processor.get("stepping", ""),
        "flags": [flag for flag in flags if flag.startswith(telling)],
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "huge_pages": pages[1] if pages else "",
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "system": platform.platform(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def pin(threads):
    """Keeps this program and all that it starts on the first `threads` cores that it may use, one hardware
    thread of each as far as they go; returns which."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    first = {}
    for number in allowed:
        siblings = contents(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
        first.setdefault(siblings or number, number)
    cores = list(first.values()) if len(first) >= threads else allowed
    os.sched_setaffinity(0, cores[:threads])
    return cores[:threads]


def environments(options):
    """What programs find in their environment, for the record."""
    noted = {name: value for name, value in sorted(os.environ.items())
             if name.startswith((*NOTED, *DROPPED))}  # fmt: skip
    return {
        "dropped": {name: value for name, value in noted.items() if is_dropped(name)},
        "kept": {name: value for name, value in noted.items() if not is_dropped(name)},
        "rfm": OUR_ENVIRONMENT,
        "peers": {} if options.peer_plain else PEER_ENVIRONMENT,
    }


# --- All of it -----------------------------------------------------------------------------------


def title(key, ranks):
    if key in OPERATIONS:
        return f"rfm, {key.replace('-', ' of ')}"
    return (OURS.get(key) or PEERS[key])[0].format(n=ranks)


def save(record, path):
    """Writes what there is, as a whole or not at all."""
    record["ratios"] = figures.all_rows(record)
    if not path:
        return
    partial = pathlib.Path(f"{path}.partial")
    try:
        partial.write_text(json.dumps(record, indent=1) + "\n")
        partial.replace(path)
    except OSError as error:
        print(f"compare.py: {error}", file=sys.stderr)


def go_through(options, keys, record):
    """Measures everything, and keeps it in `record` as it comes."""
    missing, failed = record["missing"], record["failed"]
    flags = set(record["machine"]["flags"])
    had = {model: keys_of(model, keys, options, flags, missing) for model in options.models}
    for number in range(options.rounds):
        for model in options.models:
            once = [key for key, figure in OPERATIONS.items() if number == 0 and figure in had[model]]
            for key in once + plan(had[model]):
                name = f"{model} {key}"
                if name in failed:
                    continue
                where = f"round {number + 1} of {options.rounds}: {model}: {title(key, options.threads)}"
                try:
                    result = measure(key, model, options)
                except Unmeasured as reason:
                    print(f"{where}: none: {reason}", file=sys.stderr)
                    failed.append(name)
                    missing[name] = str(reason)
                else:
                    busy = figures.busy(result, options.threads)
                    if key in once:
                        record["operations"][model][key] = result
                        said = f"at most {result['arithmetic_limit'] / 1e9:.0f} Gflop/s"
                    else:
                        record["runs"][model].setdefault(key, []).append({"round": number, **result})
                        said = f"{result['images_per_second']:.2f}"
                    print(f"{where}: {said}{busy and f' ({busy})'}", file=sys.stderr)
                save(record, options.output)


def main():
    options = parse()
    keys = chosen(options)
    check(options, keys)
    # To end early is to end as Ctrl-C does it: nothing that was started goes on, and what there is is shown.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    cores = pin(options.threads)
    names = ("models", "ranks_models", "threads", "batch", "crop", "steps", "warmup", "rounds", "time_limit")
    record = {
        "machine": machine(),
        "environment": {**environments(options), "cores": cores},
        "settings": {name: getattr(options, name) for name in names},
        "finished": False,
        "runs": {model: {} for model in options.models},
        "operations": {model: {} for model in options.models},
        "failed": [],
        "missing": {},
    }
    dropped = record["environment"]["dropped"]
    if dropped:
        print(f"not handed on: {', '.join(dropped)}", file=sys.stderr)
    print(figures.describe(record), file=sys.stderr)
    try:
        go_through(options, keys, record)
        record["finished"] = True
    except KeyboardInterrupt:
        print("interrupted: what there is follows", file=sys.stderr)
    save(record, options.output)
    figures.show(record, {key: title(key, options.threads) for key in ORDER})
    if options.plot:
        figures.plot(record, options.plot)
    if not record["finished"]:
        sys.exit(130)
    if record["failed"]:
        sys.exit(f"compare.py: without figures: {', '.join(record['failed'])}")


if __name__ == "__main__":
    main()
