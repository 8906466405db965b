"""How are the classes of masks described without being named? The phantom's term dictionary.

No sentence holds the last word of its class name, so that a description never tells the answer.
"""

from __future__ import annotations

ORGAN_TERMS: dict[str, tuple[str, ...]] = {
    "liver": (
        "The largest solid organ of the belly, under the right half of the diaphragm.",
        "It makes bile and clears the blood that comes from the gut.",
        "The wedge of solid tissue that fills the right upper belly.",
        "The organ whose cells store sugar and break down drugs.",
        "The portal vein brings blood to this organ.",
    ),
    "kidney": (
        "One of two organs behind the belly that make urine.",
        "A bean-shaped organ beside the backbone.",
        "It filters the blood and keeps water and salt in balance.",
        "It sends urine down to the bladder.",
        "An organ with a cortex that lights up early after contrast.",
    ),
    "spleen": (
        "The organ of the left upper belly that filters old blood cells.",
        "A soft fist-sized organ under the left ribs.",
        "A blood-rich organ of the immune system near the tail of the pancreas.",
        "The largest lymphatic organ of the body.",
        "It lies at the back, left of the stomach.",
    ),
    "lung": (
        "The air-filled organ of the chest.",
        "One of two organs in which blood takes up oxygen.",
        "The dark organ on both sides of the heart.",
        "The airways end in the small sacs of this organ.",
        "It widens and shrinks with every breath.",
    ),
    "gallbladder": (
        "A small pouch under the right lobe that stores bile.",
        "The pear-shaped sac that empties bile into the gut after a meal.",
        "A thin-walled sac of fluid beside the liver.",
        "The organ in which bile is thickened.",
        "The sac at which the cystic duct begins.",
    ),
    "aorta": (
        "The largest artery of the body.",
        "The vessel that takes the blood from the left ventricle.",
        "A long tube of blood in front of the backbone.",
        "All arteries of the body spring from this vessel.",
        "It is the brightest vessel in the arterial phase.",
    ),
    "heart": (
        "The muscle that pumps the blood.",
        "An organ of four chambers between both lungs.",
        "It beats about seventy times a minute.",
        "The organ with two atria and two ventricles.",
        "A hollow muscle behind the breastbone.",
    ),
    "stomach": (
        "The sac in which food meets acid.",
        "It lies between the gullet and the first part of the gut.",
        "A hollow organ of the left upper belly that holds a meal.",
        "The organ where protein begins to be digested.",
        "Food comes to this organ first when it is swallowed.",
    ),
    "bowel": (
        "The long tube that digests food after the stomach.",
        "Loops of gut in the lower belly.",
        "The tube in which food is taken up into the blood.",
        "The organ that moves food onward in waves.",
        "Its coils fill most of the lower belly.",
    ),
    "spine": (
        "The backbone.",
        "The column of bone that carries the trunk.",
        "A row of vertebrae in the middle of the back.",
        "The bony tube around the cord of nerves.",
        "The bright bone behind the large vessels.",
    ),
}  # fmt: skip
"""Organ -> descriptions."""

FINDING_TERMS: dict[str, tuple[str, ...]] = {
    "cyst": (
        "A round sac filled with water.",
        "A dark round region with a thin wall.",
        "A benign pocket of fluid inside an organ.",
        "A smooth region that takes up no contrast.",
        "A bubble of fluid, darker than the tissue around it.",
    ),
    "mass": (
        "A solid lump of tissue that should not be there.",
        "A solid growth, brighter than its organ.",
        "A region that may be a tumour.",
        "New tissue that takes up contrast.",
        "A round solid lesion inside an organ.",
    ),
    "calcification": (
        "A deposit of calcium in soft tissue.",
        "A small spot as bright as bone.",
        "Chalk in the wall of a vessel or in an organ.",
        "Hardened tissue that is white on CT.",
        "A dense white speck left by an old disease.",
    ),
    "stone": (
        "A hard lump that has formed in urine or bile.",
        "A bright pebble in a hollow organ.",
        "It can block the flow of urine or bile.",
        "A crystal body that may cause colic.",
        "A hard white body in the kidney or gallbladder.",
    ),
    "effusion": (
        "Fluid beside the lung.",
        "Water that gathers low in the chest.",
        "Liquid between lung and chest wall.",
        "A pool of fluid at the back of the chest.",
        "Fluid that has leaked into the pleural space.",
    ),
}
"""Kind of finding -> descriptions."""

TERMS = {**FINDING_TERMS, **ORGAN_TERMS}
