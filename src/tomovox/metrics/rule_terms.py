"""Which words name each of the 18 findings of CT-RATE in a report of a chest CT?

A term is one or more regular expressions that must all match in one clause, in lower case; where
the first matches, the finding is named. Names and order are those of CT-RATE's labels (Hamamci et
al., arXiv 2403.17834); what they comprise follows the use of these names in its reports: a lymph
node that is described counts as lymphadenopathy, a band as sequela.
"""

Term = tuple[str, ...]

_CALCIFIED = r"calcif|calcic|atheroma|atheroscl|plaque"
_ARTERY = (
    r"\baort(?!ic valve|opulm)|supraaort|carotid|subclavian|brachiocephalic|innominate|vascular"
    r"|(?<!coronary )\barter(?!ies of the heart)"
)
_LARGE = r"(?:increas|enlarg|large|dilat|wide[rn]|above normal|greater)"
_ELSEWHERE = (
    r"thyroid|adrenal|surrenal|liver|hepat|kidney|renal|spleen|splen|pancrea|breast|mammar|skin"
    r"|subcutan|lymph|vertebra|bone|gallbladder|abdom|ureter|bladder|prostate|uter|ovar"
)
_BROKEN = r"\brib\b|humer|fractur"
_MATERIAL = (
    r"catheter|pacemaker|pace maker|\bstent|prosthe|electrode|\bclips?\b|suture|sternotomy|\bport\b"
    r"|chemoport|\bicd\b|cannula|tracheostomy|(?:breast|dental|cochlear) implant|defibrillator"
    r"|\bcoils?\b|bypass|cabg|\bwires?\b|\bscrews?\b|(?:fixation|metal\w*) plate|metallic"
    r"|valve replacement|\bdrains?\b|\bdevices?\b|\bpeg\b"
    r"|(?:nasogastric|feeding|endotracheal|intubation|chest|thora\w+|drainage|gastric) tube"
    r"|(?:medical|surgical|operation|fixation|sternal) material"
)

TERMS: dict[str, tuple[Term, ...]] = {
    "Medical material": ((_MATERIAL,),),
    "Arterial wall calcification": ((_CALCIFIED, _ARTERY),),
    "Cardiomegaly": (
        (r"cardiomegaly|(?:enlarged|large|dilated) (?:heart|cardiac)",),
        (rf"\b(?:heart|cardiac|cardiothoracic|ctr|ventric\w+)\b[^.,]{{0,40}}\b{_LARGE}",),
        (rf"{_LARGE}\w*(?: \w+){{0,6}} (?:of|in) (?:the )?(?:heart|cardiac)\b",),
    ),
    "Pericardial effusion": (
        (r"pericardial[ -](?:\w+[ ,-]+){0,3}(?:effusion|fluid)",),
        (r"(?:effusion|fluid)[^.]{0,60}pericardi|ha?emopericardi",),
    ),
    "Coronary artery wall calcification": ((_CALCIFIED, r"coronar|\blad\b"),),
    "Hiatal hernia": ((r"hiatal[ -]herni|hiatus hernia|herni\w+ of the (?:stomach|hiat)",),),
    "Lymphadenopathy": ((r"lymphadeno(?:path|megal)|\blaps?\b|adenopath|lymph[ -]?nod(?:e|ul)",),),
    "Emphysema": ((r"(?<!subcutaneous )(?<!surgical )(?<!mediastinal )emphysem|bulla|bleb",),),
    "Atelectasis": ((r"(?<!fibro)atel[ea]cta",),),
    "Lung nodule": ((r"\bnodul", rf"^(?!.*(?:{_ELSEWHERE}))"),),
    "Lung opacity": (
        (r"(?:ground|frosted|matte)[ -]?glass|opacit|opacification",),
        (
            r"densit\w+ increase|increase\w* (?:in|of) (?:\w+ )?densit|increased densit",
            rf"^(?!.*(?:sequel|fibro|linear|pleuroparench|fatty|{_ELSEWHERE}))",
        ),
    ),
    "Pulmonary fibrotic sequela": (
        (
            r"sequel|fibro(?:tic|sis|us|atel)|(?:parenchymal|subpleural) bands?\b"
            r"|(?:parenchymal|subpleural|apical|pulmonary|lung) scar",
            rf"^(?!.*(?:{_ELSEWHERE}|{_BROKEN}))",
        ),
    ),
    "Pleural effusion": (
        (r"pleural[ -](?:\w+[ ,-]+){0,3}(?:effusion|fluid)",),
        (r"(?:effusion|fluid)[^.]{0,60}(?:pleura|hemithora)|(?:hydro|ha?emo)thorax",),
        (r"hemithora\w+[^.]{0,30}effusion",),
        (r"bilateral (?:\w+ ){0,2}effusion",),
    ),
    "Mosaic attenuation pattern": ((r"mosaic",),),
    "Peribronchial thickening": (
        (r"peribronch\w+[^.]{0,40}thick|thick\w+[^.]{0,30}peribronch",),
        (r"bronch\w+ (?:\w+ ){0,2}walls? (?:\w+ ){0,2}thick",),
        (r"thick\w+ (?:of|in) (?:the )?(?:\w+ ){0,3}bronch\w+ (?:\w+ )?wall",),
    ),
    "Consolidation": ((r"consolidat",),),
    "Bronchiectasis": ((r"bronchi(?:o|ol)?ecta",),),
    "Interlobular septal thickening": (
        (r"sept\w+[^.]{0,30}(?:thick|clarif|prominen)|(?:thick|prominen)\w+[^.]{0,40}\bsept",),
    ),
}
"""Name of a finding -> the terms that name it, in the order of CT-RATE's columns."""
