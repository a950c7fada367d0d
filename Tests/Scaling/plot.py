#!/usr/bin/env python3
"""The table and the plot of the page "Scaling" from what Tests/Scaling/measure left.

    Tests/Scaling/plot.py RESULTS [--step STEP.json] [--rfm PROGRAM] [--output scaling.svg]

RESULTS is a folder with step-, reduction-, measured-, predicted- and, of several ranks a host, flat-N-RATE.json.
The left half shows
every measured step beside its prediction; the right half the efficiency that the model predicts of
STEP.json (rfm benchmark --json of one rank) on 1 to 1,024 ranks. Needs nothing but Python.
"""

import argparse
import json
import math
import pathlib
import re
import subprocess

COLORS = {"10gbit": "#1b6ca8", "1gbit": "#c2571a", "100mbit": "#4d8b31"}
LINES = ["#8c2d8c", "#c2571a", "#1b6ca8", "#4d8b31", "#666666"]
NAMES = {"10gbit": "10 Gbit/s", "1gbit": "1 Gbit/s", "100mbit": "100 Mbit/s"}


def results(folder):
    rows = []
    for path in sorted(folder.glob("measured-*.json")):
        match = re.fullmatch(r"measured-((\d+)(?:x(\d+))?-(\w+))", path.stem)
        hosts, each, rate = int(match[2]), int(match[3] or 1), match[4]
        load = lambda kind: json.loads((folder / f"{kind}-{match[1]}.json").read_text())
        network = load("reduction")["series"][0]["network"]
        rows.append({
            "hosts": hosts, "each": each, "rate": rate,
            "flat": load("flat")["seconds_per_step"] if each > 1 else None, "alone": load("step")["seconds_per_step"],
            "measured": json.loads(path.read_text())["seconds_per_step"],
            "predicted": load("predicted")[0]["seconds_per_step"],
            "latency": network["latency"], "bandwidth": network["bandwidth"],
        })
    order = list(COLORS)
    return sorted(rows, key=lambda row: (row["each"], row["hosts"], order.index(row["rate"])))


def table(rows):
    print("| hosts × ranks | links | latency | bandwidth | step alone | by messages of all ranks "
          "| measured | predicted | error |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        flat = f"{row['flat']:.2f} s" if row["flat"] else ""
        print(
            f"| {row['hosts']} × {row['each']} | {NAMES[row['rate']]} | {row['latency'] * 1e6:.0f} µs "
            f"| {row['bandwidth'] / 1e6:.0f} MB/s | {row['alone']:.2f} s | {flat} "
            f"| {row['measured']:.2f} s "
            f"| {row['predicted']:.2f} s | {100 * (row['predicted'] / row['measured'] - 1):+.1f} % |")


class Picture:
    def __init__(self, width, height):
        self.size = (width, height)
        self.parts = []

    def add(self, text):
        self.parts.append(text)

    def text(self, x, y, text, anchor="middle", size=12, color="#222", turn=None):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
                 f'fill="{color}"{turned}>{text}</text>')

    def line(self, points, color, width=1.0, dash=""):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.add(f'<polyline points="{path}" fill="none" stroke="{color}" '
                 f'stroke-width="{width}"{dashes}/>')

    def __str__(self):
        width, height = self.size
        return "\n".join(
            [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             'font-family="sans-serif">', f'<rect width="{width}" height="{height}" fill="#fff"/>']
            + self.parts + ["</svg>", ""])


