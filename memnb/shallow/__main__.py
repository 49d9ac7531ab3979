"""The long runs of the chapter on trained networks: ``python -m memnb.shallow RUN``."""

import argparse
import re
import sys
from pathlib import Path

import torch

from ._trainer import METHODS, Diverged, NotConverged
from .readback import keep
from .runs import Decay, Flows, Stability, Sweep

__all__ = ["main"]

STABILITY = {
    "paper": ("stability-d30", Stability()),
    "quick": (
        "stability-d10",
        Stability(N=11, d=10, n_noisy=100, width=680, n_draws=8, penalty=None),
    ),
}
FLOWS = {
    # The size of the paper: S = 150 levels, of which 75 are below sigma = 0.1. Days on a CPU.
    "paper": ("flows-d30", {"d": 30, "counts": (6, 11, 16, 21, 26, 31), "n_noisy": 500,
                            "n_levels": 150, "steps": 100, "thin": (1, 5), "keep_every": 5}),
    # As many levels as the paper has, in ten dimensions
    "levels": ("flows-d10-s150", {"n_levels": 150, "counts": (3, 5, 8), "thin": (1, 5),
                                  "keep_every": 5}),
    "quick": ("flows-d10", {}),
    "small": ("flows-d5", {"d": 5, "counts": (3, 5)}),
}  # fmt: skip
OTHERS = {"sweep": ("sweep-d10", Sweep()), "decay": ("decay-d10", Decay())}


def _run(options):
    if options.run in OTHERS:
        if options.profile != "quick":
            raise SystemExit(f"memnb.shallow: {options.run} has the profile quick only")
        return OTHERS[options.run]
    if options.run == "stability":
        if options.profile not in STABILITY:
            raise SystemExit(f"memnb.shallow: stability has the profiles {', '.join(STABILITY)}")
        return STABILITY[options.profile]
    return flow_run(options.profile, options.method)


def flow_run(profile, method):
    """Name and run of one training method at one size."""
    name, values = FLOWS[profile]
    if method != "lagrangian":  # without multipliers the last digits take very long
        values = values | {"residual_tol": 5e-3, "settle_tol": 1e-2}
    if method == "dropout":  # noise in the gradients
        values = values | {"settle_tol": 5e-2}
    return f"{name}-{method}", Flows(method=method, **values)


def _device(name):
    """A device that is there, or an exit with one line."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise SystemExit(
            f"memnb.shallow: device must be cpu, cuda or cuda:0 and so on, got {name!r}"
        )
    there = torch.cuda.device_count()
    if name != "cpu" and (torch.device(name).index or 0) >= there:
        raise SystemExit(
            f"memnb.shallow: device {name!r} was asked for, but there are {there} CUDA devices"
        )
    return name


def main(arguments=None):
    """Do one run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m memnb.shallow", description=__doc__)
    parser.add_argument("run", choices=("stability", "flows", *OTHERS))
    parser.add_argument("--profile", choices=tuple(FLOWS)[::-1], default="quick")
    parser.add_argument("--method", choices=METHODS, default="lagrangian", help="of flows")
    parser.add_argument("--device", default="cpu", help="a torch device (default cpu)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument(
        "--workdir", type=Path, default=Path("_build/fit"), help="checkpoints (default _build/fit)"
    )
    options = parser.parse_args(arguments)
    if options.threads < 1:
        raise SystemExit(f"memnb.shallow: threads must be at least 1, got {options.threads}")
    torch.set_num_threads(options.threads)
    name, run = _run(options)
    command = f"python -m memnb.shallow {options.run} --profile {options.profile}"
    if options.run == "flows":
        command += f" --method {options.method}"
    if options.device != "cpu":
        command += f" --device {options.device}"
    if options.threads != 1:
        command += f" --threads {options.threads}"
    try:
        record = keep(name, run, command, options.workdir / name, _device(options.device))
    except (NotConverged, Diverged, ValueError) as error:
        print(f"memnb.shallow: {error}", file=sys.stderr)
        return 1
    print(f"kept {name} after {record['seconds']} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
