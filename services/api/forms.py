"""
Pages of forms: `GET /f/{source}` for people, `/f/{source}/snippet` to paste into a site, and the script that may help.

    /f/{source}           the form as a page; it needs no script
    /f/{source}/snippet   the same form as HTML for somebody's own site
    /f/{source}/token     when a pasted form was loaded, asked for by the script
    /f/form.js            sends a pasted form without leaving its page

Only forms with `fields` have them. Nothing on a page comes from another host or from the request.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from schema import form
from schema.store import clock
from services.api.arriving import answer
from services.api.form_words import words_of
from services.api.problems import Problem

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from schema.journey import Source
    from schema.journey.source import FormField
    from services.api.form_words import Words
    from services.api.intake import Intake
    from services.sources import Sources

_STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1b1f;--soft:#5a5a66;--paper:#fff;--ground:#f3f4f7;--line:#8a8a97;--mark:#1f4fd8;
--on-mark:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#f2f2f4;--soft:#b3b3bf;--paper:#1f1f24;--ground:#141417;--line:#7c7c8a;
--mark:#8fb0ff;--on-mark:#101318}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,sans-serif;padding:1rem}
main{max-width:36rem;margin:0 auto;background:var(--paper);border-radius:.75rem;padding:1.5rem}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 1rem;overflow-wrap:anywhere}
p{margin:-.5rem 0 1.25rem}
.soft,.help{color:var(--soft);font-weight:400}
.field{margin:0 0 1.1rem}
label{display:block;font-weight:600;margin:0 0 .3rem}
.help{display:block;font-size:.9rem;margin:-.2rem 0 .3rem}
input,textarea,select{width:100%;min-height:2.75rem;padding:.55rem .75rem;font:inherit;color:inherit;
background:var(--paper);border:1px solid var(--line);border-radius:.5rem}
textarea{display:block;min-height:8rem;resize:vertical}
.tick{display:flex;gap:.75rem;align-items:flex-start}
.tick label{font-weight:400;margin:0;padding:.1rem 0}
.tick input{flex:none;width:1.4rem;min-height:1.4rem;height:1.4rem;margin:.1rem 0 0;accent-color:var(--mark)}
:focus-visible{outline:3px solid var(--mark);outline-offset:2px}
:user-invalid{border-color:#d1242f;border-width:2px}
button{min-height:2.9rem;padding:.6rem 1.6rem;font:inherit;font-weight:600;color:var(--on-mark);background:var(--mark);
border:0;border-radius:.5rem;cursor:pointer}
.extra{position:absolute;left:-10000px;width:1px;height:1px;overflow:hidden}
blockquote{margin:0 0 1.25rem;padding-left:1rem;border-left:3px solid var(--line)}
.after{margin:1.25rem 0 0}
fieldset{border:0;margin:0 0 1.25rem;padding:0;min-width:0}
legend{padding:0;margin:0 0 .6rem;font-weight:600}
.scale{display:grid;gap:.5rem;grid-template-columns:repeat(auto-fill,minmax(4.25rem,1fr))}
.scale.worded{grid-template-columns:1fr}
.scale label{display:flex;gap:.6rem;align-items:center;min-height:2.9rem;margin:0;padding:.4rem .7rem;cursor:pointer;
border:1px solid var(--line);border-radius:.5rem}
.scale input{flex:none;width:1.25rem;min-height:0;height:1.25rem;margin:0;accent-color:var(--mark)}
.scale label:has(:checked){border-color:var(--mark);box-shadow:inset 0 0 0 1px var(--mark)}
.ends{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1rem;margin:.5rem 0 0}
.wrong{padding:.75rem 1rem;margin:0 0 1.25rem;border:2px solid #d1242f;border-radius:.5rem}
.quiet button,button.quiet{color:inherit;background:none;border:1px solid var(--line)}
@media(min-width:40rem){body{padding:3rem 1rem}main{padding:2.5rem}}
@media(max-width:30rem){button{width:100%}}
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_AUTOCOMPLETE: Final = {
    "email": "email", "name": "name", "first_name": "given-name", "last_name": "family-name", "phone": "tel",
    "mobile": "tel", "tel": "tel", "company": "organization", "website": "url", "country": "country-name",
}  # fmt: skip
_NOT_STORED: Final = {"Cache-Control": "no-store"}

_SCRIPT: Final = """(() => {
  // Fields may be called anything, `action` too: nothing is read off the form by a name that one could have.
  const named = (form, name) => form.querySelector(`[name="${name}"]`);
  const place = (form) => form.getAttribute("action");
  const prepare = async (form) => {
    const token = named(form, "_token"), consent = named(form, "_consent");
    try {
      const shown = encodeURIComponent(consent ? consent.value : "");
      const answer = await fetch(`${place(form)}/token?consent=${shown}`);
      if (token && answer.ok) token.value = (await answer.json()).token;
    } catch { /* the form can be sent without it */ }
  };
  const say = (form, text, role) => {
    let said = form.querySelector("[data-said]");
    if (!said) {
      said = document.createElement("p");
      said.setAttribute("data-said", "");
      said.tabIndex = -1;
      Node.prototype.appendChild.call(form, said);
    }
    said.setAttribute("role", role);
    said.textContent = text;
    return said;
  };
  const send = async (event) => {
    event.preventDefault();
    const form = event.target, button = form.querySelector("button[type=submit]");
    if (button.disabled) return;
    button.disabled = true;
    say(form, form.getAttribute("data-sending"), "status");
    try {
      const fields = new FormData(form);
      const files = form.getAttribute("enctype") === "multipart/form-data";
      const body = files ? fields : new URLSearchParams(fields);
      const answer = await fetch(place(form), { method: "POST", body, headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.status);
      HTMLFormElement.prototype.reset.call(form);
      say(form, form.getAttribute("data-thanks"), "status").focus();
      prepare(form);
    } catch {
      say(form, form.getAttribute("data-failed"), "alert").focus();
    }
    button.disabled = false;
  };
  document.querySelectorAll("form[data-throughline]").forEach((form) => {
    prepare(form);
    form.addEventListener("submit", send);
  });
})();
"""


class FormPages:
    """The pages of the forms of the active journeys."""

    def __init__(self, sources: Sources, pepper: bytes, base_url: str) -> None:
        self._sources = sources
        self._pepper = pepper
        self._base_url = base_url.rstrip("/")

    async def page(self, request: Request) -> Response:
        """Show a form."""
        name, source = self._find(request)
        token = form.make_token(self._pepper, name, _consent_version(source), clock.now())
        body = _document(source, name, _form(source, name, f"/f/{name}", token))
        # Without a referrer, browsers would not say either that it is this page that posts.
        headers = _NOT_STORED | {"Content-Security-Policy": _policy(source), "Referrer-Policy": "same-origin"}
        return Response(body, media_type="text/html", headers=headers)

    async def snippet(self, request: Request) -> Response:
        """Show a form as HTML to paste, as text: it is meant to be read and copied."""
        name, source = self._find(request)
        base = self._base_url or f"{request.url.scheme}://{request.url.netloc}"
        action = f"{escape(base)}/f/{name}"
        if source.origins:
            words = words_of(source)
            said = {"thanks": words.thanks, "sending": words.sending, "failed": words.failed}
            data = "".join(f' data-{key}="{escape(text)}"' for key, text in said.items())
            written = _form(source, name, action, "", f" data-throughline{data}", hidden=_HIDDEN)
            written += f'\n<script src="{escape(base)}/f/form.js" defer></script>\n'
        else:  # a script could send it and not read the answer: people would be told that it failed
            written = _form(source, name, action, "", hidden=_HIDDEN) + "\n"
        return Response(written, media_type="text/plain", headers=_NOT_STORED)

    async def token(self, request: Request) -> Response:
        """Give the script of a pasted form the proof of when it was loaded; any site may ask: it says no more."""
        name, source = self._find(request)
        consent = request.query_params.get("consent", "")
        if consent not in {"", _consent_version(source)}:
            raise Problem(404, "consent_unknown", "This form does not show this version of its consent.")
        response = answer(200, {"token": form.make_token(self._pepper, name, consent, clock.now())})
        response.headers.update(_NOT_STORED | {"Access-Control-Allow-Origin": "*"})
        return response

    async def thanks(self, request: Request) -> Response:
        """Thank whoever sent a form whose source names no page of its own."""
        words = words_of(self._sources.find(request.path_params["source"]))
        return as_page(words.language, words.thank_you, f"<p>{words.arrived}</p>")

    def has_page(self, name: str) -> bool:
        """Tell whether there is a form of this name with a page of its own."""
        source = self._sources.find(name)
        return source is not None and source.kind == "form" and bool(source.fields)

    def _find(self, request: Request) -> tuple[str, Source]:
        name = request.path_params["source"]
        source = self._sources.find(name)
        if source is None or source.kind != "form":
            raise Problem(404, "form_not_found", "There is no form of this name.")
        if not source.fields:
            raise _not_allowed(has_page=False)
        if not source.enabled:
            raise Problem(410, "form_disabled", "This form does not take submissions any more.")
        return name, source


class FormPlace:
    """What a form's own path answers, whatever the method; what is posted is taken before it comes here."""

    def __init__(self, pages: FormPages, intake: Intake) -> None:
        self._pages = pages
        self._intake = intake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        if request.method == "OPTIONS":
            response = await self._intake.preflight(request)
        elif request.method in {"GET", "HEAD"}:
            response = await self._pages.page(request)
        else:
            raise _not_allowed(has_page=self._pages.has_page(request.path_params["source"]))
        await response(scope, receive, send)


async def script(_: Request) -> Response:
    """Hand out the script of pasted forms."""
    headers = {"Cache-Control": "public, max-age=3600", "Access-Control-Allow-Origin": "*"}
    return Response(_SCRIPT, media_type="text/javascript", headers=headers)


class ShownProblem(Problem):
    """A problem told as a page, to a person whose browser sent a form."""

    def __init__(self, problem: Problem, words: Words) -> None:
        super().__init__(problem.status, problem.code, problem.detail, headers=problem.headers)
        self._words = words

    def response(self) -> Response:
        """Return the page."""
        inner = (
            f'<p lang="en">{escape(self.detail)}</p>\n'  # what the API says, in its one language
            f'<p class="soft">{self._words.go_back}</p>'
        )
        response = as_page(self._words.language, self._words.not_sent, inner, status=self.status)
        response.headers.update(self.headers)
        return response


def as_page(language: str, title: str, inner: str, *, status: int = 200, posts: bool = False) -> Response:
    """Return a page of ours with `inner` (HTML) below its title; what `posts` may send a form to us."""
    policy = _POLICY.format("'self'" if posts else "'none'", "'none'")
    headers = _NOT_STORED | {"Content-Security-Policy": policy}
    return Response(_page(language, title, f"<h1>{escape(title)}</h1>\n{inner}"), status, headers, "text/html")


_HIDDEN: Final = ' style="position:absolute;left:-10000px;width:1px;height:1px;overflow:hidden"'
"""A pasted form has no style sheet of ours."""
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action {{}}; frame-ancestors {{}}"
)


