"""Rebuild the sentiment head that comes with the product.

`python -m services.training.ship_sentiment --data DIR [--out FOLDER] [--seed N]`

DIR holds one folder a data set, each with a train.csv (text,entity,label). Only the sets named below are
read, because their licences let their weights be given on; their test.csv is never opened.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from services.conf import load
from services.errors import SuiteError
from services.inference.conf import InferenceSettings
from services.inference.local import build_engine
from services.registry.manifest import SHIPPED, Manifest
from services.training.dataset import read_csv
from services.training.fine_tune import fine_tune, register
from services.training.order import NamedSet

TASK = "sentiment"
LABELS = ("negative", "neutral", "positive")
LANGUAGES = ("en",)
SETS = {"twitter": ("Twitter financial news", "MIT"), "sentfin": ("SEntFiN 1.0", "MIT")}


def main() -> int:
    """Parse, train, say what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help=f"a folder with {', '.join(SETS)}")
    parser.add_argument("--out", type=Path, default=SHIPPED / TASK, help="where the model goes")
    parser.add_argument("--seed", type=int, default=0, help="which examples are held out")
    args = parser.parse_args()
    try:
        manifest = ship(args.data, args.out, args.seed)
    except SuiteError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 1
    figures = ", ".join(f"{name} {value}" for name, value in manifest.metrics.items())
    sys.stdout.write(f"{manifest.version} on {manifest.base_version}: {figures}\n")
    return 0


def ship(data: Path, out: Path, seed: int) -> Manifest:
    """Train on the named sets together and register. Raises InvalidInput, ModelUnavailable, StorageFailed."""
    sets = [
        NamedSet(name, licence, read_csv(data / folder / "train.csv", LABELS))
        for folder, (name, licence) in SETS.items()
    ]
    examples = [example for one in sets for example in one.examples]
    engine = build_engine(load(InferenceSettings))
    try:
        trained = fine_tune(examples, LABELS, engine, seed=seed)
    finally:
        engine.close()
    return register(trained, TASK, LANGUAGES, sets, out)


if __name__ == "__main__":
    raise SystemExit(main())
