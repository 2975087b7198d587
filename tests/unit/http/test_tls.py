"""The files of TLS, and what is said of wrong ones."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from certificates import certificate
from service.errors import SettingsError
from service.http.tls import tls_context


def said(*files: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        tls_context(*files)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_certificate_and_its_key_make_a_context(tmp_path: Path) -> None:
    assert tls_context(*certificate(tmp_path)) is not None
    assert tls_context(None, None) is None


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    made, key = certificate(tmp_path)
    other, other_key = certificate(tmp_path, "other")
    absent = tmp_path / "absent"
    locked = tmp_path / "locked.key"
    lock = ["openssl", "ec", "-in", str(key), "-aes256", "-passout", "pass:x", "-out", str(locked)]
    subprocess.run(lock, check=True, capture_output=True)
    assert said(made, None) == "AFM_TLS_KEY: needed beside AFM_TLS_CERT"
    assert said(None, key) == "AFM_TLS_CERT: needed beside AFM_TLS_KEY"
    assert said(absent, key) == f"AFM_TLS_CERT: {absent} cannot be read: No such file or directory"
    assert said(made, tmp_path) == f"AFM_TLS_KEY: {tmp_path} cannot be read: Is a directory"
    assert said(key, key) == f"AFM_TLS_CERT: {key} is no certificate in PEM"
    assert said(made, other_key) == f"AFM_TLS_KEY: {other_key} is not the key of {made}"
    wrong = "is no private key in PEM, or one with a password"
    assert said(made, other) == f"AFM_TLS_KEY: {other} {wrong}"
    assert said(made, locked) == f"AFM_TLS_KEY: {locked} {wrong}"
