"""What do visitors get while a language model's server misbehaves?

`python -m benchmarks.phrasing [--answers N] [--visitors N] [--json FILE] [--seed N]`

Makes a knowledge base of a made company (`benchmarks.help_texts`), starts the product's web server as
`manage.py up` does, and asks it over HTTP and its event stream: half of the questions with GENERATOR_URL at a
server that lies, stalls and dies (`benchmarks.lying_server`), half at the product's own inference server with
a language model of random weights made on the spot, which writes nonsense.

    answers, phrased, quoted   replies; those a model worded, those made of quotations
    choices, refused           replies of the other kinds
    failed                     `failed` events
    error_strings              replies with words of an error, of a prompt or of a lie in them
    unsupported                sentences of answers whose words or figures their quoted passage does not have
    slowest_s                  the longest wait for a reply

Nothing is read from a folder: there is no --data.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from typing import Any

import httpx

from benchmarks.chat_load import A_CONVERSATION, ROOT, Seen, Visitor, learn, serving
from benchmarks.command import arguments, conditions, cores, write
from benchmarks.help_texts import passages, questions
from benchmarks.lying_server import LyingServer
from services.text.sentences import sentences

PASSAGES = 300
ERROR_WORDS = (
    "error", "sorry", "went wrong", "try again", "traceback", "exceed", "429", "502", "gateway", "secret",
    "prize", "http", "instructions", "no_answer", "<", "{", "\ufffd",
)  # fmt: skip
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


@dataclass(slots=True)
class Told(Visitor):
    """A visitor who keeps what was replied."""

    replies: list[dict[str, Any]] = field(default_factory=list)

    def take(self, event: dict[str, Any], at: float) -> None:
        """Note an event, and keep it if it is a reply."""
        Visitor.take(self, event, at)
        if event.get("kind") in {"bot_message", "failed"}:
            self.replies.append(event)


def main() -> None:
    """Parse, run, print, write."""
    parser = arguments(__doc__, required=False)
    parser.add_argument("--answers", type=int, default=500, help="questions in all, half for each server")
    parser.add_argument("--visitors", type=int, default=6, help="how many ask at the same time")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {
            "DATA_DIR": folder, "LOG_LEVEL": "WARNING", "DJANGO_SETTINGS_MODULE": "config.settings",
            "ALLOWED_HOSTS": "127.0.0.1", "CHATBOT_PHRASE_S": "3", "CHATBOT_FIRST_WORDS_S": "1.5",
        }  # fmt: skip
        metrics = run(Path(folder), args)
    for name, value in metrics.items():
        print(f"{name:>24}  {value}")
    write(args.json, metrics)


def run(folder: Path, args: Any) -> dict[str, Any]:
    """Both halves, one after the other."""
    made = passages(PASSAGES, args.seed)
    learn(made)
    bold()
    asked = questions(list(made), args.answers, args.seed)
    half = len(asked) // 2
    liar = LyingServer()
    try:
        lied = ask(folder, asked[:half], args.visitors, GENERATOR_URL=liar.url, GENERATOR="liar")
        ways = dict(liar.told)
    finally:
        liar.close()
    with own_server(folder) as url:
        babbled = ask(folder, asked[half:], args.visitors, GENERATOR_URL=url, GENERATOR="tiny")
    metrics: dict[str, Any] = {}
    for name in lied:
        metrics[name] = max(lied[name], babbled[name]) if name == "slowest_s" else lied[name] + babbled[name]
    return {
        **metrics,
        **{f"lying_{name}": value for name, value in lied.items()},
        **{f"own_{name}": value for name, value in babbled.items()},
        "requests_to_the_liar": sum(ways.values()),
        "ways": len(ways),
        **conditions(cores()),
    }


def bold() -> None:
    """As little careful as can be: a model is asked as often as possible."""
    from chatbot.models import KnowledgeBase

    KnowledgeBase.objects.update(carefulness=0.0)


def ask(folder: Path, asked: Sequence[str], visitors: int, **generator: str) -> dict[str, Any]:
    """All questions with that generator: what came of them."""
    os.environ |= generator
    seen, before = Seen(), worded()
    with serving(folder) as (address, _pid):
        replies = asyncio.run(play(address, asked, visitors, seen))
    for name in generator:
        os.environ.pop(name)
    return counted(replies, max(seen.answers, default=0.0) / 1000, before)


async def play(address: str, asked: Sequence[str], visitors: int, seen: Seen) -> list[dict[str, Any]]:
    """The questions shared out among visitors; every reply that came."""
    replies: list[dict[str, Any]] = []

    async def one(own: Sequence[str], number: int) -> None:
        async with httpx.AsyncClient(base_url=address, timeout=httpx.Timeout(60.0)) as client:
            for at in range(0, len(own), A_CONVERSATION):
                visitor = Told(client, seen, True)
                await visitor.visit(own[at : at + A_CONVERSATION], f"{number}-{at}")
                replies.extend(visitor.replies)

    await asyncio.gather(*(one(asked[number::visitors], number) for number in range(visitors)))
    return replies


def worded() -> int:
    """Answers so far that a model worded."""
    from chatbot.models import Turn

    return Turn.objects.filter(trace__has_key="phrasing", outcome="answer").count()


def counted(replies: Sequence[dict[str, Any]], slowest_s: float, worded_before: int) -> dict[str, Any]:
    """The metrics of the module's docstring."""
    outcomes = Counter(reply.get("outcome", "failed") for reply in replies)
    answers = [reply for reply in replies if reply.get("outcome") == "answer"]
    texts = passage_texts({one["passage"] for reply in answers for one in reply["citations"]})
    wrong = [reply for reply in replies if reply["kind"] == "bot_message" and _has_error(reply, texts)]
    for reply in wrong:
        print("an error in:", reply["text"], file=sys.stderr)
    phrased = worded() - worded_before
    return {
        "answers": len(replies),
        "phrased": phrased,
        "quoted": len(answers) - phrased,
        "choices": outcomes["choices"],
        "refused": outcomes["refusal"],
        "failed": outcomes["failed"],
        "error_strings": len(wrong),
        "unsupported": sum(not _is_supported(reply, texts) for reply in answers),
        "slowest_s": round(slowest_s, 2),
    }


