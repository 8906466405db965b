"""How are the structures of the real scans described without being named? Their term dictionary.

No sentence holds the last word of its class name, so that a description never tells the answer.
"""

from __future__ import annotations

from tomovox.data.phantom_terms import FINDING_TERMS, ORGAN_TERMS
from tomovox.data.sample_sources import ORGANS, TUMOUR, spoken

ONE_SIDED = ("left", "right")

STRUCTURE_TERMS: dict[str, tuple[str, ...]] = {
    "pancreas": (
        "A long organ behind the stomach that makes insulin.",
        "Its juice digests fat and protein.",
        "It reaches from the duodenum to the spleen.",
        "The organ with head, body and tail across the upper belly.",
        "Its duct often joins that of the bile.",
    ),
    "adrenal gland": (
        "A small organ on top of the kidney.",
        "It makes cortisol and adrenaline.",
        "A thin structure in the shape of a Y above the kidney.",
        "The hormone organ that answers stress.",
        "It sits in the fat between kidney and diaphragm.",
    ),
    "small bowel": (
        "The coiled tube in which food is taken up into the blood.",
        "Thin loops of gut in the middle of the belly.",
        "Jejunum and ileum.",
        "The longest part of the gut.",
        "It ends where the colon begins.",
    ),
    "duodenum": (
        "The first part of the gut after the stomach.",
        "A loop of gut around the head of the pancreas.",
        "The tube that bile and pancreatic juice flow into.",
        "A short tube in the shape of a C.",
        "The pylorus opens into it.",
    ),
    "colon": (
        "The large gut, a frame around the belly.",
        "The wide tube that takes water from the stool.",
        "It begins at the appendix and ends at the rectum.",
        "A tube of gut with pouches that often holds gas.",
        "Its parts ascend, cross, descend and bend.",
    ),
    "urinary bladder": (
        "The sac that stores urine.",
        "A round hollow organ low in the pelvis.",
        "Both ureters open into it.",
        "It lies behind the pubic bone and fills with water from the kidneys.",
        "The muscular bag that empties through the urethra.",
    ),
    "prostate": (
        "A gland around the urethra of men.",
        "It lies below the bladder of men.",
        "A chestnut-sized gland in front of the rectum.",
        "The gland that adds fluid to the semen.",
        "The organ whose blood marker is called PSA.",
    ),
    "sacrum": (
        "The wedge of bone between both hips.",
        "Five fused vertebrae at the end of the back.",
        "The bone behind the rectum.",
        "The bone that passes the weight of the trunk to the pelvis.",
        "It lies between the last lumbar vertebra and the tail bone.",
    ),
    "inferior vena cava": (
        "The large vein that brings blood up to the heart.",
        "A wide vessel to the right of the aorta.",
        "It collects the blood of legs and belly.",
        "The vein that the hepatic veins enter below the diaphragm.",
        "It ends in the right atrium from below.",
    ),
    "iliac artery": (
        "The branch of the aorta that goes to the leg.",
        "It begins where the aorta divides.",
        "A vessel that brings blood to pelvis and leg.",
        "The vessel that runs along the edge of the pelvis.",
        "Its outer branch becomes that of the thigh.",
    ),
    "spinal cord": (
        "The bundle of nerves inside the backbone.",
        "It carries signals between brain and body.",
        "A soft strand in the canal of the vertebrae.",
        "The long nerve tissue below the brain.",
        "It ends at the first lumbar vertebrae.",
    ),
    "brain": (
        "The organ inside the skull.",
        "It thinks, feels and moves the body.",
        "Two hemispheres of grey and white matter.",
        "The soft tissue in which the ventricles lie.",
        "The seat of memory and speech.",
    ),
}
"""Structure without its side -> descriptions."""

TUMOUR_TERMS = (
    "A solid growth that should not be there.",
    "New tissue that grows without order.",
    "A lesion that may be cancer.",
    "The abnormal lump that was outlined.",
    *FINDING_TERMS["mass"][:1],
)


def terms() -> dict[str, list[str]]:
    """Return class -> descriptions; of a paired structure each says which side it lies on."""
    known = {**ORGAN_TERMS, **STRUCTURE_TERMS}
    found = {spoken(TUMOUR): list(TUMOUR_TERMS)}
    for label in ORGANS:
        name = spoken(label)
        side, _, rest = name.partition(" ")
        if side in ONE_SIDED:
            found[name] = [f"{text} It is on the {side} side." for text in known[rest]]
        else:
            found[name] = list(known[name])
    return found
