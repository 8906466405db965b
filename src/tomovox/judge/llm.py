"""How good are a run's answers to a language model? Any OpenAI-compatible endpoint is asked.

Nothing is asked twice: verdicts are only ever added to RUN/judge-<model>.jsonl, as they arrive.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Any

from tomovox.files import write_atomically
from tomovox.judge.llm_prompt import PARAMETERS, PROMPT_HASH, grading_prompt, parse_score
from tomovox.judge.llm_verdicts import (
    Verdict,
    find_verdict_file,
    new_verdict_file,
    read_verdicts,
    to_verdict_line,
    verdict_key,
)
from tomovox.parsed import json_of
from tomovox.schema import PREDICTIONS, Prediction, Task, TomovoxError, read_predictions
from tomovox.sheets import printable

WAITS_SECONDS = (2.0, 8.0, 32.0)
"""How long is waited before each repetition of a request that failed."""

PASSING = frozenset({408, 409, 425, 429})
"""Client errors of HTTP that time may mend, as it may those of the server (500 and above)."""

MOST_BYTES = 1 << 22
"""Of one answer of the endpoint; no reply of a language model is longer."""

_ADDRESS = re.compile(r"https?://([\w.-]+|\[[\da-f:]+\])(:[0-9]{1,5})?(/[\w./~%-]*)?", re.A)
"""No user, query or fragment: a path is added to an address, and messages show it."""

Progress = Callable[[int, int], None]
"""Is told how many requests are done, and of how many."""


@dataclass(frozen=True)
class Reply:
    """What a model wrote, who the server says it was, and whether it was cut at max_tokens."""

    text: str
    model: str
    cut: bool


@dataclass(frozen=True)
class Endpoint:
    """A server that answers POST /v1/chat/completions, and the model that is asked there.

    `url` may end with the host, with /v1 or with the whole path. `key` is sent as a bearer token
    unless empty. Raises TomovoxError when made of an address that is none or an unsendable key.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout_seconds: float = 120.0
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.url):
            raise TomovoxError(
                "--endpoint is no plain address of http or https; give one like "
                "http://localhost:8000/v1"
            )
        if not (self.key.isascii() and self.key.isprintable()):
            raise TomovoxError("the API key has characters that no header may hold; set it again")

    @property
    def address(self) -> str:
        """The address that requests are sent to."""
        base = self.url.rstrip("/")
        if base.endswith("/chat/completions"):
            return base
        return base.removesuffix("/v1") + "/v1/chat/completions"

    def ask(self, prompt: str) -> Reply:
        """Return the reply to one prompt; a request that fails is sent up to three times more.

        Raises TomovoxError when all fail, and at once when the server refuses the request itself.
        """
        for pause in (*WAITS_SECONDS, None):
            try:
                return self._post(prompt)
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason, lasting = _reason(error)
            if lasting:
                break
            if pause is not None:
                self.sleep(pause)
        times = "" if lasting else f" ({len(WAITS_SECONDS) + 1} times)"
        raise TomovoxError(f"{self.address}: {reason}{times}")

    def _post(self, prompt: str) -> Reply:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            **PARAMETERS,
        }
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.address, json.dumps(body).encode(), headers)
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(request, timeout=self.timeout_seconds) as response:
            return _reply(json_of(response.read(MOST_BYTES)), self.model)


@dataclass(frozen=True)
class Judged:
    """What became of one run: `file` has verdicts on its `records`, for which `asked` requests
    were sent now; the replies on `unparsed` (ids) give no score.
    """

    file: Path
    records: int
    asked: int
    unparsed: list[str]


