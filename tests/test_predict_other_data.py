"""Are answers of a cut run taken for other data than they are about?"""

from dataclasses import replace

import pytest
from test_predict import STUDIES, said

from tomovox.files import append_lines
from tomovox.predict import PARTIAL, answered
from tomovox.schema import TomovoxError


@pytest.mark.parametrize("change", [{"reference": "spleen"}, {"question": "Where?"}])
def test_answers_to_other_questions_under_the_same_ids_are_refused(tmp_path, change):
    append_lines(tmp_path / PARTIAL, said(*STUDIES[0]))
    other = [[replace(r, **change) for r in study] for study in STUDIES]
    with pytest.raises(TomovoxError, match="another question than the data ask"):
        answered(tmp_path, other)


def test_answers_to_records_that_the_data_do_not_have_are_refused_and_kept(tmp_path):
    append_lines(tmp_path / PARTIAL, said(*STUDIES[0]))
    before = (tmp_path / PARTIAL).read_bytes()
    with pytest.raises(TomovoxError, match="which the data do not ask"):
        answered(tmp_path, STUDIES[1:])
    assert (tmp_path / PARTIAL).read_bytes() == before
