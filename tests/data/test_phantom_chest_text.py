"""Do reports and answers say what is true of a chest, and nothing else?"""

import numpy as np

from tomovox.data.ct_rate import ABNORMALITIES
from tomovox.data.ct_rate_questions import asked_in, right_choice, split_choices
from tomovox.data.phantom_body import draw_parts
from tomovox.data.phantom_chest import SIDED, Chest, draw_chest
from tomovox.data.phantom_chest_text import DENIED, SEEN, conversations, report_of


def drawn(count: int = 60) -> list[tuple[Chest, str, str, list]]:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(count):
        chest = draw_chest(draw_parts(rng), 1.0, rng)
        findings, impressions = report_of(chest, rng)
        items = conversations(chest, "valid_1_a_1.nii.gz", 1, findings, rng)
        found.append((chest, findings, impressions, items))
    return found


def told(label: str, report: str, side: str) -> bool:
    return any(sentence.format(side=side) in report for sentence in SEEN[label])


def test_a_report_tells_every_abnormality_and_its_side():
    for chest, findings, _, _ in drawn():
        assert all(told(sign.label, findings, sign.side) for sign in chest.signs)


def test_a_report_denies_only_what_is_absent():
    denied = 0
    for chest, findings, _, _ in drawn():
        present = {sign.label for sign in chest.signs}
        for label, sentences in DENIED.items():
            if any(sentence in findings for sentence in sentences):
                denied += 1
                assert label not in present
    assert denied > 100


def test_some_impressions_are_not_given():
    assert any(impressions == "Not given." for _, _, impressions, _ in drawn())


def test_quotes_and_parentheses_occur():
    text = " ".join(findings for _, findings, _, _ in drawn())
    assert '"' in text and "(" in text


def test_every_question_of_choices_has_its_answer_among_them():
    for _, _, _, items in drawn():
        for asked in (a for item in items for a in asked_in(item, "", "item")):
            if asked.form == "choice":
                assert right_choice(asked.answer, split_choices(asked.question)[1]) >= 0


def test_yes_means_present_and_no_absent():
    for chest, _, _, items in drawn():
        present = {sign.label.lower() for sign in chest.signs}
        shorts = [a for item in items for a in asked_in(item, "", "item") if a.form == "short"]
        assert len({a.question for a in shorts}) == 2
        for asked in shorts:
            label = asked.question.removeprefix("Is there ").removesuffix("?")
            assert label in {name.lower() for name in ABNORMALITIES}
            assert asked.answer == ("Yes." if label in present else "No.")


def test_only_sided_sentences_ask_for_a_side():
    for label, sentences in SEEN.items():
        assert all(("{side}" in sentence) == (label in SIDED) for sentence in sentences)
