#!/usr/bin/env python3
"""Copies a part of a recording, for a measure that has code before the others have.

    python3 subset.py metrics.safetensors metrics-swd.safetensors swd.
    python3 subset.py metrics.safetensors metrics-features.safetensors features. frechet kid

Keeps the tensors whose names begin with one of the last arguments, and all metadata.
"""
import sys

from safetensors import safe_open
from safetensors.numpy import save_file

source, target, *prefixes = sys.argv[1:]
with safe_open(source, "np") as recording:
    names = [name for name in recording.keys() if name.startswith(tuple(prefixes))]
    save_file({name: recording.get_tensor(name) for name in names}, target, recording.metadata())
