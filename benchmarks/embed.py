"""How much faster than sentence-transformers does the engine embed, with the same vectors?

`python -m benchmarks.embed [--data DIR] [--json FILE] [--seed N]`

Both sides have the same encoder, threads and texts in the same process and take turns, so that a busy
machine slows them alike; a speed-up is the ratio of the medians of all rounds.
Baseline: `SentenceTransformer.encode` with its defaults (float32, batches of 32 sorted by length).
Ours: `LocalEngine.embed` as served, tokenising and queueing included.

Short texts are sentences of 8 to 20 words, long ones passages of 100 to 250. They are cut from
`texts.txt` in DIR (one text a line) or, without it, drawn from a word list. Floors: short 3.5,
long 3.0, every cosine between the two sides at least .999.
"""

from __future__ import annotations

import json
import os
import random
import re
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.command import arguments, conditions, cores, write
from services import logs
from services.inference.conf import InferenceSettings
from services.inference.encoder_files import EncoderFiles, find_encoder
from services.inference.local import LocalEngine
from services.inference.tokenising import Tokeniser
from services.inference.values import Priority

Floats = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Floats]

SHORT_WORDS = (8, 20)
LONG_WORDS = (100, 250)
_LIST = (
    "a about account after all also an and any are as at available bank be because before billing book "
    "button by call can card cancel cannot change charge chart cheap check city client clean close cloud "
    "company contact copy cost country customer data date day delay deliver desk device did discount do "
    "does down each early easy email error every exchange export family fast fee field file final find "
    "first for forecast from full garden give go good group growth guide has have help her his holiday "
    "home hour house how however if important in income increase index inside invoice is issue it item "
    "its keep key kitchen large last late launch letter level light line list local long loss machine "
    "make manager many market may message minute mobile money month more most move much music must name "
    "need network new next no not note number of offer office often on one online open option or order "
    "other our out over own page paper part password pay people percent phone place plan please point "
    "policy power price print problem product profit quality quarter question quick rate read receive "
    "refund region register repair report request reset result return revenue review right road room "
    "safe sale same save school screen search season second see sell send service set share she ship "
    "should show sign simple size small so software some soon speed staff start state station still stock "
    "store street strong such summer support system table take team tell than that the their them then "
    "there they this ticket time to today tool total town track trade train travel two under until up "
    "update use user value very visit voice wait want warranty was water way we weather week well were "
    "what when where which while who why will window winter with within word work would year yet you your"
)
WORDS = _LIST.split()


def main() -> None:
    """Parse, measure, print, write."""
    parser = arguments(__doc__, "a folder that may hold texts.txt", required=False)
    parser.add_argument("--rounds", type=int, default=7, help="turns of each side (default 7)")
    args = parser.parse_args()
    logs.configure("WARNING", "console")
    metrics = measure(args.data, args.seed, args.rounds)
    show(metrics)
    write(args.json, metrics)


def measure(
    data: Path | None, seed: int, rounds: int, n_short: int = 512, n_long: int = 64
) -> dict[str, Any]:
    """The metrics, and under what conditions they were taken."""
    words = source(data)
    rng = random.Random(seed)
    short = [passage(words, rng.randint(*SHORT_WORDS), rng) for _ in range(n_short)]
    long = [passage(words, rng.randint(*LONG_WORDS), rng) for _ in range(n_long)]
    threads = cores()
    engine = LocalEngine(InferenceSettings(inference_threads=threads, inference_device="cpu"))
    peer = sentence_transformers_encode(threads)
    try:
        alike = [np.sum(peer(texts) * engine.embed(texts), axis=1) for texts in (short, long)]
        short_s = in_turns(peer, engine.embed, [short] * rounds)
        long_s = in_turns(peer, engine.embed, [long] * rounds)
        single_s = in_turns(
            peer,
            lambda texts: engine.embed(texts, priority=Priority.INTERACTIVE),
            [[text] for text in short[: 10 * rounds]],
        )
        info = engine.encoder()
        files = find_encoder(info.name, Path("var/models"))
        short_gflop, long_gflop = (gflop(files, texts) for texts in (short, long))
        peak = peak_tflops(threads)
    finally:
        engine.close()
    return {
        "speedup_short": round(short_s[0] / short_s[1], 2),
        "speedup_long": round(long_s[0] / long_s[1], 2),
        "min_cosine": round(float(np.concatenate(alike).min()), 5),
        "single_p50_ms": round(single_s[1] * 1000, 2),
        "single_speedup": round(single_s[0] / single_s[1], 2),
        "texts_per_s_short": round(n_short / short_s[1], 1),
        "texts_per_s_long": round(n_long / long_s[1], 1),
        "peer_texts_per_s_short": round(n_short / short_s[0], 1),
        "peer_texts_per_s_long": round(n_long / long_s[0], 1),
        "peer_single_p50_ms": round(single_s[0] * 1000, 2),
        "tflops_short": round(short_gflop / short_s[1] / 1000, 3),
        "tflops_long": round(long_gflop / long_s[1] / 1000, 3),
        "peak_bf16_tflops": round(peak, 3),
        "of_peak_short": round(short_gflop / short_s[1] / 1000 / peak, 3),
        "of_peak_long": round(long_gflop / long_s[1] / 1000 / peak, 3),
        "encoder": info.version,
        "runtime": info.runtime,
        "seed": seed,
        "rounds": rounds,
        "load_per_core": round(os.getloadavg()[0] / threads, 2),
        **conditions(threads),
    }