def _not_allowed(*, has_page: bool) -> Problem:
    if has_page:
        return Problem(
            405,
            "method_not_allowed",
            "This method is not possible here.",
            headers={"Allow": "GET, HEAD, OPTIONS, POST"},
        )
    detail = "This form has no page of its own: give it `fields` in the journey. It takes what is posted."
    return Problem(405, "method_not_allowed", detail, headers={"Allow": "OPTIONS, POST"})


def _policy(source: Source) -> str:
    """Let the form go to us and, as browsers hold redirects to it too, to the pages it may lead to."""
    parts = [urlsplit(page) for page in source.redirect]
    onward = dict.fromkeys(f"{part.scheme}://{part.netloc}" for part in parts if part.netloc)
    framing = " ".join(source.origins) or "'none'"
    return _POLICY.format(" ".join(["'self'", *onward]), framing)


def _consent_version(source: Source) -> str:
    return source.consent.version if source.consent else ""


def _page(language: str, title: str, inner: str) -> str:
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="robots" content="noindex">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{inner}\n</main>\n"
        "</body>\n</html>\n"
    )


def _document(source: Source, name: str, written: str) -> str:
    heading = source.label or name
    about = f'<p class="soft">{escape(source.description)}</p>\n' if source.description else ""
    return _page(source.language, heading, f"<h1>{escape(heading)}</h1>\n{about}{written}")


