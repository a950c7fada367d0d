#!/usr/bin/env python3
"""Measures jobs on very many images: how soon a training of 10 million begins, what a rank keeps, how images of
thousands of shards are read, and what memory commands take for a million images.

    python3 Tests/Scaling/large.py .build/release/rfm FOLDER --output large.json

FOLDER takes about 10 GB (many_shards.py makes the shards, most of them with holes for images); what is there is used
again. --only start,stopping,memory,reading,million,pack measures a part. Everything is in the page cache, since it was just written:
files that are there from an earlier run are read once before. Needs h5py, and Open MPI for several ranks.
"""
import argparse
import json
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


def tell(results, what, found):
    results[what] = found
    print(f"{what}: {found}", flush=True)


def shards(folder, name, *options):
    path = folder / name
    if not (path / "complete").exists():
        shutil.rmtree(path, ignore_errors=True)
        subprocess.run([sys.executable, HERE / "many_shards.py", path, *options], check=True)
        (path / "complete").touch()
    else:
        for file in path.glob("*.h5"):
            with open(file, "rb") as f:
                f.read(1 << 20)
    return path


def mpirun(ranks):
    return [] if ranks == 1 else [
        "mpirun", "-np", str(ranks), "--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1"]


def peak(pids):
    """The largest peak of resident memory of these processes, in bytes, and of it what they share."""
    most = (0, 0)
    for pid in pids:
        try:
            status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        except OSError:
            continue
        most = max(most, (1024 * int(status["VmHWM"].split()[0]), 1024 * int(status["RssShmem"].split()[0])))
    return most


def children(pid):
    found = []
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *children(child)]
    return found


def training(rfm, ranks, data, work, stops=False):
    """Seconds to the first step's line, and a rank's memory then; or how soon a request to stop had saved."""
    run = pathlib.Path(tempfile.mkdtemp(dir=work))
    command = mpirun(ranks) + [
        rfm, "train", "--config", str(HERE.parent.parent / "configs/smoke.yaml"), "--set", f"data.train={data}/*.h5", "--set", "data.validation=[]", "--set", "data.crop=64", "--set", "model.name=xception-tiny",
        "--set", "training.steps=1000", "--set", "training.batch_per_rank=2", "--set", "training.threads=1",
        "--set", "evaluation.every_steps=0", "--set", "checkpoint.every_steps=1000000",
        "--set", f"run.directory={run}", "--set", "run.name=run"]
    began = time.monotonic()
    with open(run / "said", "wb") as said:
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=said, stderr=said)
        lines = run / "run" / "metrics.jsonl"
        while process.poll() is None and not (lines.exists() and '"loss"' in lines.read_text()):
            time.sleep(0.05)
        seconds = time.monotonic() - began
        if process.poll() is not None:
            sys.exit((run / "said").read_text()[-2000:])
        if stops:
            return stop(process, lines)
        # Two more steps have everything in memory that a training needs.
        time.sleep(2)
        ours = [p for p in [process.pid, *children(process.pid)]
                if pathlib.Path(f"/proc/{p}/exe").resolve().name == "rfm"]
        memory, shared = peak(ours)
        process.terminate()
        process.wait()
    return {"seconds": round(seconds, 2), "memory_MB": round(memory / 1e6, 1), "of_it_shared_MB": round(shared / 1e6, 1)}


