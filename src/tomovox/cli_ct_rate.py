"""What do the verbs of `tomovox data` do with CT-RATE, as it is downloaded?

Handlers import late, so that --help is quick.
"""

import argparse
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

from tomovox.cli_terminal import progress
from tomovox.schema import TomovoxError

if TYPE_CHECKING:
    from tomovox.data.faults import DataFault

CT_RATE_EXAMPLES = """
CT-RATE (a folder that holds dataset/radiology_text_reports, or radiology_text_reports itself):
  tomovox data prepare CT-RATE PREPARED                      as CT-CLIP: 240,480,480, -1000..1000 HU
  tomovox data prepare CT-RATE PREPARED --depth native       all slices, 1.5 mm apart
  tomovox data prepare CT-RATE PREPARED --spacing 0,0.75,0.75 --depth native    all, as scanned
Slope and intercept come from the metadata unless the values are in HU already: a scan in which air
does not lie near -1000 HU either way is left out. Take the *_fixed folders where you can: a raw
volume whose header was never set is taken to run as DICOM does (LPS, assumed). Voxels become
1.5,0.75,0.75 mm, the middle is cut out or padded; --window and --format as above. PREPARED has the
layout of CT-RATE, with the tables and questions of what was downloaded; what is left out stands in
not_prepared.tsv, and volumes that were never downloaded in not_downloaded.tsv. Prepare in parts
where the disk is small: volumes that are prepared may be deleted from CT-RATE before the next are
downloaded, if its tables stay.
"""


def prepare_downloaded(
    options: argparse.Namespace, window: tuple[float, float] | None
) -> "tuple[DataFault, ...]":
    """Prepare CT-RATE as the options of `data prepare` say; return what is left out."""
    from tomovox.data.ct_rate_scan import SHAPE, SPACING_MM, WINDOW, ScanSettings
    from tomovox.data.prepare import TABLE
    from tomovox.data.prepare_ct_rate import ABSENT, prepare_ct_rate

    if options.plane != "axial":
        raise TomovoxError(f"--plane {options.plane}: CT-RATE is axial; leave it out")
    settings = ScanSettings(
        shape=options.shape or SHAPE,
        depth=options.depth,
        spacing_mm=options.spacing or SPACING_MM,
        window=window or WINDOW,
        format=options.format,
    )
    with progress("prepare") as tell:
        found = prepare_ct_rate(options.source, options.target, settings, options.workers, tell)
    volumes = found.volumes
    asked = ", ".join(f"{number:,} {what}" for what, number in sorted(found.questions.items()))
    absent = f"; {found.absent:,} never downloaded, see {ABSENT}" if found.absent else ""
    sys.stdout.write(
        f"{options.target}: {volumes.prepared} prepared, {volumes.skipped} already there{absent}; "
        f"see {TABLE}\nquestions: {asked or 'none'}\n"
    )
    return volumes.refused


def write_downloaded(options: argparse.Namespace) -> int:
    """Write a synthetic CT-RATE as the options of `data phantom` say; return the exit code."""
    from tomovox.data.experiment_data import PhantomData
    from tomovox.data.phantom_ct_rate import write_ct_rate_phantom

    if options.native:
        raise TomovoxError("--native: give --depth native to tomovox data prepare instead")
    names = (field.name for field in fields(PhantomData))
    PhantomData(**{name: getattr(options, name) for name in names}).arguments()  # refuses the rest
    with progress("phantom") as tell:
        write_ct_rate_phantom(
            options.folder,
            cases=options.cases,
            seed=options.seed,
            shape=options.shape,
            difficulty=options.difficulty,
            test_cases=options.test_cases,
            series=options.series,
            progress=tell,
            workers=options.workers,
        )
    sys.stdout.write(
        f"{options.folder}: {options.cases} patients in the layout of CT-RATE as downloaded; next: "
        f"tomovox data prepare {options.folder} DIR --shape {','.join(map(str, options.shape))}\n"
    )
    return 0
