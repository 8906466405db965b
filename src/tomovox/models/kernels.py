"""Was a CT reconstructed softly or sharply? What the vendors' names of kernels say."""

import re

NUMBERED = (
    (re.compile(r"[BHJIQ][A-Z]?(\d\d)[A-Z]*"), lambda number: number >= 50),
    (re.compile(r"FC(\d\d)"), lambda number: 30 <= number < 40 or number >= 50),
)
"""Siemens (B30f, Br59d, I70f): sharper by number. Canon (FC13, FC51): bone and lung are sharp."""

NAMED = {
    **dict.fromkeys(("SOFT", "STANDARD", "CHEST", "A", "B"), "soft"),
    **dict.fromkeys(("LUNG", "BONE", "BONEPLUS", "EDGE", "DETAIL"), "sharp"),
    **dict.fromkeys(("C", "D", "E", "L", "YA", "YB", "YC", "YD"), "sharp"),
}
"""GE's words, and the letters of Philips."""


def sharpness(kernel: str) -> str:
    """Return "soft", "sharp", or the name itself where no rule is known for it.

    What follows a backslash or a space (iterations of a reconstruction) is not read.
    """
    name = re.split(r"[\\\s]", kernel.strip().upper(), maxsplit=1)[0]
    for pattern, is_sharp in NUMBERED:
        if found := pattern.fullmatch(name):
            return "sharp" if is_sharp(int(found[1])) else "soft"
    return NAMED.get(name, kernel)
