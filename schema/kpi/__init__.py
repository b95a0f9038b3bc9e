"""
Figures: what the business looks at.

    measures   what is counted, and by what
    bins       how long things take, as counts by size
    catalog    every KPI with its definition; reckon: how each is made of what was counted
    figure     a figure as it is told; survival: durations where many are not over; spoken: in words
    bottlenecks  where leads wait, and what it would gain; trends: changes of level; discovered: the process of a log
"""
