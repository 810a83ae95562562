"""Reports as one HTML file: no network, light and dark, phone and print."""

from wellbegun.reports.html.document import Contents, document
from wellbegun.reports.html.page import CHARTS, TABLES, asset, page, template

__all__ = ["CHARTS", "TABLES", "Contents", "asset", "document", "page", "template"]
