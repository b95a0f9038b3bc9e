"""
Identity: whose is an arrival, and who is one and the same.

    people             find or create whom arrivals are about, for a whole batch
    keys               which match keys may do what, under the database's own uniqueness
    belongings         what arrivals add to a person
    merge              two people become one
    unmerge            and are two again
    campaigns_merged   whose enrolments and messages are whose after that
    service_merged     whose opportunities, tickets, contracts, follow-ups and surveys
"""
