import copy

import pytest

from tomovox.data.faults import DataFault, Faults

FAULT = DataFault("a.csv: row 3", "column 'Question' is empty", "fill it in")


def test_the_message_is_the_three_parts_on_one_line():
    assert str(FAULT) == "a.csv: row 3: column 'Question' is empty; fill it in"


def test_a_fault_survives_the_way_from_another_process():
    twin = copy.copy(FAULT)  # made as unpickling makes it
    assert (str(twin), twin.place, twin.remedy) == (str(FAULT), FAULT.place, FAULT.remedy)


def test_a_fault_may_be_made_of_its_message_alone():
    assert str(DataFault(str(FAULT))) == str(FAULT)


def test_the_first_fault_is_raised_unless_all_are_collected():
    with pytest.raises(DataFault):
        Faults().add(FAULT)
    faults = Faults(collect=True)
    faults.add(FAULT)
    faults.add(FAULT)
    assert faults.found == [FAULT, FAULT]
