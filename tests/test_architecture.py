"""Does the code keep to its own plan? Import direction, sizes, names and safety of the source."""

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "tomovox"

ALLOWED = {
    "moments": set(),
    "workers": set(),
    "schema": set(),
    "files": {"schema", "moments"},
    "lock": {"schema", "files"},
    "boxes": {"schema"},
    "packaged": {"schema"},
    "plain_arrays": set(),
    "parsed": {"schema"},
    "data": {
        *("schema", "boxes", "packaged", "moments", "workers", "plain_arrays", "parsed", "files"),
    },
    "metrics": {"schema", "packaged", "boxes", "plain_arrays", "files"},
    "statistics": {"schema"},
    "models": {"schema", "packaged", "parsed", "files"},
    "answering": {"schema", "data", "metrics", "models"},
    "left_out": {"schema", "files"},
    "tracking": {"schema", "parsed", "files"},
    "progress": {"schema", "workers"},
    "slurm_jobs": {"schema", "progress", "parsed", "lock"},
    "training": {"schema", "progress", "files"},
    "sheets": {"schema"},
    "shards": {"schema"},
    "ranks": {"schema", "progress"},
    "judge": {"schema", "metrics", "statistics", "left_out", "sheets", "parsed", "files"},
    "analysis": {"schema", "metrics", "statistics", "sheets", "parsed", "files"},
    "report": {"schema", "metrics", "statistics", "sheets", "files"},
}
"""Which rooms of tomovox a room may import beside itself."""

KNOW_EVERYTHING = {
    *(
        "cli",
        "cli_data",
        "executor",
        "experiment",
        "cell",
        "stages",
        "stage_fit",
        "stage_kinds",
        "stage_plan",
        "unlabelled_stages",
        "configuration",
    ),
    *("predict", "lightning_verbs", "parity", "ask", "cli_checkpoint", "cli_models", "sizes"),
    *(
        "retrieval_cell",
        "size_cell",
        "floor_cell",
        "control_cell",
        "cli_judge",
        "cli_terminal",
        "cli_compare",
        "cli_ct_rate",
        "cli_prepare",
        "cli_audit",
        "attention",
        "attention_cell",
        "attention_cases",
        "report_attention",
        "attention_capture",
        "attention_elsewhere",
        "cli_attention",
        "cli_report",
        "report_content",
        "run_folders",
        "cli_sanity",
        "cli_sync",
        "tracked",
    ),
}
SYSTEMS = {"med2e3", "m3d_lamed", "ms_vlm", "m3d_clip", "floors"}
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common"}
MOST_LINES, MOST_FUNCTION_LINES = 320, 60
MACHINE_PATH = re.compile(r"/(work|root|farm)/[a-z]")
UNSAFE_KEYWORDS = {"trust_remote_code", "allow_pickle"}


# ---- what there is to check ------------------------------------------------------------------


@cache
def python_files(*folders: str) -> tuple[Path, ...]:
    return tuple(sorted(p for f in folders for p in (ROOT / f).rglob("*.py")))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def place(path: Path, line: int | None = None) -> str:
    name = path.relative_to(ROOT).as_posix()
    return name if line is None else f"{name}:{line}"


def listed(rule: str, offenders: list[str]) -> str:
    return f"{rule}:\n  " + "\n  ".join(offenders)


@cache
def modules() -> dict[str, Path]:
    """Map the dotted name of every module of the package to its file."""
    names = {}
    for path in python_files("src/tomovox"):
        parts = ("tomovox", *path.relative_to(SOURCE).with_suffix("").parts)
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(module: str) -> Iterator[tuple[str, int]]:
    """Yield each tomovox module that a module imports, anywhere in its file, and the line."""
    for node in ast.walk(tree_of(modules()[module])):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = absolute(module, node)
            inner = [f"{base}.{alias.name}" for alias in node.names]
            names = [name if name in modules() else base for name in inner]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "tomovox":
                yield name, node.lineno


