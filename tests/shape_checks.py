"""The type checker that turns annotations of shapes into assertions while the tests run.

An int counts as a float, as in PEP 484 and for mypy.
"""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
