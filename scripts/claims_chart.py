# SPDX-License-Identifier: MIT
"""The picture of docs/claims.md: the sweep of claim shards-64 as SVG, light and dark."""
import math
import re

LINES = (("lines of their own", "own", "each shard in lines of its own"),
         ("packed", "packed", "packed: shards share lines"))
LOCK = "one rwlock"
WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 76, 56

STYLE = """\
  <style>
    text { font: 13px system-ui, "Segoe UI", "Liberation Sans", "DejaVu Sans", sans-serif; }
    text { fill: #1b1f24; }
    .title { font-size: 16px; font-weight: 600; }
    .quiet { fill: #57606a; }
    .paper { fill: #ffffff; }
    .rule { stroke: #d8dee4; }
    .lock { stroke: #57606a; stroke-dasharray: 5 4; stroke-width: 1.5; }
    .line { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
    .word { font-weight: 600; }
    .line.own { stroke: #0072b2; } .dot.own, .word.own { fill: #0072b2; }
    .line.packed { stroke: #b85400; } .dot.packed, .word.packed { fill: #b85400; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6eaee; }
      .quiet { fill: #9aa5b1; }
      .paper { fill: #0f1317; }
      .rule { stroke: #2c343c; }
      .lock { stroke: #9aa5b1; }
      .line.own { stroke: #4db4f0; } .dot.own, .word.own { fill: #4db4f0; }
      .line.packed { stroke: #f0953f; } .dot.packed, .word.packed { fill: #f0953f; }
    }
  </style>"""


def sweep(claim):
    """{"own": {shards: M/s}, "packed": …, "lock": M/s}; None without such figures."""
    found = {key: {} for _, key, _ in LINES}
    lock = None
    for figure in claim["figures"]:
        if figure["name"] == LOCK:
            lock = figure["measured"]
        for words, key, _ in LINES:
            name = re.fullmatch(r"(\d+) shards?, " + words, figure["name"])
            if name and figure["measured"] is not None:
                found[key][int(name.group(1))] = figure["measured"]
    if lock is None or any(len(points) < 2 for points in found.values()):
        return None
    return dict(found, lock=lock)


def ticks(most):
    """From 0 in round steps, at most six."""
    power = 10 ** math.floor(math.log10(most / 5))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power * 5 >= most * 0.999)
    return [i * step for i in range(math.ceil(most / step - 1e-9) + 1)]


class Chart:
    """Where figures are on the paper."""

    def __init__(self, data):
        self.counts = sorted(set(data["own"]) | set(data["packed"]))
        values = list(data["own"].values()) + list(data["packed"].values()) + [data["lock"]]
        self.ticks = ticks(max(values))

    def x(self, count):
        place = self.counts.index(count) / (len(self.counts) - 1)
        return LEFT + 16 + place * (WIDTH - LEFT - RIGHT - 32)

    def y(self, value):
        return HEIGHT - BOTTOM - value / self.ticks[-1] * (HEIGHT - TOP - BOTTOM)


def frame(chart):
    lines = []
    for tick in chart.ticks:
        y = chart.y(tick)
        lines.append('  <line class="rule" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>' %
                     (LEFT, y, WIDTH - RIGHT, y))
        lines.append('  <text class="quiet" x="%d" y="%.1f" text-anchor="end">%g</text>' %
                     (LEFT - 8, y + 4.5, tick))
    for count in chart.counts:
        lines.append('  <text class="quiet" x="%.1f" y="%d" text-anchor="middle">%d</text>' %
                     (chart.x(count), HEIGHT - BOTTOM + 20, count))
    lines.append('  <text class="quiet" x="%d" y="%d" text-anchor="middle">shards</text>' %
                 ((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 42))
    return lines


def curve(chart, key, points):
    places = [(chart.x(count), chart.y(points[count]), count) for count in sorted(points)]
    lines = ['  <polyline class="line %s" points="%s"/>' %
             (key, " ".join("%.1f,%.1f" % place[:2] for place in places))]
    lines += ['  <circle class="dot %s" cx="%.1f" cy="%.1f" r="4"><title>%d shards: %.3g M/s'
              '</title></circle>' % (key, x, y, count, points[count]) for x, y, count in places]
    return lines


def legend(data, chart):
    """Names stand above the picture, where no curve can run through them."""
    lines, x = [], LEFT
    for _, key, words in LINES:
        lines.append('  <line class="line %s" x1="%d" y1="54" x2="%d" y2="54"/>' % (key, x, x + 22))
        lines.append('  <text class="word %s" x="%d" y="58.5">%s</text>' % (key, x + 28, words))
        x += 48 + int(7.4 * len(words))
    y = chart.y(data["lock"])
    lines.append('  <line class="lock" x1="%d" y1="54" x2="%d" y2="54"/>' % (x, x + 22))
    lines.append('  <text x="%d" y="58.5">one rwlock</text>' % (x + 28))
    lines.append('  <line class="lock" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>' %
                 (LEFT, y, WIDTH - RIGHT, y))
    return lines


def svg(claim):
    """The picture as text; None where the claim has no sweep."""
    data = sweep(claim)
    if data is None:
        return None
    chart = Chart(data)
    lines = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d"'
             ' role="img" aria-label="Writes a second by the number of shards">' %
             (WIDTH, HEIGHT, WIDTH, HEIGHT), "  <!-- SPDX-License-Identifier: MIT -->", STYLE,
             '  <rect class="paper" width="100%" height="100%"/>',
             '  <text class="title" x="%d" y="28">Writes by 8 threads, millions a second</text>' %
             LEFT]
    lines += frame(chart) + legend(data, chart)
    for _, key, _ in reversed(LINES):
        lines += curve(chart, key, data[key])
    return "\n".join(lines + ["</svg>", ""])
