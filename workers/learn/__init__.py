"""
Learning which leads are won: from history to the document of a model, see `workers.decide.predict`.

    examples   leads of the past as they were known then, and what became of them
    table      the same from any table of somebody's own
    leaks      what only looks like knowledge, because it was written down after the outcome
    encode     named values as numbers
    train      parts in order of time, fit, calibration, and the final document
    measure    how good it is, on leads it has not seen

    baskets    what is bought together

Nothing here runs while a lead waits: `throughline score train` does, and baskets are counted once a day.
"""
