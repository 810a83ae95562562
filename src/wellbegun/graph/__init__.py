"""The model as operations and parameters, and the roles found from it. Framework-free."""

from wellbegun.graph.follow import Meeting, leads_to_weight, meetings
from wellbegun.graph.model import WEIGHTED, ModelGraph, Operation, Parameter, Use
from wellbegun.graph.roles import Role, roles_of

__all__ = [
    "WEIGHTED",
    "Meeting",
    "ModelGraph",
    "Operation",
    "Parameter",
    "Role",
    "Use",
    "leads_to_weight",
    "meetings",
    "roles_of",
]
