"""Which state of the project was measured?"""

import subprocess
from pathlib import Path


def commit() -> str:
    """Return the commit that was measured; -dirty where files were changed since."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    here = Path(__file__).parent
    run = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    return run.stdout.strip() or "unknown"
