"""Golden values for ForgeryMining, from NumPy, PyTorch and scikit-learn.

    python3 Tests/Oracle/mining.py

Everything is written from the definitions (papers and Sources/ForgeryMining documentation), slowly
and plainly; the random generator is implemented here again, so that the golden values also hold
the order of the draws. Needs numpy, torch and scikit-learn.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import confusion_matrix, roc_auc_score

ERASE, FILL = 4, 5  # purposes of random streams


class Draws:
    """The stream (seed, epoch, sample, purpose): Philox 4x32-10 (Salmon et al. 2011)."""

    def __init__(self, seed, epoch, sample, purpose):
        self.key = (seed & 0xFFFFFFFF, seed >> 32)
        self.origin = (sample & 0xFFFFFFFF, (sample >> 32) | purpose << 16, epoch)
        self.block, self.words = 0, []

    def word(self):
        if not self.words:
            y, z, w = self.origin
            c = [self.block & 0xFFFFFFFF, y, z | (self.block >> 32) << 24, w]
            k = list(self.key)
            for _ in range(10):
                a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
                c = [
                    (b >> 32) ^ c[1] ^ k[0],
                    b & 0xFFFFFFFF,
                    (a >> 32) ^ c[3] ^ k[1],
                    a & 0xFFFFFFFF,
                ]
                k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
            self.words, self.block = c, self.block + 1
        return self.words.pop(0)

    def wide(self):
        low = self.word()
        return low | self.word() << 32

    def uniform(self):
        return (self.wide() >> 11) * 2.0**-53

    def below(self, n):
        product = self.wide() * n
        while product % 2**64 < 2**64 % n:
            product = self.wide() * n
        return product >> 64

    def noise(self, count, low, high):
        words = np.array([self.word() >> 8 for _ in range(count)], dtype=np.float32)
        scale = np.float32(high - low) * np.float32(2.0**-24)
        return np.float32(low) + words * scale


def numbers(values):
    """float32 values as short decimals that read back exactly."""
    return [float(f"{v:.9g}") for v in np.asarray(values, dtype=np.float32).ravel()]


def erase(image, regions, fill, noise, draws):
    """Refills the regions one after another, each in memory order."""
    result = image.copy()
    channels = image.shape[-1]
    means = image.reshape(-1, channels).astype(np.float64).mean(0).astype(np.float32)
    for region in regions:
        if fill == "noise":
            values = draws.noise(int(region.sum()) * channels, *noise)
            result[region] = values.reshape(-1, channels)
        else:
            result[region] = 0 if fill == "zero" else means
    return result


def suspicious_forgeries(fam, blocks, max_height, max_width, draws):
    """The definition as it stands: all pixels in order of FAM, skipping erased ones."""
    height, width = fam.shape
    erased = np.zeros((height, width), dtype=bool)
    rectangles = []
    for pixel in np.argsort(-fam.ravel(), kind="stable"):
        if len(rectangles) == blocks:
            break
        row, column = divmod(int(pixel), width)
        if erased[row, column]:
            continue
        h, w = 1 + draws.below(max_height), 1 + draws.below(max_width)
        top, left = row - draws.below(h), column - draws.below(w)
        bottom, right = min(top + h, height), min(left + w, width)
        top, left = max(top, 0), max(left, 0)
        erased[top:bottom, left:right] = True
        rectangles.append([top, left, bottom - top, right - left])
    return rectangles


def region(rectangle, shape):
    top, left, height, width = rectangle
    mask = np.zeros(shape, dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def erasing():
    rng = np.random.default_rng(1)
    sfe, re, ae = [], [], []
    for number in range(12):
        height, width = [(12, 10), (9, 16), (1, 7), (16, 16)][number % 4]
        fill = ["noise", "zero", "mean"][number % 3]
        address = [int(rng.integers(2**63)), number % 5, int(rng.integers(2**40))]
        # Exact in float32, so that the test can make it again.
        image = (np.arange(height * width * 3) * 37 % 101).astype(np.float32) / 32 - 1.5
        image = image.reshape(height, width, 3)
        # Few different values, so that there are many ties.
        fam = rng.integers(0, 20, (height, width)).astype(np.float32) / 8
        probability = [1.0, 0.5][number % 2]
        common = {
            "address": [str(a) for a in address],
            "height": height, "width": width, "fill": fill, "probability": probability,
        }  # fmt: skip

        draws, noise = Draws(*address, ERASE), Draws(*address, FILL)
        chosen = draws.uniform() < probability
        blocks, max_height, max_width = [3, 5, 1, 40][number % 4], 2 + number % 6, 1 + number % 9
        rectangles = suspicious_forgeries(fam, blocks, max_height, max_width, draws)
        regions = [region(r, fam.shape) for r in rectangles]
        sfe.append(common | {
            "attention": numbers(fam), "chosen": chosen, "blocks": blocks,
            "maxHeight": max_height, "maxWidth": max_width, "rectangles": rectangles,
            "erased": numbers(erase(image, regions, fill, (-1, 1), noise)),
        })  # fmt: skip

        draws, noise = Draws(*address, ERASE), Draws(*address, FILL)
        draws.uniform()
        rectangle = None
        attempts = 100 if number != 6 else 0
        for _ in range(attempts):
            area = (0.02 + (0.4 - 0.02) * draws.uniform()) * (height * width)
            ratio = 0.3 + (1 / 0.3 - 0.3) * draws.uniform()
            h = int(np.floor(np.sqrt(area * ratio) + 0.5))
            w = int(np.floor(np.sqrt(area / ratio) + 0.5))
            if 0 < h < height and 0 < w < width:
                top = draws.below(height - h + 1)
                rectangle = [top, draws.below(width - w + 1), h, w]
                break
        regions = [region(rectangle, fam.shape)] if rectangle else []
        re.append(common | {
            "attempts": attempts, "rectangles": [rectangle] if rectangle else [],
            "erased": numbers(erase(image, regions, fill, (-2, 2), noise)),
        })  # fmt: skip

        noise = Draws(*address, FILL)
        activation = fam - 1
        fraction = [0.1, 0.25, 0.5, 1.0, 0.0][number % 5]
        count = int(np.floor(fraction * height * width + 0.5))
        mask = np.zeros(height * width, dtype=bool)
        mask[np.argsort(-activation.ravel(), kind="stable")[:count]] = True
        mask = mask.reshape(height, width)
        ae.append(common | {
            "activation": numbers(activation), "fraction": fraction,
            "mask": mask.astype(int).ravel().tolist(),
            "erased": numbers(erase(image, [mask], fill, (-1, 1), noise)),
        })  # fmt: skip

    # One case of the size that is trained on, attention given by a formula.
    fam = ((np.arange(224 * 224, dtype=np.int64) * 7919) % 50021).astype(np.float32)
    fam = fam.reshape(224, 224)
    full = []
    for sample in range(8):
        draws = Draws(5, 2, sample, ERASE)
        draws.uniform()
        full.append(suspicious_forgeries(fam, 3, 120, 120, draws))
    return {"sfe": sfe, "re": re, "ae": ae, "full": full}


def attention():
    rng = np.random.default_rng(2)
    fam, normalised, resized, activation = [], [], [], []
    for height, width, channels in [(5, 4, 3), (3, 3, 1), (2, 6, 4)]:
        gradient = rng.normal(size=(height, width, channels)).astype(np.float32)
        fam.append({
            "gradient": numbers(gradient), "height": height, "width": width, "channels": channels,
            "map": numbers(torch.from_numpy(gradient).abs().amax(-1)),
        })  # fmt: skip
    for height, width in [(12, 10), (7, 9), (1, 1), (1, 5), (16, 16), (2, 3), (31, 33)]:
        for kind in ["random", "constant"] if height == 12 else ["random"]:
            field = rng.gamma(1.0, size=(height, width)).astype(np.float32)
            if kind == "constant":
                field[:] = 0.7
            x = torch.from_numpy(field)[None, None]
            half = F.interpolate(
                x, size=(max(1, height // 2), max(1, width // 2)), mode="bilinear",
                align_corners=False, antialias=False,
            )  # fmt: skip
            back = F.interpolate(half, size=(height, width), mode="bilinear", align_corners=False)
            low, high = back.min(), back.max()
            scaled = (back - low) / (high - low) if high > low else torch.zeros_like(back)
            normalised.append({
                "height": height, "width": width,
                "attention": numbers(field), "normalised": numbers(scaled),
            })  # fmt: skip
    for (h, w), (height, width) in [((3, 4), (24, 20)), ((7, 7), (15, 31)), ((9, 5), (4, 5)),
                                    ((1, 1), (3, 2)), ((6, 6), (6, 6))]:  # fmt: skip
        field = rng.normal(size=(h, w)).astype(np.float32)
        out = F.interpolate(
            torch.from_numpy(field)[None, None], size=(height, width), mode="bilinear",
            align_corners=False,
        )  # fmt: skip
        resized.append({
            "fromHeight": h, "fromWidth": w, "height": height, "width": width,
            "map": numbers(field), "resized": numbers(out),
        })  # fmt: skip
        channels = 8
        features = torch.from_numpy(rng.gamma(1.0, size=(1, channels, h, w)))
        weights = torch.from_numpy(rng.normal(size=(2, channels)))
        features, weights = features.float().double(), weights.float().double()
        cams = torch.einsum("kc,nchw->nkhw", weights, features)
        cams = F.interpolate(cams, size=(height, width), mode="bilinear", align_corners=False)
        activation.append({
            "fromHeight": h, "fromWidth": w, "height": height, "width": width,
            "channels": channels,
            "features": numbers(features.permute(0, 2, 3, 1)), "classifier": numbers(weights),
            "map": numbers(cams[0, 1] - cams[0, 0]),
        })  # fmt: skip
    return {"fam": fam, "normalised": normalised, "resized": resized, "cam": activation}


def attribution():
    rng = np.random.default_rng(3)
    height, width, methods = 6, 5, 4
    common = rng.gamma(2.0, size=(height, width))
    truth = rng.integers(0, methods, 40)
    own = rng.gamma(0.5, size=(methods, height, width))
    maps = common + own[truth] + rng.gamma(0.8, size=(len(truth), height, width))
    maps = (maps / maps.max((1, 2), keepdims=True)).astype(np.float32)
    train, test = slice(0, 20), slice(20, 40)
    means = torch.stack(
        [
            torch.from_numpy(maps[train][truth[train] == m]).double().mean(0).float()
            for m in range(methods)
        ]
    )
    images = torch.from_numpy(maps[test]).double().flatten(1)
    prototypes = means.double().flatten(1)
    centre = prototypes.mean(0, keepdim=True)

    def cosine(a, b):
        return F.cosine_similarity(a[:, None], b[None], dim=-1)

    result = {
        "height": height, "width": width, "methods": methods,
        "truth": truth.tolist(), "maps": numbers(maps), "prototypes": numbers(means),
        "counts": [int((truth[train] == m).sum()) for m in range(methods)],
    }  # fmt: skip
    for name, offset in [("plain", 0 * centre), ("centred", centre)]:
        similarity = cosine(images - offset, prototypes - offset)
        matrix = cosine(prototypes - offset, prototypes - offset)
        predicted = similarity.argmax(1).numpy()
        table = confusion_matrix(truth[test], predicted, labels=range(methods))
        result[name] = {
            "similarities": similarity.flatten().tolist(),
            "matrix": matrix.flatten().tolist(),
            "confusion": table.tolist(),
            "accuracy": float((predicted == truth[test]).mean()),
        }
    result["auroc"] = []
    for ties in [False, True, True]:
        known, unknown = rng.normal(1, 1, 30), rng.normal(0, 1, 17)
        if ties:
            known, unknown = known.round(), unknown.round()
        area = roc_auc_score([1] * 30 + [0] * 17, np.concatenate([known, unknown]))
        gains = {t: (known >= t).mean() - (unknown >= t).mean() for t in known}
        top = max(t for t in known if gains[t] > max(gains.values()) - 1e-12)
        result["auroc"].append({
            "known": known.tolist(), "unknown": unknown.tolist(), "area": float(area),
            "balanced": float(top),
            "accepting90": float(np.sort(known)[::-1][26]),
        })  # fmt: skip
    return result


def localisation():
    rng = np.random.default_rng(4)
    cases = []
    for number in range(8):
        height, width = 9, 11
        mask = np.zeros((height, width), dtype=bool)
        top, left = rng.integers(0, 5, 2)
        mask[top : top + 2 + number % 3, left : left + 4] = True
        field = rng.gamma(1.0, size=(height, width)) + 0.7 * (number % 3) * mask
        field = field.astype(np.float32)
        wide = field.astype(np.float64)
        peak = np.argmax(field)
        row, column = divmod(int(peak), width)
        distance = np.sqrt(
            (np.arange(height)[:, None] - row) ** 2 + (np.arange(width)[None] - column) ** 2
        )
        selected = np.zeros(mask.size, dtype=bool)
        selected[np.argsort(-field.ravel(), kind="stable")[: mask.sum()]] = True
        selected = selected.reshape(mask.shape)
        cases.append({
            "width": width, "attention": numbers(field),
            "mask": (mask * 255).astype(int).ravel().tolist(),
            "ratio": float(wide[mask].mean() / wide[~mask].mean()),
            "hit": bool(mask[row, column]),
            "hitWithin2": bool(mask[distance <= 2].any()),
            "energy": float(wide[mask].sum() / wide.sum()),
            "area": float(mask.mean()),
            "overlap": float((mask & selected).sum() / (mask | selected).sum()),
        })  # fmt: skip
    return {"cases": cases}


if __name__ == "__main__":
    folder = Path(__file__).parents[1] / "ForgeryMiningTests" / "Golden"
    for build in [erasing, attention, attribution, localisation]:
        path = folder / f"{build.__name__}.json"
        path.write_text(json.dumps(build(), separators=(",", ":")) + "\n")
        print(path, path.stat().st_size)