def _form(source: Source, name: str, action: str, token: str, more: str = "", *, hidden: str = "") -> str:
    words = words_of(source)
    kind = ' enctype="multipart/form-data"' if any(field.kind == "file" for field in source.fields) else ""
    lines = [f'<form method="post" action="{action}" accept-charset="utf-8"{kind}{more}>']
    lines += [_field(name, field, words) for field in source.fields]
    if source.consent:
        required = " required" if source.consent.required else ""
        lines.append(
            f'<div class="field tick"><input type="checkbox" id="{name}-_consent" '
            f'name="consent_{source.consent.purpose}" value="yes"{required}>'
            f'<label for="{name}-_consent">{escape(source.consent.text)}'
            f"{_mark(words, required=source.consent.required)}</label></div>"
        )
        lines.append(f'<input type="hidden" name="{form.CONSENT}" value="{escape(source.consent.version)}">')
    lines.append(
        f'<div class="extra" aria-hidden="true"{hidden}><label for="{name}-_extra">{words.trap}</label>'
        f'<input id="{name}-_extra" name="{form.TRAP}" tabindex="-1" autocomplete="off"></div>'
    )
    lines.append(f'<input type="hidden" name="{form.TOKEN}" value="{token}">')
    lines.append(f'<button type="submit">{escape(source.send or words.send)}</button>\n</form>')
    return "\n".join(lines)


