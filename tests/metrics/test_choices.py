"""Does the parser read what an answer says, and nothing that it does not say?"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomovox.metrics.choices import (
    choice_accuracy,
    choice_accuracy_m3d,
    choice_parsed,
    parse_choice,
    reference_letter,
)
from tomovox.schema import LETTERS, TomovoxError

ORGANS = ("liver", "spleen", "left kidney", "kidney")
NUMBERS = ("5 cm", "3.5 cm")

LETTER = [
    ("B", "B"),
    ("b", "B"),
    ("B.", "B"),
    ("(B)", "B"),
    ("b)", "B"),
    ("[D]", "D"),
    ('"B"', "B"),
    ("**B**", "B"),
    ("B. liver", "B"),
    ("B: spleen", "B"),
    ("B - spleen", "B"),
    ("B.spleen", "B"),
    ("B spleen", "B"),
    ("B</s>", "B"),
    ("D, kidney", "D"),
    ("B\n\nThe spleen is", "B"),
    ("Answer: B", "B"),
    ("Answer:\nB", "B"),
    ("ANSWER: C", "C"),
    ("Answer: (A) liver", "A"),
    ("The answer is B", "B"),
    ("The answer is B because of the shape", "B"),
    ("the answer is (b).", "B"),
    ("The correct answer is **C**.", "C"),
    ("The correct option is D", "D"),
    ("option B", "B"),
    ("Option a is right", None),
    ("I think it is (B).", "B"),
    ("It is A.", "A"),
    ("I would go with C", "C"),
    ("A: The liver is normal.", "A"),
    ("A. liver\nB. spleen\nAnswer: B", "B"),
]
NO_LETTER = [
    "A large mass",
    "The answer is A large mass",
    "Answer: A mass",
    "Vitamin A.",
    "Hepatitis B",
    "CTA.",
    "A-line",
    "C-spine is normal",
    "it is a mass",
    "E",
    "",
    "   ",
    "...",
    "delivery",
]
AMBIGUOUS = [
    "A or B",
    "A, B and C",
    "Both A and B",
    "The answer is A or B.",
    "A. liver\nB. spleen",
    "A. liver B. spleen",
    "(A) liver (B) spleen",
    "liver or spleen",
]
TEXT = [
    ("liver", ORGANS, "A"),
    ("LIVER", ORGANS, "A"),
    ("A liver", ORGANS, "A"),
    ("It is the liver.", ORGANS, "A"),
    ("Answer: A mass in the liver", ORGANS, "A"),
    ("It is in the left kidney.", ORGANS, "C"),
    ("kidney", ORGANS, "D"),
    ("The spleen, not the liver", ORGANS, "B"),
    ("not the liver but the spleen", ORGANS, "B"),
    ("It measures 3.5 cm.", NUMBERS, "B"),
    ("NA", ("yes", "NA", "None", "no"), "B"),
    ("N/A", ("yes", "NA", "None", "no"), "B"),
    ("None", ("yes", "NA", "None", "no"), "C"),
    ("No, there is not.", ("Yes", "No"), "B"),
    ("+", ("+", "-"), "A"),
    ("5%", ("5%", "5"), "A"),
    ("Vitamin A", ("Vitamin B", "Vitamin A"), "B"),
    ("It is vitamin A.", ("Vitamin B", "Vitamin A"), "B"),
    ("Hepatitis B and C", ("Hepatitis B and C", "none"), "A"),
    ("A", ("B", "A"), "A"),
    ("same", ("same", "same"), None),
    ("C", ("yes", "no"), None),
]


@pytest.mark.parametrize(("answer", "letter"), LETTER)
def test_a_letter_is_read_in_every_form(answer, letter):
    assert parse_choice(answer, ORGANS) == letter


@pytest.mark.parametrize("answer", NO_LETTER)
def test_a_letter_of_the_sentence_is_no_choice(answer):
    assert parse_choice(answer, ("liver", "spleen", "left kidney", "kidney")) is None


@pytest.mark.parametrize("answer", AMBIGUOUS)
def test_two_choices_are_none(answer):
    assert parse_choice(answer, ORGANS) is None


@pytest.mark.parametrize(("answer", "choices", "letter"), TEXT)
def test_the_text_of_a_choice_is_read(answer, choices, letter):
    assert parse_choice(answer, choices) == letter


@pytest.mark.parametrize("letter", "ABCD")
@pytest.mark.parametrize("form", ["{}", "{}.", "({})", "Answer: {}", "**{}**", "The answer is {}."])
def test_every_letter_is_read_alike_without_choices(letter, form):
    assert parse_choice(form.format(letter)) == letter


@pytest.mark.parametrize("position", range(4))
def test_the_published_form_of_a_reference_is_read(position):
    letter = "ABCD"[position]
    assert parse_choice(f"{letter}. {ORGANS[position]}", ORGANS) == letter


@pytest.mark.parametrize(
    ("answer", "m3d", "standard"),
    [
        ("A. liver", 1.0, 1.0),
        ("A", 0.0, 1.0),
        ("(A)", 0.0, 1.0),
        ("B. Vitamin A.", 1.0, 0.0),
        ("CTA.", 1.0, 0.0),
        ("a. liver", 0.0, 1.0),
        ("", 0.0, 0.0),
    ],
)
def test_the_two_rules_differ_where_the_published_one_errs(answer, m3d, standard):
    assert choice_accuracy_m3d([answer], ["A. liver"]) == [m3d]
    assert choice_accuracy([answer], ["A. liver"], [ORGANS]) == [standard]


def test_an_answer_without_choice_is_wrong_and_unparsed():
    assert choice_parsed(["no idea", "B"], [ORGANS, ORGANS]) == [0.0, 1.0]
    assert choice_accuracy(["no idea"], ["A. liver"], [ORGANS]) == [0.0]


@pytest.mark.parametrize("reference", ["liver", "", "E. liver", "Aorta"])
def test_a_reference_without_letter_is_refused(reference):
    with pytest.raises(TomovoxError, match="does not start with A, B, C or D"):
        reference_letter(reference)


# ---- any text --------------------------------------------------------------------------------

# The same examples at every run: a test must not depend on luck or on what an earlier run stored.
ALWAYS_THE_SAME = settings(derandomize=True, database=None, deadline=None, max_examples=300)
WORD = st.text("abcdefghijklmnopqrstuvwxyz", min_size=2, max_size=9)
PHRASE = st.lists(WORD, min_size=1, max_size=3).map(" ".join)
FOUR = st.lists(PHRASE, min_size=4, max_size=4, unique=True)


@ALWAYS_THE_SAME
@given(st.text(), st.lists(st.text(), max_size=4))
def test_any_text_names_a_letter_of_its_choices_or_none(text, choices):
    assert parse_choice(text, choices) in {None, *(LETTERS[: len(choices)] if choices else LETTERS)}


@ALWAYS_THE_SAME
@given(FOUR, st.sampled_from(LETTERS), st.sampled_from(["{0}", "{0}.", "({0})", "{0}. {1}"]))
def test_the_published_forms_of_an_answer_name_their_letter(choices, letter, form):
    text = form.format(letter, choices[LETTERS.index(letter)])
    assert parse_choice(text, choices) == letter
