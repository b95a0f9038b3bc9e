"""
Follow-ups: work for people, with a due time.

    follow_ups   what every batch and every timer means for them
    by_hand      what people do about them
    digests      each morning, what is overdue and due today
"""
