#!/usr/bin/env python3
"""Trains for an hour on small data, kills, stops and restarts the training all the while, and looks for growth.

    python3 Tests/Scaling/soak.py .build/release/rfm --minutes 60 --output soak.json

Two trainings with the same settings run beside each other, of two ranks each: one that nobody disturbs, and one of
which again and again a rank or the launcher is killed, or which is asked to stop, and which is then resumed. Every
step's figures must be the undisturbed one's to the last digit, and so must the weights of every checkpoint that both
have written. Of the undisturbed one's ranks memory, descriptors and threads are looked at every few seconds, of both
runs the disk: metrics and event files grow by a line a step, the rest must not grow. Status 1 where something
differs or has grown. --seed repeats the draws. Needs Open MPI.
"""
import argparse
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from large import ENVIRONMENT, HERE, children, mpirun

RANKS = 2


class Training:
    def __init__(self, rfm, folder, name, every):
        self.run, self.said, self.program = folder / name, folder / f"{name}.said", os.path.basename(rfm)
        settings = {
            "data.train": f"{folder}/d/train-*.h5", "data.validation": f"{folder}/d/validation-*.h5",
            "training.steps": 10_000_000, "training.threads": 1, "training.schedule.name": "constant",
            "checkpoint.every_steps": every, "evaluation.every_steps": every, "run.directory": folder, "run.name": name,
        }
        self.command = mpirun(RANKS) + [rfm, "train", "--config", str(HERE.parent.parent / "configs/smoke.yaml")]
        for key, value in settings.items():
            self.command += ["--set", f"{key}={value}"]
        self.process, self.digests, self.checkpoints = None, {}, set()

    def start(self, *more):
        with open(self.said, "ab") as said:
            self.process = subprocess.Popen(self.command + list(more), env=ENVIRONMENT, stdout=said, stderr=said)

    def ranks(self):
        return [p for p in children(self.process.pid) if program(p) == self.program]

    def lines(self):
        """The figures of every step, without those of time."""
        found = {}
        for line in (self.run / "metrics.jsonl").read_text().splitlines():
            try:
                values = json.loads(line)
            except ValueError:
                continue
            timeless = {k: v for k, v in values.items() if "second" not in k and "time" not in k and "wait" not in k}
            found.setdefault(values["step"], []).append(timeless)
        return found

    def look(self):
        """Notes the weights of checkpoints that are complete."""
        for path in self.run.glob("checkpoints/step-*/state.json"):
            step = path.parent.name
            if step not in self.digests:
                try:
                    self.digests[step] = json.loads(path.read_text())["files"]["model.safetensors"]
                except (OSError, ValueError, KeyError):
                    pass

    def disk(self):
        """Bytes and number of files, and bytes of what grows by a line a step."""
        size = count = lines = 0
        # A folder may be gone before it is looked into; walk passes over it.
        for path in (pathlib.Path(folder, name) for folder, _, names in os.walk(self.run) for name in names):
            try:
                if not path.is_file() or path.is_symlink():
                    continue
                if path.name == "metrics.jsonl" or "tfevents" in path.name:
                    lines += path.stat().st_size
                else:
                    size, count = size + path.stat().st_size, count + 1
            except OSError:
                pass
        return size, count, lines


