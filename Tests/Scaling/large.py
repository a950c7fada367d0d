#!/usr/bin/env python3
"""Measures jobs on very many images: how soon a training of 10 million begins, what a rank keeps, how soon the next
image is known, how images of thousands of shards are read, and what memory commands take for a million images.

    python3 Tests/Scaling/large.py .build/release/rfm FOLDER --output large.json

Every figure is told with what is asked of it (BOUNDS); at the end come those that are not met, with status 1. Seconds
are of this machine at this moment: run it where nothing else runs. FILE.partial beside --output has what is known so
far, and gets its name when all is measured.

FOLDER takes about 10 GB (many_shards.py makes the shards, most of them with holes for images). A set that is there,
made with the same options, is used again. All that its files hold, holes aside, is read before anything is measured,
so that a set of an earlier run is in the page cache as one that was just written is, where memory suffices: 5 GB for
`reading`. Needs h5py, Pillow for `pack`, and Open MPI for several ranks.
"""
import argparse
import json
import operator
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
SETS = {
    "small": "--shards 4 --images 1000 --side 64",
    "hundred-thousand": "--shards 100 --images 1000 --side 64",
    "million": "--shards 1000 --images 1000 --side 64",
    "ten-million": "--shards 10000 --images 1000 --side 64",
    "five-thousand": "--shards 5000 --images 40 --side 64 --written",
    "one": "--shards 1 --images 200000 --side 64 --written",
}
# What is asked of a figure's values.
BOUNDS = {
    "first step of 10 million images in 10,000 shards, 1 rank": {"seconds": ("at most", 10)},
    "first step of 10 million images in 10,000 shards, 64 ranks": {"seconds": ("at most", 60)},
    "from SIGUSR1 to saved, 1 rank": {"seconds_beyond_a_step": ("at most", 2), "status": ("exactly", 75)},
    "from SIGUSR1 to saved, 64 ranks": {"seconds_beyond_a_step": ("at most", 2), "status": ("exactly", 75)},
    "memory of a rank for 10 million images": {"MB_beyond_that_for_4000": ("at most", 40)},
    "order of 10 million images": {"order_microseconds": ("below", 1)},
    "one shard": {},
    "5,000 shards": {"rate_over_that_of_one": ("at least", 0.9), "reads_per_image": ("at most", 1.05),
                     "opens_per_image": ("at most", 0.01)},
    **{f"{command}, {count:,} images": {"memory_MB": ("below", 400)}
       for command in ("evaluate", "attention", "prototypes", "pack") for count in (100_000, 1_000_000)},
}
HOLDS = {"at most": operator.le, "at least": operator.ge, "below": operator.lt, "exactly": operator.eq}


class Results:
    def __init__(self, output):
        self.output, self.figures, self.missed = output, {}, []
        self.write()

    def tell(self, what, found):
        self.figures[what] = found
        print(f"{what}: {found}", flush=True)
        for value, (sense, bound) in BOUNDS[what].items():
            text = f"{value} {found[value]}, {sense} {bound}"
            met = HOLDS[sense](found[value], bound)
            print(f"    {text}: {'met' if met else 'NOT MET'}", flush=True)
            if not met:
                self.missed.append(f"{what}: {text}")
        self.write()

    def write(self, ended=False):
        if not self.output:
            return
        partial = self.output.with_name(self.output.name + ".partial")
        partial.write_text(json.dumps({"figures": self.figures, "not_met": self.missed}, indent=1) + "\n")
        if ended:
            partial.rename(self.output)


def shards(folder, name):
    """A set, made unless it is there, with what its files hold in the page cache."""
    from many_shards import pieces

    path, options = folder / name, SETS[name]
    mark = path / "complete"
    if not mark.exists() or mark.read_text() != options:
        shutil.rmtree(path, ignore_errors=True)
        subprocess.run([sys.executable, HERE / "many_shards.py", path, *options.split()], check=True)
        mark.write_text(options)
    else:
        for file in path.glob("*.h5"):
            with open(file, "rb") as f:
                for _ in pieces(f):
                    pass
    return path


def mpirun(ranks):
    return [] if ranks == 1 else [
        "mpirun", "-np", str(ranks), "--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1"]


