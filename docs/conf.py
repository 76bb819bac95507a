"""How Sphinx builds these pages: sphinx-build -W -n -b html docs docs/_build/html."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import pytest_replicalag

project = "pytest-replicalag"
version = release = pytest_replicalag.__version__
copyright = "the authors of pytest-replicalag"  # noqa: A001

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "example_report",
    "replica_lag",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

# Docstrings are Google style, and write code between single backticks.
default_role = "code"
smartquotes = False  # -- is part of an option
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_use_ivar = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True
# Links stay inside these pages: nothing is fetched to build them.
elsewhere = (
    r"(datetime|bson|collections)\..*|timedelta|optional|ConfigurationError|OperationFailure|"
    r".*\.OpTime|.*Client"
)
nitpick_ignore_regex = [
    (r"py:.*", elsewhere),
    # What `schedules` draws is handed on as it is.
    (r"py:class", r"hypothesis\.strategies\.SearchStrategy|.*\.schedule\.Recorder"),
]

toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "pytest-replicalag"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
