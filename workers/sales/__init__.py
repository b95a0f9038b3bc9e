"""
Sales: possible sales on their way through a pipeline.

    opportunities   what every batch and every timer means for them
    by_hand         what people do about them
    ledger          how one is opened, changed, decided and taken up again, with a row for every change
    figures         probabilities, what each stage holds, the forecast
"""
