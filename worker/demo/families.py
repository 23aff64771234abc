"""Shape families: what makes a mug a mug, at any proportions.

A family is a function from a random generator to parts, painted back to front. It knows nothing of
colour, pattern, size, angle or background: those are drawn independently.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal

from worker.demo.outlines import Outline, box, curve, ellipse, smooth, stroke, turned

Role = Literal["main", "accent", "light", "dark", "metal", "wood"]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One piece of a product; `main` carries its colour and pattern, `accent` a darker shade of it."""

    role: Role
    outline: Outline


Family = Callable[[Random], list[Part]]


def mug(r: Random) -> list[Part]:
    """A cup with an open top and a handle at its side."""
    half, tall, taper = r.uniform(0.23, 0.33), r.uniform(0.5, 0.8), r.uniform(-0.03, 0.09)
    top, bottom, x = 0.5 - tall / 2, 0.5 + tall / 2, 0.42
    bulge, grip = r.uniform(0.18, 0.3), r.uniform(0.05, 0.075)
    side = x + half - 0.02
    upper, lower = top + tall * r.uniform(0.12, 0.25), bottom - tall * r.uniform(0.15, 0.28)
    handle = curve((side, upper), (side + bulge, upper - 0.03), (side + bulge, lower + 0.03), (side, lower))
    foot = half - taper
    body = turned(
        x, [(top, half), (bottom - 0.07, foot), (bottom - 0.02, foot - 0.02), (bottom, foot - 0.07)]
    )
    return [
        Part("main", stroke(handle, grip)),
        Part("main", body),
        Part("light", ellipse(x, top, half, 0.055)),
        Part("dark", ellipse(x, top + 0.006, half - 0.02, 0.04)),
    ]


def bottle(r: Random) -> list[Part]:
    """A body that narrows to a neck with a cap."""
    half, neck = r.uniform(0.13, 0.2), r.uniform(0.045, 0.075)
    shoulder, lip = r.uniform(0.32, 0.46), r.uniform(0.13, 0.2)
    profile = [
        (lip, neck),
        (shoulder - 0.1, neck * 1.1),
        (shoulder, half),
        (shoulder + 0.1, half),
        (0.95, half),
        (0.98, half - 0.03),
        (0.985, half - 0.05),
    ]
    label = r.uniform(shoulder + 0.12, 0.62)
    return [
        Part("main", smooth(turned(0.5, profile), 2)),
        Part("light", box(0.5 - half, label, 0.5 + half, label + r.uniform(0.12, 0.22), 0.01)),
        Part("dark", box(0.5 - neck * 1.2, 0.03, 0.5 + neck * 1.2, lip + 0.02, 0.02)),
    ]


def teapot(r: Random) -> list[Part]:
    """A round belly between a spout and a handle, with a lid."""
    half, tall = r.uniform(0.25, 0.31), r.uniform(0.2, 0.28)
    x, y = 0.5, 0.58
    reach, rise = r.uniform(0.17, 0.22), r.uniform(0.1, 0.2)
    start = (x - half * 0.85, y + tall * 0.25)
    end = (x - half - reach, y - tall + rise * 0.5)
    spout = curve(start, (start[0] - reach * 0.8, start[1]), (end[0] + 0.08, end[1] + 0.1), end)
    side, swing = x + half * 0.9, r.uniform(0.16, 0.26)
    handle = curve(
        (side, y - tall * 0.5), (side + swing, y - tall), (side + swing, y + tall), (side, y + tall * 0.5)
    )
    lid = r.uniform(0.5, 0.66) * half
    return [
        Part("main", stroke(spout, 0.13, 0.05)),
        Part("main", stroke(handle, r.uniform(0.045, 0.065))),
        Part("accent", box(x - half * 0.55, y + tall - 0.05, x + half * 0.55, y + tall + 0.03, 0.02)),
        Part("main", ellipse(x, y, half, tall)),
        Part("accent", ellipse(x, y - tall + 0.03, lid, 0.075, (180, 360))),
        Part("dark", ellipse(x, y - tall - 0.065, 0.04, 0.035)),
    ]


