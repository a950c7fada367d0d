#!/usr/bin/env python3
"""Counts what each rank of a training receives and opens, and compares it with what `rfm benchmark --scaling` says.

    python3 Tests/Scaling/count.py .build/release/rfm --ranks 2 4 8 16 32 64 --output counts.json

Messages and bytes are those that Open MPI's monitoring component sees between ranks, those of collectives'
algorithms included; of the rank that receives most. Trainings of 2 and of 4 steps, whose watchdogs are off since
they send by the clock, tell what a step is. The rest of a third one, with its watchdog, is the start, and the end
with its checkpoint. A training reports its status every ten seconds, which is no part of a step but counts as one:
where that is seen, count on a machine that is less busy, or fewer ranks.

Files are the shards that a rank's main thread opens, by strace: those that it validates, and those of which the
fingerprint reads an image. There is an image a shard, so that the fingerprint's are about a third of them. Images of
batches are read by other threads: of a rank that validates none, all threads together may open those of its batches
besides. At the end the same is counted with a kept index, with which no rank validates any.

Compared are bytes and messages of a step and files, which must be the same, and bytes and messages of the rest, by
TOLERANCES. What is outside is told, with status 1. Memory is told and not compared: a process's peak less that of a
rank that is alone is nearly all buffers of Open MPI, which grow with ranks on a host, and the table's memory (tables
of ranks, and the index) is kilobytes here. What 10 million images take, large.py measures.

Every number of ranks is counted with sums in the memory of one host, and with messages between all ranks
(communication.host_memory: false). Needs Open MPI 4 with its monitoring, and strace.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# Relative, of what is predicted; a step's bytes are rounded to whole numbers where parts are no such.
TOLERANCES = {"step_bytes": 0, "step_messages": 0, "rest_bytes": 0.05, "rest_messages": 0.1}
PREDICTED = {"rest_bytes": "start_bytes", "rest_messages": "start_messages"}
STEPS, LONGER, BATCH, PREFETCH = 2, 4, 2, 1
# With as many `rfm synthesize` would keep an index.
MOST_SHARDS = 255

RANK = """
import os, resource, subprocess, sys
rank, folder = os.environ["OMPI_COMM_WORLD_RANK"], sys.argv[1]
trace = ["strace", "-ff", "-qq", "-e", "trace=execve,open,openat", "-o", f"{folder}/opened.{rank}"]
status = subprocess.run((trace if sys.argv[2] == "trace" else []) + sys.argv[3:]).returncode
with open(f"{folder}/memory.{rank}", "w") as f:
    f.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