def children(pid):
    """Processes that it has started, and theirs, without those that vanish meanwhile."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    found = []
    for thread in threads:
        try:
            text = pathlib.Path(f"/proc/{pid}/task/{thread}/children").read_text()
        except OSError:
            continue
        for child in map(int, text.split()):
            found += [child, *children(child)]
    return found


def program(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return None


def peak(pid):
    """The peak of resident memory in bytes, and what it shares at present; None where it has gone."""
    try:
        status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        return 1024 * int(status["VmHWM"].split()[0]), 1024 * int(status["RssShmem"].split()[0])
    except (OSError, KeyError):
        return None


def train_command(rfm, data, folder, name, settings):
    settings = {
        "data.train": f"{data}/*.h5", "data.validation": "[]", "model.name": "xception-tiny",
        "training.batch_per_rank": 2, "evaluation.every_steps": 0, "run.directory": folder, "run.name": name,
        **settings,
    }
    command = [rfm, "train", "--config", str(HERE.parent.parent / "configs/smoke.yaml")]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    return command


class Training:
    """One that goes on until the block ends."""

    def __init__(self, rfm, ranks, data, work):
        self.program, self.ranks = os.path.basename(os.path.realpath(rfm)), ranks
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=work))
        self.command = mpirun(ranks) + train_command(rfm, data, self.folder, "run", {
            "data.crop": 64, "training.steps": 1000, "training.threads": 1, "checkpoint.every_steps": 1_000_000})

    def __enter__(self):
        self.began = time.monotonic()
        with open(self.folder / "said", "wb") as said:
            self.process = subprocess.Popen(self.command, env=ENVIRONMENT, stdout=said, stderr=said)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(120)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def steps(self):
        """The lines that tell of steps; the last may be in the middle of being written."""
        try:
            text = (self.folder / "run/metrics.jsonl").read_text()
        except OSError:
            return []
        return [line for line in text.splitlines() if '"loss"' in line]

    def wait(self, what, holds, seconds=600):
        """Waits until something holds, and gives up if the training ends before."""
        until = time.monotonic() + seconds
        while not holds():
            ended = self.process.poll() is not None
            if (ended and not holds()) or time.monotonic() > until:
                why = f"ended with {self.process.returncode} before" if ended else f"took more than {seconds} s for"
                sys.exit(f"the training {why} {what}: {(self.folder / 'said').read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def wait_for_steps(self, count):
        self.wait(f"step {count}", lambda: len(self.steps()) >= count)

    def memory(self):
        """Of the rank that has taken most."""
        pids = [p for p in [self.process.pid, *children(self.process.pid)] if program(p) == self.program]
        peaks = [found for found in map(peak, pids) if found]
        if len(peaks) < self.ranks:
            sys.exit(f"of {self.ranks} processes named {self.program} there are {len(peaks)}")
        return max(peaks)


def first_step(rfm, ranks, data, work):
    """Seconds to the first step's line, and a rank's memory when two more steps have asked for all that they need."""
    with Training(rfm, ranks, data, work) as training:
        training.wait_for_steps(1)
        seconds = time.monotonic() - training.began
        training.wait_for_steps(3)
        memory, shared = training.memory()
    return {"seconds": round(seconds, 2), "memory_MB": round(memory / 1e6, 1),
            "of_it_shared_MB": round(shared / 1e6, 1)}


def stop(rfm, ranks, data, work):
    """How soon a request to stop has saved, and ended the training."""
    with Training(rfm, ranks, data, work) as training:
        training.wait_for_steps(5)
        asked = time.monotonic()
        training.process.send_signal(signal.SIGUSR1)
        training.wait("its checkpoint", (training.folder / "run/checkpoints/latest").exists)
        saved = time.monotonic() - asked
        training.wait("its end", lambda: training.process.poll() is not None)
        ended = time.monotonic() - asked
    rates = sorted(json.loads(line)["images_per_second"] for line in training.steps())
    step = 2 * ranks / rates[len(rates) // 2]
    return {"saved_after_seconds": round(saved, 2), "ended_after_seconds": round(ended, 2),
            "step_seconds": round(step, 2), "seconds_beyond_a_step": round(saved - step, 2),
            "status": training.process.returncode}


def command_memory(command):
    """Runs it; seconds, and the peak of the largest process."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            said.seek(0)
            sys.exit(f"{command}: {said.read().decode(errors='replace')[-2000:]}")
    return {"seconds": round(time.monotonic() - began, 1), "memory_MB": round(usage.ru_maxrss * 1024 / 1e6, 1)}


def loading(rfm, data, images):
    return json.loads(subprocess.run(
        [rfm, "benchmark", "--loading", f"{data}/*.h5", "--crop", "64", "--batch", "32", "--images", str(images),
         "--json"], check=True, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True).stdout)


def ranks_text(ranks):
    return "1 rank" if ranks == 1 else f"{ranks} ranks"


