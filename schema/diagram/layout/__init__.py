"""
A place for everything in a drawing: layered, from the top down (Sugiyama's method), the same every time.

`ranks` breaks circles and finds rows, `layers` gives every arrow and every label cells of its own, `order` saves
crossings, `columns` finds places from left to right, `ports` where arrows touch boxes, `tracks` where they turn.
Arrows run straight down, and turn only between two layers, where there is nothing else. So by construction no arrow
runs through a box or a label, and no two boxes or labels overlap. What the customer sends and hears from many lanes
away is not run across them (`links`).

It is our own because nothing in Python that needs no binary does this. grandalf (0.8 of January 2023, GPL 2 or EPL 1;
https://github.com/bdcht/grandalf) finds places for boxes and routes arrows as lines or curves, without room for their
labels and without lanes; Graphviz, OGDF, ELK and dagre are programs of other languages.
"""

from __future__ import annotations

from schema.diagram.layout.box import Box, Placed, PlacedEdge, PlacedGroup, PlacedNode, Point
from schema.diagram.layout.place import placed

__all__ = ["Box", "Placed", "PlacedEdge", "PlacedGroup", "PlacedNode", "Point", "placed"]
