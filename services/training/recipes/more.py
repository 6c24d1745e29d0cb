"""A training part made larger by edited copies, where the recipe's parameters ask for it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from services.training import augment
from services.training.dataset import Example
from services.training.recipes import Job


def enlarged(examples: Sequence[Example], share: float, job: Job) -> tuple[Example, ...]:
    """The examples and about `share` edited copies for each; none of them is ever evaluated on."""
    made: list[Example] = []
    for turn in range(math.ceil(share)):
        made += augment.token_edits(examples, job.seed + turn)
    random.Random(job.seed).shuffle(made)
    return (*examples, *made[: round(share * len(examples))])
