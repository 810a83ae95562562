"""Reports as one HTML file: no network, light and dark, phone and print."""

from wellbegun.reports.html.contents import Contents, contents_of
from wellbegun.reports.html.document import document
from wellbegun.reports.html.origin import origin
from wellbegun.reports.html.page import CHARTS, TABLES, asset, page, template

__all__ = ["CHARTS", "TABLES", "Contents", "asset", "contents_of", "document", "origin", "page", "template"]
