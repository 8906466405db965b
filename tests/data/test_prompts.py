import pickle

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tomovox.data.prompts import Template
from tomovox.data.tokenizer import build_word_tokenizer, save_tokenizer
from tomovox.schema import IGNORE, Record, Task, TomovoxError

WORDS = [
    "which",
    "organ",
    "is",
    "it",
    "?",
    "what",
    "phase",
    "portal",
    "liver",
    "left",
    "kidney",
    "here",
]


def record(question: str = "Which organ is it?", reference: str = "B. liver") -> Record:
    return Record(
        "vqa_closed/test/000003", Task.VQA_CLOSED, "test", "c", ("v.npy",), question, reference
    )


RECORDS = [record(), record("What phase?", "A. portal"), record("It?", "C. left kidney here")]


def spaced_tokenizer(**special: str) -> PreTrainedTokenizerFast:
    """A tokenizer of single words, spaces kept in front, that writes its BOS if it has one."""
    vocabulary = {token: n for n, token in enumerate(special.values())}
    for text in ["<unk>", "ĠB", ".", "a", *WORDS, *(f"Ġ{word}" for word in WORDS)]:
        vocabulary.setdefault(text, len(vocabulary))
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if "bos_token" in special:
        bos = special["bos_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, vocabulary[bos])]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


@pytest.fixture
def template() -> Template:
    made = Template()
    made.use_tokenizer(build_word_tokenizer([" ".join(WORDS), "answer:"]))
    return made


def test_the_prompt_is_the_layout_around_the_question(template):
    ids = template.encode(record(), answer=False).prompt_ids
    assert template.text_tokenizer.decode(ids) == "<image> which organ is it? answer:"


def test_the_answer_ends_with_the_end_token(template):
    ids = template.encode(record(), answer=True).answer_ids
    assert ids[-1] == template.vocabulary().eos
    assert template.decode(ids) == "B. liver"


def test_without_answer_nothing_of_it_is_given(template):
    assert template.encode(record(), answer=False).answer_ids == []


def test_the_prompt_does_not_depend_on_the_answer(template):
    prompts = [template.encode(record(), answer).prompt_ids for answer in (True, False)]
    assert prompts[0] == prompts[1]


@pytest.mark.parametrize("train", [True, False])
def test_every_row_holds_one_placeholder(template, train):
    _, ids, _, _ = template.collate(RECORDS, [0, 0, 1], train)
    assert (ids == template.vocabulary().placeholder).sum(1).tolist() == [1, 1, 1]


def test_labels_are_the_answer_and_nothing_else(template):
    _, ids, _, labels = template.collate(RECORDS, [0, 0, 1], train=True)
    for row, label, one in zip(ids, labels, RECORDS, strict=True):
        scored = label != IGNORE
        assert row[scored].tolist() == template.encode(one, answer=True).answer_ids
        assert label[scored].tolist() == row[scored].tolist()


def test_labels_never_fall_on_prompt_placeholder_or_padding(template):
    _, ids, mask, labels = template.collate(RECORDS, [0, 0, 1], train=True)
    assert (labels[~mask] == IGNORE).all()
    assert (labels[ids == template.vocabulary().placeholder] == IGNORE).all()
    for label, one in zip(labels, RECORDS, strict=True):
        length = len(template.encode(one, answer=True).prompt_ids)
        assert (label[:length] == IGNORE).all()


def test_the_end_token_has_a_label_although_padding_is_the_same_token():
    template = Template()
    template.use_tokenizer(spaced_tokenizer(eos_token="<e>"))
    assert template.vocabulary().pad == template.vocabulary().eos
    _, _, mask, labels = template.collate(RECORDS, [0, 0, 1], train=True)
    assert (labels == template.vocabulary().eos).sum(1).tolist() == [1, 1, 1]
    assert (labels[~mask] == IGNORE).all()


def test_prompts_end_at_the_right_edge_and_have_no_labels(template):
    _, _, mask, labels = template.collate(RECORDS, [0, 0, 1], train=False)
    assert labels is None
    assert mask[:, -1].all()
    assert (mask.long().diff(dim=1) >= 0).all()


def test_training_rows_start_at_the_left_edge(template):
    _, _, mask, _ = template.collate(RECORDS, [0, 0, 1], train=True)
    assert mask[:, 0].all()
    assert (mask.long().diff(dim=1) <= 0).all()


def test_left_and_right_padded_rows_hold_the_same_prompt(template):
    _, right, right_mask, labels = template.collate(RECORDS, [0, 0, 1], train=True)
    _, left, left_mask, _ = template.collate(RECORDS, [0, 0, 1], train=False)
    for row in range(len(RECORDS)):
        prompt = right[row][right_mask[row] & (labels[row] == IGNORE)]
        assert torch.equal(left[row][left_mask[row]], prompt)


def test_a_row_does_not_depend_on_its_batch(template):
    _, together, mask, _ = template.collate(RECORDS, [0, 0, 1], train=True)
    for row, one in enumerate(RECORDS):
        _, alone, _, _ = template.collate([one], [0], train=True)
        assert torch.equal(together[row][mask[row]], alone[0])


def test_questions_hold_the_question_alone_and_its_study(template):
    questions, _, _, _ = template.collate(RECORDS, [0, 0, 1], train=True)
    assert questions.text == [one.question for one in RECORDS]
    assert questions.study.tolist() == [0, 0, 1]
    for row, one in enumerate(RECORDS):
        assert questions.ids[row][questions.mask[row]].tolist() == template.question_ids(
            one.question
        )


def test_a_question_encoder_has_its_own_tokenizer(tmp_path):
    save_tokenizer(spaced_tokenizer(bos_token="<s>", eos_token="<e>"), tmp_path)
    template = Template(question_tokenizer=str(tmp_path), max_length=3)
    template.use_tokenizer(build_word_tokenizer(WORDS))
    ids = template.question_ids("which organ is it")
    assert len(ids) == 3
    assert ids[0] == 0


def test_a_long_answer_is_cut_from_the_right(template):
    template.max_length = 10
    encoded = template.encode(record(reference="liver left kidney here"), answer=True)
    assert len(encoded.prompt_ids + encoded.answer_ids) == 10
    assert template.decode(encoded.answer_ids) == "liver left"


def test_a_prompt_without_room_for_an_answer_is_refused(template):
    template.max_length = len(template.encode(record(), answer=False).prompt_ids)
    template.encode(record(), answer=False)
    with pytest.raises(TomovoxError, match=r"vqa_closed/test/000003.*max_length"):
        template.encode(record(), answer=True)


def test_a_question_that_writes_the_placeholder_is_refused(template):
    with pytest.raises(TomovoxError, match="vqa_closed/test/000003"):
        template.encode(record("Is <image> here?"), answer=False)


def test_an_answer_that_writes_the_placeholder_is_refused(template):
    with pytest.raises(TomovoxError, match="vqa_closed/test/000003"):
        template.encode(record(reference="<image>"), answer=True)


def test_braces_in_a_question_are_text(template):
    assert template.encode(record("Is {0} {liver} it?"), answer=False).prompt_ids


def test_bos_opens_the_prompt_of_a_tokenizer_that_writes_it():
    template = Template()
    template.use_tokenizer(spaced_tokenizer(bos_token="<s>", eos_token="<e>"))
    encoded = template.encode(record(), answer=True)
    assert encoded.prompt_ids[0] == 0
    assert (encoded.prompt_ids + encoded.answer_ids).count(0) == 1


def test_a_tokenizer_that_keeps_spaces_reads_the_answer_as_a_new_word():
    template = Template()
    template.use_tokenizer(spaced_tokenizer(eos_token="<e>"))
    first = template.encode(record(), answer=True).answer_ids[0]
    assert template.text_tokenizer.convert_ids_to_tokens([first]) == ["ĠB"]


def test_a_placeholder_that_was_added_needs_no_embedding_row():
    tokenizer = spaced_tokenizer(eos_token="<e>")
    size = len(tokenizer)
    template = Template()
    template.use_tokenizer(tokenizer)
    assert template.vocabulary().size == size
    assert template.vocabulary().placeholder == size


def test_the_vocabulary_of_a_saved_tokenizer_is_the_same(tmp_path):
    template = Template()
    template.use_tokenizer(spaced_tokenizer(eos_token="<e>"))
    template.vocabulary()
    save_tokenizer(template.text_tokenizer, tmp_path)
    assert Template(str(tmp_path)).vocabulary() == template.vocabulary()


def test_a_word_tokenizer_counts_its_own_placeholder(template):
    vocabulary = template.vocabulary()
    assert vocabulary.placeholder == 3
    assert vocabulary.size == len(template.text_tokenizer)
    assert (vocabulary.pad, vocabulary.eos) == (0, 1)


def test_decoding_stops_at_the_first_end_token(template):
    ids = [*template.encode(record(), answer=True).answer_ids, 8, 9, 10]
    assert template.decode(torch.tensor(ids)) == "B. liver"


def test_decoding_skips_padding(template):
    assert (
        template.decode([0, 0, *template.encode(record(), True).answer_ids[:-1], 0]) == "B. liver"
    )


@pytest.mark.parametrize(
    "layout", ["{question} Answer:", "<image> Answer:", "<image><image> {question}"]
)
def test_a_layout_without_its_parts_is_refused(layout):
    with pytest.raises(TomovoxError, match="layout"):
        Template(layout=layout)


def test_a_template_without_tokenizer_says_so():
    with pytest.raises(TomovoxError, match="no tokenizer"):
        Template().vocabulary()


def test_a_named_tokenizer_is_not_replaced(tmp_path):
    with pytest.raises(TomovoxError, match="leave it out"):
        Template(str(tmp_path)).use_tokenizer(build_word_tokenizer(WORDS))


def test_a_tokenizer_without_end_token_is_refused():
    template = Template()
    template.use_tokenizer(spaced_tokenizer(pad_token="<p>"))
    with pytest.raises(TomovoxError, match="end token"):
        template.vocabulary()


def test_a_template_reaches_a_worker_process(template):
    copy = pickle.loads(pickle.dumps(template))
    assert copy.encode(record(), answer=True) == template.encode(record(), answer=True)


@pytest.mark.parametrize("slot", ["{fact}", "{context}"])
def test_a_layout_that_tells_the_answer_needs_text_only(slot):
    with pytest.raises(TomovoxError, match="tells the answer"):
        Template(layout=f"<image>{slot} {{question}}")


def test_nothing_is_predicted_from_a_prompt_that_tells_the_answer():
    template = Template(layout="<image>{fact} {question}", text_only=True)
    with pytest.raises(TomovoxError, match="cannot be predicted from"):
        template.collate([], [], train=False)
