"""What pandas makes of a cell is what is asked, and rows are the released ones, id for id."""

import io
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tomovox.boxes import BOX_END, BOX_START
from tomovox.data.prompts import Template
from tomovox.data.published_files import choices_text
from tomovox.data.published_prompts import IM_PATCH, MISSING, SEG, M3DTemplate, PandasCells
from tomovox.schema import IGNORE, Record, Task, TomovoxError

OPEN = Record("vqa_open/test/000000", Task.VQA_OPEN, "test", "c", ("v",), "What is it?", "None")
CHOICES = ("liver", "NA", "None", "spleen")
CLOSED = replace(
    OPEN,
    task=Task.VQA_CLOSED,
    question="Which organ?" + choices_text(CHOICES),
    choices=CHOICES,
    reference="C. None",
)


@pytest.mark.parametrize("cell", [*sorted(MISSING), "nil", "none", "No", "na", "liver"])
def test_a_cell_is_missing_exactly_when_pandas_says_so(cell):
    table = pd.read_csv(io.StringIO(f'a,b\n"{cell}",1\n'))
    assert (cell in MISSING) == bool(table["a"].isna()[0])


def test_missing_choices_and_answers_read_nan():
    adapted = PandasCells().adapt(CLOSED)
    assert adapted.question == "Which organ? Choices: A. liver B. nan C. nan D. spleen"
    assert adapted.choices == ("liver", "nan", "nan", "spleen")
    assert adapted.reference == "C. nan"


def test_a_missing_open_answer_reads_nan():
    assert PandasCells().adapt(OPEN).reference == "nan"


def test_a_report_stays_as_it_is():
    report = replace(OPEN, task=Task.REPORT)
    assert PandasCells().adapt(report) == report


def test_the_shared_template_keeps_the_text_of_the_file():
    assert Template().adapt(CLOSED) == CLOSED


# ---- rows of M3D -----------------------------------------------------------------------------

MINI = Path(__file__).parents[1] / "parity" / "m3d_mini"
PADS = ("pad_own", "pad_eos")
MARKS, WIDTH = 5, 48

ASKED = replace(OPEN, question="Which organ shows the lesion?", reference="The liver.")
RECORDS = [
    ASKED,
    replace(ASKED, task=Task.REPORT, reference="\nThe lesion is small.\nNo fluid.\n"),
    replace(ASKED, question="Where? ", reference=""),
    replace(ASKED, reference="the liver </s> and <pad> the <unk> spleen"),
    replace(ASKED, reference="[SEG] at <bx_start>[0.1]<bx_end>"),
    replace(ASKED, reference="a lesion of the liver " * 20),
    replace(ASKED, reference="</s>" * 60),
]


def mini(pad: str = "pad_own", width: int = WIDTH) -> M3DTemplate:
    return M3DTemplate(str(MINI / f"tokenizer_{pad}"), volume_tokens=MARKS, max_length=width)


def saved(folder: Path, opens: bool = True, **special: str) -> str:
    """Write a tokenizer of single words without M3D's tokens; `opens` lets it write its BOS."""
    words = ["<s>", "<unk>", "</s>", "which", "organ", "?", "liver"]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if opens:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 0)]
        )
    special = {"bos_token": "<s>", "eos_token": "</s>"} | special
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(str(folder))
    return str(folder)


@pytest.mark.parametrize("pad", PADS)
@pytest.mark.parametrize("record", RECORDS)
def test_a_row_is_what_the_tokenizer_pads_and_the_end_token(record, pad):
    template = mini(pad)
    text = f"{IM_PATCH * MARKS}{' ' * (record.task != Task.REPORT)}{record.question}"
    padded = template.text_tokenizer(
        f"{text} {record.reference}", truncation=True, padding="max_length", max_length=WIDTH
    )
    ids, mask, _ = template.released_row(record)
    assert mask.long().tolist() == padded.attention_mask
    assert ids[mask].tolist() == [
        number for number, seen in zip(padded.input_ids, padded.attention_mask, strict=True) if seen
    ]
    vocabulary = template.vocabulary()
    assert ids[~mask].tolist() == [vocabulary.eos, *[vocabulary.pad] * WIDTH][: (~mask).sum()]


@pytest.mark.parametrize("pad", PADS)
@pytest.mark.parametrize("record", RECORDS)
def test_labels_are_the_answer_and_its_end_but_never_a_written_pad(record, pad):
    template = mini(pad)
    ids, mask, labels = template.released_row(record)
    asked = len(template.text_tokenizer(template.question_text(record)).input_ids)
    place = torch.arange(WIDTH)
    expected = (place >= asked) & mask & (ids != template.vocabulary().pad)
    expected |= place == mask.sum()  # the end token, if there is room for it
    assert torch.equal(labels, ids.masked_fill(~expected, IGNORE))