def stop(process, lines):
    while len(lines.read_text().splitlines()) < 5:
        time.sleep(0.1)
    asked = time.monotonic()
    process.send_signal(signal.SIGUSR1)
    while not (lines.parent / "checkpoints" / "latest").exists() and process.poll() is None:
        time.sleep(0.02)
    saved = time.monotonic() - asked
    status = process.wait()
    steps = [json.loads(line) for line in lines.read_text().splitlines() if '"loss"' in line]
    rates = sorted(step["images_per_second"] for step in steps)
    return {"saved_after_seconds": round(saved, 2), "ended_after_seconds": round(time.monotonic() - asked, 2),
            "status": status, "images_per_second": round(rates[len(rates) // 2], 1)}


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


def start(rfm, folder, work, results):
    data = shards(folder, "ten-million", "--shards", "10000", "--images", "1000", "--side", "64")
    for ranks in (1, 64):
        tell(results, f"first step of 10 million images in 10,000 shards, {ranks} ranks", training(rfm, ranks, data, work))


def stopping(rfm, folder, work, results):
    data = shards(folder, "small", "--shards", "4", "--images", "1000", "--side", "64")
    for ranks in (1, 64):
        found = training(rfm, ranks, data, work, stops=True)
        found["step_seconds"] = round(2 * ranks / found.pop("images_per_second"), 2)
        tell(results, f"from SIGUSR1 to saved, {ranks} ranks", found)


def memory(rfm, folder, work, results):
    small = shards(folder, "small", "--shards", "4", "--images", "1000", "--side", "64")
    data = shards(folder, "ten-million", "--shards", "10000", "--images", "1000", "--side", "64")
    few, many = training(rfm, 1, small, work), training(rfm, 1, data, work)
    tell(results, "memory of a rank for 10 million images beyond that for 4,000, MB",
         round(many["memory_MB"] - few["memory_MB"], 1))


def reading(rfm, folder, work, results):
    many = shards(folder, "five-thousand", "--shards", "5000", "--images", "40", "--side", "64", "--written")
    one = shards(folder, "one", "--shards", "1", "--images", "200000", "--side", "64", "--written")
    found = {}
    for _ in range(3):
        for name, data in (("5,000 shards", many), ("one shard", one)):
            found.setdefault(name, []).append(json.loads(subprocess.run(
                [rfm, "benchmark", "--loading", f"{data}/*.h5", "--crop", "64", "--batch", "32", "--images", "200000", "--json"],
                check=True, capture_output=True, env=ENVIRONMENT, text=True).stdout))
    for name, runs in found.items():
        tell(results, name, sorted(runs, key=lambda r: r["images_per_second"])[1])


def million(rfm, folder, work, results):
    sets = {
        "100,000": shards(folder, "hundred-thousand", "--shards", "100", "--images", "1000", "--side", "64"),
        "1,000,000": shards(folder, "million", "--shards", "1000", "--images", "1000", "--side", "64"),
    }
    run = work / "detector"
    # A detector that has little to do: it is the lists of images that are looked at here.
    if not run.exists():
        subprocess.run([rfm, "train", "--config", str(HERE.parent.parent / "configs/smoke.yaml"), "--set", f"data.train={sets['100,000']}/*.h5", "--set", "data.validation=[]", "--set", "data.crop=32",
                        "--set", "model.name=xception-tiny", "--set", "model.truncate=block1", "--set", "training.steps=1", "--set", "training.batch_per_rank=2",
                        "--set", "evaluation.every_steps=0", "--set", f"run.directory={work}", "--set", "run.name=detector"],
                       check=True, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    detector = ["--checkpoint", f"{run}/checkpoints/latest"]
    for count, data in sets.items():
        for name, options in (
            ("evaluate", ["--output", f"{work}/evaluation"]),
            ("attention", ["--output", f"{work}/maps.h5"]),
            ("prototypes", ["--output", f"{work}/prototypes.h5", "--images-per-method", "1000"]),
        ):
            tell(results, f"{name}, {count} images",
                 command_memory([rfm, name, *detector, "--data", f"{data}/*.h5", *options]))


def pack(rfm, folder, work, results):
    from PIL import Image
    import numpy as np

    draw = np.random.default_rng(1)
    for count in (100_000, 1_000_000):
        tree = folder / f"pictures-{count}"
        if not (tree / "complete").exists():
            templates = []
            (tree / "templates").mkdir(parents=True, exist_ok=True)
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
        shutil.rmtree(out, ignore_errors=True)
        tell(results, f"pack, {count:,} images", command_memory(
            [rfm, "pack", "--input", f"{tree}/in", "--output", str(out), "--size", "32"]))
        shutil.rmtree(out, ignore_errors=True)


PARTS = {"start": start, "stopping": stopping, "memory": memory, "reading": reading, "million": million, "pack": pack}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rfm")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--output", type=pathlib.Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    results = {}
    with tempfile.TemporaryDirectory(prefix="rfm-large.", dir=asked.folder) as work:
        for part in asked.only.split(","):
            PARTS[part](os.path.abspath(asked.rfm), asked.folder, pathlib.Path(work), results)
    if asked.output:
        asked.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
