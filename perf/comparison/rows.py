"""All rows, in the order of the table. Each module is a group of rows; importing it registers them."""
from . import rows_produce, rows_fetch, rows_latency, rows_generators, rows_disk, rows_life, rows_groups, rows_cluster  # noqa: F401
from .row import KINDS, ROWS  # noqa: F401
from .rows_cluster import cluster_capacity  # noqa: F401
from .rows_latency import capacity  # noqa: F401
