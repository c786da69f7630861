"""What a file's content credentials mean for the verdict on it."""

from __future__ import annotations

from extractors.clip import Credentials
from pipelines.detection.result import Decision

UNCHANGED = ("Trusted", "Valid")


def credentials_warning(credentials: Credentials | None) -> str | None:
    """Return the sentence that a reader must know of a file's credentials, if there are any.

    Whether the signer is known is part of it: anyone can sign a file in any name.
    """
    if credentials is None:
        return None
    state, issuer = credentials["state"], credentials["issuer"] or "nobody"
    if state == "Invalid":
        return (
            "the content credentials (C2PA) are broken: the file was changed after it was signed "
            f"in the name of {issuer}"
        )
    if state not in UNCHANGED:
        return f"the content credentials (C2PA) cannot be checked: {state}"
    signer = f"by {issuer}" if state == "Trusted" else f"in the name of {issuer}, an issuer on no"
    signer += "" if state == "Trusted" else " trust list here"
    if credentials["generated"]:
        return (
            "the file itself says that an algorithm made it, or parts of it: content credentials "
            f"(C2PA) signed {signer}"
        )
    return f"content credentials (C2PA) fit the file, signed {signer}; they name no generator"


def with_credentials(verdict: Decision, credentials: Credentials | None) -> Decision:
    """Return a verdict that takes account of credentials by which an algorithm made the file.

    From a signer on a trust list nothing speaks more strongly: fake. From others the file is not
    real, but a stranger may have signed a genuine one to discredit it.
    """
    if credentials is None or not credentials["generated"]:
        return verdict
    if credentials["state"] == "Trusted":
        return "fake"
    return "inconclusive" if credentials["state"] == "Valid" and verdict == "real" else verdict
