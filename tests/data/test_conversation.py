"""The rows of Med-2E3's conversations, against the format written out by hand.

Three tokenizers made here stand for the published ones: of bytes without BOS (Phi-2, Qwen2), of
words that each open with a mark, BOS in front (Phi-3, Llama), and of bytes with BOS (Llama 3).
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from tomovox.data.conversation import ConversationTemplate
from tomovox.data.published_files import choices_text
from tomovox.schema import IGNORE, Record, Task, TomovoxError

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)
TEXT = "<|endoftext|>"
ENDS = {"phi": TEXT, "phi3": TEXT, "llama": "</s>", "llama3": "<|eot_id|>", "qwen2": "<|im_end|>"}
PADS = {"phi": TEXT, "phi3": TEXT, "llama": "<unk>", "llama3": "<|eot_id|>", "qwen2": TEXT}
CHOICES = ("liver", "NA", "None", "spleen")
QUESTION = "Which organ is it?" + choices_text(CHOICES)
RECORD = Record(
    "vqa_closed/test/000007", Task.VQA_CLOSED, "test", "c", ("v.npy",), QUESTION, "D. spleen",
    choices=CHOICES,
)  # fmt: skip
OPEN = replace(RECORD, task=Task.VQA_OPEN, question="What is there?", reference="NA", choices=())
WORDS = [SYSTEM, "USER: ASSISTANT:", QUESTION, "What is there? a cyst of the left kidney", "\n"]


def bpe_tokenizer(marked: bool, bos: str | None, **special: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes, or one that puts a mark in front of each piece of text."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>" if marked else None))
    if marked:
        space = normalizers.Replace(" ", "▁")
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), space])
        tokenizer.decoder, alphabet = decoders.Metaspace(), []
        special = {"unk_token": "<unk>", **special}
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder, alphabet = decoders.ByteLevel(), pre_tokenizers.ByteLevel.alphabet()
    if bos:
        special = {"bos_token": bos, **special}
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        special_tokens=sorted(set(special.values())),
        initial_alphabet=alphabet,
    )
    tokenizer.train_from_iterator(" ".join(WORDS).split(" "), trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


MAKERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "phi": lambda: bpe_tokenizer(False, None, eos_token=TEXT, unk_token=TEXT),
    "phi3": lambda: bpe_tokenizer(True, "<s>", eos_token=TEXT, pad_token=TEXT),
    "llama": lambda: bpe_tokenizer(True, "<s>", eos_token="</s>", pad_token="<unk>"),
    "llama3": lambda: bpe_tokenizer(False, "<|begin_of_text|>", eos_token="<|eot_id|>"),
    "qwen2": lambda: bpe_tokenizer(False, None, eos_token="<|im_end|>", pad_token=TEXT),
}
WITH_BOS = {"phi3", "llama", "llama3"}
each_kind = pytest.mark.parametrize("kind", list(ENDS))


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory) -> Callable[[str], str]:
    root = tmp_path_factory.mktemp("tokenizers")
    for kind, make in MAKERS.items():
        make().save_pretrained(str(root / kind))
    return lambda kind: str(root / kind)


@pytest.fixture
def made(folder_of) -> Callable[..., ConversationTemplate]:
    return lambda kind, **options: ConversationTemplate(folder_of(kind), kind, **options)


def alone(kind: str, folder: str, text: str) -> list[int]:
    """The ids of one piece of text, without the BOS that the tokenizer writes by itself."""
    ids = list(PreTrainedTokenizerFast.from_pretrained(folder)(text).input_ids)
    return ids[1:] if kind in WITH_BOS else ids


def by_hand(kind: str, folder: str, question: str, answer: str) -> tuple[list[int], list[int]]:
    bos = PreTrainedTokenizerFast.from_pretrained(folder).bos_token_id
    opening = [bos] if kind in WITH_BOS else []
    front = [*opening, *alone(kind, folder, f"{SYSTEM} USER: "), -201]
    asked = [*front, *alone(kind, folder, f"\n{question} ASSISTANT:")]
    row = [*front, *alone(kind, folder, f"\n{question} ASSISTANT: {answer}{ENDS[kind]}")]
    return row, [-100] * len(asked) + row[len(asked) :]


def after_the_splice(ids: Iterable[int], holder: int) -> list[int]:
    return [n for number in ids for n in ([-1] * 512 if number == holder else [number])]


# ---- ids and labels ----------------------------------------------------------------------------


@each_kind
def test_a_row_is_the_format_with_each_piece_of_text_tokenised_alone(kind, made, folder_of):
    assert made(kind).released_row(RECORD) == by_hand(kind, folder_of(kind), QUESTION, "D. spleen")


@each_kind
def test_the_prompt_to_generate_from_is_the_prompt_of_training(kind, made):
    template = made(kind)
    trained, asked = template.encode(RECORD, True), template.encode(RECORD, False)
    assert asked.prompt_ids == trained.prompt_ids
    assert asked.answer_ids == []


@each_kind
def test_the_prompt_ends_with_the_colon_of_the_assistant(kind, made):
    template = made(kind)
    last = template.text_tokenizer.decode(template.encode(RECORD, False).prompt_ids)
    assert last.endswith(" ASSISTANT:")


@each_kind
def test_the_answer_is_learnt_with_one_end_token(kind, made):
    template = made(kind)
    learnt = template.encode(RECORD, True).answer_ids
    assert learnt.count(template.vocabulary().eos) == 1
    assert learnt[-1] == template.vocabulary().eos
    assert template.decode(learnt) == "D. spleen"


@each_kind
def test_bos_stands_in_front_once_if_the_tokenizer_writes_one(kind, made):
    template = made(kind)
    ids, bos = template.released_row(RECORD)[0], template.text_tokenizer.bos_token_id
    assert [place for place, number in enumerate(ids) if number == bos] == (
        [0] if kind in WITH_BOS else []
    )


@each_kind
def test_the_suite_reads_the_released_row_with_its_own_placeholder(kind, made):
    template = made(kind)
    encoded, (ids, _) = template.encode(RECORD, True), template.released_row(RECORD)
    holder = template.vocabulary().placeholder
    assert encoded.prompt_ids.count(holder) == 1
    assert encoded.prompt_ids + encoded.answer_ids == [holder if n == -201 else n for n in ids]


@pytest.mark.parametrize("train", [True, False])
def test_outer_spaces_of_question_and_answer_do_not_count(train, made):
    template = made("phi3")
    spaced = replace(RECORD, question=f"{QUESTION} \n", reference=" D. spleen\n")
    assert template.encode(spaced, train) == template.encode(RECORD, train)


def test_labels_of_a_batch_are_the_released_ones(made):
    template = made("phi3")
    _, _, mask, labels = template.collate([RECORD, OPEN], [0, 0], train=True)
    for row, seen, record in zip(labels, mask, [RECORD, OPEN], strict=True):
        assert row[seen].tolist() == template.released_row(record)[1]
        assert (row[~seen] == IGNORE).all()


def test_a_missing_choice_of_m3d_vqa_reads_nan_as_pandas_gives_it(made):
    assert made("phi3").adapt(RECORD).choices == ("liver", "nan", "nan", "spleen")


# ---- pretraining -------------------------------------------------------------------------------


@each_kind
def test_pretraining_is_the_volume_and_the_answer_alone(kind, made, folder_of):
    said = alone(kind, folder_of(kind), "D. spleen")
    assert made(kind, pretraining=True).released_row(RECORD) == ([-201, *said], [-100, *said])


def test_pretraining_does_not_read_the_question(made):
    template = made("phi3", pretraining=True)
    assert template.encode(RECORD, True) == template.encode(replace(RECORD, question="?"), True)


def test_a_pretraining_prompt_is_the_volume_and_the_assistant(made, folder_of):
    encoded = made("phi3", pretraining=True).released_row(RECORD, answer=False)[0]
    assert encoded == [-201, *alone("phi3", folder_of("phi3"), "ASSISTANT:")]


# ---- length ------------------------------------------------------------------------------------


LONG = replace(RECORD, reference="the left kidney " * 30)


@each_kind
@pytest.mark.parametrize("pretraining", [False, True])
def test_a_row_is_cut_from_the_right_after_the_splice(kind, pretraining, made):
    whole = made(kind, pretraining=pretraining)
    ids, labels = whole.released_row(LONG)
    longest = 512 + labels.count(IGNORE) + 20
    encoded = made(kind, pretraining=pretraining, max_length=longest).encode(LONG, True)
    row = after_the_splice(encoded.prompt_ids + encoded.answer_ids, whole.vocabulary().placeholder)
    assert row == after_the_splice(ids, -201)[:longest]


def test_a_cut_answer_has_no_end_token(made):
    template = made("phi3", max_length=600)
    assert template.vocabulary().eos not in template.encode(LONG, True).answer_ids


def test_a_prompt_that_fills_the_row_can_be_answered_but_not_learnt_from(made):
    asked = len(made("phi3").encode(RECORD, False).prompt_ids) - 1
    template = made("phi3", max_length=512 + asked)
    assert len(template.encode(RECORD, False).prompt_ids) == asked + 1
    with pytest.raises(TomovoxError, match=r"000007.*max_length"):
        template.encode(RECORD, True)


def test_a_prompt_longer_than_a_row_is_refused_by_name(made):
    with pytest.raises(TomovoxError, match=r"000007.*max_length"):
        made("phi3", max_length=520).encode(RECORD, False)


def test_a_volume_longer_than_a_row_is_refused(made):
    with pytest.raises(TomovoxError, match="volume_tokens"):
        made("phi3", max_length=512)


# ---- what the release leaves without loss ------------------------------------------------------


@pytest.mark.parametrize("part", ["question", "reference"])
@pytest.mark.parametrize("mark", ["<image>", "<image3d>", " ASSISTANT:", "<|endoftext|>"])
def test_a_text_that_writes_a_mark_of_the_format_is_refused_by_name(part, mark, made):
    with pytest.raises(TomovoxError, match=rf"000007: the {part} contains"):
        made("phi3").encode(replace(RECORD, **{part: f"a{mark} b"}), True)


def test_an_answer_that_opens_as_the_assistant_is_refused(made):
    with pytest.raises(TomovoxError, match=r"000007: the reference contains ASSISTANT:"):
        made("phi3").encode(replace(RECORD, reference="ASSISTANT: liver"), True)


@pytest.mark.parametrize("pretraining", [False, True])
def test_an_empty_answer_is_refused_by_name(pretraining, made):
    with pytest.raises(TomovoxError, match=r"000007: the reference is empty"):
        made("phi3", pretraining=pretraining).encode(replace(RECORD, reference=" "), True)


def test_a_word_that_is_the_pad_token_counts_as_text(made):
    template = made("llama")
    _, _, mask, labels = template.collate([replace(RECORD, reference="肝")], [0], train=True)
    assert mask.all()
    assert template.vocabulary().pad in labels[0].tolist()


# ---- vocabulary --------------------------------------------------------------------------------


@each_kind
def test_the_end_token_is_that_of_the_kind(kind, made):
    template = made(kind)
    eos = template.vocabulary().eos
    assert template.text_tokenizer.convert_ids_to_tokens([eos]) == [ENDS[kind]]


@each_kind
def test_padding_is_that_of_the_kind(kind, made):
    template = made(kind)
    pad = template.vocabulary().pad
    assert template.text_tokenizer.convert_ids_to_tokens([pad]) == [PADS[kind]]


def test_a_kind_decides_and_not_what_the_tokenizer_ends_and_pads_with(tmp_path):
    tokenizer = bpe_tokenizer(True, "<s>", eos_token="</s>", pad_token=TEXT)
    tokenizer.save_pretrained(tmp_path)
    vocabulary = ConversationTemplate(str(tmp_path), "phi").vocabulary()
    chosen = tokenizer.convert_ids_to_tokens([vocabulary.pad, vocabulary.eos])
    assert chosen == ["<unk>", TEXT]


def test_a_tokenizer_without_the_end_token_of_the_kind_is_refused_by_name(folder_of):
    with pytest.raises(TomovoxError, match=r"tokenizer .*phi3.* has no token <\|eot_id\|>"):
        ConversationTemplate(folder_of("phi3"), "llama3").encode(RECORD, True)


def test_an_end_token_that_text_cannot_write_is_refused(tmp_path):
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "e": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("/", "isolated")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="e").save_pretrained(tmp_path)
    with pytest.raises(TomovoxError, match="has no token </s>"):
        ConversationTemplate(str(tmp_path), "llama").vocabulary()


@pytest.mark.parametrize(("kind", "name"), [("phi", "unk_token"), ("qwen2", "pad_token")])
def test_a_tokenizer_that_cannot_pad_is_refused_by_name(kind, name, tmp_path):
    bpe_tokenizer(False, None, eos_token=ENDS[kind]).save_pretrained(tmp_path)
    with pytest.raises(TomovoxError, match=f"has no {name}"):
        ConversationTemplate(str(tmp_path), kind).vocabulary()


def test_a_question_encoder_reads_the_question_alone(made, folder_of):
    template = made("llama3", question_tokenizer=folder_of("phi3"))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder_of("phi3"))
    assert template.question_ids(QUESTION) == tokenizer(QUESTION).input_ids