def program(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return None


def process(pid):
    """Resident memory, descriptors and threads."""
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return 1024 * int(status["VmRSS"].split()[0]), len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"])


def wait_for_checkpoint(training, known, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        training.look()
        if len(training.digests) > known:
            return
        if training.process.poll() is not None:
            sys.exit(f"the training has ended: {training.said.read_text(errors='replace')[-3000:]}")
        time.sleep(0.5)
    sys.exit(f"no checkpoint within {seconds} s: {training.said.read_text(errors='replace')[-3000:]}")


def disturb(training, draw, faults):
    """Ends the training in one of four ways; returns which."""
    ranks = training.ranks()
    kind = draw.choice(["a rank killed", "the launcher killed", "SIGUSR1", "SIGTERM"])
    asked = time.monotonic()
    if kind == "a rank killed" and ranks:
        os.kill(draw.choice(ranks), signal.SIGKILL)
    elif kind == "the launcher killed":
        training.process.send_signal(signal.SIGKILL)
    else:
        training.process.send_signal(signal.SIGUSR1 if kind == "SIGUSR1" else signal.SIGTERM)
    try:
        training.process.wait(120)
    except subprocess.TimeoutExpired:
        sys.exit(f"{kind}: the launcher still runs after 120 s")
    while any(program(rank) == training.program for rank in ranks):
        if time.monotonic() - asked > 120:
            faults.append(f"{kind}: ranks still run after 120 s")
            break
        time.sleep(0.2)
    return kind


def windows(samples, count):
    """Medians of parts of equal length of what was looked at."""
    parts = [samples[i * len(samples) // count:(i + 1) * len(samples) // count] for i in range(count)]
    return [[statistics.median(column) for column in zip(*part)] for part in parts if part]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rfm", type=os.path.abspath)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=int, default=200, help="steps from one checkpoint to the next (default %(default)s)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--output", type=pathlib.Path)
    asked = parser.parse_args()
    draw, faults, kinds = random.Random(asked.seed), [], {}
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="rfm-soak.") as folder:
        folder = pathlib.Path(folder)
        subprocess.run([asked.rfm, "synthesize", "--output", f"{folder}/d", "--images-per-class", "60", "--size", "64"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        calm, disturbed = (Training(asked.rfm, folder, name, asked.every) for name in ("calm", "disturbed"))
        end = time.monotonic() + 60 * asked.minutes
        memory, disk = [], []
        try:
            calm.start()
            disturbed.start()
            wait_for_checkpoint(calm, 0, 600)
            wait_for_checkpoint(disturbed, 0, 600)
            while time.monotonic() < end:
                until = min(end, time.monotonic() + draw.uniform(10, 60))
                while time.monotonic() < until:
                    for training in (calm, disturbed):
                        if training.process.poll() is not None:
                            sys.exit(f"a training has ended: {training.said.read_text(errors='replace')[-3000:]}")
                        training.look()
                    looked = [process(rank) for rank in calm.ranks()]
                    if len(looked) == RANKS:  # else a rank was between two programs as the list was made
                        memory.append([sum(column) for column in zip(*looked)])
                    disk.append([*calm.disk(), *disturbed.disk()])
                    time.sleep(2)
                kind = disturb(disturbed, draw, faults)
                kinds[kind] = kinds.get(kind, 0) + 1
                disturbed.look()
                disturbed.start("--resume")
                print(f"{len(memory)} looks, {kinds}, step {max(calm.lines(), default=0)}", flush=True)
                wait_for_checkpoint(disturbed, len(disturbed.digests), 600)
        finally:
            for training in (calm, disturbed):
                if training.process and training.process.poll() is None:
                    training.process.send_signal(signal.SIGUSR1)
                    training.process.wait(120)
        for training in (calm, disturbed):
            training.look()
        first, second = calm.lines(), disturbed.lines()
        steps = sorted(first.keys() & second.keys())
        both = sorted(calm.digests.keys() & disturbed.digests.keys())
        faults += [f"step {step}: {first[step]} and {second[step]}" for step in steps if first[step] != second[step]][:5]
        faults += [f"other weights at {step}" for step in both if calm.digests[step] != disturbed.digests[step]]
        if not steps or not both:
            faults.append("the trainings have no step or no checkpoint in common")
        memory, disk = windows(memory, 6), windows(disk, 6)
        # The first part warms up. libdispatch keeps a thread or two more at times; one that each checkpoint left
        # would be tens.
        for name, parts, column, slack in (
            ("memory", memory, 0, 1.02), ("descriptors", memory, 1, 1), ("threads", memory, 2, 1.25),
            ("disk", disk, 0, 1.02), ("files", disk, 1, 1.1), ("disk of the disturbed", disk, 3, 1.02),
            ("files of the disturbed", disk, 4, 1.1),
        ):
            if parts[-1][column] > slack * parts[1][column]:
                faults.append(f"{name} grew from {parts[1][column]} to {parts[-1][column]}")
    results = {
        "seed": asked.seed, "minutes": asked.minutes, "disturbances": kinds, "steps_compared": len(steps),
        "checkpoints_compared": len(both), "steps_of_the_calm": max(first, default=0),
        "memory_descriptors_threads_by_sixths": memory, "bytes_files_lines_of_both_by_sixths": disk, "faults": faults,
    }
    print(json.dumps(results, indent=1))
    if asked.output:
        asked.output.write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(1 if faults else 0)


main()
