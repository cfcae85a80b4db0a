"""Weather, hour and sensor of a video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dvps_d2.street.noise import drawn_noise

RGB = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Mood:
    """How light, air and sensor colour one video; colours are RGB around 1.

    Attributes:
        sun: (3,) unit vector towards the sun in the world (y is negative: up).
        sunlight, skylight: (3,) direct and diffuse light.
        zenith, horizon: (3,) sky colours, 0..255.
        clouds: (N, N) float32 in 0..1 that repeats; cloud_colour: (3,) 0..255.
        haze: metres at which two thirds of the colour is lost.
        gain, tint: exposure and white balance (3,).
        vignette: darkening in the corners, 0..1.
        grain: standard deviation of the sensor noise, in grey levels.
        drift: relative amplitude of slow exposure changes; drift_phase: radians.
    """

    sun: np.ndarray
    sunlight: np.ndarray
    skylight: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    clouds: np.ndarray
    cloud_colour: np.ndarray
    haze: float
    gain: float
    tint: np.ndarray
    vignette: float
    grain: float
    drift: float
    drift_phase: float

    def light(self, normal: np.ndarray) -> np.ndarray:
        """(N, 3) light on matt surfaces with unit world normals (N, 3): sky dome, then sun."""
        dome = 0.72 - 0.28 * normal[:, 1:2]
        sun = np.maximum(normal @ self.sun.astype(normal.dtype), 0)[:, None]
        return dome * self.skylight + sun * self.sunlight

    @property
    def shadow_strength(self) -> float:
        """How dark cast shadows are: 1 in full sun, little under clouds."""
        return float(np.clip(self.sunlight.mean() * 2.4, 0.15, 1))


@dataclass(frozen=True)
class _Weather:
    """One kind of mood; ``rise`` is the range of the sun's elevation in radians."""

    zenith: RGB
    horizon: RGB
    cloud_cover: float
    cloud_level: float
    sunlight: RGB
    skylight: RGB
    haze: float
    rise: tuple[float, float]


_SUNNY = _Weather(
    zenith=(92, 142, 214),
    horizon=(196, 216, 236),
    cloud_cover=0.5,
    cloud_level=1.0,
    sunlight=(0.62, 0.58, 0.5),
    skylight=(0.6, 0.64, 0.7),
    haze=330,
    rise=(0.6, 1.1),
)
_HAZY = _Weather(
    zenith=(150, 180, 214),
    horizon=(222, 226, 226),
    cloud_cover=0.6,
    cloud_level=1.0,
    sunlight=(0.42, 0.4, 0.34),
    skylight=(0.7, 0.71, 0.72),
    haze=170,
    rise=(0.5, 1.0),
)
_OVERCAST = _Weather(
    zenith=(172, 180, 190),
    horizon=(212, 214, 216),
    cloud_cover=0.95,
    cloud_level=0.9,
    sunlight=(0.1, 0.1, 0.1),
    skylight=(0.82, 0.83, 0.85),
    haze=230,
    rise=(0.8, 1.2),
)
_LATE = _Weather(
    zenith=(110, 140, 196),
    horizon=(246, 214, 168),
    cloud_cover=0.45,
    cloud_level=1.0,
    sunlight=(0.74, 0.55, 0.34),
    skylight=(0.5, 0.52, 0.6),
    haze=240,
    rise=(0.28, 0.45),
)
_WEATHERS, _SHARES = (_SUNNY, _HAZY, _OVERCAST, _LATE), (0.4, 0.2, 0.25, 0.15)


def draw_mood(rng: np.random.Generator) -> Mood:
    """Sunny, hazy, overcast or late afternoon."""
    weather = _WEATHERS[int(rng.choice(len(_WEATHERS), p=_SHARES))]
    azimuth, rise = rng.uniform(0, 2 * np.pi), rng.uniform(*weather.rise)
    sun = np.array([np.sin(azimuth) * np.cos(rise), -np.sin(rise), np.cos(azimuth) * np.cos(rise)])
    noise = drawn_noise(rng, 256, 5, 5)
    clouds = np.clip((noise - (1 - weather.cloud_cover) * 0.75) * 2.2, 0, 1).astype(np.float32)
    shift = rng.uniform(-0.035, 0.035)
    return Mood(
        sun=sun,
        sunlight=np.array(weather.sunlight),
        skylight=np.array(weather.skylight),
        zenith=np.array(weather.zenith, float),
        horizon=np.array(weather.horizon, float),
        clouds=clouds,
        cloud_colour=np.array((242, 243, 246.0)) * weather.cloud_level,
        haze=weather.haze * float(rng.uniform(0.8, 1.3)),
        gain=float(rng.uniform(0.95, 1.2)),
        tint=np.array([1 + shift, 1.0, 1 - shift]),
        vignette=float(rng.uniform(0.04, 0.2)),
        grain=float(rng.uniform(1.2, 4.0)),
        drift=0.03,
        drift_phase=float(rng.uniform(0, 2 * np.pi)),
    )
