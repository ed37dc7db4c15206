"""Quantisers of feature maps behind one interface: what they make of a map, its indices, and its loss terms."""

from genlab.networks.quantisers.finite_scalar import FiniteScalar
from genlab.networks.quantisers.hierarchical import HierarchicalQuantiser
from genlab.networks.quantisers.lookup_free import LookupFree
from genlab.networks.quantisers.quantiser import MapQuantiser, Quantised, Quantiser, nearest_codes
from genlab.networks.quantisers.residual import ResidualQuantiser
from genlab.networks.quantisers.vector import VectorQuantiser

__all__ = [
    "FiniteScalar",
    "HierarchicalQuantiser",
    "LookupFree",
    "MapQuantiser",
    "Quantised",
    "Quantiser",
    "ResidualQuantiser",
    "VectorQuantiser",
    "nearest_codes",
]
