"""
Campaigns: who is in them. How far somebody in one goes is the step `workers/nurture.py`.

    enrolments   who enters, and that those who are in are looked at when something happens
    looks        people who were there before a campaign was, and those whom somebody enrols
    follow       people under way go on by another version
"""
