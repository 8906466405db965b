"""Do the notebooks run from the first cell to the last, and do they only look?"""

import ast
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from test_experiment import tiny

from tomovox.experiment import ExperimentRun

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_DEFINED, CELL_SECONDS = 4, 120
"""Lines that a function of a cell may have, and seconds after which a cell is taken to hang."""

IMAGE = "image/png"

SHOWN = {
    "1_a_volume_and_a_question": {
        "strip": IMAGE,
        "questions": "question_type",
        "finding": IMAGE,
        "ask": "uniform is",
        "sheet": IMAGE,
    },
    "2_where_tgis_looks": {
        "records": "located",
        "distribution": "effective_slices",
        "depth": IMAGE,
        "moves": "swapped_question",
        "localisation": "other_question",
        "localisation-figure": IMAGE,
        "hiding": IMAGE,
        "hiding-table": "scrambled_correlation",
    },
    "3_reading_the_table": {
        "filter": "med2e3",
        "pivot": "blind",
        "plot": IMAGE,
        "verdict": "the reference is",
        "differences": IMAGE,
        "controls": "other_patient",
        "clean": "left_out",
    },
}
"""Notebook -> cell -> a word that it must show, or that it must draw."""

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code_of(notebook: NotebookNode) -> list[str]:
    """Return the cells of code as Python, their magics resolved."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return [TransformerManager().transform_cell(source) for source in cells]


def run(notebook: NotebookNode) -> dict[str, str]:
    """Run all cells in the folder of the notebooks, and return what each cell of code shows.

    A drawing is IMAGE. A cell that fails raises with its error.
    """
    resources = {"metadata": {"path": str(FOLDER)}}
    NotebookClient(notebook, timeout=CELL_SECONDS, resources=resources).execute()
    return {cell.id: "\n".join(shown_by(cell)) for cell in notebook.cells if "outputs" in cell}


def shown_by(cell: NotebookNode) -> Iterator[str]:
    for output in cell.outputs:
        data = output.get("data", {})
        yield from (output.get("text", ""), data.get("text/plain", ""), data.get("text/html", ""))
        yield IMAGE if IMAGE in data else ""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an experiment of a few cases and steps with all that the notebooks read."""
    folder = tmp_path_factory.mktemp("notebooks")
    path = tiny(folder, controls=["other_patient"])
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    config["models"] = {name: config["models"][name] for name in ("med2e3", "blind")}
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    ExperimentRun(path, folder / "tiny").run()
    return folder / "tiny"


@pytest.fixture
def kernel_home(tmp_path, monkeypatch):
    """Keep what a kernel writes out of the user's folders, and to one thread."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("TOMOVOX_RUN", raising=False)


def test_there_are_three_stories():
    assert [path.name[0] for path in NOTEBOOKS] == ["1", "2", "3"]


@every_notebook
def test_every_notebook_shows_what_it_tells_of(path, experiment, kernel_home, monkeypatch):
    monkeypatch.setenv("TOMOVOX_EXPERIMENT", str(experiment))
    shown = run(read(path))
    missing = [name for name, wanted in SHOWN[path.stem].items() if wanted not in shown[name]]
    assert not missing, f"cells that do not show what they should: {missing}"


@every_notebook
def test_the_first_cell_says_what_to_run_where_the_experiment_is_missing(
    path, tmp_path, monkeypatch
):
    monkeypatch.setenv("TOMOVOX_EXPERIMENT", str(tmp_path / "nothing"))
    monkeypatch.delenv("TOMOVOX_RUN", raising=False)
    first = compile(code_of(read(path))[0], path.name, "exec")
    with pytest.raises(SystemExit, match=r"^no .*: run `tomovox run experiments/quickstart.yaml`"):
        exec(first, {})


def test_a_cell_that_fails_shows_its_source_and_its_error(kernel_home):
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("slices = 3\nslices / 0")])
    with pytest.raises(CellExecutionError, match=r"(?s)slices / 0.*division by zero"):
        run(broken)


@every_notebook
def test_committed_notebooks_hold_no_outputs(path):
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    kept = [cell.id for cell in cells if cell.outputs or cell.execution_count is not None]
    assert not kept, "clear the outputs of these cells"


@every_notebook
def test_committed_notebooks_keep_no_marks_of_an_editor(path):
    known = {"kernelspec", "language_info"}
    assert set(read(path).metadata) <= known
    assert not [cell.id for cell in read(path).cells if cell.metadata]


@every_notebook
def test_no_cell_defines_a_class_or_more_than_a_few_lines(path):
    defined = []
    for node in (node for source in code_of(read(path)) for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.ClassDef):
            defined.append(f"class {node.name}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            defined += [f"{node.name}, {lines} lines"] if lines > MOST_DEFINED else []
    assert not defined, "what is defined belongs in the package"


@every_notebook
def test_every_story_opens_and_ends_with_words(path):
    kinds = [cell.cell_type for cell in read(path).cells]
    assert kinds[0] == kinds[-1] == "markdown"
