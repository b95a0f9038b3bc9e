"""
Figures: what happened, counted by day from the event feed, once and for all.

    fold         what one event means for the figures, with what is remembered of its lead (pure)
    sales, service   the same, for events of sales and campaigns, and of service
    memory       what is remembered of a lead
    attribution  how a win is shared out among the touchpoints before it (pure)
    tally        facts of a portion of events, added up
    rules        what journeys say about counting: their days and their working hours
    count        a portion of the feed in one transaction
    recount      the same from the beginning, to compare or to replace
    reconcile    the figures against what other tables hold
"""
