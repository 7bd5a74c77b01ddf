#!/usr/bin/env python3
"""Copies a part of a recording, for a measure that has code before the others have.

    python3 subset.py metrics.safetensors metrics-swd.safetensors swd.

Keeps the tensors whose names begin with the last argument, and all metadata.
"""
import sys

from safetensors import safe_open
from safetensors.numpy import save_file

source, target, prefix = sys.argv[1:]
with safe_open(source, "np") as recording:
    names = [name for name in recording.keys() if name.startswith(prefix)]
    save_file({name: recording.get_tensor(name) for name in names}, target, recording.metadata())
