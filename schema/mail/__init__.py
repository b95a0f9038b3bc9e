"""
Mail that comes in, understood: `read_mail` for a receipt of channel `email`.

    words     headers: encoded words, addresses, message ids, charsets
    mime      a message taken apart: headers, texts, what is attached
    text      HTML made plain; the mail that is answered and the signature cut away
    kinds     bounces, automatic replies, lists, loops, forged senders
    address   mailboxes, and the signed plus-addresses of leads
    read      all of it as one `Understood`

The standard library's parser is not used: it takes quadratic time for some headers and recurses without end.
"""
