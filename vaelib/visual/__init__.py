"""Still figures in one style, and sliders for the latents of a decoder.

Every function returns a matplotlib figure that shows itself once, as the value of a notebook's cell.
"""

from vaelib.visual.charts import bars, histograms, lines
from vaelib.visual.comparison_page import comparison_page
from vaelib.visual.diagrams import Diagram
from vaelib.visual.explorer import LatentExplorer
from vaelib.visual.pictures import image_grid, image_rows, interpolation_strip, traversal_grid
from vaelib.visual.plots import latent_activity, latent_map, power_spectra, training_curves
from vaelib.visual.report import report
from vaelib.visual.style import ACCENT, INK, MUTED, PALETTE, new_figure, style

__all__ = [
    "ACCENT",
    "INK",
    "MUTED",
    "PALETTE",
    "Diagram",
    "LatentExplorer",
    "bars",
    "comparison_page",
    "histograms",
    "image_grid",
    "image_rows",
    "interpolation_strip",
    "latent_activity",
    "latent_map",
    "lines",
    "new_figure",
    "power_spectra",
    "report",
    "style",
    "training_curves",
    "traversal_grid",
]
