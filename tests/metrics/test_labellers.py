"""Is a labeller found by its name, or by the path of a class?"""

import pytest

from tomovox.metrics.labellers import LABELLERS, find_labeller
from tomovox.metrics.rule_labeller import RuleLabeller
from tomovox.schema import TomovoxError


class OwnLabeller:
    name, labels = "own-1", ("Emphysema",)

    def __call__(self, texts):
        return [{"Emphysema"} for _ in texts]


def test_ours_is_called_rule():
    assert find_labeller("rule") is RuleLabeller


def test_anyone_can_name_a_class_of_their_own():
    assert find_labeller(f"{__name__}.OwnLabeller") is OwnLabeller


@pytest.mark.parametrize("name", LABELLERS)
def test_every_named_labeller_has_a_name_and_labels(name):
    kind = find_labeller(name)
    assert kind.name and len(kind.labels) == 18


def test_no_two_labellers_have_one_name():
    assert len({find_labeller(name).name for name in LABELLERS}) == len(LABELLERS)


@pytest.mark.parametrize(
    "name", ["", "rules", "no.such.Class", "json.dumps", "tomovox.schema.NONE"]
)
def test_what_is_no_labeller_is_refused(name):
    with pytest.raises(TomovoxError, match="is not known; write rule, radbert"):
        find_labeller(name)
