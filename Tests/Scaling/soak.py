#!/usr/bin/env python3
"""Trains for an hour on small data, kills, stops and restarts the training all the while, and looks for growth.

    python3 Tests/Scaling/soak.py .build/release/rfm --minutes 60 --output soak.json

Two trainings with the same settings run beside each other, of two ranks each: one that nobody disturbs, and one of
which again and again a rank or the launcher is killed, or which is asked to stop, and which is then resumed. Both
must tell every step from the first to their last once, the disturbed one's figures must be the undisturbed one's to
the last digit, and so must weights and moments of the checkpoints that both have written; one that is written again
must be the same. A training that was asked to stop by SIGUSR1 must have ended with 75 and a checkpoint of its last
step; an mpirun that gets SIGTERM leaves its ranks a second, so that is as a kill. Of the undisturbed one's ranks
memory, descriptors and threads are looked at every few seconds, of both runs the disk, and what is left in /dev/shm
and of Open MPI's folders in TMPDIR: metrics and event files grow by a line a step, the rest must not grow. Status 1
where something differs or has grown. What other jobs of Open MPI leave meanwhile counts too: run none. --seed repeats
the draws. Needs Open MPI.
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

from large import ENVIRONMENT, HERE, children, mpirun, program

RANKS = 2


class Training:
    def __init__(self, rfm, folder, name, every):
        self.run, self.said = folder / name, folder / f"{name}.said"
        self.program = os.path.basename(os.path.realpath(rfm))
        settings = {
            "data.train": f"{folder}/d/train-*.h5", "data.validation": f"{folder}/d/validation-*.h5",
            "training.steps": 10_000_000, "training.threads": 1, "training.schedule.name": "constant",
            "checkpoint.every_steps": every, "evaluation.every_steps": every, "run.directory": folder, "run.name": name,
        }
        self.command = mpirun(RANKS) + [rfm, "train", "--config", str(HERE.parent.parent / "configs/smoke.yaml")]
        for key, value in settings.items():
            self.command += ["--set", f"{key}={value}"]
        self.process, self.saved, self.digests, self.rewritten = None, set(), {}, []

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

    def gaps(self):
        """Steps that are not told, or whose loss is told more than once."""
        found = self.lines()
        wrong = [step for step in range(1, max(found, default=0) + 1)
                 if sum("loss" in line for line in found.get(step, [])) != 1]
        return [f"{self.run.name} tells {len(wrong)} steps never or twice, the first is {wrong[0]}"] if wrong else []

    def look(self):
        """Notes the digests of checkpoints that are complete."""
        for path in self.run.glob("checkpoints/step-*/state.json"):
            step = path.parent.name
            try:
                state = json.loads(path.read_text())
                files = [state["files"][name] for name in ("model.safetensors", "optimizer.safetensors")]
            except (OSError, ValueError, KeyError):
                continue  # going, or being written
            self.saved.add(step)
            # What was saved on a request is completed by a calibration, which the file of the weights tells too.
            if state["details"].get("work_pending"):
                continue
            if self.digests.setdefault(step, files) != files and step not in self.rewritten:
                self.rewritten.append(step)

    def last_step(self):
        """Of the figures that are whole."""
        return max(self.lines(), default=0)

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


def usage(pid):
    """Resident memory, descriptors and threads; None where it has gone."""
    try:
        status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        return 1024 * int(status["VmRSS"].split()[0]), len(os.listdir(f"/proc/{pid}/fd")), int(status["Threads"])
    except (OSError, KeyError):
        return None


def left_behind():
    """Files in shared memory, and Open MPI's folders of jobs."""
    places = [pathlib.Path("/dev/shm").glob("*")]
    places += [pathlib.Path(tempfile.gettempdir()).glob(name) for name in ("ompi.*/*", "prte.*", "pmix-*")]
    return {path for place in places for path in place}


