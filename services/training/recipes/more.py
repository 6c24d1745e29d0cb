"""A training part made larger by reworded copies, where the recipe's parameters ask for it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from services.training import augment
from services.training.dataset import Example
from services.training.recipes import Job
from services.training.recipes.batches import base_folder
from services.training.word_table import word_table


def enlarged(examples: Sequence[Example], share: float, job: Job) -> tuple[Example, ...]:
    """The examples and about `share` reworded copies for each; none of them is ever evaluated on.

    Words are left out, doubled or swapped in some copies, and replaced by near ones of the base's own table
    in others.
    """
    if not share:
        return tuple(examples)
    table = word_table(base_folder(job.base or job.engine.encoder().name, "ENCODER"))
    made: list[Example] = []
    for turn in range(math.ceil(share)):
        made += augment.token_edits(examples, job.seed + turn)
        made += augment.synonyms(examples, table, job.seed + turn)
    random.Random(job.seed).shuffle(made)
    return (*examples, *made[: round(share * len(examples))])
