"""
The help desk: what customers want of us, until they have it.

    tickets         what every batch and every timer means for tickets
    arrivals        what opens one, and what goes on with one that there is
    by_hand         what people do about them
    acts            what is done to a ticket, whoever does it
    book            the tickets that a batch has in hand, and what is written of them
    desks           whose they are, in fair turns
    mail            an agent's answer as a mail
    clocks          within what time they are answered and solved
    recalculation   clocks counted anew, after a version was activated
    replay          the log of another help desk
"""