def compare(picture, rows, left, top, side):
    low = min(min(row["measured"], row["predicted"]) for row in rows) / 1.3
    high = max(max(row["measured"], row["predicted"]) for row in rows) * 1.3
    scale = side / math.log(high / low)
    x = lambda value: left + scale * math.log(value / low)
    y = lambda value: top + side - scale * math.log(value / low)
    picture.add(f'<clipPath id="left"><rect x="{left}" y="{top}" width="{side}" height="{side}"/>'
                '</clipPath><g clip-path="url(#left)">')
    band = [(low, 1.15), (high, 1.15), (high, 1 / 1.15), (low, 1 / 1.15)]
    picture.add('<polygon points="' + " ".join(
        f"{x(value):.1f},{y(value * factor):.1f}" for value, factor in band)
        + '" fill="#e9eef2"/>')
    picture.line([(x(low), y(low)), (x(high), y(high))], "#888", dash="4 3")
    picture.add("</g>")
    for value in [0.5, 1, 2, 4, 8, 16, 32]:
        if low < value < high:
            picture.line([(x(value), top + side), (x(value), top + side + 4)], "#444")
            picture.line([(left - 4, y(value)), (left, y(value))], "#444")
            picture.text(x(value), top + side + 18, f"{value:g}")
            picture.text(left - 8, y(value) + 4, f"{value:g}", "end")
    picture.add(f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" '
                'stroke="#444"/>')
    for row in rows:
        color = COLORS[row["rate"]]
        place = (x(row["predicted"]), y(row["measured"]))
        if row["each"] > 1:
            (a, b), s = place, 6
            picture.add(f'<polygon points="{a - s:.1f},{b:.1f} {a:.1f},{b - s:.1f} {a + s:.1f},{b:.1f} '
                        f'{a:.1f},{b + s:.1f}" fill="{color}"/>')
        elif row["hosts"] == 2:
            picture.add(f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="5" fill="{color}"/>')
        else:
            picture.add(f'<rect x="{place[0] - 4.5:.1f}" y="{place[1] - 4.5:.1f}" width="9" '
                        f'height="9" fill="{color}"/>')
    rates = [rate for rate in COLORS if any(row["rate"] == rate for row in rows)]
    for index, rate in enumerate(rates):
        color = COLORS[rate]
        height = top + side - 14 - 17 * (len(rates) - index)
        picture.add(f'<circle cx="{left + side - 140}" cy="{height - 4}" r="5" fill="{color}"/>')
        picture.text(left + side - 128, height, NAMES[rate], "start")
    picture.text(left + side - 128, top + side - 14, "● 2, ■ 4 hosts, ◆ of 2 ranks", "start")
    picture.text(left + side / 2, top + side + 38, "predicted, seconds a step")
    picture.text(left - 42, top + side / 2, "measured, seconds a step", turn=-90)
    picture.text(left + side / 2, top - 10, "Measured and predicted (band: 15 %)", size=14)


def efficiency(picture, rows, left, top, width, height):
    ranks = sorted({row["ranks"] for row in rows})
    x = lambda value: left + width * math.log2(value) / math.log2(ranks[-1])
    y = lambda value: top + height * (1 - value)
    for value in [0, 0.25, 0.5, 0.75, 1]:
        picture.line([(left, y(value)), (left + width, y(value))], "#ddd")
        picture.text(left - 8, y(value) + 4, f"{value:g}", "end")
    for value in ranks:
        if math.log2(value) % 2 == 0:
            picture.line([(x(value), top + height), (x(value), top + height + 4)], "#444")
            picture.text(x(value), top + height + 18, f"{value:,}")
    networks = list(dict.fromkeys(row["network"] for row in rows))
    for index, network in enumerate(networks):
        points = [(x(row["ranks"]), y(row["efficiency"])) for row in rows
                  if row["network"] == network]
        picture.line(points, LINES[index], 2)
        place = top + height - 16 - 17 * (len(networks) - 1 - index)
        picture.line([(left + 12, place - 4), (left + 34, place - 4)], LINES[index], 2)
        picture.text(left + 40, place, network, "start")
    picture.add(f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" '
                'stroke="#444"/>')
    picture.text(left + width / 2, top + height + 38, "ranks, one a host")
    picture.text(left - 42, top + height / 2, "efficiency", turn=-90)
    picture.text(left + width / 2, top - 10, "Predicted for larger clusters", size=14)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--step", type=pathlib.Path, required=True)
    parser.add_argument("--rfm", default=".build/release/rfm")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("scaling.svg"))
    arguments = parser.parse_args()
    rows = results(arguments.results)
    table(rows)
    threads = json.loads(arguments.step.read_text())["threads"]
    forecast = json.loads(subprocess.run(
        [arguments.rfm, "benchmark", "--scaling", "--step", arguments.step,
         "--cores", str(threads), "--json"],
        check=True, stdout=subprocess.PIPE).stdout)
    picture = Picture(860, 430)
    compare(picture, rows, 70, 40, 330)
    efficiency(picture, forecast, 500, 40, 330, 330)
    arguments.output.write_text(str(picture))


main()