def chair(r: Random) -> list[Part]:
    """A seat on four legs, with a back."""
    half, seat, thick = r.uniform(0.21, 0.29), r.uniform(0.52, 0.6), r.uniform(0.05, 0.09)
    lean, splay, leg = r.uniform(0.02, 0.07), r.uniform(0.0, 0.07), r.uniform(0.03, 0.05)
    top = r.uniform(0.03, 0.12)
    legs = []
    for side, depth in ((-1, 0.02), (1, 0.02), (-1, 0.1), (1, 0.1)):
        x = 0.5 + side * (half - 0.12 + depth * 1.2)  # the back pair stands closer
        ends = [(x, seat + depth), (x + side * splay, 0.86 + depth)]
        legs.append(Part("wood", stroke(ends, leg, leg * 0.7)))
    inner = half - lean
    back = smooth([(0.5 - inner, top), (0.5 + inner, top), (0.5 + half, seat), (0.5 - half, seat)], 2)
    if r.random() < 0.5:
        rails = [Part("main", box(0.5 - inner, top, 0.5 + inner, top + 0.12, 0.04))]
        for slot in range(r.randint(3, 4)):
            x = 0.5 - inner * 0.85 + slot * inner * 0.57
            rails.append(Part("wood", stroke([(x, top + 0.1), (x, seat)], 0.025)))
        legs = legs[:2] + rails + legs[2:]
    else:
        legs = [*legs[:2], Part("main", back), *legs[2:]]
    cushion = [
        (0.5 - half, seat - 0.02),
        (0.5 + half, seat - 0.02),
        (0.5 + half + 0.06, seat + 0.1 + thick),
        (0.5 - half - 0.06, seat + 0.1 + thick),
    ]
    return [*legs, Part("main", smooth(cushion, 2))]


def lamp(r: Random) -> list[Part]:
    """A shade on a stem on a foot."""
    top, bottom = r.uniform(0.08, 0.22), r.uniform(0.26, 0.38)
    low, height = r.uniform(0.36, 0.48), r.uniform(0.04, 0.07)
    foot = r.uniform(0.15, 0.22)
    stem = [(low, 0.018), (0.94, 0.018)]
    if r.random() < 0.5:
        waist, belly = r.uniform(0.6, 0.75), r.uniform(0.07, 0.12)
        stem = [(low, 0.02), (waist - 0.13, 0.03), (waist, belly), (waist + 0.13, 0.03), (0.94, 0.03)]
    return [
        Part("dark", ellipse(0.5, 0.945, foot, height * 0.8)),
        Part("metal", turned(0.5, stem)),
        Part("dark", ellipse(0.5, low, bottom, 0.035)),
        Part(
            "main",
            turned(0.5, [(0.04, top), (low, bottom), (low + 0.025, bottom * 0.8), (low + 0.035, 0.05)]),
        ),
    ]


def sofa(r: Random) -> list[Part]:
    """Low and wide: a back, two arms, cushions, short legs."""
    back, seat, arm = r.uniform(0.24, 0.32), r.uniform(0.5, 0.56), r.uniform(0.09, 0.14)
    arm_top, cushions, corner = r.uniform(0.38, 0.46), r.randint(2, 3), r.uniform(0.03, 0.07)
    legs = [Part("wood", stroke([(x, 0.72), (x, 0.81)], 0.045, 0.03)) for x in (0.1, 0.9)]
    width = (1 - 2 * arm) / cushions
    rests = [
        Part("main", box(arm + n * width, back + 0.03, arm + (n + 1) * width, seat + 0.05, corner))
        for n in range(cushions)
    ]
    seats = [
        Part("main", box(arm + n * width, seat, arm + (n + 1) * width, 0.66, corner * 0.7))
        for n in range(cushions)
    ]
    return [
        *legs,
        Part("accent", box(0.04, back, 0.96, 0.74, corner)),
        *rests,
        *seats,
        Part("main", box(0.01, arm_top, arm + 0.01, 0.75, corner)),
        Part("main", box(0.99 - arm, arm_top, 0.99, 0.75, corner)),
    ]


def handbag(r: Random) -> list[Part]:
    """A wide body under an arched handle, with a flap and a clasp."""
    top, low = r.uniform(0.27, 0.36), r.uniform(0.36, 0.46)
    y, bottom = r.uniform(0.42, 0.5), r.uniform(0.84, 0.94)
    rise, inner = r.uniform(0.3, 0.45), top * r.uniform(0.55, 0.75)
    arch = curve(
        (0.5 - inner, y + 0.03), (0.5 - inner, y - rise), (0.5 + inner, y - rise), (0.5 + inner, y + 0.03)
    )
    body = [(0.5 - top, y), (0.5 + top, y), (0.5 + low, bottom), (0.5 - low, bottom)]
    edge = y + (bottom - y) * r.uniform(0.25, 0.45)
    flap = [
        (0.5 - top, y),
        (0.5 + top, y),
        (0.5 + low * 0.9, edge),
        (0.5, edge + 0.09),
        (0.5 - low * 0.9, edge),
    ]
    return [
        Part("accent", stroke(arch, r.uniform(0.03, 0.05))),
        Part("main", smooth(body, 3)),
        Part("accent", smooth(flap, 2)),
        Part("metal", box(0.465, edge - 0.01, 0.535, edge + 0.07, 0.02)),
    ]


