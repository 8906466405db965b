"""What is wrong with a file or a row of a data set, where, and what can be done about it?"""

from __future__ import annotations

from tomovox.schema import TomovoxError


class DataFault(TomovoxError):
    """A fault of a data set in three parts; its message is "place: what; remedy".

    The parts default to empty, so that a copy from another process is made of its message alone.
    """

    def __init__(self, place: str, what: str = "", remedy: str = "") -> None:
        super().__init__(f"{place}: {what}; {remedy}" if what else place)
        self.place, self.what, self.remedy = place, what, remedy


class Faults:
    """What to do with the faults of single rows: raise the first, or keep all in `found`."""

    def __init__(self, collect: bool = False) -> None:
        self.collect = collect
        self.found: list[DataFault] = []

    def add(self, fault: DataFault) -> None:
        """Keep a fault; raise it when none are to be collected."""
        if not self.collect:
            raise fault
        self.found.append(fault)
