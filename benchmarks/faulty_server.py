"""The inference server, with a model that fails now and then: what `benchmarks.faults` asks.

`python -m benchmarks.faulty_server --port N [--faults P] [--deaths P] [--seed N]`

A batch raises RuntimeError, raises MemoryError or has a number that is not finite, each with probability
P / 3; with `--deaths` it ends its lane (SystemExit), which ends the process. All else is the server as it is.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from services.conf import CoreSettings, load
from services.inference import server, serving
from services.inference.batching import Served
from services.inference.conf import InferenceSettings
from services.logs import configure


def main() -> None:
    """Parse, put the faults in, serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--faults", type=float, default=0.02, help="part of the batches that fail (default .02)"
    )
    parser.add_argument("--deaths", type=float, default=0.001, help="part that ends the lane (default .001)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(args.seed)

    def served(name: str, run: Callable[..., Any], *rest: Any) -> Served:
        return Served(name, failing(run, rng, args.faults, args.deaths), *rest)

    vars(serving)["Served"] = served
    core, settings = load(CoreSettings), load(InferenceSettings)
    configure(core.log_level, core.log_format)
    sys.exit(server.serve(settings.model_copy(update={"inference_port": args.port}), core))


def failing(run: Callable[..., Any], rng: random.Random, faults: float, deaths: float) -> Callable[..., Any]:
    """`run`, but for what the dice say."""

    def sometimes(token_ids: Any) -> Any:
        drawn = rng.random()
        if drawn < deaths:
            raise SystemExit("a lane was told to end")
        if drawn < deaths + faults / 3:
            raise RuntimeError("a fault on purpose")
        if drawn < deaths + faults * 2 / 3:
            raise MemoryError
        answers = run(token_ids)
        if drawn < deaths + faults:
            answers[0][..., 0] = np.nan
        return answers

    return sometimes


if __name__ == "__main__":
    main()
