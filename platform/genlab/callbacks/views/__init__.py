"""Pictures of latents and tokens, each for models that have a capability."""

from genlab.callbacks.views.registry import VIEWS, Names, choose_views, known_views
from genlab.callbacks.views.view import Picture, Scene, View

__all__ = ["VIEWS", "Names", "Picture", "Scene", "View", "choose_views", "known_views"]
