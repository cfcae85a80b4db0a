"""The drawings: brick, glass, foliage, car doors, shop fronts, road signs.

Every function returns one (128, 128, 4) uint8 tile: RGB and paint (see ``textures``). Vertical
surfaces have their top in row 0. Importing this package fills ``TILES``.
"""

from dvps_d2.street.tiles import buildings, ground, signs, vehicles
from dvps_d2.street.tiles.drawing import TILE_SIZE, TILES

__all__ = ["TILES", "TILE_SIZE", "buildings", "ground", "signs", "vehicles"]
