"""Writes HTML pages from `templates/`: style and pictures are inside, there is no script, nothing is fetched."""

import base64
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

_TEMPLATES = Environment(
    loader=PackageLoader("metafacs"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def render(template: str, **values: Any) -> str:
    """A whole document from the template of that name; every value is escaped."""
    return _TEMPLATES.get_template(template).render(values)


def data_url(picture: bytes, kind: str) -> str:
    """What stands as the source of a picture that is inside the page.

    Args:
        picture: the file.
        kind: "png" or "jpeg".
    """
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
