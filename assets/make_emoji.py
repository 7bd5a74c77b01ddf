#!/usr/bin/env python3
"""Makes assets/emoji.zip from npm packages `emoji-datasource-twitter` and `emoji-datasource-google` 16.0.0.

    npm pack emoji-datasource-twitter@16.0.0 emoji-datasource-google@16.0.0
    python3 make_emoji.py emoji-datasource-twitter-16.0.0.tgz emoji-datasource-google-16.0.0.tgz OUT.zip

Needs numpy (2.4.6 was used), pillow (13.0.0) and zopfli (0.4.3). The same packages give the same bytes;
the checksum is in README.md.
"""
import collections
import concurrent.futures
import io
import json
import pathlib
import struct
import sys
import tarfile
import zipfile
import zlib

import numpy as np
import zopfli.zlib
from PIL import Image

SEED = 20140610  # the first GAN paper's date
STYLES = {"A": "twitter", "B": "google"}  # Twemoji and Noto Emoji
# Code points that only tell gender, age, hair or direction, or join others.
VARIANT = set("1F468 1F469 1F9D1 1F466 1F467 2640 2642 FE0F 200D 27A1 1F9B0 1F9B1 1F9B2 1F9B3".split())
NEAR = 0.08  # RMS difference of 16x16 thumbnails below which two emoji are near copies


def emoji_wanted(e):
    """Leaves out flags, text and sign symbols, and forms all but equal to another."""
    name, sub = e["short_name"], e["subcategory"]
    couple = any(word in name for word in ("heart", "kiss", "holding"))
    return not (
        e["category"] in ("Flags", "Component", "Symbols")
        or not (e["has_img_twitter"] and e["has_img_google"])
        or name == "middle_finger"
        or e.get("obsoleted_by")  # the genderless old form of a gendered emoji
        or name.endswith("facing_right")  # a mirror image
        or (name.startswith("clock") and name.endswith("30"))
        or (sub == "family" and not couple)  # grey silhouettes, mostly identical
        or (sub == "person-symbol" and "family" in name)
    )


def files_of(package, style):
    """The table of emoji and the 64x64 pictures of a package, by name."""
    files = {}
    with tarfile.open(package) as archive:
        for member in archive:
            folder, name = member.name.rsplit("/", 1)
            if member.name == "package/emoji.json" or folder == f"package/img/{style}/64":
                files[name] = archive.extractfile(member).read()
    return files


def on_white(png):
    picture = Image.open(io.BytesIO(png)).convert("RGBA")
    assert picture.size == (64, 64)
    white = Image.new("RGBA", picture.size, "white")
    return np.asarray(Image.alpha_composite(white, picture).convert("RGB"))


def groups_of(emoji, pictures):
    """Joins emoji that share a base, an object (last word of the name) or a look."""
    parent = list(range(len(emoji)))

    def root(i):
        while parent[i] != i:
            i = parent[i]
        return i

    first = {}
    for i, e in enumerate(emoji):
        base = "-".join(c for c in e["unified"].split("-") if c not in VARIANT)
        last = e["name"].split()[-1]
        for key in (base, None if last == "FACE" else (e["subcategory"], last)):
            if key is not None:
                parent[root(i)] = root(first.setdefault(key, i))
    for style in STYLES:
        small = np.stack([p[style] for p in pictures]).astype(np.float32) / 255
        small = small.reshape(-1, 16, 4, 16, 4, 3).mean((2, 4)).reshape(len(emoji), -1)
        for i in range(len(emoji)):
            rms = np.sqrt(((small[i + 1:] - small[i]) ** 2).mean(1))
            for j in np.flatnonzero(rms < NEAR) + i + 1:
                parent[root(i)] = root(int(j))
    groups = collections.defaultdict(list)
    for i in range(len(emoji)):
        groups[root(i)].append(i)
    return list(groups.values())


def rgb_png(rgb):
    """A plain 8-bit RGB PNG, as small as filters and zopfli make it without loss."""
    height, width, _ = rgb.shape
    x = rgb.reshape(height, -1).astype(np.int16)
    left, up = np.pad(x, ((0, 0), (3, 0)))[:, :-3], np.pad(x, ((1, 0), (0, 0)))[:-1]
    corner = np.pad(x, ((1, 0), (3, 0)))[:-1, :-3]
    guess = left + up - corner
    near = np.abs(np.stack([guess - left, guess - up, guess - corner])).argmin(0)
    paeth = np.choose(near, [left, up, corner])
    rows = [(x - p).astype(np.uint8) for p in (0, left, up, (left + up) // 2, paeth)]
    cost = np.stack([np.abs(r.view(np.int8).astype(int)).sum(1) for r in rows])
    plans = [np.full(height, f) for f in range(5)] + [cost.argmin(0)]
    streams = [b"".join(bytes([f]) + rows[f][y].tobytes() for y, f in enumerate(plan)) for plan in plans]
    best = min(streams, key=lambda s: len(zlib.compress(s, 9)))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zopfli.zlib.compress(best)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def save_zip(path, files):
    """A stored zip with fixed dates: the same input gives the same bytes."""
    with zipfile.ZipFile(path, "w") as z:
        for name in sorted(files):
            z.writestr(zipfile.ZipInfo(name), files[name])
    print(path.name, len(files), "files", path.stat().st_size, "bytes")


def main(twitter, google, out):
    packages = {s: files_of(p, STYLES[s]) for s, p in (("A", twitter), ("B", google))}
    table = json.loads(packages["A"]["emoji.json"])
    wanted, pictures, seen = [], [], set()
    for e in filter(emoji_wanted, table):
        pair = {s: on_white(files[e["image"]]) for s, files in packages.items()}
        keys = {(s, p.tobytes()) for s, p in pair.items()}
        if not keys & seen:
            seen |= keys
            wanted.append(e)
            pictures.append(pair)
    groups = groups_of(wanted, pictures)
    # 100 test emoji from small groups; each category gives its share.
    rng = np.random.default_rng(SEED)
    share = collections.Counter()
    size = collections.Counter(e["category"] for e in wanted)
    test = set()
    for g in rng.permutation(len(groups)):
        members = groups[g]
        category = wanted[members[0]]["category"]
        room = round(100 * size[category] / len(wanted)) - share[category]
        if len(members) <= min(4, room, 100 - len(test)):
            test |= set(members)
            share[category] += len(members)
    print(len(wanted), "emoji,", len(groups), "groups, test:", dict(share))
    files = {}
    for i, pair in enumerate(pictures):
        for s, rgb in pair.items():
            part = "test" if i in test else "train"
            files[f"{part}{s}/{wanted[i]['image']}"] = rgb
    with concurrent.futures.ProcessPoolExecutor() as pool:
        pngs = pool.map(rgb_png, files.values(), chunksize=16)
        save_zip(pathlib.Path(out), dict(zip(files, pngs)))


if __name__ == "__main__":
    main(*sys.argv[1:])