def passage_texts(ids: set[int]) -> dict[int, str]:
    """The passages' headings and texts."""
    from chatbot.models import Passage

    rows = Passage.objects.filter(pk__in=ids).values_list("pk", "heading", "text")
    return {pk: f"{heading}\n{text}" for pk, heading, text in rows}


def _has_error(reply: dict[str, Any], texts: dict[int, str]) -> bool:
    """Whether it has a word of an error that the passages it cites do not have."""
    said = " ".join([reply["text"], *(one["text"] for one in reply["sentences"])]).lower()
    cited = " ".join(texts.get(one["passage"], "") for one in reply["citations"]).lower()
    return any(word in said and word not in cited for word in ERROR_WORDS)


def _is_supported(reply: dict[str, Any], texts: dict[int, str]) -> bool:
    """Every figure of each sentence stands in the passage it cites, and most of its words."""
    for one, text in _beside(reply, texts):
        if not set(_NUMBER.findall(one["text"])) <= set(_NUMBER.findall(text)):
            return False
        words = set(re.findall(r"[a-z]{4,}", one["text"].lower()))
        if words and len(words & set(re.findall(r"[a-z]{4,}", text.lower()))) < 0.5 * len(words):
            return False
    return True


def _beside(reply: dict[str, Any], texts: dict[int, str]) -> Iterator[tuple[dict[str, Any], str]]:
    places = {one["n"]: one["passage"] for one in reply["citations"]}
    for one in reply["sentences"]:
        yield one, texts.get(places.get(one["citation"], 0), "")


@contextmanager
def own_server(folder: Path) -> Iterator[str]:
    """The product's inference server with a language model that was made a moment ago."""
    model = tiny_model(folder / "tiny")
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "GENERATOR": str(model), "INFERENCE_PORT": str(port)}
    with (folder / "inference.log").open("wb") as log:
        command = [sys.executable, "-m", "services.inference.server"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        ends = time.monotonic() + 180
        while time.monotonic() < ends:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/ready", timeout=5).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def tiny_model(folder: Path) -> Path:
    """A Llama of two layers with random weights, and a tokenizer learned from the made passages."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lines = [span.of(one.text) for one in passages(100, 1) for span in sentences(one.text)]
    tokenizer.train_from_iterator(lines, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    fast.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(fast), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=8192,
        bos_token_id=0, eos_token_id=1, pad_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
