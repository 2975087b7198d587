"""TLS by two files: a certificate with its chain, and its key."""

import ssl
from pathlib import Path

from service.errors import SettingsError


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """The TLS context of the listening sockets; None where neither file is given.

    Raises:
        SettingsError: one is missing, cannot be read, is not what it should be, or they are not of
            one another.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        given, absent = ("CERT", "KEY") if key is None else ("KEY", "CERT")
        raise SettingsError(f"AFM_TLS_{absent}: needed beside AFM_TLS_{given}")
    for name, path in (("AFM_TLS_CERT", certificate), ("AFM_TLS_KEY", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise SettingsError(f"{name}: {path} cannot be read: {error.strerror}") from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(certificate)
    except ssl.SSLError as error:
        raise SettingsError(f"AFM_TLS_CERT: {certificate} is no certificate in PEM") from error
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")  # else it asks the terminal
    except ssl.SSLError as error:
        what = (
            f"is not the key of {certificate}"
            if error.reason == "KEY_VALUES_MISMATCH"
            else "is no private key in PEM, or one with a password"
        )
        raise SettingsError(f"AFM_TLS_KEY: {key} {what}") from error
    return context
