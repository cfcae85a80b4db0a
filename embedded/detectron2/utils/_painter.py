"""The picture in the making, and what can be drawn on it one at a time."""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from detectron2._subset import outside_subset
from detectron2.utils.file_io import PathManager

from . import _drawing
from ._drawing import Color
from ._segments import GenericMask
from .colormap import random_color

# Pixels; every part of a region above it has its own label.
_LARGE_MASK_AREA_THRESH = 120000


class VisImage:
    """The picture in the making.

    Attributes:
        img: (H, W, 3) RGB, the image below the drawing.
        scale: factor of the picture's size on the image's.
        canvas: (int(H scale), int(W scale), 3) uint8 RGB, drawn on.
    """

    def __init__(self, img: np.ndarray, scale: float = 1.0) -> None:
        """
        Args:
            img: (H, W, 3) RGB in 0..255.
            scale: see the attributes.
        """
        self.img = img
        self.scale = scale
        self.height, self.width = img.shape[:2]
        self.reset_image(img)

    def reset_image(self, img: np.ndarray) -> None:
        """Start again with another image of the same size."""
        size = (int(self.width * self.scale), int(self.height * self.scale))
        pixels = np.ascontiguousarray(np.clip(img, 0, 255).astype(np.uint8))
        if size != (self.width, self.height):
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
        self.canvas = pixels.copy()

    def get_image(self) -> np.ndarray:
        """The picture: (int(H scale), int(W scale), 3) uint8 RGB."""
        return self.canvas.copy()

    def save(self, filepath: str) -> None:
        """Write the picture; the file's extension says in which format."""
        with PathManager.open(str(filepath), "wb") as file:
            suffix = str(filepath).rpartition(".")[2].lower()
            name = Image.registered_extensions().get(f".{suffix}", "PNG")
            Image.fromarray(self.canvas).save(file, format=name)


