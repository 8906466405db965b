"""Does `tomovox data audit` write what it found, and leave with the right code?"""

import json
from pathlib import Path

import pytest

from tomovox.cli import main
from tomovox.data.phantom import write_phantom


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def root(tmp_path) -> Path:
    write_phantom(tmp_path / "data", cases=5, seed=0, shape=(8, 16, 16), series=1)
    return tmp_path / "data"


@pytest.fixture
def leaking(root) -> Path:
    text = (root / "M3D_Cap_npy/ct_case/000005/text.txt").read_text()
    (root / "M3D_Cap_npy/ct_case/000001/text.txt").write_text(text)
    return root


def test_an_audit_without_findings_exits_0_and_writes_its_files(capsys, root):
    assert main(["data", "audit", str(root), "--fail-on-leak"]) == 0
    names = sorted(path.name for path in Path("audit").iterdir())
    assert names == ["clean_split.json", "findings.tsv", "not_read.tsv"]
    assert "0 findings" in capsys.readouterr().out


def test_findings_alone_leave_the_exit_code_0(leaking):
    assert main(["data", "audit", str(leaking)]) == 0


def test_a_leak_exits_1_when_that_is_asked_for(leaking):
    assert main(["data", "audit", str(leaking), "--fail-on-leak"]) == 1


def test_the_files_name_the_finding_and_the_records_to_leave_out(leaking):
    main(["data", "audit", str(leaking), "--output", "out"])
    head, line = Path("out/findings.tsv").read_text().splitlines()
    assert head.split("\t")[:3] == ["kind", "split", "id"]
    assert line.startswith(
        "report_identical\ttest\tct_case/000001\ttrain\tct_case/000005\t1.0000\t"
    )
    clean = json.loads(Path("out/clean_split.json").read_text())
    assert clean["version"] == 1 and clean["leaked"]["report/test/000000"] == ["report_identical"]
    assert clean["counts"]["report"]["test"] == {"records": 1, "leaked": 1}


def test_the_data_are_only_read(leaking):
    before = {path: path.stat().st_mtime_ns for path in leaking.rglob("*")}
    main(["data", "audit", str(leaking)])
    assert {path: path.stat().st_mtime_ns for path in leaking.rglob("*")} == before


def test_an_unreadable_volume_is_counted_and_shown(capsys, root):
    volume = next((root / "M3D_Cap_npy/ct_case/000003").glob("*.npy"))
    volume.unlink()
    assert main(["data", "audit", str(root)]) == 0
    out = capsys.readouterr().out
    assert "1 not read" in out and volume.name in out
    assert volume.name in Path("audit/not_read.tsv").read_text()


@pytest.mark.parametrize(
    "arguments",
    [["absent"], ["."], ["data", "--output", "data/README.txt"], ["data", "--workers", "0"]],
    ids=["no folder", "no M3D_Cap_npy", "output is a file", "no workers"],
)
def test_bad_input_is_one_line_and_exit_code_2(capsys, root, arguments):
    assert main(["data", "audit", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not Path("audit").exists()


def test_help_ends_with_an_example(capsys):
    with pytest.raises(SystemExit):
        main(["data", "audit", "--help"])
    assert "tomovox data audit M3D-Data" in capsys.readouterr().out
