"""How a layer is judged: classes or objects with projections, heads and perhaps a mask."""