def backpack(r: Random) -> list[Part]:
    """Tall and round at the top, a pocket in front, straps at the sides."""
    half, top = r.uniform(0.25, 0.33), r.uniform(0.12, 0.18)
    pocket, corner = r.uniform(0.52, 0.6), r.uniform(0.05, 0.1)
    shoulder = r.uniform(0.12, 0.2)
    body = [
        (0.5 - half * 0.75, top),
        (0.5 + half * 0.75, top),
        (0.5 + half, top + shoulder),
        (0.5 + half, 0.96),
        (0.5 - half, 0.96),
        (0.5 - half, top + shoulder),
    ]
    straps = [
        Part(
            "accent",
            stroke(
                curve(
                    (0.5 + s * half * 0.8, 0.3),
                    (0.5 + s * (half + 0.13), 0.4),
                    (0.5 + s * (half + 0.13), 0.8),
                    (0.5 + s * half * 0.9, 0.88),
                ),
                0.055,
            ),
        )
        for s in (-1, 1)
    ]
    loop = curve((0.42, top + 0.03), (0.43, top - 0.12), (0.57, top - 0.12), (0.58, top + 0.03))
    inset = half * r.uniform(0.72, 0.82)
    return [
        *straps,
        Part("accent", stroke(loop, 0.035)),
        Part("main", smooth(body, 3)),
        Part("dark", stroke([(0.5 - half * 0.8, pocket - 0.09), (0.5 + half * 0.8, pocket - 0.09)], 0.012)),
        Part("accent", box(0.5 - inset, pocket, 0.5 + inset, 0.92, corner)),
        Part(
            "metal", stroke([(0.5 - inset * 0.8, pocket + 0.06), (0.5 + inset * 0.8, pocket + 0.06)], 0.014)
        ),
    ]


def watch(r: Random) -> list[Part]:
    """A round case on a strap."""
    radius, strap = r.uniform(0.19, 0.25), r.uniform(0.1, 0.145)
    dial, crown = radius * r.uniform(0.78, 0.88), r.uniform(0.02, 0.035)
    band = turned(
        0.5,
        [
            (0.02, strap * 0.75),
            (0.05, strap * 0.85),
            (0.5, strap * 1.15),
            (0.95, strap * 0.85),
            (0.98, strap * 0.75),
        ],
    )
    ticks = []
    for n in range(12):
        far = ellipse(0.5, 0.5, dial * 0.9, dial * 0.9, (n * 30, n * 30))[0]
        near = ellipse(0.5, 0.5, dial * 0.78, dial * 0.78, (n * 30, n * 30))[0]
        ticks.append(Part("dark", stroke([tuple(near), tuple(far)], 0.012)))
    hour, minute = r.uniform(0, 360), r.uniform(0, 360)
    hands = [
        Part("dark", stroke([(0.5, 0.5), tuple(ellipse(0.5, 0.5, reach, reach, (angle, angle))[0])], width))
        for reach, angle, width in ((dial * 0.5, hour, 0.022), (dial * 0.74, minute, 0.014))
    ]
    return [
        Part("main", band),
        Part("metal", box(0.5 + radius - 0.01, 0.5 - crown, 0.5 + radius + 0.035, 0.5 + crown, 0.01)),
        Part("metal", ellipse(0.5, 0.5, radius, radius)),
        Part("light", ellipse(0.5, 0.5, dial, dial)),
        *ticks,
        *hands,
    ]


def umbrella(r: Random) -> list[Part]:
    """An open canopy on a shaft that ends in a hook."""
    half, rise, low = r.uniform(0.42, 0.49), r.uniform(0.3, 0.42), r.uniform(0.46, 0.54)
    ribs = r.randint(4, 6)
    canopy = [tuple(point) for point in ellipse(0.5, low, half, rise, (180, 360))]
    step, sag = 2 * half / ribs, r.uniform(0.04, 0.07)
    for n in range(ribs):
        middle = 0.5 + half - (n + 0.5) * step
        canopy += [tuple(point) for point in ellipse(middle, low, step / 2, sag, (360, 180))]
    hook = r.uniform(0.05, 0.08)
    bend = curve((0.5, 0.84), (0.5, 0.98), (0.5 + 2 * hook, 0.98), (0.5 + 2 * hook, 0.88))
    seams = [
        Part(
            "accent", stroke(curve((0.5, low - rise), (x, low - rise * 0.8), (x, low - 0.1), (x, low)), 0.008)
        )
        for x in (0.5 - half + n * step for n in range(1, ribs))
    ]
    return [
        Part("metal", stroke([(0.5, low - rise - 0.06), (0.5, 0.86)], 0.02)),
        Part("wood", stroke(bend, 0.038)),
        Part("main", smooth(canopy, 1)),
        *seams,
    ]


FAMILIES: dict[str, Family] = {
    "kitchen/mugs": mug,
    "kitchen/bottles": bottle,
    "kitchen/teapots": teapot,
    "furniture/chairs": chair,
    "furniture/lamps": lamp,
    "furniture/sofas": sofa,
    "bags/handbags": handbag,
    "bags/backpacks": backpack,
    "accessories/watches": watch,
    "accessories/umbrellas": umbrella,
}
