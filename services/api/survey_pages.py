"""
The page behind the links of a survey: `GET /s/{token}` asks, `POST /s/{token}` answers.

Every answer has a link of its own, which only chooses it beforehand: a scanner that follows every link answers nothing.
What is sent counts; until the survey closes the latest does. The same page takes that somebody wants no more of these
questions, in one click from a mail program too (RFC 8058). No cookies, no scripts; what was written is never shown
again, since mails are passed on.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.concurrency import run_in_threadpool

from schema.errors import Permanent, ThroughlineError
from schema.mailing import survey_words
from schema.mailing.survey_words import STOP, labels, score_of
from schema.mailing.tokens import read_token
from schema.mailing.words import language_of
from schema.mailing.words import words_of as words_of_links
from schema.payload import without_controls
from schema.store import clock, consents, suppression, surveys
from schema.store.ids import is_id
from schema.store.journeys import JourneyBook
from services.api.arriving import BODY_WITHIN_S, body_of
from services.api.edge import problem_of
from services.api.forms import as_page

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection, RowMapping
    from sqlalchemy.ext.asyncio import AsyncEngine
    from starlette.requests import Request
    from starlette.responses import Response

    from schema.mailing.survey_words import Words
    from services.api.context import Surveys

PURPOSE: Final = "surveys"
_LARGEST_BODY: Final = 64 * 1024
_ONE_CLICK: Final = "List-Unsubscribe"
_NUMBER: Final = re.compile(r"[0-9]{1,2}")
_WEB: Final = "web"


class SurveyPages:
    """What the links of surveys lead to. `answers` is the write path that workers use."""

    def __init__(
        self, engine: AsyncEngine, answers: Surveys, pepper: bytes, *, body_within_s: float = BODY_WITHIN_S
    ) -> None:
        self._engine = engine
        self._answers = answers
        self._pepper = pepper
        self._within_s = body_within_s
        self._book = JourneyBook()

    async def page(self, request: Request) -> Response:
        """Ask, or take the answer."""
        named = read_token(self._pepper, "survey", request.path_params["token"])
        survey = await self._find(named.send_id) if named and is_id(named.send_id) else None
        if named is None or survey is None:
            spoken = request.headers.get("accept-language", "")[:2]
            words = words_of_links(spoken)
            return as_page(language_of(spoken), words.lost, f"<p>{escape(words.lost_detail)}</p>", status=404)
        if request.method == "POST":
            body = await body_of(request, _LARGEST_BODY, self._within_s)
            said = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=50)
            return await self._posted(survey, {name: values[0] for name, values in said.items()})
        if named.number == STOP:
            return _stopping(survey)
        return _over(survey) if _closed(survey) else _form(survey, await self._question(survey), score_of(named.number))

    async def _find(self, survey_id: str) -> RowMapping | None:
        try:
            async with self._engine.connect() as connection:
                return await connection.run_sync(surveys.asked, survey_id, clock.now())
        except (DBAPIError, NoConnectionFree) as error:
            raise problem_of(error) from error

    async def _question(self, survey: RowMapping) -> str:
        """What is asked, in the words of the version that asks it."""
        async with self._engine.connect() as connection:
            journey = await connection.run_sync(self._book.version, survey["journey"])
        return journey.surveys[survey["survey"]].question

    async def _posted(self, survey: RowMapping, said: Mapping[str, str]) -> Response:
        words = survey_words.words_of(survey["language"])
        if "stop" in said or _ONE_CLICK in said:
            async with self._engine.begin() as connection:
                await connection.run_sync(_stop, self._pepper, survey, clock.now())
            return _page(survey, words.stopped, f"<p>{escape(words.stopped_detail)}</p>")
        if _closed(survey):
            return _over(survey)
        comment = without_controls(said.get("comment", "")).replace("\r\n", "\n").strip()
        score = int(said["score"]) if _NUMBER.fullmatch(said.get("score", "")) else None
        least, most = surveys.SCALES[survey["kind"]]
        if score is None or not least <= score <= most:
            return _form(survey, await self._question(survey), None, comment, wrong=words.missing)
        if len(comment) > surveys.LONGEST_COMMENT:
            wrong = words.too_long.format(most=surveys.LONGEST_COMMENT)
            return _form(survey, await self._question(survey), score, comment, wrong=wrong)
        return await self._answered(survey, score, comment)

    async def _answered(self, survey: RowMapping, score: int, comment: str) -> Response:
        words = survey_words.words_of(survey["language"])
        given: dict[str, Any] = {"score": score, "comment": comment or None, "channel": _WEB, "actor": "person"}
        try:
            await run_in_threadpool(self._answers.give, survey["id"], **given)
        except Permanent:
            return _over(survey)  # it was closed in this moment
        except (ThroughlineError, DBAPIError, NoConnectionFree) as error:
            if not isinstance(error, ThroughlineError):
                problem_of(error)  # logs it
            return _page(survey, words.busy, f"<p>{escape(words.busy_detail)}</p>", status=503)
        label = labels(survey["kind"], survey["language"])[score - surveys.SCALES[survey["kind"]][0]]
        back = f'<p class="soft after"><a href="">{escape(words.change)}</a></p>'
        return _page(survey, words.thanks, f"<p>{escape(words.thanks_detail.format(answer=label))}</p>\n{back}")


def _closed(survey: RowMapping) -> bool:
    """Whether nothing can be answered any more."""
    return survey["state"] in {"cancelled", "expired", "planned"} or survey["late"] is True


def _stop(connection: Connection, pepper: bytes, survey: RowMapping, now: datetime) -> None:
    """Ask somebody no more: their address at once, and in the ledger of what they allow."""
    key = suppression.address_key(survey["email"]) if survey["email"] else None
    if key is not None:
        held = {"purposes": (PURPOSE,), "send_id": survey["id"], "actor": "person"}
        suppression.suppress(connection, pepper, key, "unsubscribed", now, covers="marketing", **held)
    consents.record(connection, survey["person_id"], PURPOSE, "withdrawn", actor="person", basis="unsubscribe", now=now)


# -- what is shown -----------------------------------------------------------------------------------------------------


def _page(survey: RowMapping, title: str, inner: str, *, status: int = 200, posts: bool = False) -> Response:
    return as_page(language_of(survey["language"]), title, inner, status=status, posts=posts)


def _form(survey: RowMapping, question: str, chosen: int | None, comment: str = "", *, wrong: str = "") -> Response:
    """The question with its answers; 422 where something is `wrong` with what was sent."""
    words = survey_words.words_of(survey["language"])
    least, _ = surveys.SCALES[survey["kind"]]
    texts = labels(survey["kind"], survey["language"])
    choices = "\n".join(
        f'<label><input type="radio" name="score" value="{score}" required{" checked" if score == chosen else ""}>'
        f"<span>{escape(text)}</span></label>"
        for score, text in enumerate(texts, start=least)
    )
    worded = survey["kind"] == "csat"
    ends = "" if worded else _ends(words, len(texts) - 1)
    trouble = f'<p class="wrong" role="alert">{escape(wrong)}</p>\n' if wrong else ""
    inner = (
        f'{trouble}<form method="post">\n<fieldset{"" if worded else " aria-describedby=ends"}>'
        f"<legend>{escape(words.choose)}</legend>\n"
        f'<div class="scale{" worded" if worded else ""}">\n{choices}\n</div>\n{ends}</fieldset>\n'
        f'<div class="field"><label for="comment">{escape(words.comment)}</label>\n'
        f'<textarea id="comment" name="comment" maxlength="{surveys.LONGEST_COMMENT}">\n{escape(comment)}</textarea>'
        f'</div>\n<button type="submit">{escape(words.send)}</button>\n</form>\n'
        f'<form method="post" class="after quiet"><button name="stop" value="1" type="submit">{escape(words.stop)}'
        "</button></form>"
    )
    return _page(survey, question, inner, status=422 if wrong else 200, posts=True)


def _ends(words: Words, most: int) -> str:
    """What the two ends of a scale mean."""
    least = f"<span>0 = {escape(words.least)}</span>"
    return f'<p class="ends soft" id="ends">{least} <span>{most} = {escape(words.most)}</span></p>\n'


def _over(survey: RowMapping) -> Response:
    words = survey_words.words_of(survey["language"])
    return _page(survey, words.over, f"<p>{escape(words.over_detail)}</p>", status=410)


def _stopping(survey: RowMapping) -> Response:
    words = survey_words.words_of(survey["language"])
    inner = (
        f"<p>{escape(words.stop_detail)}</p>\n"
        f'<form method="post"><button name="stop" value="1" type="submit">{escape(words.stop)}</button></form>'
    )
    return _page(survey, words.stop_question, inner, posts=True)
