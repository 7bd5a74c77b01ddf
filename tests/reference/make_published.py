#!/usr/bin/env python3
"""Enlarging networks saved as their weights are published, with a picture and what they make of it.

    python3 make_published.py ../..              tiny files, into the crates' tests/published
    python3 make_published.py --large FOLDER     23 blocks of 64 channels in all layouts and containers, with a
                                                 picture of 32x24 and what PyTorch makes of it

Weights are a formula of their key and place (`filled`), so that a test can make the same ones without a file.
"""
import pathlib
import sys

import nets
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

MASK = (1 << 64) - 1


def numbers(key, n):
    """n numbers in [-1, 1): the upper 24 bits of SplitMix64 from a sum over the key's bytes."""
    seed = sum((i + 1) * b for i, b in enumerate(key.encode())) * 0x9E3779B97F4A7C15 & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def filled(net):
    """Weights in [-1/sqrt(fan_in), 1/sqrt(fan_in)), biases in [-.1, .1), gains and variances about 1."""
    state = {}
    for key, old in net.state_dict().items():
        if not old.is_floating_point():
            continue
        u = numbers(key, old.numel())
        if old.dim() == 4:
            u = u / np.sqrt(old[0].numel())
        elif key.endswith("running_var") or (key.endswith("weight") and ".bn" in key or key.startswith("bn")):
            u = 1 + u / 2
        else:
            u = u / 10
        state[key] = torch.from_numpy(u.astype(np.float32)).reshape(old.shape)
    net.load_state_dict(state, strict=False)
    return net.eval()


class Unshuffled(nn.Module):
    """RRDB of a picture made smaller first: x2 and x1 of public weights."""

    def __init__(self, factor, f, gc, blocks):
        super().__init__()
        self.factor, net = factor, nets.RrdbNet(f, gc, blocks)
        net.conv_first = nn.Conv2d(3 * factor**2, f, 3, 1, 1)
        self.net = net

    def forward(self, x):
        return self.net(F.pixel_unshuffle(x, self.factor))


class MsrResnet(nn.Module):
    """conv_first, body.N.conv1/conv2, upconv1, upconv2, conv_hr, conv_last; added to the bilinear picture."""

    def __init__(self, f=64, blocks=16, scale=4):
        super().__init__()
        conv = lambda i, o: nn.Conv2d(i, o, 3, 1, 1)
        self.factors = {4: [2, 2], 3: [3], 2: [2]}[scale]
        self.conv_first = conv(3, f)
        self.body = nn.Sequential()
        for n in range(blocks):
            block = nn.Module()
            block.conv1, block.conv2 = conv(f, f), conv(f, f)
            self.body.add_module(str(n), block)
        for n, r in enumerate(self.factors):
            setattr(self, f"upconv{n + 1}", conv(f, f * r * r))
        self.conv_hr, self.conv_last = conv(f, f), conv(f, 3)
        self.scale = scale

    def forward(self, x):
        lrelu = lambda t: F.leaky_relu(t, 0.1)
        h = lrelu(self.conv_first(x))
        for block in self.body:
            h = h + block.conv2(F.relu(block.conv1(h)))
        for n, r in enumerate(self.factors):
            h = lrelu(F.pixel_shuffle(getattr(self, f"upconv{n + 1}")(h), r))
        h = self.conv_last(lrelu(self.conv_hr(h)))
        return h + F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)


def trunk(key):
    """The name of 2019."""
    key = key.replace("conv_body", "trunk_conv").replace("conv_up", "upconv").replace("conv_hr", "HRconv")
    return key.replace("body.", "RRDB_trunk.").replace("rdb", "RDB")