sys.exit(status)
"""


class Counter:
    def __init__(self, rfm, folder):
        self.rfm, self.folder, self.runs = rfm, folder, 0

    def train(self, ranks, host_memory, steps=STEPS, watched=False, traced=False, reports=True):
        """Runs a training and returns the folder of what was counted."""
        self.runs += 1
        out = self.folder / f"run-{self.runs}"
        out.mkdir()
        settings = {
            "data.train": f"{self.folder}/d/train-*.h5", "data.validation": "[]", "data.crop": 64,
            "data.prefetch": PREFETCH, "model.name": "xception-tiny", "training.steps": steps,
            "training.batch_per_rank": BATCH, "training.threads": 1, "run.directory": out, "run.name": "run",
            "evaluation.every_steps": 0, "checkpoint.every_steps": 1000000, "prototypes.images_per_method": 0,
            # Without maps there are no prototypes to add up at the end.
            "augmentation.method": "none",
            "communication.host_memory": "true" if host_memory else "false",
        }
        if not reports:
            settings["run.report"] = "false"
        if not watched:
            settings["communication.watchdog_seconds"] = 0
        smoke = pathlib.Path(__file__).resolve().parents[2] / "configs/smoke.yaml"
        command = [
            "mpirun", "-np", str(ranks), "--oversubscribe", "--bind-to", "none",
            "--mca", "mpi_yield_when_idle", "1", "--mca", "pml_monitoring_enable", "2",
            "--mca", "pml_monitoring_enable_output", "3", "--mca", "pml_monitoring_filename", str(out / "sent"),
            sys.executable, "-c", RANK, str(out), "trace" if traced else "plain",
            self.rfm, "train", "--config", str(smoke),
        ]
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                           OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
        done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{ranks} ranks: status {done.returncode}\n{done.stderr[-2000:]}")
        return out


def received(out, ranks):
    """Bytes and messages that each rank has received."""
    size, messages = collections.Counter(), collections.Counter()
    profiles = list(out.glob("sent.*.prof"))
    for path in profiles:
        for line in path.read_text().splitlines():
            # Kind (E: point to point, I: inside collectives), from, to, bytes, messages.
            found = re.match(r"[EI]\t\d+\t(\d+)\t(\d+) bytes\t(\d+) msgs", line)
            if found:
                to = int(found[1])
                size[to] += int(found[2])
                messages[to] += int(found[3])
    if len(profiles) != ranks or any(messages[rank] == 0 for rank in range(ranks)):
        sys.exit(f"{ranks} ranks: Open MPI's monitoring wrote {len(profiles)} files, of {len(+messages)} ranks that "
                 "received something: this needs Open MPI 4, whose messages go through what it monitors")
    return {"bytes": size, "messages": messages}


def opened(out, ranks):
    """Of each rank the shards that its main thread opened, and all its threads, each once."""
    found = []
    for rank in range(ranks):
        main, together = set(), set()
        is_traced = False
        for path in out.glob(f"opened.{rank}.*"):
            # A file a thread, in which a call is a line.
            lines = path.read_text(errors="replace").splitlines()
            shards = {match[1] for match in (re.match(r'open(?:at)?\(.*/(train-\d+\.h5)", .*\) = \d', line)
                                             for line in lines) if match}
            together |= shards
            # The thread that became the program is its main one.
            if lines and lines[0].startswith("execve("):
                main |= shards
                is_traced = True
        if not is_traced or not main:
            sys.exit(f"{ranks} ranks: strace saw no shard opened by the main thread of rank {rank}")
        found.append((len(main), len(together)))
    return found


def predict(rfm, step, ranks, host_memory, shards):
    command = [rfm, "benchmark", "--scaling", "--step", str(step), "--ranks", str(ranks), "--json",
               "--ranks-per-host", str(ranks), "--images", str(shards), "--shards", str(shards)]
    if not host_memory:
        command.append("--messages")
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)[0]["costs"]


def rounding(ranks, sizes):
    """Bytes by which sums of these sizes differ from equal parts of them, as parts have whole numbers."""
    rounds = (ranks - 1).bit_length()
    return sum(8 * rounds for size in sizes if size % (4 * ranks))


def count(counter, ranks, host_memory, costs, sizes):
    """What was counted, and what of it is not as predicted."""
    runs = [counter.train(ranks, host_memory), counter.train(ranks, host_memory, steps=LONGER),
            counter.train(ranks, host_memory, watched=True, traced=True)]
    short, long, watched = (received(run, ranks) for run in runs)
    row = {"ranks": ranks, "host_memory": host_memory}
    for kind in ("bytes", "messages"):
        step = {rank: (long[kind][rank] - short[kind][rank]) / (LONGER - STEPS) for rank in range(ranks)}
        row[f"step_{kind}"] = max(step.values())
        row[f"rest_{kind}"] = max(watched[kind][rank] - STEPS * step[rank] for rank in range(ranks))
    outside = []
    for name, tolerance in TOLERANCES.items():
        expected = costs[PREDICTED.get(name, name)]
        allowed = tolerance * expected
        if name == "step_bytes":
            allowed += rounding(ranks, sizes if not host_memory else sizes[-1:])
        if abs(row[name] - expected) > allowed:
            outside.append(f"{name} {row[name]:.10g}, expected {expected} within {allowed:.10g}")
    files = opened(runs[2], ranks)
    outside += compare_files(files, costs, costs["start_files"])
    row |= {"files_of_first": files[0][0], "files_of_others": max(main for main, _ in files[1:]),
            "files_of_all": sum(main for main, _ in files)}
    if row["files_of_all"] != costs["start_files_of_all"]:
        outside.append(f"files of all {row['files_of_all']}, expected {costs['start_files_of_all']}")
    row["memory"] = max(int(path.read_text()) for path in runs[0].glob("memory.*"))
    row["predicted"] = costs
    return row, outside


def compare_files(files, costs, first):
    """What of the ranks' files is not as predicted, if the first should open so many."""
    others = costs["start_files_of_others"]
    outside = []
    for rank, (main, together) in enumerate(files):
        expected = others if rank else first
        if main != expected:
            outside.append(f"rank {rank}: files {main}, expected {expected}")
        elif together > expected + (STEPS + PREFETCH) * BATCH:
            outside.append(f"rank {rank}: files of all threads {together}, expected {expected} and at most "
                           f"{(STEPS + PREFETCH) * BATCH} images of batches")
    return outside


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rfm")
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64])
    parser.add_argument("--output", type=pathlib.Path)
    asked = parser.parse_args()
    if min(asked.ranks) < 2:
        parser.error("--ranks takes 2 or more: one rank receives nothing")
    for program in ("mpirun", "strace"):
        if not shutil.which(program):
            sys.exit(f"{program} is needed")
    rows, missed = [], []
    with tempfile.TemporaryDirectory(prefix="rfm-count.") as folder:
        folder = pathlib.Path(folder)
        subprocess.run([asked.rfm, "synthesize", "--output", f"{folder}/d", "--images-per-class", "60", "--size", "64",
                        "--images-per-shard", "1"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        paths = sorted((folder / "d").glob("train-*.h5"))
        shards = len(paths)
        if not 64 <= shards <= MOST_SHARDS:
            sys.exit(f"{shards} shards were made: too few to tell the fingerprint's from all, or so many that their "
                     "index is kept")
        step = folder / "step.json"
        step.write_text(subprocess.run(
            [asked.rfm, "benchmark", "--model", "xception-tiny", "--crop", "64", "--batch", str(BATCH),
             "--threads", "1", "--steps", "2", "--warmup", "1", "--json"],
            check=True, capture_output=True, text=True).stdout)
        measured = json.loads(step.read_text())
        sizes = measured["bucket_bytes"] + [measured["statistics_bytes"]]
        counter = Counter(asked.rfm, folder)
        alone = max(int(path.read_text()) for path in counter.train(1, True).glob("memory.*"))
        for ranks in asked.ranks:
            for host_memory in (True, False):
                costs = predict(asked.rfm, step, ranks, host_memory, shards)
                row, outside = count(counter, ranks, host_memory, costs, sizes)
                row |= {"shards": shards, "memory": row["memory"] - alone, "outside": outside}
                rows.append(row)
                name = f"{ranks} ranks, {'host memory' if host_memory else 'messages'}"
                print(f"{name}: a step {row['step_bytes']:.0f} bytes (predicted {costs['step_bytes']}), "
                      f"{row['step_messages']:g} messages ({costs['step_messages']}); the rest "
                      f"{row['rest_bytes']:.0f} bytes ({costs['start_bytes']}), {row['rest_messages']:g} messages "
                      f"({costs['start_messages']}); of {shards} shards the first opens {row['files_of_first']} "
                      f"({costs['start_files']}), others {row['files_of_others']} ({costs['start_files_of_others']}), "
                      f"all together {row['files_of_all']} ({costs['start_files_of_all']}); not compared: "
                      f"{row['memory'] / 1e6:.0f} MB more than a rank alone", flush=True)
                for text in outside:
                    print(f"    OUTSIDE: {text}", flush=True)
                missed += [f"{name}: {text}" for text in outside]
        subprocess.run([asked.rfm, "inspect", "--index", *map(str, paths)], check=True, stdout=subprocess.DEVNULL)
        ranks = asked.ranks[0]
        costs = predict(asked.rfm, step, ranks, True, shards)
        # A report looks into all shards at the end.
        files = opened(counter.train(ranks, True, traced=True, reports=False), ranks)
        print(f"{ranks} ranks, with a kept index: the first opens {files[0][0]} ({costs['start_files_of_others']})")
        outside = compare_files(files, costs, costs["start_files_of_others"])
        missed += [f"{ranks} ranks, with a kept index: {text}" for text in outside]
    if asked.output:
        tolerances = TOLERANCES | {"files": 0}
        asked.output.write_text(
            json.dumps({"tolerances": tolerances, "rows": rows, "outside": missed}, indent=1) + "\n")
    if missed:
        sys.exit("outside of what is tolerated:\n" + "\n".join(missed))
    print("all as predicted, within what is tolerated")


main()
