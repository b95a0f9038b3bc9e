"""
Satisfaction: who is asked how satisfied they are, when, and what they answer.

    surveys   what every batch and every timer means for surveys
    answers   what people answer
"""