def numbered(key, blocks):
    """The name of 2018, of a network of two doublings."""
    layer, leaf = key.rsplit(".", 1)
    names = {
        "conv_first": "model.0",
        "conv_body": f"model.1.sub.{blocks}",
        "conv_up1": "model.3",
        "conv_up2": "model.6",
        "conv_hr": "model.8",
        "conv_last": "model.10",
    }
    layer = names.get(layer) or layer.replace("body.", "model.1.sub.").replace("rdb", "RDB") + ".0"
    return f"{layer}.{leaf}"


def layouts(state, blocks):
    return {
        "own": dict(state),
        "trunk": {trunk(k): v for k, v in state.items()},
        "numbered": {numbered(k, blocks): v for k, v in state.items()},
    }


def picture(h, w):
    """[1, 3, h, w], bytes / 255."""
    u = (numbers("picture", 3 * h * w) + 1) * 128
    return torch.from_numpy(np.floor(u).astype(np.float32) / 255).reshape(1, 3, h, w)


@torch.no_grad()
def made(net, x):
    """In double precision from the float32 weights."""
    state = {k: v.clone() for k, v in net.state_dict().items()}
    y = net.double()(x.double()).float()
    net.float().load_state_dict(state)
    return y.contiguous()


def tiny(root):
    x = picture(6, 8)
    out = root / "crates/gan-esrgan/tests/published"
    out.mkdir(parents=True, exist_ok=True)
    net = filled(nets.RrdbNet(4, 2, 2))
    of = layouts({k: v.clone() for k, v in net.state_dict().items()}, 2)
    torch.save({"params_ema": of["own"]}, out / "own.pth")
    torch.save(of["trunk"], out / "trunk-legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": {f"module.{k}": v for k, v in of["numbered"].items()}}, out / "numbered.pth")
    torch.save(of["numbered"], out / "numbered-legacy.pth", _use_new_zipfile_serialization=False)
    pictures = {"x": x, "tiny": made(net, x)}
    half = {k: v.half() for k, v in of["own"].items()}
    torch.save({"params": half}, out / "half.pth")
    net.load_state_dict({k: v.float() for k, v in half.items()})
    pictures["half"] = made(net, x)
    pictures["blocks23"] = made(filled(nets.RrdbNet(8, 4, 23)), x)
    for factor in (2, 4):
        net = Unshuffled(factor, 4, 2, 2)
        filled(net.net)
        y = picture(8, 12)
        pictures[f"unshuffled{factor}.x"], pictures[f"unshuffled{factor}"] = y, made(net, y)
    save_file(pictures, out / "pictures.safetensors")

    out = root / "crates/gan-srgan/tests/published"
    out.mkdir(parents=True, exist_ok=True)
    net = filled(MsrResnet(4, 2))
    torch.save({"params": net.state_dict()}, out / "msr.pth")
    pictures = {"x": x, "msr": made(net, x)}
    for scale in (2, 3):
        pictures[f"msr{scale}"] = made(filled(MsrResnet(4, 2, scale)), x)
    net = filled(nets.SrResnet(4, 2, 2))
    torch.save(net.state_dict(), out / "srresnet-legacy.pth", _use_new_zipfile_serialization=False)
    pictures["srresnet"] = made(net, x)
    pictures["blocks16"] = made(filled(MsrResnet(8, 16)), x)
    save_file(pictures, out / "pictures.safetensors")


def large(out):
    out.mkdir(parents=True, exist_ok=True)
    x = picture(24, 32)
    net = filled(nets.RrdbNet(64, 32, 23))
    save_file({"x": x, "y": made(net, x)}, out / "pictures.safetensors")
    state = {k: v.clone() for k, v in net.state_dict().items()}
    for name, keys in layouts(state, 23).items():
        torch.save(keys, out / f"{name}.pth")
        torch.save(keys, out / f"{name}-legacy.pth", _use_new_zipfile_serialization=False)
        save_file(keys, out / f"{name}.safetensors")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--large", folder]:
            large(pathlib.Path(folder))
        case [root]:
            tiny(pathlib.Path(root))
        case _:
            sys.exit(__doc__)
