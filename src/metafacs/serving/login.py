"""The form that asks for the password."""

from html import escape

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>metafacs: password</title><link rel="stylesheet" href="/page/page.css"></head>
<body class="mf-doc"><main class="mf-login">
<h1>metafacs</h1>
<p>This server asks for a password.</p>
<form method="post" action="/login">
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" autofocus required>
<p class="mf-wrong" role="alert">{said}</p>
<button type="submit">Open</button>
</form></main></body></html>
"""


def login_page(said: str = "") -> str:
    """HTML of the form, with what went wrong the last time."""
    return _PAGE.format(said=escape(said))
