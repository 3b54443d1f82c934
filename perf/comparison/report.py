"""The table and the plots of a run."""
import math
import statistics

COLOURS = {"flumen": "#0b6e4f", "kafka": "#b23a48", "floor": "#777777"}
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


def table(rows, figures, facts):
    """`figures[row][kind]` is a list of one dictionary of figures a round."""
    lines = ["# Comparison", ""] + [f"- {name}: {value}" for name, value in facts.items()] + ["",
             "Medians of the rounds, with the least and the greatest in parentheses. Less is better, but for figures per second.", ""]
    for row in rows:
        found = figures.get(row.name)
        if not found:
            continue
        lines += [f"## {row.name}", "", f"{row.goal}", "", "| | Flumen | Apache Kafka | floor | Kafka / Flumen | Flumen / floor |",
                  "|---|---|---|---|---|---|"]
        names = list(dict.fromkeys(name for rounds in found.values() for figures_ in rounds for name in figures_))
        for name in names:
            of = {kind: [one[name] for one in found.get(kind, []) if name in one] for kind in ("flumen", "kafka", "floor")}
            lines.append(f"| {name} | {spread(of['flumen'])} | {spread(of['kafka'])} | {spread(of['floor'])} "
                         f"| {ratio(of['kafka'], of['flumen'])} | {ratio(of['flumen'], of['floor'])} |")
        lines.append("")
    return "\n".join(lines)


def plot(title, metric, results):
    """An SVG of latency by percentile; `results[kind]` is a list of raw results, of which each becomes a line."""
    lines = []
    for kind, raw in results.items():
        for result in raw:
            found = result["latency_us"].get(metric)
            if found:
                lines.append((kind, [(math.log10(1 / (1 - q)), max(found[name], 0.1)) for name, q in POINTS]))
    if not lines:
        return None
    low = math.floor(math.log10(min(y for _, points in lines for _, y in points)))
    high = math.ceil(math.log10(max(y for _, points in lines for _, y in points))) or 1
    high = max(high, low + 1)

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
    for kind, points in lines:
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in points)
        out.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[kind]}" stroke-width="1.5" opacity="0.8"/>')
    for index, kind in enumerate(dict.fromkeys(kind for kind, _ in lines)):
        out.append(f'<text x="{WIDTH - MARGIN - 70}" y="{44 + 16 * index}" fill="{COLOURS[kind]}">{kind}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"
