"""Runs this project's benchmark and PyTorch's alternately and prints their ratio.

    python compare.py [ops [WORD ...] | LABEL ...] [--rounds N] [--threads N] [--seconds S] [--channels-last] [--xtask FILE]

Each round runs both programs, one after the other, in processes of their own.  For each figure the
smallest of all rounds counts, as other work on the machine can only make it larger.  A ratio above 1
means that PyTorch takes longer.  Words after ops choose the ops whose names contain one.  With
--channels-last PyTorch also runs in that memory format.  The label srresnet stands for the example
srresnet_step of gan-core, enlarge for enlarge_time of gan-esrgan.  Build the project first; time nothing while a build runs.
"""
import argparse
import json
import math
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def lines(command, env=None):
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


EXAMPLES = {"srresnet": ["srresnet_step", "40"], "enlarge": ["enlarge_time", "2"]}


def own(args, label, rest):
    """The rows of our benchmark of a label."""
    if label[0] not in EXAMPLES:
        return lines([args.xtask, "bench", *label, *rest])
    name, *words = EXAMPLES[label[0]]
    example = os.path.join(os.path.dirname(args.xtask), "examples", name)
    needed = {"CANDLE_GRAD_DO_NOT_DETACH": "1", "CANDLE_NUM_THREADS": "1", "MIMALLOC_PURGE_DELAY": "-1", "RAYON_NUM_THREADS": str(args.threads)}
    return lines([example, *words], {**os.environ, **needed})


def reference(args, label, rest):
    """The rows of PyTorch's."""
    if label == ["enlarge"]:
        rest = ["--threads", str(args.threads), *(word for word in rest if word == "--channels-last")]
        return lines([sys.executable, os.path.join(HERE, "enlarge.py"), *rest])
    return lines([sys.executable, os.path.join(HERE, "bench.py"), *label, *rest])


def smaller(best, key, row, names):
    kept = best.setdefault(key, {})
    for name in names:
        if row.get(name) is not None:
            kept[name] = min(kept.get(name, math.inf), row[name])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("labels", nargs="*", default=["ops"])
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--seconds", type=float, default=10)
    ap.add_argument("--channels-last", action="store_true")
    ap.add_argument("--xtask", default=os.path.join(HERE, "..", "..", "target", "debug", "xtask"))
    args = ap.parse_args()
    common = ["--threads", str(args.threads), "--seconds", str(args.seconds)]
    ops = args.labels[0] == "ops"
    steps = [] if ops else ["--steps", "2000"]
    ours, torch, last = {}, {}, {}
    for _ in range(args.rounds):
        for label in [args.labels] if ops else [[label] for label in args.labels]:
            for row in own(args, label, [*steps, *common]):
                smaller(ours, row.get("op") or row["paper"], row,
                        ["ours_median_ms", "ours_min_ms", "walk_min_ms", "candle_ms", "median_s", "min_s", "peak_rss_mib"])
            for row in reference(args, label, [*steps, *common]):
                smaller(torch, row.get("op") or row["paper"], row, ["median_ms", "min_ms", "median_s", "min_s", "peak_rss_mib"])
            if args.channels_last and not ops:
                for row in reference(args, label, [*steps, *common, "--channels-last"]):
                    smaller(last, row["paper"], row, ["min_s"])
    if ops:
        print("| op | ours ms | candle's walk | PyTorch | stock candle | PyTorch / ours |")
        print("|---|---|---|---|---|---|")
        shown = lambda x, f: "" if x is None else f"{x:{f}}"
        for op, o in ours.items():
            p = torch.get(op, {}).get("min_ms")
            walk = o.get("walk_min_ms")
            print(f"| {op} | {o['ours_min_ms']:.2f} | {shown(walk, '.2f')} | {shown(p, '.2f')} | {shown(o.get('candle_ms'), '.1f')} "
                  f"| {shown(p and p / o['ours_min_ms'], '.2f')} |")
        ratios = [torch[op]["min_ms"] / o["ours_min_ms"] for op, o in ours.items() if op.startswith("conv") and op in torch]
        if ratios:
            print(f"convolutions: geometric mean {math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}, worst {min(ratios):.2f}")
        return
    for label, o in ours.items():
        p = torch[label]
        print(f"{label}: ours median {o['median_s'] * 1e3:.2f} min {o['min_s'] * 1e3:.2f} ms, {o['peak_rss_mib']} MiB; PyTorch "
              f"{p['median_s'] * 1e3:.2f}, {p['min_s'] * 1e3:.2f} ms, {p['peak_rss_mib']} MiB; PyTorch/ours median "
              f"{p['median_s'] / o['median_s']:.2f}, min {p['min_s'] / o['min_s']:.2f}, memory {p['peak_rss_mib'] / o['peak_rss_mib']:.1f}"
              + (f"; channels_last {last[label]['min_s'] * 1e3:.2f} ms, {last[label]['min_s'] / o['min_s']:.2f}" if label in last else ""))


if __name__ == "__main__":
    main()
