"""Does a given OpenAI-compatible server work as Trefoil's generator (and encoder)?

`python -m benchmarks.openai_compat --url URL --model NAME [--key KEY] [--embeddings] [--prompt TEXT]`

URL ends where the interface begins (http://host:8000/v1). One short chat is streamed through the very
client that the `openai` runtime uses; with `--embeddings` three texts are embedded, too, both ways. Prints
what came and exits with 1 when a part failed. Without `--key`, GENERATOR_API_KEY is used when it is set.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from contextlib import aclosing

import numpy as np

from services import logs
from services.errors import SuiteError
from services.inference.runtimes.openai import OpenAiEndpoint
from services.inference.values import ChatMessage, Delta, Finished, Sampling

TEXTS = ("Returns are free within thirty days.", "Can I send it back?", "三十天内免费退货。")


def main() -> None:
    """Parse, ask, print; exit with 1 on failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--key", default=os.environ.get("GENERATOR_API_KEY", ""))
    parser.add_argument("--prompt", default="Say in one sentence what a receipt is for.")
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--deadline-s", type=float, default=120.0)
    parser.add_argument("--embeddings", action="store_true", help="try embeddings, too")
    args = parser.parse_args()
    logs.configure("WARNING", "console")
    try:
        endpoint = OpenAiEndpoint(args.url, args.key, args.model)
        good = asyncio.run(chat(endpoint, args.prompt, args.max_tokens, args.deadline_s))
        if args.embeddings:
            good = embeddings(endpoint, args.deadline_s) and good
        endpoint.close()
    except SuiteError as error:
        print(f"failed before an answer: {error.code}: {error.detail}")
        good = False
    sys.exit(0 if good else 1)


async def chat(endpoint: OpenAiEndpoint, prompt: str, max_tokens: int, deadline_s: float) -> bool:
    """One streamed answer; whether it came to its end."""
    messages = [ChatMessage("system", "Be brief."), ChatMessage("user", prompt)]
    began, first_s, deltas = time.perf_counter(), 0.0, 0
    async with aclosing(endpoint.chat(messages, Sampling(max_tokens=max_tokens), deadline_s)) as events:
        async for event in events:
            if isinstance(event, Delta):
                first_s = first_s or time.perf_counter() - began
                deltas += 1
                print(f"delta     {event.text!r}")
            elif isinstance(event, Finished):
                took_s = time.perf_counter() - began
                print(
                    f"finished  {event.reason}, {deltas} deltas, {event.prompt_tokens} prompt and "
                    f"{event.completion_tokens} completion tokens, version {event.version}\n"
                    f"          first delta after {first_s:.2f} s, all after {took_s:.2f} s"
                )
                return True
            else:
                print(f"failed    {event.code}: {event.detail}")
    return False


def embeddings(endpoint: OpenAiEndpoint, deadline_s: float) -> bool:
    """The same texts embedded blocking and awaited; whether both give the same vectors."""
    vecs = endpoint.embed(TEXTS, deadline_s)
    again = asyncio.run(endpoint.aembed(TEXTS, deadline_s))
    print(
        f"embedded  {len(vecs)} texts, dim {vecs.shape[1]}; cosine of the first two {vecs[0] @ vecs[1]:.3f}"
    )
    same = bool(np.allclose(vecs, again, atol=1e-3))
    print("          the same vectors, blocking and awaited" if same else "          the vectors differ")
    return same


if __name__ == "__main__":
    main()