def wait_for_checkpoint(training, others, known, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for each in (training, *others):
            each.look()
        if len(training.saved) > known:
            return
        if training.process.poll() is not None:
            sys.exit(f"the training has ended: {training.said.read_text(errors='replace')[-3000:]}")
        time.sleep(0.5)
    sys.exit(f"no checkpoint within {seconds} s: {training.said.read_text(errors='replace')[-3000:]}")


def disturb(training, draw, faults):
    """Ends the training in one of four ways; returns which."""
    kind = draw.choice(["a rank killed", "the launcher killed", "SIGUSR1", "SIGTERM"])
    ranks = training.ranks()
    while len(ranks) < RANKS:  # one was between two programs as the list was made
        if training.process.poll() is not None:
            sys.exit(f"the training has ended: {training.said.read_text(errors='replace')[-3000:]}")
        time.sleep(0.1)
        ranks = training.ranks()
    asked = time.monotonic()
    if kind == "a rank killed":
        os.kill(draw.choice(ranks), signal.SIGKILL)
    elif kind == "the launcher killed":
        training.process.send_signal(signal.SIGKILL)
    else:
        training.process.send_signal(signal.SIGUSR1 if kind == "SIGUSR1" else signal.SIGTERM)
    try:
        status = training.process.wait(120)
    except subprocess.TimeoutExpired:
        sys.exit(f"{kind}: the launcher still runs after 120 s")
    if kind == "SIGUSR1":
        training.look()
        step = training.last_step()
        is_saved = f"step-{step:08}" in training.saved
        if status != 75 or not is_saved:
            faults.append(f"{kind}: status {status}, step {step} {'was' if is_saved else 'was not'} saved")
    while any(program(rank) == training.program for rank in ranks):
        if time.monotonic() - asked > 120:
            faults.append(f"{kind}: ranks still run after 120 s")
            break
        time.sleep(0.2)
    return kind


def windows(samples, count):
    """Medians of parts of equal length of what was looked at; none of too few."""
    if len(samples) < count:
        return []
    parts = [samples[i * len(samples) // count:(i + 1) * len(samples) // count] for i in range(count)]
    return [[statistics.median(column) for column in zip(*part)] for part in parts]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rfm", type=os.path.abspath)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=int, default=200, help="steps between checkpoints (default %(default)s)")
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
        before = left_behind()
        memory, disk = [], []
        try:
            calm.start()
            disturbed.start()
            wait_for_checkpoint(calm, [disturbed], 0, 600)
            wait_for_checkpoint(disturbed, [calm], 0, 600)
            began, first_step = time.monotonic(), disturbed.last_step()
            while time.monotonic() < end:
                until = min(end, time.monotonic() + draw.uniform(10, 60))
                while time.monotonic() < until:
                    for training in (calm, disturbed):
                        if training.process.poll() is not None:
                            sys.exit(f"a training has ended: {training.said.read_text(errors='replace')[-3000:]}")
                        training.look()
                    looked = [usage(rank) for rank in calm.ranks()]
                    if len(looked) == RANKS and None not in looked:
                        memory.append([sum(column) for column in zip(*looked)])
                    disk.append([*calm.disk(), *disturbed.disk()])
                    time.sleep(2)
                kind = disturb(disturbed, draw, faults)
                kinds[kind] = kinds.get(kind, 0) + 1
                disturbed.look()
                disturbed.start("--resume")
                print(f"{len(memory)} looks, {kinds}, step {calm.last_step()}", flush=True)
                wait_for_checkpoint(disturbed, [calm], len(disturbed.saved), 600)
            pace = asked.every * (time.monotonic() - began) / max(1, disturbed.last_step() - first_step)
        finally:
            for training in (calm, disturbed):
                if training.process and training.process.poll() is None:
                    training.process.send_signal(signal.SIGUSR1)
                    try:
                        training.process.wait(120)
                    except subprocess.TimeoutExpired:
                        faults.append(f"{training.run.name}: the launcher still runs after 120 s")
                        training.process.kill()
        for training in (calm, disturbed):
            training.look()
        first, second = calm.lines(), disturbed.lines()
        steps = sorted(first.keys() & second.keys())
        both = sorted(calm.digests.keys() & disturbed.digests.keys())
        faults += [f"step {step}: {first[step]} and {second[step]}"
                   for step in steps if first[step] != second[step]][:5]
        faults += [f"other weights or moments at {step}"
                   for step in both if calm.digests[step] != disturbed.digests[step]]
        # A launcher that is killed can't tidy up: it leaves its folder, and its ranks a file each.
        left, allowed = left_behind() - before, (1 + RANKS) * kinds.get("the launcher killed", 0)
        if len(left) > allowed:
            faults.append(f"{len(left)} files and folders are left behind, {allowed} may be: "
                          f"{sorted(map(str, left))[:3]}")
        for training in (calm, disturbed):
            faults += training.gaps()
            faults += [f"{training.run.name}: {step} was written again, otherwise" for step in training.rewritten]
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
            if not parts:
                faults.append(f"{name}: too few looks to see growth, take more minutes")
            elif parts[-1][column] > slack * parts[1][column]:
                faults.append(f"{name} grew from {parts[1][column]} to {parts[-1][column]}")
    results = {
        "seed": asked.seed, "minutes": asked.minutes, "disturbances": kinds, "steps_compared": len(steps),
        "checkpoints_compared": len(both), "steps_of_the_calm": max(first, default=0),
        "seconds_from_checkpoint_to_checkpoint_of_the_disturbed": round(pace, 1),
        "memory_descriptors_threads_by_sixths": memory, "bytes_files_lines_of_both_by_sixths": disk, "faults": faults,
    }
    print(json.dumps(results, indent=1))
    if asked.output:
        asked.output.write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(1 if faults else 0)


main()