class Painter:
    """The drawing methods of `Visualizer` that know nothing of data sets.

    Attributes:
        output: the picture.
    """

    output: VisImage
    _default_font_size: float

    def draw_text(
        self,
        text: str,
        position: Sequence[float],
        *,
        font_size: float | None = None,
        color: Color = "g",
        horizontal_alignment: str = "center",
        rotation: float = 0,
    ) -> VisImage:
        """Write a line on a dark plate.

        Args:
            text: what to write.
            position: (x, y) of the top of the plate, in pixels of the image.
            font_size: points at 100 dots per inch; depends on the image by default.
            color: of the letters; made bright enough to be read.
            horizontal_alignment: "left", "center" or "right" of the position.
            rotation: outside the embedded subset unless 0.
        """
        if rotation:
            outside_subset("Visualizer.draw_text(rotation=...)")
        font_size = self._default_font_size if font_size is None else font_size
        rgb = np.maximum(np.array(_drawing.to_rgb(color)) / 255, 0.2)
        rgb[np.argmax(rgb)] = max(0.8, np.max(rgb))
        pixels = font_size * self.output.scale * 100 / 72
        scaled = np.asarray(position, dtype=float) * self.output.scale
        _drawing.draw_label(self.output.canvas, text, scaled, pixels, rgb, horizontal_alignment)
        return self.output

    def draw_box(
        self,
        box_coord: Sequence[float],
        alpha: float = 0.5,
        edge_color: Color = "g",
        line_style: str = "-",
    ) -> VisImage:
        """Draw the outline of a box.

        Args:
            box_coord: x0, y0, x1, y1.
            alpha: opacity.
            edge_color: of the line.
            line_style: only "-".
        """
        x0, y0, x1, y1 = box_coord
        corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]) * self.output.scale
        width = max(self._default_font_size / 4, 1) * self.output.scale
        canvas = self.output.canvas
        _drawing.draw_lines(canvas, corners, edge_color, width, closed=True, alpha=alpha)
        return self.output

    def draw_circle(
        self, circle_coord: Sequence[float], color: Color, radius: float = 3
    ) -> VisImage:
        """Draw a disc around (x, y)."""
        center = np.asarray(circle_coord, dtype=float) * self.output.scale
        _drawing.draw_disc(self.output.canvas, center, radius * self.output.scale, color)
        return self.output

    def draw_line(
        self,
        x_data: Sequence[float],
        y_data: Sequence[float],
        color: Color,
        linestyle: str = "-",
        linewidth: float | None = None,
    ) -> VisImage:
        """Join points by lines.

        Args:
            x_data: their x.
            y_data: their y.
            color: of the line.
            linestyle: only "-".
            linewidth: pixels; depends on the image by default.
        """
        if linewidth is None:
            linewidth = max(self._default_font_size / 3, 1)
        points = np.stack([x_data, y_data], axis=1) * self.output.scale
        width = max(linewidth * self.output.scale, 1)
        _drawing.draw_lines(self.output.canvas, points, color, width)
        return self.output

    def draw_polygon(
        self,
        segment: np.ndarray,
        color: Color,
        edge_color: Color | None = None,
        alpha: float = 0.5,
    ) -> VisImage:
        """Fill a polygon and draw its outline.

        Args:
            segment: (N, 2) points.
            color: of the inside.
            edge_color: of the outline; a darker shade of ``color`` by default.
            alpha: opacity of the inside.
        """
        if edge_color is None:
            edge_color = self._change_color_brightness(color, brightness_factor=-0.7)
        points = np.asarray(segment, dtype=float) * self.output.scale
        width = max(self._default_font_size // 15 * self.output.scale, 1)
        _drawing.fill_polygon(self.output.canvas, points, color, alpha)
        _drawing.draw_lines(self.output.canvas, points, edge_color, width, closed=True)
        return self.output

    def draw_binary_mask(
        self,
        binary_mask: np.ndarray,
        color: Color | None = None,
        *,
        edge_color: Color | None = None,
        text: str | None = None,
        alpha: float = 0.5,
        area_threshold: float | None = 10,
    ) -> VisImage:
        """Colour a mask.

        Args:
            binary_mask: (H, W) of the image's size.
            color: random by default.
            edge_color: of the outline; a darker shade of ``color`` by default.
            text: written in its middle.
            alpha: opacity.
            area_threshold: connected parts of fewer pixels are not drawn.
        """
        if color is None:
            color = random_color(rgb=True, maximum=1)
        mask = _drawing.remove_small_parts(np.asarray(binary_mask, dtype=bool), area_threshold or 0)
        if not mask.any():
            return self.output
        _drawing.fill_mask(self.output.canvas, self._to_canvas(mask), color, alpha)
        if edge_color is None:
            edge_color = self._change_color_brightness(color, brightness_factor=-0.7)
        outlines, _ = GenericMask(mask, *mask.shape).mask_to_polygons(mask)
        for outline in outlines:
            points = outline.reshape(-1, 2) * self.output.scale
            _drawing.draw_lines(self.output.canvas, points, edge_color, 1, closed=True)
        if text is not None:
            self._draw_text_in_mask(mask, text, self._change_color_brightness(color, 0.7))
        return self.output

    def draw_soft_mask(
        self,
        soft_mask: np.ndarray,
        color: Color | None = None,
        *,
        text: str | None = None,
        alpha: float = 0.5,
    ) -> VisImage:
        """Colour a mask of values in 0..1, which multiply the opacity.

        Args:
            soft_mask: (H, W) of the image's size.
            color: random by default.
            text: written in the middle of what is above 0.5.
            alpha: highest opacity.
        """
        if color is None:
            color = random_color(rgb=True, maximum=1)
        height, width = self.output.canvas.shape[:2]
        opacity = cv2.resize(np.asarray(soft_mask, dtype=np.float32), (width, height)) * alpha
        _drawing.fill_mask(self.output.canvas, opacity > 0, color, opacity)
        if text is not None:
            lighter = self._change_color_brightness(color, 0.7)
            self._draw_text_in_mask(np.asarray(soft_mask) > 0.5, text, lighter)
        return self.output

    def get_output(self) -> VisImage:
        """The picture so far."""
        return self.output

    def _to_canvas(self, mask: np.ndarray) -> np.ndarray:
        """A mask of the image's size in the size of the canvas."""
        height, width = self.output.canvas.shape[:2]
        if mask.shape == (height, width):
            return mask
        size = (width, height)
        return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0

    def _change_color_brightness(self, color: Color, brightness_factor: float) -> tuple[float, ...]:
        """A lighter (factor in 0..1) or darker (-1..0) shade, as RGB in 0..1."""
        assert -1.0 <= brightness_factor <= 1.0, brightness_factor
        hue, lightness, saturation = colorsys.rgb_to_hls(
            *(value / 255 for value in _drawing.to_rgb(color))
        )
        lightness = float(np.clip(lightness * (1 + brightness_factor), 0, 1))
        return tuple(np.clip(colorsys.hls_to_rgb(hue, lightness, saturation), 0, 1))

    def _draw_text_in_mask(self, binary_mask: np.ndarray, text: str, color: Color) -> None:
        """Write into the largest part of a mask, and into every other very large one."""
        for part in _drawing.large_parts(binary_mask, _LARGE_MASK_AREA_THRESH):
            rows, columns = part.nonzero()
            self.draw_text(text, (np.median(columns), np.median(rows)), color=color)