def in_turns(peer: Embed, ours: Embed, batches: Sequence[Sequence[str]]) -> tuple[float, float]:
    """Median seconds a batch of the two sides; who goes first changes every time."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn, texts in enumerate(batches):
        for side in (0, 1) if turn % 2 else (1, 0):
            started = time.perf_counter()
            (peer, ours)[side](texts)
            seconds[side].append(time.perf_counter() - started)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def gflop(files: EncoderFiles, texts: Sequence[str]) -> float:
    """What the encoder has to count for these texts, padding left out, in 10^9 multiplications and additions.

    For each token and layer: four projections and two of the feed-forward part, and in attention
    two products with every token of the text.
    """
    config = json.loads((files.folder / "config.json").read_text(encoding="utf-8"))
    dim, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    lengths = map(len, Tokeniser(files.folder / "tokenizer.json", files.max_tokens, files.lowercase)(texts))
    return sum(n * layers * (2 * (4 * dim * dim + 2 * dim * inner) + 4 * n * dim) for n in lengths) / 1e9


def peak_tflops(threads: int, size: int = 2048, turns: int = 15) -> float:
    """The best this CPU was seen to do: a large bfloat16 product in torch (oneDNN) on as many threads."""
    import torch

    torch.set_num_threads(threads)
    left, right = (torch.randn(size, size).to(torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(turns):
        started = time.perf_counter()
        torch.mm(left, right)
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds) / 1e12


def sentence_transformers_encode(threads: int) -> Embed:
    """The baseline, loaded from the folder of the encoder that is served."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    torch.set_num_threads(threads)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    settings = InferenceSettings()
    files = find_encoder(settings.encoder, settings.model_cache_dir)
    model = SentenceTransformer(str(files.folder), device="cpu")
    return lambda texts: model.encode(list(texts))


def source(data: Path | None) -> Iterator[str] | None:
    """The words of texts.txt, over and over, in order; None when there is no such file.

    Two characters of a script without spaces count as one word.
    """
    path = data / "texts.txt" if data else None
    if path is None or not path.is_file():
        return None
    units = re.findall(
        r"[\u3040-\u9fff]{1,2}|[^\s\u3040-\u9fff]+", path.read_text(encoding="utf-8", errors="replace")
    )
    return cycle(units) if units else None


def passage(words: Iterator[str] | None, count: int, rng: random.Random) -> str:
    """That many words: the next of the source, or drawn from the list."""
    if words is None:
        return " ".join(rng.choice(WORDS) for _ in range(count))
    return " ".join(next(words) for _ in range(count))


def show(metrics: dict[str, Any]) -> None:
    """The table: ours, the peer, the ratio, the floor."""
    print(f"{'':24}{'trefoil':>12}{'sentence-tr.':>14}{'ratio':>8}{'floor':>8}")
    for name, unit, floor in (("short", "texts_per_s_short", 3.5), ("long", "texts_per_s_long", 3.0)):
        ours, peer, ratio = metrics[unit], metrics[f"peer_{unit}"], metrics[f"speedup_{name}"]
        print(f"{name + ' texts / s':24}{ours:>12}{peer:>14}{ratio:>8}{floor:>8}")
    ours, peer, ratio = (metrics[k] for k in ("single_p50_ms", "peer_single_p50_ms", "single_speedup"))
    print(f"{'one text, p50 ms':24}{ours:>12}{peer:>14}{ratio:>8}")
    peak = metrics["peak_bf16_tflops"]
    for name in ("short", "long"):
        done, part = metrics[f"tflops_{name}"], metrics[f"of_peak_{name}"]
        print(
            f"{name + ', TFLOP / s':24}{done:>12}   {part:.0%} of the {peak} that a bfloat16 product reaches"
        )
    print(f"{'least cosine':24}{metrics['min_cosine']:>12}{'':>22}{0.999:>8}")
    told = ("runtime", "encoder", "cpu", "amx_bf16", "cores", "load_per_core", "date", "commit", "seed")
    print("\n" + ", ".join(f"{key} {metrics[key]}" for key in told))


if __name__ == "__main__":
    main()
