"""Every reader that is handed damaged files."""

from fuzz_ct_rate import CT_RATE
from fuzz_data import DATA
from fuzz_images import IMAGES
from fuzz_kept import KEPT
from fuzz_labels import LABELS
from fuzz_runs import RUNS
from fuzz_weights import WEIGHTS

TARGETS = (*DATA, *IMAGES, *RUNS, *WEIGHTS, *KEPT, *LABELS, *CT_RATE)
