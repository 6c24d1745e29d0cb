"""What the benchmarks' commands share: their options, the engine they ask, and the file they leave.

Knows nothing of what is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services import logs
from services.conf import load
from services.errors import SuiteError
from services.inference.conf import InferenceSettings
from services.inference.engine import Engine
from services.inference.local import build_engine


def arguments(
    doc: str | None, data: str | None = None, seed: str | None = None, *, required: bool = True
) -> argparse.ArgumentParser:
    """--data, --json and --seed, with what is said of data and seed; a benchmark adds its own options."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=required, help=data)
    parser.add_argument("--json", type=Path, help="write the metrics here")
    parser.add_argument("--seed", type=int, default=0, help=seed)
    return parser


@contextmanager
def serving_engine() -> Iterator[Engine]:
    """The engine that the settings ask for, until the end; a SuiteError ends the benchmark with its words."""
    logs.configure("WARNING", "console")
    engine = build_engine(load(InferenceSettings))
    try:
        yield engine
    except SuiteError as error:
        raise SystemExit(error.detail) from error
    finally:
        engine.close()


def write(path: Path | None, metrics: Mapping[str, Any]) -> None:
    """The metrics as JSON, where a path was given; its folder is made."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def engine_threads() -> int:
    """Threads that the engine of `serving_engine` computes with."""
    return load(InferenceSettings).inference_threads or cores()


def conditions(threads: int) -> dict[str, Any]:
    """Machine, date and commit, so that a figure can be read later."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*:\s*(.+)", cpuinfo)
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "cpu": model.group(1).strip() if model else platform.processor(),
        "amx_bf16": "amx_bf16" in cpuinfo,
        "cores": threads,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": git.stdout.strip(),
    }
