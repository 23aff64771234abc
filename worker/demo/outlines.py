"""Closed outlines in the unit square, y downwards: (N, 2) float64."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Outline = NDArray[np.float64]
Point = tuple[float, float]


def ellipse(x: float, y: float, across: float, down: float, arc: tuple[float, float] = (0, 360)) -> Outline:
    """An ellipse by its half axes, or a part of it between two angles (0 is right, 90 is down)."""
    angles = np.radians(np.linspace(*arc, 49))
    return np.stack([x + across * np.cos(angles), y + down * np.sin(angles)], axis=1)


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> Outline:
    """A rectangle with round corners."""
    radius = min(radius, (right - left) / 2, (bottom - top) / 2)
    corners = [
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 90),
        (left + radius, top + radius, 180),
        (right - radius, top + radius, 270),
    ]
    return np.concatenate(
        [ellipse(x, y, radius, radius, (angle, angle + 90))[::8] for x, y, angle in corners]
    )


def turned(x: float, profile: Sequence[Point]) -> Outline:
    """What a lathe makes: symmetric around `x`, from (y, half width) pairs, top to bottom."""
    right = np.array([(x + half, y) for y, half in profile])
    left = np.array([(x - half, y) for y, half in reversed(profile)])
    return np.concatenate([right, left])


def smooth(points: Sequence[Point] | Outline, rounds: int = 3) -> Outline:
    """Cut the corners, again and again (Chaikin's algorithm)."""
    outline = np.asarray(points, dtype=np.float64)
    for _ in range(rounds):
        following = np.roll(outline, -1, axis=0)
        cut = np.stack([0.75 * outline + 0.25 * following, 0.25 * outline + 0.75 * following], axis=1)
        outline = cut.reshape(-1, 2)
    return outline


def curve(start: Point, towards: Point, back: Point, end: Point) -> Outline:
    """An open cubic Bézier curve, to be stroked."""
    t = np.linspace(0, 1, 33)[:, None]
    points = [np.array(point) for point in (start, towards, back, end)]
    weights = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3]
    return np.asarray(sum(weight * point for weight, point in zip(weights, points, strict=True)))


def stroke(line: Sequence[Point] | Outline, width: float, end_width: float | None = None) -> Outline:
    """A brush along an open line, from one width to another, with round ends."""
    points = np.asarray(line, dtype=np.float64)
    along = np.gradient(points, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    half = np.linspace(width, width if end_width is None else end_width, len(points))[:, None] / 2
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) * half
    first, last = (math.degrees(math.atan2(y, x)) for x, y in (along[0], along[-1]))
    (x0, y0), (x1, y1) = points[0], points[-1]
    start = ellipse(x0, y0, half[0, 0], half[0, 0], (first + 90, first + 270))
    end = ellipse(x1, y1, half[-1, 0], half[-1, 0], (last - 90, last + 90))
    return np.concatenate([start, points - normal, end, (points + normal)[::-1]])
