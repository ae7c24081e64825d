"""Leave Thebe out of the book.

Jupyter Book always loads sphinx-thebe, and with the present theme its script runs twice and logs an error on every
page. The book has no Thebe button (it would need a server), so nothing is lost.
"""

from sphinx.application import Sphinx
from sphinx.config import Config


def disconnect_thebe(app: Sphinx, config: Config) -> None:
    """Take sphinx-thebe's page scripts away; its style sheet stays where the theme looks for it."""
    for listeners in app.events.listeners.values():
        for listener in list(listeners):
            handler = listener.handler
            if handler.__module__ == "sphinx_thebe" and handler.__name__ != "st_static_path":
                app.disconnect(listener.id)


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx's entry point."""
    app.connect("config-inited", disconnect_thebe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