def start(rfm, folder, work, results):
    data = shards(folder, "ten-million")
    for ranks in (1, 64):
        results.tell(f"first step of 10 million images in 10,000 shards, {ranks_text(ranks)}",
                     first_step(rfm, ranks, data, work))


def stopping(rfm, folder, work, results):
    data = shards(folder, "small")
    for ranks in (1, 64):
        results.tell(f"from SIGUSR1 to saved, {ranks_text(ranks)}", stop(rfm, ranks, data, work))


def memory(rfm, folder, work, results):
    few, many = (first_step(rfm, 1, shards(folder, name), work)["memory_MB"] for name in ("small", "ten-million"))
    results.tell("memory of a rank for 10 million images",
                 {"memory_MB": many, "MB_beyond_that_for_4000": round(many - few, 1)})


def order(rfm, folder, work, results):
    # The order is that of all images, however few are loaded.
    results.tell("order of 10 million images", loading(rfm, shards(folder, "ten-million"), 1000))


def reading(rfm, folder, work, results):
    sets = {name: shards(folder, name) for name in ("five-thousand", "one")}
    found = {name: [] for name in sets}
    for _ in range(3):
        for name, data in sets.items():
            found[name].append(loading(rfm, data, 200_000))
    many, one = (sorted(runs, key=lambda r: r["images_per_second"])[1] for runs in found.values())
    results.tell("one shard", one)
    rate = many["images_per_second"] / one["images_per_second"]
    results.tell("5,000 shards", {**many, "rate_over_that_of_one": round(rate, 3)})


def million(rfm, folder, work, results):
    sets = {100_000: shards(folder, "hundred-thousand"), 1_000_000: shards(folder, "million")}
    # A detector that has little to do: it is the lists of images that are looked at here.
    command = train_command(rfm, sets[100_000], work, "detector", {
        "data.crop": 32, "model.truncate": "block1", "training.steps": 1})
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    for count, data in sets.items():
        for name, options in (
            ("evaluate", ["--output", f"{work}/evaluation"]),
            ("attention", ["--output", f"{work}/maps.h5"]),
            # 40,000 maps of a method, half of which calibrate, are minutes; all images are gone through for them.
            ("prototypes", ["--output", f"{work}/prototypes.h5", "--images-per-method", "20000"]),
        ):
            results.tell(f"{name}, {count:,} images", command_memory(
                [rfm, name, "--checkpoint", f"{work}/detector/checkpoints/latest", "--data", f"{data}/*.h5", *options]))


def pack(rfm, folder, work, results):
    from PIL import Image
    import numpy as np

    draw = np.random.default_rng(1)
    for count in (100_000, 1_000_000):
        tree = folder / f"pictures-{count}"
        if not (tree / "complete").exists():
            shutil.rmtree(tree, ignore_errors=True)
            templates = []
            (tree / "templates").mkdir(parents=True)
            for number in range(50):
                path = tree / "templates" / f"{number}.png"
                Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
                templates.append(path)
            for number in range(count):
                place = tree / "in" / ("real" if number % 2 else "fake/swap") / f"video-{number // 100:05}"
                if number % 100 < 2:
                    place.mkdir(parents=True, exist_ok=True)
                os.link(templates[number % 50], place / f"{number:07}.png")
            (tree / "complete").touch()
        out = work / f"packed-{count}"
        results.tell(f"pack, {count:,} images", command_memory(
            [rfm, "pack", "--input", f"{tree}/in", "--output", str(out), "--size", "32"]))
        shutil.rmtree(out)


PARTS = {"start": start, "stopping": stopping, "memory": memory, "order": order, "reading": reading,
         "million": million, "pack": pack}


def parts(text):
    for name in text.split(","):
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"'{name}' is none of {', '.join(PARTS)}")
    return text.split(",")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rfm", type=os.path.abspath)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--only", type=parts, default=",".join(PARTS), metavar="PART[,PART...]",
                        help="what to measure of %(default)s (default: all)")
    parser.add_argument("--output", type=pathlib.Path, metavar="FILE")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    results = Results(asked.output)
    with tempfile.TemporaryDirectory(prefix="rfm-large.", dir=asked.folder) as work:
        for part in asked.only:
            PARTS[part](asked.rfm, asked.folder, pathlib.Path(work), results)
    results.write(ended=True)
    print("\n".join(["not met:", *results.missed]) if results.missed else "all that is asked for is met")
    sys.exit(1 if results.missed else 0)


if __name__ == "__main__":
    main()
