"""Does an answer follow the content of a choice, or its letter? The same questions, choices moved.

A copy is a record like any other; metrics know it by its id.
"""

from collections.abc import Iterable
from dataclasses import replace

from tomovox.data.dataset import permute_choices
from tomovox.schema import Record, Task


def in_every_order(records: Iterable[Record]) -> list[Record]:
    """Return the records, each closed question followed by its copies in the other cyclic orders.

    Copy i, of id "<id>~i", begins with choice i of the question and goes on from there, so that
    over all orders every choice stands at every letter once.
    """
    asked = []
    for record in records:
        asked.append(record)
        for first in range(1, len(record.choices)) if record.task == Task.VQA_CLOSED else ():
            order = [*range(first, len(record.choices)), *range(first)]
            asked.append(replace(permute_choices(record, order), id=f"{record.id}~{first}"))
    return asked
