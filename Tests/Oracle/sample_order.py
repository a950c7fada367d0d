"""Writes FaceShardsTests/Golden/sample-order.json: places of the permutations by which a training draws.

Written after Salmon and others, "Parallel random numbers: as easy as 1, 2, 3" (Philox 4x32-10), and Black and
Rogaway, "Ciphers with arbitrary finite domains" (a network of two unequal sides, walking round).

    python3 Tests/Oracle/sample_order.py
"""
import json
import math
import pathlib

MASK = 0xFFFFFFFF
ROUNDS = 24
ORDER = 1  # the purpose of the stream


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        left, right = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(right >> 32) ^ c[1] ^ k[0], right & MASK, (left >> 32) ^ c[3] ^ k[1], left & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


def shift(seed, visit, stratum, turn, value, limit):
    counter = [value, stratum, ORDER << 16 | turn << 24, visit]
    words = philox(counter, [seed & MASK, seed >> 32])
    return (words[0] | words[1] << 32) * limit >> 64


def permutation(count, seed, visit, stratum):
    columns = max(2, 2 * math.floor(math.sqrt(count) / 2 + 0.5))
    rows = -(-count // columns)

    def once(number):
        row, column = divmod(number, columns)
        for turn in range(0, ROUNDS, 2):
            column = (column + shift(seed, visit, stratum, turn, row, columns)) % columns
            row = (row + shift(seed, visit, stratum, turn + 1, column, rows)) % rows
        return row * columns + column

    def at(place):
        number = once(place)
        while number >= count:
            number = once(number)
        return number

    return at


def main():
    cases = []
    for count in [1, 2, 3, 5, 16, 17, 31, 97, 1000, 65537, 10_000_000, 4_294_967_295]:
        for seed, visit, stratum in [(0, 0, 0), (5, 3, 1), (2**63 + 11, 70_000, 0)]:
            at = permutation(count, seed, visit, stratum)
            wanted = {0, 1, 2, 6, count // 3, count // 2, count - 2, count - 1}
            places = sorted(place for place in wanted if 0 <= place < count)
            cases.append(
                dict(count=count, seed=str(seed), visit=visit, stratum=stratum, places=places,
                     elements=[at(place) for place in places]))
    path = pathlib.Path(__file__).parent.parent / "FaceShardsTests/Golden/sample-order.json"
    path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


main()