def _field(form_name: str, field: FormField, words: Words) -> str:
    """Write one field: its label first, except beside a box to tick; help is tied to it."""
    place = f"{form_name}-{field.name}"
    label = escape(field.label or words.labels.get(field.name) or field.name.replace("_", " ").capitalize())
    label += _mark(words, required=field.required)
    given = f'id="{place}" name="{field.name}"' + (" required" if field.required else "")
    help_ = ""
    if field.help:
        given += f' aria-describedby="{place}-help"'
        help_ = f'<span class="help" id="{place}-help">{escape(field.help)}</span>'
    if field.kind == "checkbox":
        box = f'<input type="checkbox" {given} value="yes">'
        return f'<div class="field tick">{box}<div><label for="{place}">{label}</label>{help_}</div></div>'
    if field.name in _AUTOCOMPLETE:
        given += f' autocomplete="{_AUTOCOMPLETE[field.name]}"'
    return f'<div class="field"><label for="{place}">{label}</label>{help_}{_input(field, given, words)}</div>'


def _input(field: FormField, given: str, words: Words) -> str:
    if field.kind == "textarea":
        return f'<textarea {given} rows="5" maxlength="20000"></textarea>'
    if field.kind == "select":
        options = "".join(f"<option>{escape(option)}</option>" for option in field.options)
        return f'<select {given}><option value="">{words.choose}</option>{options}</select>'
    more = {"file": "", "number": ' min="0" inputmode="numeric"'}.get(field.kind, ' maxlength="500"')
    return f'<input type="{field.kind}" {given}{more}>'


def _mark(words: Words, *, required: bool) -> str:
    return f' <span class="soft">({words.required})</span>' if required else ""
