"""Is a RUN answered in float32 whatever trained it, and which answers to a question are scored?"""

import pytest
import torch

from tomovox.answering import BY_DEFAULT, Answering, choice_answers, full_float32
from tomovox.data.prompts import Template
from tomovox.data.published_files import choices_text
from tomovox.data.tokenizer import build_word_tokenizer
from tomovox.schema import Record, Task, TomovoxError

# ---- settings ----------------------------------------------------------------------------------


def test_by_default_all_questions_are_answered_at_once_in_float32():
    assert Answering("auto", "32-true") == BY_DEFAULT and BY_DEFAULT.noted() == {}


def test_what_is_not_usual_is_noted():
    assert Answering(3).noted() == {"predict": {"batch": 3, "precision": "32-true"}}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"batch": 0}, "batch is 0; give auto or a number from 1 on"),
        ({"batch": "all"}, "batch is all; give auto"),
        ({"precision": "64-true"}, "precision is 64-true; give one of 32-true, bf16-mixed"),
    ],
)
def test_a_setting_that_there_is_not_is_refused(given, fault):
    with pytest.raises(TomovoxError, match=fault):
        Answering(**given)


def test_float32_is_never_cut_to_tf32_and_what_was_set_comes_back():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("medium")
    try:
        with full_float32():
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cuda.matmul.allow_tf32
            assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.cudnn.allow_tf32 == before[1]
    finally:
        torch.set_float32_matmul_precision(before[0])


# ---- likelihoods of choices --------------------------------------------------------------------

CHOICES = ("liver", "left kidney", "spleen", "aorta")


def closed(name: str = "vqa_closed/test/000000") -> Record:
    question = "Which organ?" + choices_text(CHOICES)
    return Record(
        name, Task.VQA_CLOSED, "test", "a", ("a.npy",), question, "C. spleen", choices=CHOICES
    )


def template(max_length: int = 64) -> Template:
    made = Template(max_length=max_length)
    made.use_tokenizer(build_word_tokenizer([closed().question, closed().reference]))
    return made


def test_the_answer_with_the_right_choice_is_what_training_shows():
    words = template()
    assert choice_answers(words, closed())[2] == words.encode(closed(), answer=True).answer_ids


def test_every_choice_has_an_answer_with_its_letter_and_an_end():
    words = template()
    answers = choice_answers(words, closed())
    assert [words.decode(ids).replace(" .", ".") for ids in answers] == [
        f"{letter}. {choice}" for letter, choice in zip("ABCD", CHOICES, strict=True)
    ]
    assert all(ids[-1] == words.vocabulary().eos for ids in answers)


def test_neither_other_tasks_nor_other_orders_are_scored():
    words = template()
    opened = Record("vqa_open/test/000000", Task.VQA_OPEN, "test", "a", ("a.npy",), "Which?", "!")
    assert choice_answers(words, opened) == []
    assert choice_answers(words, closed("vqa_closed/test/000000~1")) == []


def test_an_answer_that_does_not_fit_is_refused():
    words = template()
    prompt = words.encode(closed(), answer=False).prompt_ids
    room = len(prompt) + len(choice_answers(words, closed())[0])  # "B. left kidney" is longer
    with pytest.raises(TomovoxError, match=r"000000: choice B does not end within max_length"):
        choice_answers(template(room), closed())
