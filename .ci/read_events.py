#!/usr/bin/env python3
"""Reads a run's TensorBoard event files with the real `tensorboard` package and checks them.

    python3 read_events.py RUN [--every N] [--last STEP] [--image-size HEIGHTxWIDTH]

Every folder at or under RUN that holds event files is read. Each file must be intact to its last
byte, each scalar must have one value for every N-th step with no gap and no double, and each picture
must be a PNG of the size that its record states. Prints what was found; exits 1 with a sentence
that names the folder and the fault otherwise. Needs what requirements.txt pins.
"""
import argparse
import io
import pathlib
import struct
import sys

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader


def check(truth, sentence):
    if not truth:
        sys.exit(f"read_events: {sentence}")


def records_of(path):
    """Counts the records by their stated lengths; the last must end where the file ends."""
    data, at, count = path.read_bytes(), 0, 0
    while at < len(data):
        check(at + 12 <= len(data), f"{path} ends inside the head of record {count}")
        (length,) = struct.unpack_from("<Q", data, at)
        at, count = at + 16 + length, count + 1
        check(at <= len(data), f"{path} ends inside record {count - 1}")
    return count


def check_files(folder):
    """TensorBoard stops without a word at a record whose checksum is wrong, so the counts are compared."""
    for path in sorted(folder.glob("events.out.tfevents.*")):
        stated, read = records_of(path), sum(1 for _ in RawEventFileLoader(str(path)).Load())
        check(stated == read, f"{path}: TensorBoard reads {read} of {stated} records")
        check(stated > 0, f"{path} is empty")


def check_scalar(folder, tag, events, every, last):
    where = f"{folder}: {tag}"
    steps = [e.step for e in events]
    for a, b in zip(steps, steps[1:]):
        check(b > a, f"{where}: step {b} follows step {a}, expected strictly increasing steps")
        check(b - a == every, f"{where}: step {b} follows step {a}, expected step {a + every}")
    check(last is None or steps[-1] == last, f"{where} ends at step {steps[-1]}, expected {last}")
    print(f"  scalar {tag}: {len(steps)} steps, {steps[0]} to {steps[-1]}, "
          f"{events[0].value:.4g} to {events[-1].value:.4g}")


def check_images(folder, tag, events, size):
    where = f"{folder}: {tag}"
    steps = [e.step for e in events]
    for a, b in zip(steps, steps[1:]):
        check(b > a, f"{where}: step {b} follows step {a}, expected strictly increasing steps")
    for e in events:
        stated = (e.height, e.width)
        try:
            picture = Image.open(io.BytesIO(e.encoded_image_string))
            picture.load()  # decodes the pixels; open() reads the head only
        except Exception as error:
            check(False, f"{where}, step {e.step}: the picture cannot be decoded: {error}")
        check(picture.format == "PNG", f"{where}, step {e.step} is {picture.format}, expected PNG")
        got = (picture.height, picture.width)
        check(got == stated, f"{where}, step {e.step} is {got}, its record states {stated}")
        check(size in (None, got), f"{where}, step {e.step} is {got}, expected {size}")
    print(f"  images {tag}: {len(steps)} pictures, steps {steps[0]} to {steps[-1]}, "
          f"{picture.height}x{picture.width} {picture.mode}")


def height_by_width(text):
    height, width = text.split("x")
    return int(height), int(width)


def main():
    arguments = argparse.ArgumentParser(description="Checks a run's TensorBoard event files.")
    arguments.add_argument("run", type=pathlib.Path)
    arguments.add_argument("--every", type=int, default=1, metavar="N",
                           help="distance of a scalar's steps (default 1)")
    arguments.add_argument("--last", type=int, metavar="STEP", help="every scalar's last step")
    arguments.add_argument("--image-size", type=height_by_width, metavar="HEIGHTxWIDTH",
                           help="size of every picture")
    options = arguments.parse_args()

    folders = sorted({path.parent for path in options.run.rglob("events.out.tfevents.*")})
    check(folders, f"no event file under {options.run}")
    total = 0
    for folder in folders:
        check_files(folder)
        # 0 keeps all values; without purging, a step that occurs twice is seen here and not hidden.
        reader = EventAccumulator(str(folder), {"scalars": 0, "images": 0}, purge_orphaned_data=False)
        reader.Reload()
        tags = reader.Tags()
        print(f"{folder}: {len(tags['scalars'])} scalars, {len(tags['images'])} kinds of picture")
        for tag in tags["scalars"]:
            check_scalar(folder, tag, reader.Scalars(tag), options.every, options.last)
        for tag in tags["images"]:
            check_images(folder, tag, reader.Images(tag), options.image_size)
        total += len(tags["scalars"]) + len(tags["images"])
    check(total, f"the event files under {options.run} hold neither scalars nor pictures")


if __name__ == "__main__":
    main()
