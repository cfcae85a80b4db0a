"""A live window, by Tk: it comes with Python and needs no OpenCV that can open windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    import tkinter

LARGEST = (1600, 900)  # pixels of a window that opens, width and height, if the screen has them
STOP_KEYS = ("q", "Q", "Escape")


class Window:
    """Pictures on the screen; q, Escape or the window's close button ends.

    Args:
        title: of the window.

    Attributes:
        closed_by_user: whether the user has had enough.

    Raises:
        ValueError: there is no screen, or this Python came without Tk.
    """

    def __init__(self, title: str = "dvps") -> None:
        try:
            import tkinter

            from PIL import ImageTk
        except ImportError as error:
            raise ValueError(
                f"this Python opens no windows ({error}): install Tk for it (Debian and Ubuntu: "
                f"apt install python3-tk), or write a video instead"
            ) from error
        try:
            self._root = tkinter.Tk(className=title)
        except tkinter.TclError as error:
            raise ValueError(
                f"there is no screen to show on ({error}); write a video instead"
            ) from error
        self._root.withdraw()  # until there is something to show
        self.closed_by_user = False
        self._to_photo = ImageTk.PhotoImage
        self._photo: ImageTk.PhotoImage | None = None  # Tk shows it only while somebody holds it
        self._root.title(title)
        self._root.configure(background="black")
        self._root.protocol("WM_DELETE_WINDOW", self._stop)
        for key in STOP_KEYS:
            self._root.bind(f"<KeyPress-{key}>", self._stop)
        self._label = tkinter.Label(self._root, borderwidth=0, background="black")
        self._label.pack(expand=True, fill="both")

    def show(self, drawn: np.ndarray) -> None:
        """Show (H, W, 3) uint8 RGB as large as the window lets it be; at first, as it fits."""
        from PIL import Image

        if self._photo is None:
            screen = self._root.winfo_screenwidth(), self._root.winfo_screenheight()
            most = min(LARGEST[0], screen[0]), min(LARGEST[1], screen[1])
            self._root.geometry("{}x{}".format(*fit(drawn.shape[1], drawn.shape[0], most)))
            self._root.deiconify()
            self._root.update()
        room = self._root.winfo_width(), self._root.winfo_height()
        size = fit(drawn.shape[1], drawn.shape[0], room)
        if size != (drawn.shape[1], drawn.shape[0]):
            drawn = cv2.resize(drawn, size, interpolation=cv2.INTER_AREA)
        self._photo = self._to_photo(Image.fromarray(drawn), master=self._root)
        self._label.configure(image=self._photo)
        self._root.update()

    def close(self) -> None:
        """Take it off the screen; again does nothing."""
        root, self._root = self._root, None
        if root is not None:
            self._photo = None
            root.destroy()

    def _stop(self, event: tkinter.Event | None = None) -> None:
        self.closed_by_user = True


def fit(width: int, height: int, most: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of a picture shrunk, not grown, until it is within ``most`` pixels."""
    scale = min(1.0, most[0] / width, most[1] / height)
    return max(1, round(width * scale)), max(1, round(height * scale))