@pytest.mark.parametrize("pad", PADS)
def test_a_batch_is_the_released_rows_with_one_placeholder_each(pad):
    template = mini(pad)
    _, ids, mask, labels = template.collate(RECORDS, [0] * len(RECORDS), train=True)
    for number, record in enumerate(RECORDS):
        released, seen, released_labels = template.released_row(record)
        length = min(int(seen.sum()) + 1, WIDTH)  # the end token is seen here, and last
        for ours, theirs in ((ids, released), (labels, released_labels)):
            row = ours[number][mask[number]]
            expanded = torch.cat([row[:1], row[1:2].expand(MARKS), row[2:]])
            assert expanded.tolist() == theirs[:length].tolist()
        assert (labels[number][~mask[number]] == IGNORE).all()


@pytest.mark.parametrize("record", RECORDS[:2])
def test_the_prompt_to_generate_from_is_the_unlabelled_part_of_the_row(record):
    template = mini()
    prompt = template.encode(record, answer=False)
    assert prompt.prompt_ids == template.encode(record, answer=True).prompt_ids
    assert prompt.answer_ids == []


def test_a_prompt_to_generate_from_is_never_cut():
    long = replace(ASKED, question="Where is the lesion? " * 20)
    assert len(mini().encode(long, answer=False).prompt_ids) > WIDTH


def test_only_a_report_is_asked_for_without_a_space():
    texts = [mini().question_text(record)[MARKS * len(IM_PATCH) :] for record in RECORDS[:2]]
    assert texts == [" Which organ shows the lesion?", "Which organ shows the lesion?"]


def test_a_cut_row_has_no_end_token():
    template = mini()
    ids, mask, _ = template.released_row(RECORDS[5])
    assert mask.all() and template.vocabulary().eos not in ids
    assert template.vocabulary().eos not in template.encode(RECORDS[5], answer=True).answer_ids


# ---- its tokenizer ---------------------------------------------------------------------------


def test_tokens_that_lack_are_added_in_the_order_of_the_release(tmp_path):
    template = M3DTemplate(saved(tmp_path))
    ids = template.text_tokenizer.convert_tokens_to_ids([IM_PATCH, BOX_START, BOX_END, SEG])
    assert ids == [7, 8, 9, 10]
    assert (template.vocabulary().placeholder, template.vocabulary().size) == (7, 11)


def test_tokens_that_are_there_keep_their_ids():
    assert (mini().vocabulary().placeholder, mini().vocabulary().size) == (366, 370)


def test_an_answer_shows_its_mask_token_and_no_other_special_one():
    ids = mini().encode(RECORDS[4], answer=True).answer_ids
    assert mini().decode(ids) == "[SEG] at [0.1]"


@pytest.mark.parametrize(
    ("special", "pad"),
    [({}, "</s>"), ({"unk_token": "<unk>"}, "<unk>"), ({"pad_token": "?"}, "?")],
)
def test_padding_is_the_own_token_or_the_unknown_one_or_the_end(tmp_path, special, pad):
    template = M3DTemplate(saved(tmp_path, **special))
    assert template.text_tokenizer.convert_ids_to_tokens(template.vocabulary().pad) == pad


def test_a_tokenizer_without_its_start_token_is_refused_by_name(tmp_path):
    template = M3DTemplate(saved(tmp_path, opens=False))
    with pytest.raises(TomovoxError, match=rf"{tmp_path.name}.* start token.*add_bos_token"):
        template.encode(ASKED, answer=False)


def test_a_tokenizer_without_an_end_token_is_refused(tmp_path):
    with pytest.raises(TomovoxError, match="has no end token; set eos_token"):
        M3DTemplate(saved(tmp_path, eos_token=None)).vocabulary()


# ---- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["question", "reference"])
def test_text_with_the_mark_of_the_volume_is_refused(part):
    marked = replace(ASKED, **{part: f"Is {IM_PATCH} here?"})
    with pytest.raises(TomovoxError, match=r"vqa_open/test/000000: .* contains <im_patch>"):
        mini().encode(marked, answer=True)


def test_a_question_that_leaves_no_room_to_learn_is_refused():
    long = replace(ASKED, question="Where is the lesion? " * 20)
    with pytest.raises(TomovoxError, match=r"000000: the question leaves no room.*max_length 48"):
        mini().encode(long, answer=True)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [((0, 512), "volume_tokens is 0"), ((256, 257), "max_length is 257 and counts 256 visual")],
)
def test_sizes_without_room_are_refused(sizes, told):
    with pytest.raises(TomovoxError, match=told):
        M3DTemplate("anywhere", *sizes)
