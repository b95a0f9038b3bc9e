"""
Mail that we send, and what comes back of it.

    tokens    the signed names of a message's links: its unsubscription, its links, its picture
    words     what we say ourselves: under a message, on its pages, and in the mail of a double opt-in
    message   a template filled in for one person, with its headers, as the bytes that are handed over
    wanted    whether somebody wants marketing: what they said, and what holds their address back
    reports   what other systems tell about it, which opens no lead
    read      what somebody did with a message, as an arrival of the channel `mailing`
"""
