"""The model as operations and parameters, and the roles found from it. Framework-free."""

from wellbegun.graph.analysis import Analysis
from wellbegun.graph.attention import Attention, attentions_of
from wellbegun.graph.blocks import Stack
from wellbegun.graph.edges import beside_basis, over_basis
from wellbegun.graph.flattened import groups_of
from wellbegun.graph.meetings import Meeting, bends_input, meetings
from wellbegun.graph.mirroring import Layer, bundles_of, can_mirror, layers_of, sources_and_readers
from wellbegun.graph.mixtures import rows_are_shared
from wellbegun.graph.model import WEIGHTED, ModelGraph, Operation, Parameter, Use
from wellbegun.graph.modulation import modulates
from wellbegun.graph.proportional import Bag, added_up, bag_of, goes_on, idle, is_multiplied, makes_weight, way
from wellbegun.graph.reparametrized import Part, Reparametrization
from wellbegun.graph.residual import Branch, branches_of, layers_in_series
from wellbegun.graph.roles import Net, Role, net_of, roles_of
from wellbegun.graph.saved import graph_from_dict, graph_to_dict

__all__ = [
    "WEIGHTED",
    "Analysis",
    "Attention",
    "Bag",
    "Branch",
    "Layer",
    "Meeting",
    "ModelGraph",
    "Net",
    "Operation",
    "Parameter",
    "Part",
    "Reparametrization",
    "Role",
    "Stack",
    "Use",
    "added_up",
    "attentions_of",
    "bag_of",
    "bends_input",
    "beside_basis",
    "branches_of",
    "bundles_of",
    "can_mirror",
    "goes_on",
    "graph_from_dict",
    "graph_to_dict",
    "groups_of",
    "idle",
    "is_multiplied",
    "layers_in_series",
    "layers_of",
    "makes_weight",
    "meetings",
    "modulates",
    "net_of",
    "over_basis",
    "roles_of",
    "rows_are_shared",
    "sources_and_readers",
    "way",
]
