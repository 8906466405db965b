"""Do the adapters call RadGraph, RaTEScore and GREEN as they are called, or say what is missing?

The packages here are small ones of the same names and calls: the real ones are not at hand.
"""

from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest

from tomovox.metrics.outside import SCORERS, outside_values
from tomovox.metrics.resources import Unavailable

SAID, WANTED = ["a b", "", "c d", "a b", ".", "a b"], ["a b", "x y", "  ", "a bc", "a b", "c "]

STUBS = {
    "radgraph": """
class F1RadGraph:
    def __init__(self, reward_level, model_type):
        assert (reward_level, model_type) == ("partial", "radgraph-xl")
    def __call__(self, refs, hyps):
        print("loading")
        values = [len(h) / 10 + len(r) / 100 for r, h in zip(refs, hyps)]
        return sum(values), values, [], []
""",
    "RaTEScore": """
class RaTEScore:
    def __init__(self, use_gpu):
        assert use_gpu is False
    def compute_score(self, candidate_list, reference_list):
        return [len(h) / 10 + len(r) / 100 for r, h in zip(reference_list, candidate_list)]
""",
    "green_score": """
class GREEN:
    def __init__(self, model_name, output_dir, compute_summary_stats):
        import os
        assert model_name == "StanfordAIMI/GREEN-radllama2-7b"
        assert not compute_summary_stats and os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    def __call__(self, refs, hyps):
        values = [len(h) / 10 + len(r) / 100 for r, h in zip(refs, hyps)]
        return 0.0, 0.0, values, "", None
""",
    "torch": "class cuda:\n    is_available = staticmethod(lambda: False)\n",
}


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    """Return what writes packages that the scorer's Python finds first."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for scorer in SCORERS.values():
        monkeypatch.delenv(scorer.variable, raising=False)

    def write(**changed: str) -> None:
        for name, code in {**STUBS, **changed}.items():
            (tmp_path / f"{name}.py").write_text(code)

    return write


@pytest.mark.parametrize("name", SCORERS)
def test_a_scorer_is_given_answers_and_references_and_gives_a_value_for_each(
    name, stubs, monkeypatch
):
    stubs()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    assert outside_values(name, SAID, WANTED) == pytest.approx([0.33, 0, 0, 0.34, 0, 0])


@pytest.mark.parametrize("name", SCORERS)
def test_without_the_package_it_is_said_what_to_install(name, stubs):
    with pytest.raises(Unavailable, match=rf"^{name}: ModuleNotFoundError: .*; .*pip install"):
        outside_values(name, ["one"], ["two"])


@pytest.mark.parametrize("name", SCORERS)
def test_a_python_that_is_not_there_is_said(name, monkeypatch):
    monkeypatch.setenv(SCORERS[name].variable, "/no/such/python")
    with pytest.raises(Unavailable, match="/no/such/python does not run"):
        outside_values(name, ["one"], ["two"])


@pytest.mark.parametrize("value", ["[]", "[float('nan')] * len(said)", "[None] * len(said)"])
def test_values_that_are_none_are_refused(value, stubs):
    calls = f"lambda self, said, wanted: {value}"
    code = f"class RaTEScore:\n    __init__ = lambda *_, **__: None\n    compute_score = {calls}\n"
    stubs(RaTEScore=code)
    with pytest.raises(Unavailable, match=r"^ratescore: "):
        outside_values("ratescore", ["one"], ["two"])


def test_nothing_is_run_where_there_is_nothing_to_compare(monkeypatch):
    monkeypatch.setenv(SCORERS["green"].variable, "/no/such/python")
    assert outside_values("green", ["", "a"], ["b", ""]) == [0.0, 0.0]


def test_no_scorer_reaches_a_network(stubs):
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        code = (
            "import urllib.request\nclass RaTEScore:\n    __init__ = lambda *_, **__: None\n"
            "    def compute_score(self, said, wanted):\n"
            f"        urllib.request.urlopen('http://127.0.0.1:{server.server_port}', timeout=5)\n"
        )
        stubs(RaTEScore=code)
        with pytest.raises(Unavailable, match="refused"):
            outside_values("ratescore", ["one"], ["two"])


def test_no_scorer_looks_for_models_on_a_hub(stubs):
    code = (
        "import os\nclass RaTEScore:\n    __init__ = lambda *_, **__: None\n"
        "    def compute_score(self, said, wanted):\n"
        "        return [float(os.environ['HF_HUB_OFFLINE'])] * len(said)\n"
    )
    stubs(RaTEScore=code)
    assert outside_values("ratescore", ["one"], ["two"]) == [1.0]
