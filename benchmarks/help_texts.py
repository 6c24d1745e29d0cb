"""A made company's help pages and its visitors' questions, as many as are asked for, the same for each seed.

Every passage is put together for one product (a kind of thing, a name and a code: "Halden 340 kettle,
HL-340/B") and one topic from sentences with that product's own figures; which sentences stand there, in which
wording and with which figures is drawn. One passage in twenty is an entry of questions and answers with two
question variants. So words and sentences recur as they do in real help pages, and no two passages are the
same, but the language has less variety than people's own: recall is not to be measured on it.
Knows nothing of what the texts are used for.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

KINDS = (
    "kettle", "desk lamp", "cordless drill", "tent", "sleeping bag", "bike light", "air purifier", "juicer",
    "garden bench", "rain jacket", "hiking boot", "camping stove", "office chair", "heat pump dryer",
    "robot mower", "bread maker", "water filter", "baby monitor", "wall charger", "door lock",
)  # fmt: skip
NAMES = ("Halden", "Mirel", "Tarn", "Osby", "Vela", "Kestrel", "Lomo", "Brannik", "Sorrel", "Quill", "Ravna")
TOPICS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Cleaning": (
        (
            "Wipe the {kind} with a damp cloth every {n} days; {bad} damages the coating.",
            "Take the {part} off before you clean it and let it dry for {n} hours.",
            "Stubborn stains come off with {m} ml of vinegar in a litre of lukewarm water.",
            "The {part} may go into the dishwasher at up to {m} °C, the rest of {name} may not.",
        ),
        ("How do I clean the {kind}?", "can the {part} of my {code} go in the dishwasher",
         "what must I not use to clean {name}"),
    ),
    "Warranty": (
        (
            "{name} has a warranty of {n} months from the day of delivery.",
            "Wear of the {part} is covered for the first {m} days only.",
            "Damage through {bad} is not covered.",
            "Keep the receipt: without it we look the purchase up by the serial number {code}-{m}.",
        ),
        ("How long is the warranty on {name}?", "is a worn {part} covered on the {code}",
         "do I need the receipt for a claim on my {kind}"),
    ),
    "Returns": (
        (
            "You can send {name} back within {n} days of delivery if it is unused.",
            "Refunds for the {kind} are paid within {m} working days after the parcel reaches us.",
            "Put the {part} back in its bag, or {m} EUR are deducted.",
            "Opened packs of spare parts for {code} cannot be returned.",
        ),
        ("How do I return the {kind}?", "when do I get my money back for {name}",
         "can I send back an opened {code}"),
    ),
    "Delivery": (
        (
            "The {kind} is shipped within {n} working days; the parcel weighs {m}.4 kg.",
            "Express delivery of {name} costs {m}.90 EUR and takes {n} days less.",
            "We do not deliver {code} to pick-up points, because of its size.",
            "The carrier rings once and keeps the parcel for {n} days.",
        ),
        ("How long does delivery of {name} take?", "what does express cost for the {kind}",
         "can {code} be delivered to a pick-up point"),
    ),
    "Error codes": (
        (
            "E{n}: the {part} is not in its place; push it until it clicks.",
            "E{m}: {name} is too warm. Let it cool down for {n} minutes in the shade.",
            "If E{n} comes back after a restart, write to us with the serial number of your {kind}.",
            "A blinking green light on {code} is no error: it means that it is updating itself.",
        ),
        ("What does E{n} mean on my {kind}?", "{code} shows an error after restart", "{name} gets too warm"),
    ),
    "Setting up": (
        (
            "Press the button on the {part} for {n} seconds until {name} answers with two short tones.",
            "Mount the {kind} at least {m} cm from the wall.",
            "The screws that come with {code} are for walls of wood; use dowels of {n} mm in concrete.",
            "Two people need about {m} minutes to set {name} up.",
        ),
        ("How do I set up the {kind}?", "how far from the wall must {name} be",
         "which screws do I need for {code}"),
    ),
    "Battery and power": (
        (
            "A full charge of {name} takes {n} hours and lasts for about {m} hours of use.",
            "Use the charger that came with {code}; others charge at half the speed.",
            "Store the {kind} with a battery of {m} per cent if you do not need it for over {n} weeks.",
            "The battery cannot be taken out by yourself; we change it for {m} EUR.",
        ),
        ("How long does the battery of the {kind} last?", "can I use another charger with {code}",
         "what does a new battery for {name} cost"),
    ),
    "Spare parts": (
        (
            "The {part} of {name} can be bought for {m}.50 EUR under the number {code}-{n}.",
            "We keep spare parts of the {kind} for {n} years after it was sold last.",
            "The {part} of the model before fits as well, with the adapter {code}-A.",
            "Change the {part} after {m} uses or once a year, whichever comes first.",
        ),
        ("Where can I get a new {part} for {code}?", "how often must the {part} be changed on {name}",
         "do old parts fit the {kind}"),
    ),
    "Safety": (
        (
            "Keep the {kind} at least {m} cm away from open fire.",
            "Children under {n} years may use {name} only with an adult beside them.",
            "Pull the plug before you touch the {part}.",
            "{code} has been tested for a load of {m} kg; more than that may break the {part}.",
        ),
        ("Is the {kind} safe for children?", "how much weight can {code} carry",
         "how near may {name} be to fire"),
    ),
    "App": (
        (
            "The app finds {name} within {n} metres when Bluetooth is on.",
            "If {code} is not found, press the {part} for {n} seconds and scan again.",
            "Up to {n} people can share one {kind}; each needs an account.",
            "Updates of the {kind} take {m} minutes; do not switch it off meanwhile.",
        ),
        ("The app does not find my {kind}", "how many people can share {name}",
         "how long does an update of {code} take"),
    ),
}  # fmt: skip
PARTS = ("lid", "filter", "cable", "strap", "hinge", "blade", "cover", "handle", "sensor", "valve")
BAD = ("bleach", "steam", "salt water", "direct sun", "abrasive powder", "a high-pressure cleaner")
OFF_TOPIC = (
    "who won the chess championship", "what is the capital of Mongolia", "write me a poem about autumn",
    "do you sell cinema tickets", "what will the weather be like in Lisbon", "how do I file my taxes",
    "recommend a film for tonight", "is my neighbour allowed to park there",
    "translate good morning to Welsh",
)  # fmt: skip
FOLLOW_UPS = (
    "and how long does that take?",
    "what does it cost?",
    "and if it is broken?",
    "is that covered?",
)
PRODUCTS_A_FILE = 12
FAQ_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Product:
    """What the sentences of a product have in common."""

    name: str
    kind: str
    code: str
    part: str


@dataclass(frozen=True, slots=True)
class Passage:
    """One section of a page, or one entry (`variants` not empty) of questions and answers."""

    product: Product
    topic: str
    text: str
    variants: tuple[str, ...] = ()


def passages(count: int, seed: int) -> list[Passage]:
    """So many passages, all different."""
    draw = random.Random(seed)
    made: list[Passage] = []
    for item, topic in product(_products(count, draw), TOPICS):
        if len(made) == count:
            break
        lines, asked = TOPICS[topic]
        chosen = draw.sample(lines, draw.randint(2, 4))
        text = " ".join(_filled(line, item, draw) for line in chosen)
        variants: tuple[str, ...] = ()
        if draw.random() < FAQ_SHARE:
            variants = tuple(_filled(line, item, draw) for line in draw.sample(asked, 2))
        made.append(Passage(item, topic, text, variants))
    return made


def files(made: list[Passage]) -> Iterator[tuple[str, bytes]]:
    """(file name, content): Markdown pages of a dozen products each, then one file of entries."""
    sections = [one for one in made if not one.variants]
    products = list(dict.fromkeys(one.product for one in sections))
    for at in range(0, len(products), PRODUCTS_A_FILE):
        group = set(products[at : at + PRODUCTS_A_FILE])
        lines = [f"# Manual {at // PRODUCTS_A_FILE + 1}"]
        shown = None
        for one in (one for one in sections if one.product in group):
            if one.product != shown:
                shown = one.product
                lines.append(f"## {shown.name} {shown.kind}, {shown.code}")
            lines += [f"### {one.topic}", one.text]
        yield f"manual-{at // PRODUCTS_A_FILE + 1}.md", "\n\n".join(lines).encode()
    entries = [
        {
            "question": f"{one.product.name} {one.product.kind}, {one.product.code}: {one.topic.lower()}?",
            "answer": one.text,
            "variants": list(one.variants),
        }
        for one in made
        if one.variants
    ]
    if entries:
        yield "entries.jsonl", "\n".join(json.dumps(entry) for entry in entries).encode()


def questions(made: list[Passage], count: int, seed: int) -> list[str]:
    """So many messages: of ten 7 about a product, 1 vague, 1 off topic, 1 that leans on the one before."""
    draw = random.Random(seed + 1)
    asked: list[str] = []
    while len(asked) < count:
        one, share = draw.choice(made), draw.random()
        line = draw.choice(TOPICS[one.topic][1])
        if share < 0.1 and asked:
            asked.append(draw.choice(FOLLOW_UPS))
        elif share < 0.2:
            asked.append(draw.choice(OFF_TOPIC) + f", number {draw.randint(1, 999)}")
        elif share < 0.3:
            asked.append(line.format(kind="thing", name="it", code="mine", part="lid", n=3))
        else:
            asked.append(_filled(line, one.product, draw))
    return asked


def _products(passages_n: int, draw: random.Random) -> Iterator[Product]:
    """Products without end in sight, every code once."""
    for number in range(-(-passages_n // len(TOPICS))):
        name, kind = draw.choice(NAMES), draw.choice(KINDS)
        code = f"{name[:2].upper()}-{100 + number}{draw.choice(('', '/A', '/B', '-X'))}"
        yield Product(f"{name} {100 + number}", kind, code, draw.choice(PARTS))


def _filled(line: str, item: Product, draw: random.Random) -> str:
    return line.format(
        kind=item.kind, name=item.name, code=item.code, part=item.part, bad=draw.choice(BAD),
        n=draw.randint(2, 36), m=draw.randint(12, 95),
    )  # fmt: skip
