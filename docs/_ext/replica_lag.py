"""Lets docstrings of properties stay as they are written."""

_docstrings = {}


def keep_property(app, what, name, obj, options, lines):  # noqa: ARG001
    """Remember a property's docstring before napoleon reads `Text: more` as a type and a text."""
    if what == "property":
        _docstrings[name] = list(lines)


def restore_property(app, what, name, obj, options, lines):  # noqa: ARG001
    """Put it back."""
    if what == "property":
        lines[:] = _docstrings[name]


def setup(app):
    """Listen for docstrings."""
    app.connect("autodoc-process-docstring", keep_property, priority=400)
    app.connect("autodoc-process-docstring", restore_property, priority=600)
    return {"version": "1", "parallel_read_safe": True}
