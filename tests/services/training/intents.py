"""A small world of questions to a shop, and of news with several topics."""

from __future__ import annotations

import random

INTENTS = {
    "track_order": [
        "where is my parcel",
        "track the parcel",
        "parcel has not arrived",
        "when comes the parcel",
    ],
    "refund": ["money back please", "want a refund", "refund my money", "return and get money back"],
    "open_hours": ["when do you open", "opening hours on sunday", "are you open today", "which hours open"],
    "password": ["forgot my password", "reset password", "cannot log in password", "new password needed"],
    "warranty": [
        "how long is the warranty",
        "warranty for repair",
        "is repair covered by warranty",
        "warranty",
    ],
    "coupon": ["my coupon code fails", "use a voucher code", "coupon not accepted", "discount code voucher"],
}
STRANGE = [
    "tell me a joke about penguins",
    "what is the capital of peru",
    "sing something in latin",
    "boiling point of helium",
    "who painted the ceiling",
    "translate good morning",
]
_FILL = ("please", "hello", "thanks", "again", "quickly", "now", "maybe", "help")

SUBJECTS = {
    "grain": ("wheat harvest", "bushels of corn", "sowing and silos"),
    "oil": ("crude barrels", "refinery pipeline", "offshore drilling"),
    "rates": ("central bank lending", "interest on deposits", "money market yield"),
}


def questions(each: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """(texts, labels): `each` of every intent, all different."""
    rng = random.Random(seed)
    found: dict[str, str] = {}
    for label, wordings in INTENTS.items():
        mine = 0
        while mine < each:
            text = " ".join([rng.choice(_FILL), rng.choice(wordings), *rng.sample(_FILL, 2)])
            mine += text not in found
            found.setdefault(text, label)
    return list(found), list(found.values())


def stories(n: int, seed: int = 0) -> tuple[list[str], list[tuple[str, ...]]]:
    """(texts, topics): a title and a line under it, about none, one or two subjects."""
    rng = random.Random(seed)
    texts, labels = [], []
    for number in range(n):
        mine = tuple(sorted(rng.sample(sorted(SUBJECTS), rng.choice((0, 1, 1, 2)))))
        said = [rng.choice(SUBJECTS[subject]) for subject in mine] or ["a quiet day at the theatre"]
        texts.append(f"Report {number} of the {rng.choice(_FILL)} desk\n" + " and ".join(said))
        labels.append(mine)
    return texts, labels
