"""The server's own pages: templates in, HTML out, of which only their own scripts may run."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse

from pipelines.report.page import TEMPLATES as PAGE_TEMPLATES

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> HTMLResponse:
    """Return the page of a template, whose scripts and styles bear a nonce of this answer."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    engine = Environment(
        loader=FileSystemLoader([TEMPLATES, PAGE_TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
    )
    nonce = secrets.token_hex(16)
    page = engine.get_template(template).render(**values, nonce=nonce)
    policy = f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
    policy += "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    policy += "frame-ancestors 'none'"
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})
