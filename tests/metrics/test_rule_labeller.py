"""Does the rule labeller read what reports really say? Denials, doubts, and how far they reach."""

import time

import pytest

from tomovox.data.ct_rate import ABNORMALITIES
from tomovox.data.phantom_chest_text import DENIED, SEEN
from tomovox.metrics.rule_labeller import RuleLabeller, Status, findings
from tomovox.metrics.rule_terms import TERMS

EFFUSION, NODULE, EMPHYSEMA = "Pleural effusion", "Lung nodule", "Emphysema"
CONSOLIDATION, ATELECTASIS = "Consolidation", "Atelectasis"
PRESENT, UNCERTAIN, ABSENT = Status.PRESENT, Status.UNCERTAIN, Status.ABSENT

NAMED = [
    ("A pacemaker is seen.", "Medical material"),
    ("Calcific plaques in the aortic arch.", "Arterial wall calcification"),
    ("The heart is markedly enlarged.", "Cardiomegaly"),
    ("An increase in the size of the heart is seen.", "Cardiomegaly"),
    ("Pericardial fluid of 8 mm.", "Pericardial effusion"),
    ("Atheroma plaques in the coronary arteries.", "Coronary artery wall calcification"),
    ("A small hiatal hernia.", "Hiatal hernia"),
    ("Enlarged lymph nodes in the right hilum.", "Lymphadenopathy"),
    ("Paraseptal emphysematous changes.", EMPHYSEMA),
    ("Plate-like atelectatic changes at the bases.", ATELECTASIS),
    ("A 5 mm nodule in the left upper lobe.", NODULE),
    ("Patchy ground-glass areas.", "Lung opacity"),
    ("Sequelae changes at the apices.", "Pulmonary fibrotic sequela"),
    ("Effusion of 2 cm in the right hemithorax.", EFFUSION),
    ("A mosaic attenuation pattern.", "Mosaic attenuation pattern"),
    ("Mild peribronchial wall thickening.", "Peribronchial thickening"),
    ("Areas of consolidation.", CONSOLIDATION),
    ("Tubular bronchiectasis.", "Bronchiectasis"),
    ("Interlobular septa are thickened.", "Interlobular septal thickening"),
]

