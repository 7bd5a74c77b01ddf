"""Writes the parquet files of tests/hub/published: MNIST, Fashion-MNIST and CIFAR-10 as the hub has them, of few pictures
whose pixels follow a formula.

    python tests/reference/parquet.py [N [FOLDER]]

Needs pyarrow, pillow and numpy. N pictures of each are for training [default: 12], a third of it for testing. A picture
is a PNG file in the column's `bytes`; the footer's `huggingface` holds the names of the classes: so the hub's library
`datasets` writes them.

Pixel (c, y, x) of picture i is (37 i + 11 y + 5 x + 90 c) mod 256, its class i mod 10.
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

DIGITS = [str(i) for i in range(10)]
CLOTHES = ["T - shirt / top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
THINGS = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SETS = {
    "mnist": ("image", DIGITS, 1, 28),
    "fashion_mnist": ("image", CLOTHES, 1, 28),
    "cifar10": ("img", THINGS, 3, 32),
}


def picture(i, channels, side):
    c, y, x = np.meshgrid(np.arange(channels), np.arange(side), np.arange(side), indexing="ij")
    pixels = ((37 * i + 11 * y + 5 * x + 90 * c) % 256).astype(np.uint8).transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(file, format="PNG")
    return file.getvalue()


def write(path, column, names, numbers, channels, side):
    files = [{"bytes": picture(i, channels, side), "path": None} for i in numbers]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    label = "label"
    features = {
        column: {"_type": "Image"},
        label: {"names": names, "_type": "ClassLabel"},
    }
    schema = pa.schema([(column, kind), (label, pa.int64())])
    schema = schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    table = pa.table({column: pa.array(files, kind), label: pa.array([i % 10 for i in numbers])}, schema=schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=5 if len(numbers) < 100 else 1000)


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    out = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).parents[1] / "hub" / "published"
    for name, (column, names, channels, side) in SETS.items():
        write(out / name / "train-00000-of-00001.parquet", column, names, range(n), channels, side)
        write(out / name / "test-00000-of-00001.parquet", column, names, range(n, n + n // 3), channels, side)
    sides = [{"bytes": picture(i, 3, 32), "path": None} for i in range(8)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"imageA": pa.array(sides[:4], kind), "imageB": pa.array(sides[4:], kind)})
    pq.write_table(table, out / "sides-train.parquet", compression="zstd")


main()