def judge_run(
    folder: Path,
    endpoint: Endpoint,
    tasks: Iterable[Task] = (Task.REPORT,),
    limit: int | None = None,
    workers: int = 4,
    progress: Progress | None = None,
) -> Judged:
    """Ask for a verdict on every answer of a RUN folder to `tasks` that its file lacks.

    `limit` takes the first records by id of each task, so that runs are judged on the same ones.
    Raises TomovoxError when the endpoint fails or the run has another judge; what was judged
    before stays.
    """
    predictions = sorted(read_predictions(folder / PREDICTIONS), key=lambda answer: answer.id)
    by_task = [[p for p in predictions if p.task == task] for task in dict.fromkeys(tasks)]
    wanted = [prediction for some in by_task for prediction in some[:limit]]
    file = find_verdict_file(folder) or new_verdict_file(folder, endpoint.model)
    keys = [verdict_key(p, PROMPT_HASH, endpoint.model) for p in wanted]
    known = {verdict.key for verdict in _open_verdicts(file, endpoint.model)}
    new: dict[str, Prediction] = {}
    for key, prediction in zip(keys, wanted, strict=True):
        if key not in known:
            new.setdefault(key, prediction)  # equal answers to one question are asked about once
    _ask_all(list(new.values()), endpoint, file, workers, progress)
    scores = {v.key: v.score for v in read_verdicts(file)} if wanted else {}
    unparsed = [p.id for key, p in zip(keys, wanted, strict=True) if scores[key] is None]
    return Judged(file, len(wanted), len(new), unparsed)


def _open_verdicts(file: Path, asked: str) -> list[Verdict]:
    """Return the verdicts that are there; a torn last line is cut off, for lines to be added."""
    if not file.is_file():
        return []
    verdicts = read_verdicts(file)
    other = {verdict.asked for verdict in verdicts} - {asked}
    if other:
        raise TomovoxError(
            f"{file}: the judge of this run is {other.pop()}, not {asked}; move the file away to "
            f"judge anew"
        )
    data = file.read_bytes()
    if not data.endswith(b"\n"):
        write_atomically(file, data[: data.rfind(b"\n") + 1])
    return verdicts


def _ask_all(
    predictions: list[Prediction],
    endpoint: Endpoint,
    file: Path,
    workers: int,
    progress: Progress | None,
) -> None:
    """Append a verdict on each prediction; the first failure ends it, after what is under way."""
    stop, lock, done = Event(), Lock(), 0

    def judge(prediction: Prediction) -> None:
        nonlocal done
        if stop.is_set():
            return
        line = to_verdict_line(_verdict(prediction, endpoint))
        with lock, file.open("a", encoding="utf-8") as stream:
            stream.write(f"{line}\n")
            done += 1
            if progress is not None:
                progress(done, len(predictions))

    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(judge, prediction) for prediction in predictions]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
    for future in futures:
        try:
            future.result()
        except TomovoxError as error:
            raise TomovoxError(
                f"{error}; {done} of {len(predictions)} verdicts are in {file}, the same command "
                f"continues"
            ) from None


def _verdict(prediction: Prediction, endpoint: Endpoint) -> Verdict:
    reply = endpoint.ask(grading_prompt(prediction))
    return Verdict(
        id=prediction.id,
        key=verdict_key(prediction, PROMPT_HASH, endpoint.model),
        # Of a reply that was cut, the score may be cut as well: "8" of "85".
        score=None if reply.cut else parse_score(reply.text),
        reply=reply.text,
        prompt=PROMPT_HASH,
        asked=endpoint.model,
        model=reply.model,
    )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Let a redirect be an error: it would take the key to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _reply(answer: Any, asked: str) -> Reply:
    """Return the reply of a chat completion; ValueError when the answer is none."""
    try:
        choice = answer["choices"][0]
        text, model = choice["message"]["content"], answer.get("model")
    except (LookupError, TypeError, AttributeError):
        raise ValueError("no chat completion") from None
    if not isinstance(text, str | None) or not isinstance(model, str | None):
        raise ValueError("no chat completion")
    return Reply(text or "", model or asked, choice.get("finish_reason") == "length")


def _reason(error: Exception) -> tuple[str, bool]:
    """Return why a request failed, in one short line, and whether it would fail again."""
    if isinstance(error, urllib.error.HTTPError):
        code = error.code
        return f"HTTP {code} {_body(error)}".strip(), code < 500 and code not in PASSING
    if isinstance(error, ValueError):
        return "the answer is no chat completion in JSON", False
    cause = getattr(error, "reason", error)
    return f"no answer: {printable(str(cause)) or type(cause).__name__}", False


def _body(error: urllib.error.HTTPError) -> str:
    """Return how the answer of a server that refuses begins: most say why."""
    try:
        with error:
            said = error.read(2000).decode("utf-8", errors="replace")
    except (OSError, http.client.HTTPException):
        return ""
    return " ".join(printable(said).split())[:200]