DIFFICULT = [
    # what is denied
    ("No pleural effusion.", {EFFUSION: ABSENT}),
    ("Pleural effusion was not observed.", {EFFUSION: ABSENT}),
    ("There is no evidence of pleural effusion or nodule.", {EFFUSION: ABSENT, NODULE: ABSENT}),
    ("Neither nodules nor consolidation.", {NODULE: ABSENT, CONSOLIDATION: ABSENT}),
    ("The lungs are free of nodules.", {NODULE: ABSENT}),
    ("The effusion in the left hemithorax has resolved.", {EFFUSION: ABSENT}),
    ("The nodule is no longer seen.", {NODULE: ABSENT}),
    (
        "Nodules, consolidation, and pleural effusion were not detected.",
        {NODULE: ABSENT, CONSOLIDATION: ABSENT, EFFUSION: ABSENT},
    ),
    ("The heart is not enlarged.", {"Cardiomegaly": ABSENT}),
    ("No dilated bronchi (bronchiectasis).", {"Bronchiectasis": ABSENT}),
    ('No "ground glass" opacity.', {"Lung opacity": ABSENT}),
    ("Pleural effusion: none. Nodules: no.", {EFFUSION: ABSENT, NODULE: ABSENT}),
    ("Emphysema: no nodules.", {EMPHYSEMA: PRESENT, NODULE: ABSENT}),
    ("Resolved consolidation in the middle lobe.", {CONSOLIDATION: ABSENT}),
    ("The chest tube has been removed.", {"Medical material": ABSENT}),
    # what looks like a denial and is none
    ("No significant change in the pleural effusion.", {EFFUSION: PRESENT}),
    ("A nodule that was not seen in the previous examination.", {NODULE: PRESENT}),
    ("A nodule without interval growth.", {NODULE: PRESENT}),
    ("A nodule is observed, with no difference in size.", {NODULE: PRESENT}),
    # how far a denial reaches
    ("No pleural effusion. Emphysema.", {EFFUSION: ABSENT, EMPHYSEMA: PRESENT}),
    ("No pleural effusion; emphysema.", {EFFUSION: ABSENT, EMPHYSEMA: PRESENT}),
    ("No pleural effusion, but emphysema.", {EFFUSION: ABSENT, EMPHYSEMA: PRESENT}),
    ("No pleural effusion, there is emphysema.", {EFFUSION: ABSENT, EMPHYSEMA: PRESENT}),
    (
        "No effusion was seen in the hemithorax, emphysema is observed.",
        {EFFUSION: ABSENT, EMPHYSEMA: PRESENT},
    ),
    (
        "Emphysema is observed and pleural effusion was not detected.",
        {EMPHYSEMA: PRESENT, EFFUSION: ABSENT},
    ),
    ("Atelectasis without pleural effusion.", {ATELECTASIS: PRESENT, EFFUSION: ABSENT}),
    ("Nothing but a nodule; no consolidation.", {NODULE: PRESENT, CONSOLIDATION: ABSENT}),
    ("No nodule of 3.5 mm or more, no consolidation.", {NODULE: ABSENT, CONSOLIDATION: ABSENT}),
    ("Absence of effusion, with consolidation.", {CONSOLIDATION: PRESENT}),
    ("No lesion is seen, with mild bronchiectasis.", {"Bronchiectasis": PRESENT}),
    ("Nodules, with a size of 5 mm, were not observed.", {NODULE: ABSENT}),
    ("No nodule, with or without consolidation.", {NODULE: ABSENT, CONSOLIDATION: ABSENT}),
    # what is doubted
    ("Consolidation vs. atelectasis.", {CONSOLIDATION: UNCERTAIN, ATELECTASIS: UNCERTAIN}),
    ("Rule out consolidation.", {CONSOLIDATION: UNCERTAIN}),
    ("Pleural effusion cannot be excluded.", {EFFUSION: UNCERTAIN}),
    ("Consolidation could not be ruled out.", {CONSOLIDATION: UNCERTAIN}),
    ("Possible consolidation.", {CONSOLIDATION: UNCERTAIN}),
    ("The density may represent atelectasis.", {ATELECTASIS: UNCERTAIN}),
    ("Atelectasis?", {ATELECTASIS: UNCERTAIN}),
    ("Emphysema (consolidation?).", {EMPHYSEMA: PRESENT, CONSOLIDATION: UNCERTAIN}),
    ('A "ground glass" opacity.', {"Lung opacity": PRESENT}),
    ('No nodule " Emphysema', {NODULE: ABSENT, EMPHYSEMA: PRESENT}),
    ("Follow-up in terms of consolidation.", {CONSOLIDATION: UNCERTAIN}),
    ("No consolidation; atelectasis is likely.", {CONSOLIDATION: ABSENT, ATELECTASIS: PRESENT}),
    # what is said twice
    ("No effusion of the left pleura. Right pleural effusion.", {EFFUSION: PRESENT}),
    ("Right pleural effusion. No left pleural effusion.", {EFFUSION: PRESENT}),
    ("Possible nodule. A nodule of 4 mm.", {NODULE: PRESENT}),
    ("No nodule. Possible nodule.", {NODULE: UNCERTAIN}),
    # what another organ has, and words within words
    ("A nodule in the left lobe of the thyroid gland.", {}),
    ("Findings consistent with infection.", {}),
    ("Subcutaneous emphysema of the chest wall.", {}),
    ("Apical pleuroparenchymal scarring.", {"Pulmonary fibrotic sequela": PRESENT}),
    ("A scar of the skin.", {}),
    ("The heart is normal in size.", {}),
    ("Fibroatelectatic changes.", {"Pulmonary fibrotic sequela": PRESENT}),
    ("Plaques in the left coronary artery.", {"Coronary artery wall calcification": PRESENT}),
    ("", {}),
    ("The the the no no not.", {}),
]


@pytest.mark.parametrize(("text", "name"), NAMED)
def test_every_finding_is_found_where_a_report_names_it(text, name):
    assert findings(text) == {name: PRESENT}


def test_every_finding_has_a_sentence_here():
    assert {name for _, name in NAMED} == set(TERMS)


@pytest.mark.parametrize(("text", "expected"), DIFFICULT, ids=lambda each: str(each)[:50])
def test_a_difficult_sentence_is_read_as_a_person_reads_it(text, expected):
    assert findings(text) == expected


@pytest.mark.parametrize(("text", "expected"), [d for d in DIFFICULT if '"' not in d[0]])
def test_case_and_spaces_change_nothing(text, expected):
    assert findings(text.replace(" ", "  ").upper()) == expected


def test_only_what_is_sure_is_a_label():
    text = "No nodule. Possible consolidation. Emphysema."
    assert RuleLabeller()([text, ""]) == [frozenset({EMPHYSEMA}), frozenset()]


def test_the_labels_are_the_18_of_ct_rate_in_their_order():
    assert RuleLabeller.labels == ABNORMALITIES


@pytest.mark.parametrize(("name", "text"), [(n, t) for n, ts in SEEN.items() for t in ts])
def test_what_a_synthetic_report_tells_is_found(name, text):
    assert RuleLabeller()([text.format(side="left")]) == [{name}]


@pytest.mark.parametrize("text", [text for texts in DENIED.values() for text in texts])
def test_what_a_synthetic_report_denies_is_not_found(text):
    assert RuleLabeller()([text]) == [frozenset()]


def test_it_never_calls_itself_by_the_name_of_another():
    assert RuleLabeller.name.startswith("rule")


@pytest.mark.parametrize(
    "piece",
    [
        "a, ",
        "no ",
        "and is ",
        "(",
        "enlarged ",
        "increase a of ",
        "?",
        "nodule, and ",
        "no nodule, with ",
        "significantly ",
    ],
)
def test_no_text_takes_long(piece):
    began = time.process_time()
    findings(piece * (40_000 // len(piece)))
    assert time.process_time() - began < 5
