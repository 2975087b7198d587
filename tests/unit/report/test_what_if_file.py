"""What the what-if file is made of: one script of all modules, and no net that it cannot score."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from model.bundle.bundle import Bundle
from model.errors import BundleError
from model.page import files
from training.export.what_if_file import write_what_if


def test_one_script_has_every_module_before_those_that_import_it() -> None:
    script = files.in_one_script("portable.js")
    defined = re.findall(r'^modules\["([\w.]+)"\] =', script, flags=re.MULTILINE)
    assert defined[-1] == "portable.js"
    assert len(defined) == len(set(defined))
    assert not re.search(r"^(import|export) ", script, flags=re.MULTILINE)
    for name in defined:
        body = script.partition(f'modules["{name}"] = ')[2].partition("\n})();")[0]
        for imported in re.findall(r'modules\["([\w.]+)"\];', body):
            assert defined.index(imported) < defined.index(name)


def test_a_net_that_the_page_cannot_score_is_refused_by_name(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(
        tiny_bundle, manifest=tiny_bundle.manifest.model_copy(update={"net": "xdeepfm"})
    )
    monkeypatch.setattr(Bundle, "open", lambda _: other)
    with pytest.raises(BundleError, match="net 'xdeepfm': the page scores lr, fm, fwfm"):
        write_what_if(tiny_bundle.directory, tmp_path / "whatif.html")
    assert not (tmp_path / "whatif.html").exists()


def test_a_vocabulary_that_does_not_fit_is_cut_and_said_so(
    make_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    out = tmp_path / "whatif.html"
    directory = make_bundle("fm").directory
    assert write_what_if(directory, out).cut == {}
    written = write_what_if(directory, out, most_bytes=1)
    few, whole = written.cut["hour"]
    assert few < whole == 24
    assert f"hour to {few} of 24" in out.read_text(encoding="utf-8")
