#!/usr/bin/env python3
"""Trains a detector in each of several ways, with several seeds each, tests all alike, and tells the differences:
what `rfm compare` does for methods of erasing, for any settings.

    python3 Tests/Studies/study.py Tests/Studies/erasing-schedule.json .build/release/rfm FOLDER --jobs 2 \\
      --output Tests/Studies/results/erasing-schedule.json
    python3 Tests/Studies/study.py Tests/Studies/erasing-schedule.json --table Tests/Studies/results/erasing-schedule.json

A study says how its faces are made ("data", options of `rfm synthesize`), what all trainings have in common
("config", "set") and in what they differ ("cells": settings by name; the first is what others are measured against,
and "against" names other pairs; with "average" true, the moving average of the weights is tested). "degrade" tests on
degraded images as well, `rfm evaluate --degrade`. FOLDER takes data and runs; what is finished there is not done
again, so a study may be interrupted.
The output holds the figures that the study names, of every training, and a digest of what made them; the table is
made of it alone: means over seeds, and differences paired by seed, with their 95 % intervals (Student's). Trainings of
one seed begin from the same weights and see the same images in the same order. Needs SciPy for the table.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Failed(Exception):
    pass


def run(rfm, *arguments):
    done = subprocess.run([rfm, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, errors="replace",
                          env=dict(os.environ, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1"))
    if done.returncode != 0:
        raise Failed(f"rfm {' '.join(map(str, arguments))}: {done.stderr[-2000:]}")


def settings_of(cell):
    return cell["set"] if isinstance(cell, dict) else cell


def is_average(cell):
    return isinstance(cell, dict) and cell.get("average", False)


def digest(*what):
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def foundation(study):
    """What decides the figures of every cell; remarks in the configuration may change."""
    config = [line for line in (ROOT / study["config"]).read_text().splitlines() if line.split("#")[0].strip()]
    return [config, study["data"], study["set"], study.get("degrade"), study.get("attributes")]


def digest_of(study):
    return digest(foundation(study), study["seeds"], study["cells"])


def make_data(rfm, study, folder):
    data = folder / "data"
    mark, said = data / "complete", json.dumps(study["data"])
    if not mark.exists():
        run(rfm, "synthesize", "--output", data, "--overwrite", *study["data"])
        mark.write_text(said)
    if mark.read_text() != said:
        raise Failed(f"{data} was made with other options, {mark.read_text()}: name another folder")
    return data


def train(rfm, study, folder, data, cell, seed, threads):
    """The figures of one training on test images."""
    name = f"{cell}-{seed}"
    place = folder / "figures" / f"{name}.json"
    # Figures and runs of other settings are none of this study's.
    averages = is_average(study["cells"][cell])
    said = digest(foundation(study), study["cells"][cell], seed)
    run_name = f"{name}-{said[:12]}"
    settings = [
        f"data.train={data}/train-*.h5", f"data.validation={data}/validation-*.h5", f"run.seed={seed}",
        f"run.directory={folder}/runs", f"run.name={run_name}", f"training.threads={threads}", "run.report=false",
        *study["set"], *settings_of(study["cells"][cell])]
    if place.exists() and json.loads(place.read_text())["settings"] == said:
        return json.loads(place.read_text())
    options = [word for setting in settings for word in ("--set", setting)]
    run_folder = folder / "runs" / run_name
    run(rfm, "train", "--config", ROOT / study["config"], *options, "--resume")
    out = folder / "tests" / name
    detector = ["--checkpoint", run_folder / "checkpoints/latest" / ("average.safetensors" if averages else "")]
    test = ["evaluate", *detector, "--data", f"{data}/test-*.h5", "--threads", threads]
    run(rfm, *test, "--output", out, "--localisation")
    figures = {"settings": said, "cell": cell, "seed": seed, "metrics": json.loads((out / "metrics.json").read_text())}
    figures["images"] = sum(figures["metrics"][kind] for kind in ("real", "fake"))
    if "degrade" in study:
        degrade = [word for kind in study["degrade"] for word in ("--degrade", kind)]
        run(rfm, *test, "--output", out / "degraded", *degrade)
        figures["degraded"] = json.loads((out / "degraded/metrics.json").read_text())
    if study.get("attributes"):
        run(rfm, "prototypes", *detector, "--data", f"{data}/validation-*.h5", "--output", out / "prototypes.h5",
            "--threads", threads)
        run(rfm, "attribute", *detector, "--data", f"{data}/test-*.h5", "--prototypes", out / "prototypes.h5",
            "--output", out / "attribution", "--threads", threads)
        figures["attribution"] = json.loads((out / "attribution/attribution.json").read_text())
    place.parent.mkdir(exist_ok=True)
    beside = place.with_suffix(".partial")
    beside.write_text(json.dumps(figures))
    beside.rename(place)
    print(f"{name}: {picked(study, figures)}", flush=True)
    return figures


def value(figures, path):
    for key in path.split("/"):
        figures = (figures or {}).get(key)
    return figures


def picked(study, figures):
    """The figures of one training that the study asks for, by their names."""
    found = {name: value(figures, path) for name, path in study["figures"].items()}
    if None in found.values():
        raise Failed(f"{figures['cell']}-{figures['seed']} has no {[name for name in found if found[name] is None]}")
    return {name: round(value, 5) for name, value in found.items()}


def difference(of, name, cell, other, seeds):
    """Of two cells, paired by seed: mean, 95 % interval, and how often it is above 0."""
    from scipy.stats import t

    differences = [of[cell, seed][name] - of[other, seed][name] for seed in seeds]
    mean, spread = statistics.mean(differences), statistics.stdev(differences)
    half = t.ppf(0.975, len(seeds) - 1) * spread / len(seeds) ** 0.5
    higher = sum(d > 0 for d in differences)
    return f"{mean:+.4f} | {mean - half:+.4f} … {mean + half:+.4f} | {higher} of {len(seeds)} |"


def table(study, rows):
    cells = list(study["cells"])
    seeds = sorted({row["seed"] for row in rows})
    of = {(row["cell"], row["seed"]): row["figures"] for row in rows}
    if len(seeds) < 2:
        raise Failed("one seed makes no table: nothing tells how far others would be from it")
    lines = []
    for name in study["figures"]:
        lines += [f"**{name}**", "", f"| | mean | sd | less {cells[0]} | 95 % | higher at |", "| --- " * 6 + "|"]
        for cell in cells:
            values = [of[cell, seed][name] for seed in seeds]
            line = f"| {cell} | {statistics.mean(values):.4f} | {statistics.stdev(values):.4f} | "
            lines.append(line + ("| | |" if cell == cells[0] else difference(of, name, cell, cells[0], seeds)))
        pairs = study.get("against", {})
        if pairs:
            lines += ["", "| | difference | 95 % | higher at |", "| --- " * 4 + "|"]
            lines += [f"| {cell} less {other} | {difference(of, name, cell, other, seeds)}"
                      for cell, other in pairs.items()]
        lines.append("")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=pathlib.Path)
    parser.add_argument("rfm", nargs="?", type=pathlib.Path)
    parser.add_argument("folder", nargs="?", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads of each")
    parser.add_argument("--output", type=pathlib.Path, help="receives the figures")
    parser.add_argument("--table", type=pathlib.Path, help="prints the table of these figures")
    asked = parser.parse_args()
    study = json.loads(asked.study.read_text())
    if asked.table:
        results = json.loads(asked.table.read_text())
        if results["digest"] != digest_of(study):
            raise Failed(f"{asked.table} was made by another {asked.study} or {study['config']}")
        print(table(study, results["trainings"]))
        return
    if not asked.rfm or not asked.folder:
        parser.error("rfm and FOLDER are needed")
    rfm, folder = asked.rfm.resolve(), asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    data = make_data(rfm, study, folder)
    with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
        # Seed by seed, so that what an interrupted study has is complete for some.
        works = [pool.submit(train, rfm, study, folder, data, cell, seed, asked.threads)
                 for seed in study["seeds"] for cell in study["cells"]]
        try:
            for work in concurrent.futures.as_completed(works):
                work.result()
        except Failed:
            pool.shutdown(cancel_futures=True)
            raise
    found = [work.result() for work in works]
    rows = [{"cell": f["cell"], "seed": f["seed"], "figures": picked(study, f)} for f in found]
    if asked.output:
        asked.output.parent.mkdir(parents=True, exist_ok=True)
        asked.output.write_text(json.dumps(
            {"study": asked.study.name, "digest": digest_of(study), "test_images": found[0]["images"],
             "trainings": rows}, indent=1) + "\n")
    if len(study["seeds"]) > 1:
        print(table(study, rows))


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(str(failure))
