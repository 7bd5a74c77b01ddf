#!/usr/bin/env python3
"""Features of Inception v3 as the two public modules compute them, of weights that a formula gives.

    python3 make_inception.py ../../crates/gan-eval/tests     inception.safetensors: the features of made pictures
    python3 make_inception.py --large FOLDER                  both checkpoints as torch.save writes them, with the
                                                              features of the same pictures

The modules are pytorch_fid's (its blocks in torchvision's network, built here because its own function downloads
weights) and torchvision's. Pictures go through pytorch_fid's own wrapper for both: resized, and brought to [-1, 1].
"""
import pathlib
import sys

import numpy as np
import pytorch_fid.inception as fid
import torch
import torchvision
from make_published import numbers
from safetensors.torch import save_file

SIZES = {"small": (2, 40, 36), "large": (1, 310, 321), "whole": (1, 299, 299)}


def filled(net):
    """Weights that keep the size of activations, gains and variances about 1, all else about 0."""
    state = {}
    for key, old in net.state_dict().items():
        if not old.is_floating_point():
            continue
        u = numbers(key, old.numel())
        if old.dim() == 4:
            u = u * np.sqrt(6 / old[0].numel())
        elif key.endswith(("running_var", "bn.weight")):
            u = 1 + u / 2
        else:
            u = u / 10
        state[key] = torch.from_numpy(u.astype(np.float32)).reshape(old.shape)
    net.load_state_dict(state, strict=False)
    return net.eval()


def module(name):
    if name == "torchvision":
        return torchvision.models.inception_v3(weights=None, aux_logits=True, init_weights=False)
    net = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False, num_classes=1008)
    for key, inputs, pooled in [("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)]:
        setattr(net, f"Mixed_{key}", fid.FIDInceptionA(inputs, pooled))
    for key, inner in [("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)]:
        setattr(net, f"Mixed_{key}", fid.FIDInceptionC(768, inner))
    net.Mixed_7b, net.Mixed_7c = fid.FIDInceptionE_1(1280), fid.FIDInceptionE_2(2048)
    return net


def wrapped(net):
    """pytorch_fid's own forward over the module."""
    fid.fid_inception_v3 = lambda: net
    return fid.InceptionV3().eval()


def normalised(net, x):
    """torchvision's own way for its published weights: ImageNet's mean and deviation, then transform_input."""
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).reshape(2, 1, 3, 1, 1)
    net.transform_input, net.fc = True, torch.nn.Identity()
    x = torch.nn.functional.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False)
    return net((x - mean) / deviation)


def pictures(n, h, w):
    """Ramps of eight bits in [0, 1], another slope in every channel and picture."""
    i, c, y, x = np.ogrid[:n, :3, :h, :w]
    values = (y * (7 + 3 * c) + x * (5 + 2 * i) + c * i * 31 + y * x // 16) % 256
    return torch.from_numpy((values / 255).astype(np.float32))


def main():
    large = sys.argv[1] == "--large"
    folder = pathlib.Path(sys.argv[-1])
    made = {}
    with torch.no_grad():
        for name, file in [("inception", "pt_inception-2015-12-05.pth"), ("torchvision", "inception_v3_google.pth")]:
            net = filled(module(name))
            if large:
                torch.save(net.state_dict(), folder / file)
            of = wrapped(net)
            for size, dims in SIZES.items():
                x = pictures(*dims)
                made[f"{name}.{size}"] = features = of(x)[0].reshape(dims[0], 2048).contiguous()
                print(name, size, *(float(f) for f in (features.min(), features.mean(), features.max())))
                if name == "torchvision":
                    apart = (features - normalised(net, x)).abs().max() / features.max()
                    print(f"torchvision's own normalisation differs by {apart:.1e} of the largest")
        x = pictures(*SIZES["small"])
        for side in (64, 27):
            resized = torch.nn.functional.interpolate(x[:1], size=(side, 41), mode="bilinear", align_corners=False)
            made[f"resized.{side}"] = resized.contiguous()
    save_file(made, folder / "inception.safetensors")


if __name__ == "__main__":
    main()
