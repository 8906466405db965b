"""Does a phantom keep the name it had, and are options refused that its layout has not?"""

import pytest

from tomovox.data.experiment_data import PhantomData
from tomovox.schema import TomovoxError


def test_options_that_came_later_do_not_rename_a_set_that_does_without():
    assert PhantomData().arguments().keys() == {
        *("cases", "seed", "shape", "difficulty", "test_cases", "val_cases", "series"),
        *("organ_masks", "organ_shift", "refseg"),
    }


def test_a_later_option_that_is_used_names_the_set():
    assert PhantomData(native=True).arguments()["native"]


def test_a_phantom_of_ct_rate_has_the_options_of_its_layout_alone():
    found = PhantomData(layout="ct_rate", native=True).arguments()
    assert found.keys() == {
        *("cases", "seed", "shape", "difficulty", "test_cases", "series", "native", "layout"),
    }


@pytest.mark.parametrize("option", [{"refseg": True}, {"val_cases": 3}, {"organ_shift": 0.1}])
def test_an_option_that_the_layout_has_not_is_refused(option):
    with pytest.raises(TomovoxError, match=next(iter(option))):
        PhantomData(layout="ct_rate", **option).arguments()


def test_an_unknown_layout_says_which_there_are():
    with pytest.raises(TomovoxError, match="give m3d or ct_rate"):
        PhantomData(layout="other").arguments()
