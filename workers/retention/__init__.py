"""
Retention: customers who stay, and what else they may need.

    contracts   what every batch and every timer means for contracts
    book        the contracts in hand: begun, renewed, cancelled, ended
    by_hand     what people do about contracts, and what they ask about a customer
    health      how well a customer is
"""
