#!/usr/bin/env python3
"""How long updates wait for images that are augmented in every way that there is, all of them on every image: of the
quickstart's training on two ranks, and of Xception at 224, the share of the time that `data_seconds` of metrics.jsonl
makes up.

    python3 Tests/Studies/waits.py .build/release/rfm FOLDER --output Tests/Studies/results/waits.json

FOLDER takes the faces and the runs. With --self-blended half of the fakes are made of real faces besides. The first
updates, while everything is met for the first time, are left out. Needs Open MPI, and a machine with nothing else to
do. Status 1 where a share is 1 % or more.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                   OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
# What is trained: ranks, images of a rank, the size of faces, updates and those of them that are left out, settings.
CASES = {
    "quickstart, 2 ranks": (2, 16, 72, 600, 100, ["training.threads=1"]),
    "xception at 224": (1, 8, 256, 25, 5, [
        "training.threads=2", "model.name=xception", "data.crop=224", "augmentation.max_height=120",
        "augmentation.max_width=120"]),
}


def augmentations():
    """The settings that switch everything on, by the page of all settings."""
    page = (ROOT / "Sources/Configuration/Configuration.docc/Settings.md").read_text()
    sections = re.split(r"^## ", page, flags=re.MULTILINE)
    names = [s.split("\n")[0] for s in sections if s.startswith("augmentation.") and "| `probability` |" in s]
    return [f"{name}.probability=1" for name in names]


def run(*command):
    done = subprocess.run([*map(str, command)], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr[-2000:]}")


def measure(rfm, folder, name, switched):
    ranks, images, size, steps, skipped, settings = CASES[name]
    data = folder / f"faces-{size}"
    if not (data / "complete").exists():
        run(rfm, "synthesize", "--output", data, "--overwrite", "--images-per-class", "400", "--size", size)
        (data / "complete").touch()
    shutil.rmtree(folder / "run", ignore_errors=True)
    settings = [
        f"data.train={data}/train-*.h5", "data.validation=[]", f"run.directory={folder}", "run.name=run",
        f"training.steps={steps}", f"training.batch_per_rank={images}", "evaluation.every_steps=0",
        "checkpoint.every_steps=1000000", "run.report=false", "prototypes.images_per_method=0", *settings, *switched]
    run("mpirun", "-np", ranks, "--oversubscribe", "--bind-to", "none", rfm, "train", "--config",
        "configs/quickstart.yaml", *(word for setting in settings for word in ("--set", setting)))
    lines = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    lines = [line for line in lines if "data_seconds" in line][skipped:]
    if len(lines) != steps - skipped:
        sys.exit(f"{name}: {len(lines)} updates were told, {steps - skipped} expected")
    batch = ranks * images
    seconds = sum(batch / line["images_per_second"] for line in lines)
    waits = sum(line["data_seconds"] for line in lines)
    return {"updates": len(lines), "images_per_second": round(batch * len(lines) / seconds, 2),
            "share_of_waits": round(waits / seconds, 5)}


def processor():
    found = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rfm", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--self-blended", action="store_true")
    parser.add_argument("--output", type=pathlib.Path)
    asked = parser.parse_args()
    rfm, folder = asked.rfm.resolve(), asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    switched = augmentations() + (["data.self_blended=0.5"] if asked.self_blended else [])
    results = {"processor": processor(), "cores": os.cpu_count(), "settings": switched, "cases": {}}
    for name in CASES:
        results["cases"][name] = {
            "as configured": measure(rfm, folder, name, []), "everything on": measure(rfm, folder, name, switched)}
        print(f"{name}: {results['cases'][name]}", flush=True)
    if asked.output:
        asked.output.parent.mkdir(parents=True, exist_ok=True)
        asked.output.write_text(json.dumps(results, indent=1) + "\n")
    shares = [case["everything on"]["share_of_waits"] for case in results["cases"].values()]
    sys.exit(1 if max(shares) >= 0.01 else 0)


main()
