"""Where images come from: a catalogue by name, a folder of one's own, and what is done to pixels."""

from vaelib.data import sprites
from vaelib.data.cache import DataUnavailable, cache_folder
from vaelib.data.catalogue import card, cards, load
from vaelib.data.data_card import DataCard
from vaelib.data.image_folder import folder
from vaelib.data.image_set import Batch, ImageSet
from vaelib.data.pictures import Crop
from vaelib.data.pixels import binarise, dequantise, quantise
from vaelib.data.sprites import Sprites
from vaelib.data.wheels import WheelPin, fetch_wheel, read_member

__all__ = [
    "Batch",
    "Crop",
    "DataCard",
    "DataUnavailable",
    "ImageSet",
    "Sprites",
    "WheelPin",
    "binarise",
    "cache_folder",
    "card",
    "cards",
    "dequantise",
    "fetch_wheel",
    "folder",
    "load",
    "quantise",
    "read_member",
    "sprites",
]
