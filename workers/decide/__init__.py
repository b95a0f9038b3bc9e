"""
The four decisions about a lead, pure: plain values in, a value out, the same for the same input on any day.

Each module is one question (`qualify.judge`, `score.warmth`, `route.choose`, `advance.next_moves`). A result explains
itself: `explain()` is what the table `decision` keeps, JSON-ready.
"""
