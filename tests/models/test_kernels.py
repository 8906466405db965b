"""Do names of kernels say soft or sharp?"""

import pytest

from tomovox.models.kernels import sharpness
from tomovox.models.slice_sequence import id_of


@pytest.mark.parametrize("name", ["B30f", "Br40d", "I31f\\3", "FC13", "STANDARD", "soft", "B"])
def test_kernels_for_soft_tissue_are_soft(name):
    assert sharpness(name) == "soft"
    assert id_of("kernel", name) == id_of("kernel", "soft")


@pytest.mark.parametrize("name", ["B60f", "Br59d 3", "I70f", "FC30", "FC51", "LUNG", "YB"])
def test_kernels_for_lung_and_bone_are_sharp(name):
    assert sharpness(name) == "sharp"
    assert id_of("kernel", name) == id_of("kernel", "sharp")


@pytest.mark.parametrize("name", ["of no vendor", "B3", "7"])
def test_a_kernel_of_no_rule_keeps_its_name_and_is_another(name):
    assert sharpness(name) == name
    assert id_of("kernel", name) == id_of("kernel", "and another")


def test_a_series_of_which_no_kernel_is_told_has_none():
    assert sharpness("") == "" and id_of("kernel", "") == 0
