#!/usr/bin/env python3
"""Counts what each rank of a training receives, opens and keeps, beside what `rfm benchmark --scaling` says of it.

    python3 Tests/Scaling/count.py .build/release/rfm --ranks 2 4 8 16 32 64 --output counts.json

Messages and bytes are those that Open MPI's monitoring component sees between ranks, those of collectives'
algorithms included; of the rank that receives most. A training of 2 steps and one of 6 tell a step and the rest (the
start, and the end with its checkpoint) apart. Files are the shards that a rank's process opens, by strace. Memory is
the process's peak less that of a rank that is alone: Open MPI's own buffers are a part of it, and far the largest.

Every number of ranks is counted with sums in the memory of one host, and with messages between all ranks
(communication.host_memory: false), as they would be on hosts of their own. Needs Open MPI 4 and strace.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

RANK = """
import os, resource, subprocess, sys
rank, folder = os.environ["OMPI_COMM_WORLD_RANK"], sys.argv[1]
trace = ["strace", "-f", "-qq", "-e", "trace=open,openat", "-o", f"{folder}/opened.{rank}"] if sys.argv[2] == "trace" else []
status = subprocess.run(trace + sys.argv[3:]).returncode
with open(f"{folder}/memory.{rank}", "w") as f:
    f.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024))
sys.exit(status)
"""


def run(rfm, folder, ranks, steps, host_memory, trace):
    out = folder / f"{ranks}-{steps}-{host_memory}-{trace}"
    out.mkdir()
    command = [
        "mpirun", "-np", str(ranks), "--oversubscribe", "--bind-to", "none",
        "--mca", "mpi_yield_when_idle", "1", "--mca", "pml_monitoring_enable", "2",
        "--mca", "pml_monitoring_enable_output", "3", "--mca", "pml_monitoring_filename", str(out / "sent"),
        sys.executable, "-c", RANK, str(out), "trace" if trace else "plain",
        rfm, "train", "--config", str(pathlib.Path(__file__).resolve().parents[2] / "configs/smoke.yaml"), "--set", f"data.train={folder}/d/train-*.h5", "--set", "data.crop=64",
        "--set", "model.name=xception-tiny", "--set", f"training.steps={steps}", "--set", "training.batch_per_rank=2",
        "--set", "training.threads=1", "--set", f"run.directory={out}", "--set", "run.name=run",
        "--set", "evaluation.every_steps=0", "--set", "checkpoint.every_steps=1000000", "--set", "data.validation=[]", "--set", "prototypes.images_per_method=0",
        # Without maps there are no prototypes to add up at the end.
        "--set", "augmentation.method=none",
        "--set", f"communication.host_memory={'true' if host_memory else 'false'}",
    ]
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                       OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{ranks} ranks: status {done.returncode}\n{done.stderr[-2000:]}")
    received = collections.Counter(), collections.Counter()
    for path in out.glob("sent.*.prof"):
        for line in path.read_text().splitlines():
            # Kind (E: point to point, I: inside collectives), from, to, bytes, messages.
            found = re.match(r"[EI]\t\d+\t(\d+)\t(\d+) bytes\t(\d+) msgs", line)
            if found:
                to, size, messages = map(int, found.groups())
                received[0][to] += size
                received[1][to] += messages
    opened = [
        len(set(re.findall(r'(train-[^"/]*\.h5)", [^)]*\) = \d', path.read_text()))) for path in out.glob("opened.*")
    ]
    return {
        "bytes": max(received[0].values(), default=0), "messages": max(received[1].values(), default=0),
        "files": max(opened, default=0), "others' files": sorted(opened)[0] if opened else 0,
        "memory": max(int(path.read_text()) for path in out.glob("memory.*")),
    }


def predicted(rfm, step, ranks, ranks_per_host, images, shards):
    command = [rfm, "benchmark", "--scaling", "--step", str(step), "--ranks", str(ranks), "--json",
               "--ranks-per-host", str(ranks_per_host), "--images", str(images), "--shards", str(shards)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)[0]["costs"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rfm")
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64])
    parser.add_argument("--output", type=pathlib.Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rfm-count.") as folder:
        folder = pathlib.Path(folder)
        subprocess.run([asked.rfm, "synthesize", "--output", f"{folder}/d", "--images-per-class", "60", "--size", "64",
                        "--images-per-shard", "20"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shards = len(list((folder / "d").glob("train-*.h5")))
        step = folder / "step.json"
        step.write_text(subprocess.run(
            [asked.rfm, "benchmark", "--model", "xception-tiny", "--crop", "64", "--batch", "2", "--threads", "1", "--steps", "2",
             "--warmup", "1", "--json"], check=True, capture_output=True, text=True).stdout)
        alone = run(asked.rfm, folder, 1, 2, True, False)["memory"]
        rows = []
        for ranks in asked.ranks:
            for host_memory in (True, False):
                short, long = (run(asked.rfm, folder, ranks, steps, host_memory, False) for steps in (2, 6))
                traced = run(asked.rfm, folder, ranks, 2, host_memory, True)
                costs = predicted(asked.rfm, step, ranks, ranks if host_memory else 1, 60, shards)
                a_step = {key: (long[key] - short[key]) / 4 for key in ("bytes", "messages")}
                rows.append({
                    "ranks": ranks, "host_memory": host_memory,
                    "step_bytes": a_step["bytes"], "step_messages": a_step["messages"],
                    "rest_bytes": short["bytes"] - 2 * a_step["bytes"],
                    "rest_messages": short["messages"] - 2 * a_step["messages"],
                    "files": traced["files"], "files_of_others": traced["others' files"], "shards": shards,
                    "memory": short["memory"] - alone, "predicted": costs,
                })
                row = rows[-1]
                print(f"{ranks:3} ranks, {'host memory' if host_memory else 'messages   '}: "
                      f"a step {row['step_bytes']:.0f} bytes ({costs['step_bytes']}), {row['step_messages']:.1f} messages "
                      f"({costs['step_messages']}); the rest {row['rest_bytes']:.0f} ({costs['start_bytes']}), "
                      f"{row['rest_messages']:.0f} ({costs['start_messages']}); opened {row['files']} and {row['files_of_others']} "
                      f"({costs['start_files']}) of {shards} shards; memory {row['memory'] / 1e6:.0f} MB "
                      f"({costs['memory_bytes'] / 1e6:.1f})", flush=True)
    if asked.output:
        asked.output.write_text(json.dumps(rows, indent=1) + "\n")


main()