def absolute(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    is_package = modules()[module].name == "__init__.py"
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join([*parts, node.module] if node.module else parts)


def room(module: str) -> str:
    """Return the first name below tomovox, or the empty string for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def tracked_files() -> list[Path]:
    """Return the committed files; in a copy without git, all files of the folders they lie in."""
    names = ""
    if shutil.which("git") and (ROOT / ".git").exists():
        command = ["git", "ls-files", "-z"]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        names = run.stdout
    if names:
        found = [ROOT / name for name in names.split("\0") if name]
    else:
        folders = ("src", "tests", "baselines", "experiments", "benchmarks", "notebooks", ".ci")
        found = [p for folder in folders for p in (ROOT / folder).rglob("*")]
        found += list(ROOT.glob("*"))
    return sorted(p for p in found if p.is_file() and "__pycache__" not in p.parts)


# ---- who may import whom ---------------------------------------------------------------------


def test_every_module_has_a_room_in_the_plan():
    known = ALLOWED.keys() | KNOW_EVERYTHING | {"", "__main__"}
    strange = [place(path) for name, path in modules().items() if room(name) not in known]
    assert not strange, listed("not in the import plan of tests/test_architecture.py", strange)


def test_imports_follow_the_direction_of_the_plan():
    wrong = []
    for module, path in modules().items():
        here = room(module)
        if here not in ALLOWED:
            continue
        wrong += [
            f"{place(path, line)}: {here} may not import {name}"
            for name, line in imports(module)
            if room(name) not in ALLOWED[here] | {here}
        ]
    assert not wrong, listed("imports against the direction", wrong)


def test_no_model_imports_the_file_of_a_system():
    systems = {f"tomovox.models.{name}" for name in SYSTEMS}
    wrong = [
        f"{place(path, line)}: {name}"
        for module, path in modules().items()
        if room(module) == "models"
        for name, line in imports(module)
        if name in systems - {module}
    ]
    assert not wrong, listed("what two systems share belongs in a file of its own", wrong)


def test_imports_form_no_cycle():
    graph = {m: {name for name, _ in imports(m) if name != m} for m in modules()}
    cycle: list[str] = []
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        cycle = error.args[1]
    assert not cycle, listed("modules that import each other", cycle)


# ---- sizes and names -------------------------------------------------------------------------


def test_no_file_is_much_longer_than_300_lines():
    counts = {
        p: len(p.read_text(encoding="utf-8").splitlines())
        for p in python_files("src", "tests", "benchmarks")
    }
    long = [f"{place(p)}: {n} lines" for p, n in counts.items() if n > MOST_LINES]
    assert not long, listed(f"aim at 300 lines, at most {MOST_LINES}: split by idea", long)


def test_no_function_is_longer_than_60_lines():
    long = []
    for path in python_files("src", "tests", "benchmarks"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MOST_FUNCTION_LINES:
                    long.append(f"{place(path, node.lineno)}: {node.name}, {lines} lines")
    assert not long, listed(f"aim at 40 lines, at most {MOST_FUNCTION_LINES}", long)


def test_package_files_hold_only_a_docstring():
    wrong = []
    for path in python_files("src"):
        if path.name == "__init__.py":
            tree = tree_of(path)
            if len(tree.body) != 1 or ast.get_docstring(tree) is None:
                wrong.append(place(path))
    assert not wrong, listed("an __init__.py holds one docstring and nothing else", wrong)


def test_every_package_folder_has_an_init_file():
    folders = {path.parent for path in python_files("src/tomovox")}
    bare = sorted(place(f) for f in folders if not (f / "__init__.py").is_file())
    assert not bare, listed("folders with code but without __init__.py", bare)


def test_no_module_has_a_vague_name():
    wrong = [
        place(path)
        for path in python_files("src", "tests", "benchmarks")
        if VAGUE_NAMES & {path.stem.removeprefix("test_"), *path.relative_to(ROOT).parts[:-1]}
    ]
    assert not wrong, listed("name a module by what it knows", wrong)


# ---- what must not be written ----------------------------------------------------------------


def test_no_tracked_file_names_a_path_of_one_machine():
    wrong = []
    for path in tracked_files():
        if path == Path(__file__).resolve():
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        wrong += [place(path, i) for i, line in enumerate(lines, 1) if MACHINE_PATH.search(line)]
    assert not wrong, listed("paths of one machine", wrong)


def test_nothing_is_unpickled_evaluated_or_run_from_afar():
    wrong = []
    for path in python_files("src"):
        for node in ast.walk(tree_of(path)):
            if fault := unsafe(node):
                wrong.append(f"{place(path, node.lineno)}: {fault}")
    assert not wrong, listed("weights and data must not be able to run code", wrong)


def unsafe(node: ast.AST) -> str:
    """Return what is unsafe about one node of a syntax tree, or the empty string."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        if [a.name for a in node.names] == ["UnpicklingError"]:
            return ""  # the name of an error runs nothing
        origin = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names = {name.split(".")[0] for name in origin or [a.name for a in node.names]}
        found = names & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
        return f"imports {found.pop()}" if found else ""
    if not isinstance(node, ast.Call):
        return ""
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    true = {k for k, v in given.items() if isinstance(v, ast.Constant) and v.value is True}
    if true & UNSAFE_KEYWORDS:
        return f"{(true & UNSAFE_KEYWORDS).pop()}=True"
    if isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
        return f"{node.func.id}()"
    called = ast.unparse(node.func)
    if called.endswith("pickle"):
        return f"{called}()"
    if called == "torch.load" and "weights_only" not in true:
        return "torch.load without weights_only=True"
    return ""


def test_every_recipe_and_experiment_opens_with_a_comment():
    files = sorted(p for f in ("experiments", "baselines") for p in (ROOT / f).rglob("*.yaml"))
    bare = [place(p) for p in files if not p.read_text(encoding="utf-8").startswith("# ")]
    assert files and not bare, listed("open with the question or the system, as a comment", bare)
