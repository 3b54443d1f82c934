"""The table and the plots of a run."""
import math
import statistics

from .row import KINDS, TITLES

COLOURS = {"flumen": "#0b6e4f", "kafka": "#b23a48", "floor": "#777777", "echo-epoll": "#8a6d1f", "echo-glommio": "#777777",
           "echo-paced": "#3b6fb2"}
# Of the second, third and fourth line of a kind in one plot.
DASHES = ["", "6 3", "2 2", "8 2 2 2"]
WIDTH, HEIGHT, MARGIN = 640, 360, 60
POINTS = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999), ("p99_99", 0.9999)]


def figure(value):
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def spread(values):
    if not values:
        return "–"
    middle = figure(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({figure(min(values))}–{figure(max(values))})"


def ratio(values, others):
    if not values or not others or statistics.median(others) == 0:
        return "–"
    return f"{statistics.median(values) / statistics.median(others):.2f}"


def table(rows, results, facts):
    lines = ["# Comparison", ""] + [f"- {name}: {value}" for name, value in facts.items()] + ["",
             "Medians of the rounds, with the least and the greatest in parentheses. Less is better, but for figures per second.", ""]
    found = [row for row in rows if results.figures.get(row.name)]
    lines += summary(found, results.figures)
    for row in found:
        lines += section(row, results.figures[row.name])
        if row.name in results.turns:
            lines += histogram(results.turns[row.name])
    if results.failed:
        lines += ["## Failed", ""] + [f"- {' '.join(failure.split())[:400]}" for failure in results.failed] + [""]
    return "\n".join(lines)


def judged(goal, figures):
    """Flumen's figure, the limit and the verdict, as texts."""
    value, limit, kept = goal.judge(figures)
    verdict = "not measured" if kept is None else "met" if kept else "**missed**"
    return "–" if value is None else figure(value), "–" if limit is None else figure(limit), verdict


def summary(rows, figures):
    """All goals, so that a reader sees the misses at once."""
    lines = ["| row | goal | Flumen | limit | |", "|---|---|---|---|---|"]
    goals = [(row, goal) for row in rows for goal in row.goals]
    lines += [f"| {row.name} | {goal} | {' | '.join(judged(goal, figures[row.name]))} |" for row, goal in goals]
    return ["## Goals", "", *lines, ""] if goals else []


def section(row, found):
    kinds = [*KINDS, *(floor for floor in row.floors if floor in found)]
    heads = [*(TITLES[kind] for kind in kinds), "Kafka / Flumen", *(f"Flumen / {TITLES[kind]}" for kind in kinds[2:])]
    lines = [f"## {row.name}", "", row.about[0].upper() + row.about[1:] + ".", ""]
    for goal in row.goals:
        value, limit, verdict = judged(goal, found)
        lines += [f"- goal: {goal}: {value} of {limit}, {verdict}"]
    lines += ["", "| | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name in dict.fromkeys(name for kind in kinds for figures in found.get(kind, []) for name in figures):
        of = {kind: [one[name] for one in found.get(kind, []) if name in one] for kind in kinds}
        cells = [*(spread(of[kind]) for kind in kinds), ratio(of["kafka"], of["flumen"]), *(ratio(of["flumen"], of[kind]) for kind in kinds[2:])]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def histogram(classes):
    """How long tasks held Flumen's cores, all rounds together; a bar grows with the logarithm of its count."""
    known = range(min(classes).bit_length() - 1, max(classes).bit_length())
    most = math.log2(max(classes.values()) + 1)
    lines = ["How often a task held one of Flumen's cores for less than so many µs, from start to stop, all rounds:", "", "```"]
    for below in (1 << power for power in known):
        turns = classes.get(below, 0)
        lines.append(f"{below:>10,} {turns:>11,} {'#' * round(40 * math.log2(turns + 1) / most)}".rstrip())
    return [*lines, "```", ""]


def plot(title, metric, results):
    """An SVG of latency by percentile; `results` are (kind, label, raw result), of which each becomes a line."""
    lines = []
    for kind, label, result in results:
        found = result.get("latency_us", {}).get(metric)
        if found and label not in ("set-up", "warm-up"):
            lines.append((kind, label, [(math.log10(1 / (1 - q)), max(found[name], 0.1)) for name, q in POINTS]))
    if not lines:
        return None
    low = math.floor(math.log10(min(y for _, _, points in lines for _, y in points)))
    high = math.ceil(math.log10(max(y for _, _, points in lines for _, y in points))) or 1
    high = max(high, low + 1)
    labels = list(dict.fromkeys(label for _, label, _ in lines))
    dashes = {label: DASHES[index % len(DASHES)] for index, label in enumerate(labels)}

    def at(x, y):
        across = MARGIN + (x - math.log10(2)) / (4 - math.log10(2)) * (WIDTH - 2 * MARGIN)
        return across, HEIGHT - MARGIN - (math.log10(y) - low) / (high - low) * (HEIGHT - 2 * MARGIN)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/><text x="{MARGIN}" y="24" font-size="14">{title}</text>']
    for name, quantile in POINTS:
        x, y = at(math.log10(1 / (1 - quantile)), 10**low)
        out.append(f'<text x="{x:.0f}" y="{y + 18:.0f}" text-anchor="middle">{name.replace("_", ".")}</text>')
    for power in range(low, high + 1):
        x, y = at(math.log10(2), 10**power)
        out.append(f'<line x1="{x:.0f}" y1="{y:.0f}" x2="{WIDTH - MARGIN}" y2="{y:.0f}" stroke="#ddd"/>'
                   f'<text x="{x - 6:.0f}" y="{y + 4:.0f}" text-anchor="end">{figure(10**power / 1000)} ms</text>')
    for kind, label, points in lines:
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in points)
        dash = f' stroke-dasharray="{dashes[label]}"' if dashes[label] else ""
        out.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[kind]}" stroke-width="1.5" opacity="0.8"{dash}/>')
    for index, (kind, label) in enumerate(dict.fromkeys((kind, label) for kind, label, _ in lines)):
        y = 44 + 16 * index
        dash = f' stroke-dasharray="{dashes[label]}"' if dashes[label] else ""
        name = TITLES[kind] + (f", {label}" if label else "")
        out.append(f'<line x1="{MARGIN + 10}" y1="{y - 4}" x2="{MARGIN + 34}" y2="{y - 4}" stroke="{COLOURS[kind]}" stroke-width="1.5"{dash}/>'
                   f'<text x="{MARGIN + 40}" y="{y}" fill="{COLOURS[kind]}">{name}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"
