"""The page of a dataset: a table to filter, a track to hear, and a form to correct it."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from apps.browsed import PAGE_ROWS, Browsed
from blocks.storage import StorageError
from tasks.dataset.corrections import COLUMNS, DROP, OF_SEGMENTS, Correction, CorrectionError
from tasks.dataset.query import OPERATORS, WITHOUT_VALUE, Column, QueryError, condition
from tasks.text import counted

MOST_CHARACTERS = 120
"""Of a value in the table."""

CORRECTABLE = tuple(name for name in COLUMNS if name != DROP)

CHOOSE = """element.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-track]");
  if (!row) return;
  element.querySelector("tr[aria-selected]")?.removeAttribute("aria-selected");
  row.setAttribute("aria-selected", "true");
  trigger("select", { track: row.dataset.track });
});"""
"""Tells which row of the table was clicked."""

NO_TRACK = "Choose a track in the table to hear it."

Track = dict[str, Any] | None
"""State of a visitor: the row that is open."""


def page(dataset: Browsed) -> gr.Blocks:
    """Return the page of a dataset; what a visitor does there is seen by no other."""
    columns = {each.name: each for each in dataset.columns()}
    first = [name for name in dataset.kind.shown if name in columns]
    with gr.Blocks(title=f"{dataset.path.name} - Songmill", fill_width=True) as blocks:
        where, number = gr.State(""), gr.State(0)
        track: gr.State = gr.State(None)
        gr.Markdown(f"## {html.escape(str(dataset.path))}")
        with gr.Row():
            column = gr.Dropdown([*columns], value=first[0], label="Column", min_width=140)
            operator = gr.Dropdown([*OPERATORS], value="contains", label="is", min_width=110)
            value = gr.Textbox(label="Value", min_width=140)
        with gr.Row():
            ask = gr.Button("Filter", variant="primary", size="md", scale=0, min_width=110)
            clear = gr.Button("Show all", size="md", scale=0, min_width=110)
        with gr.Accordion("Filter by SQL, choose columns", open=False):
            sql = gr.Textbox(
                label="Condition in SQL",
                placeholder=_example(dataset),
            )
            shown = gr.Dropdown([*columns], value=first, multiselect=True, label="Columns")
        said = gr.Markdown(elem_id="said")
        table = gr.HTML(elem_id="rows", js_on_load=CHOOSE)
        with gr.Row():
            back = gr.Button("Previous", size="md", scale=0, min_width=110)
            ahead = gr.Button("Next", size="md", scale=0, min_width=110)
        player = gr.HTML(NO_TRACK, elem_id="track")
        correct = _Form(dataset, track)
        values = gr.HTML()

        def show(where: str, number: int, shown: Sequence[str]) -> tuple[Any, ...]:
            try:
                rows, count = dataset.page(where, number, shown)
            except QueryError as error:
                raise gr.Error(str(error), print_exception=False) from error
            return _table(rows, shown, dataset.kind.id), number, _position(count, number)

        def ask_form(
            name: str, operator: str, value: str, typed: str, shown: Sequence[str]
        ) -> tuple[Any, ...]:
            blank = not value.strip() and operator not in WITHOUT_VALUE
            try:
                # Nothing in the form is no wish to lose what was typed as SQL.
                asked = typed if blank else condition(columns[name], operator, value)
            except QueryError as error:
                raise gr.Error(str(error), print_exception=False) from error
            return asked, asked, *show(asked, 0, shown)

        def ask_sql(asked: str, shown: Sequence[str]) -> tuple[Any, ...]:
            return asked, *show(asked, 0, shown)

        def ask_all(shown: Sequence[str]) -> tuple[Any, ...]:
            return "", "", "", *show("", 0, shown)

        def turn(pages: int) -> Any:
            def turned(where: str, number: int, shown: Sequence[str]) -> tuple[Any, ...]:
                _, count = dataset.page(where, 0, [])
                last = max(0, (count - 1) // PAGE_ROWS)
                return show(where, min(max(number + pages, 0), last), shown)

            return turned

        def choose(event: gr.EventData) -> tuple[Any, ...]:
            row = dataset.row(str(event.track))
            return row, _player(dataset, row), _values(dataset, row)

        rows = [table, number, said]
        form = [column, operator, value, sql, shown]
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        for event in (ask.click, value.submit):
            event(ask_form, form, [where, sql, *rows], **private)
        sql.submit(ask_sql, [sql, shown], [where, *rows], **private)
        clear.click(ask_all, [shown], [where, sql, value, *rows], **private)
        back.click(turn(-1), [where, number, shown], rows, **private)
        ahead.click(turn(1), [where, number, shown], rows, **private)
        shown.change(show, [where, number, shown], rows, **private)
        blocks.load(show, [where, number, shown], rows, **private)
        table.select(choose, None, [track, player, values], **private).then(
            correct.opened, [track], correct.outputs, **private
        )
    return blocks


class _Form:
    """The form by which a track is corrected.

    Parameters
    ----------
    dataset
        Whose tracks.
    track
        State with the row that is open.
    """

    def __init__(self, dataset: Browsed, track: gr.State) -> None:
        self._dataset = dataset
        private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        with gr.Column(visible=False, elem_id="correct") as self._form:
            with gr.Group(), gr.Row():
                self._column = gr.Dropdown(
                    [*CORRECTABLE], value=CORRECTABLE[0], label="Correct", min_width=130
                )
                self._segment = gr.Dropdown([], label="Section", visible=False, min_width=160)
                self._value = gr.Textbox(label="Right value", max_lines=12, min_width=160)
            with gr.Row():
                small: dict[str, Any] = {"size": "md", "scale": 0}
                save = gr.Button("Correct", variant="primary", min_width=140, **small)
                wrong = gr.Button("Mark wrong", min_width=140, **small)
                revoke = gr.Button("As computed", min_width=140, **small)
                self._drop = gr.Button("Drop track", variant="stop", min_width=140, **small)
        self._said = gr.Markdown(elem_id="corrections")
        self.outputs = [self._form, self._segment, self._value, self._drop, self._said]
        given = [track, self._column, self._segment, self._value]
        self._column.change(self._chosen, given[:3], self.outputs[1:3], **private)
        self._segment.change(self._chosen, given[:3], self.outputs[1:3], **private)
        outputs = [self._drop, self._said]
        save.click(self._save, given, outputs, **private)
        wrong.click(self._mark, given[:3], outputs, **private)
        revoke.click(self._revoke, given[:3], outputs, **private)
        self._drop.click(self._turn_drop, [track], outputs, **private)

    def opened(self, track: Track) -> tuple[Any, ...]:
        """Return the form of a track that was opened."""
        visible = track is not None and self._dataset.is_correctable
        segment = gr.Dropdown(_sections(track), value=0, visible=False)
        value = _current(track, CORRECTABLE[0], 0)
        # The first column, as when the page was opened.
        return gr.Column(visible=visible), segment, value, *self._state(track)

    def _chosen(self, track: Track, column: str, segment: int | None) -> tuple[Any, ...]:
        at = segment or 0
        of_segment = column in OF_SEGMENTS
        return (
            gr.Dropdown(_sections(track), value=at, visible=of_segment),
            _current(track, column, at),
        )

    def _save(self, track: Track, column: str, segment: int | None, value: str) -> Any:
        if not value.strip():
            raise gr.Error("Type what is right, or mark it as wrong.", print_exception=False)
        return self._add(track, column, segment, value=value)

    def _mark(self, track: Track, column: str, segment: int | None) -> Any:
        return self._add(track, column, segment)

    def _revoke(self, track: Track, column: str, segment: int | None) -> Any:
        return self._add(track, column, segment, revoked=True)

    def _turn_drop(self, track: Track) -> Any:
        return self._add(track, DROP, None, value=True, revoked=self._is_dropped(track))

    def _add(self, track: Track, column: str, segment: int | None, **given: Any) -> Any:
        assert track is not None
        at = segment or 0
        place: dict[str, Any] = {}
        if column in OF_SEGMENTS:
            start = float(track["segments"][at]["start_time"])
            place = {"segment_idx": at, "start_time": start}
        was = None if column == DROP else _current(track, column, at)
        try:
            correction = Correction(track["track_id"], column, was=was, **place, **given)
            self._dataset.correct(correction)
        except (CorrectionError, StorageError) as error:
            raise gr.Error(str(error), print_exception=False) from error
        return self._state(track)

    def _is_dropped(self, track: Track) -> bool:
        assert track is not None
        return any(each.column == DROP for each in self._dataset.corrections_of(track["track_id"]))

    def _state(self, track: Track) -> tuple[Any, ...]:
        """Return the button that drops a track, and what is said of its corrections."""
        if track is None:
            return gr.Button(), ""
        if not self._dataset.is_correctable:
            return gr.Button(), "Corrections are merged into datasets of songs alone."
        found = self._dataset.corrections_of(track["track_id"])
        lines = [f"- {_told(each)}" for each in found]
        said = "\n".join(["The next build merges:", *lines]) if lines else ""
        dropped = any(each.column == DROP for each in found)
        return gr.Button("Keep track" if dropped else "Drop track"), said


def _told(correction: Correction) -> str:
    """Return a correction in words, as Markdown."""
    if correction.column == DROP:
        return "the track is left out"
    place = "" if correction.segment_idx is None else f" of section {correction.segment_idx + 1}"
    if correction.value is None:
        return f"{correction.column}{place} is wrong"
    return f"{correction.column}{place}: {html.escape(_short(correction.value))}"


def _sections(track: Track) -> list[tuple[str, int]]:
    segments: Sequence[Mapping[str, Any]] = (track or {}).get("segments") or ()
    return [
        (f"{at + 1}: {each['section_type']}, from {each['start_time']:.1f} s", at)
        for at, each in enumerate(segments)
    ]


def _current(track: Track, column: str, at: int) -> str:
    """Return the value of a column of the track that is open, as the form takes it."""
    if track is None or column not in CORRECTABLE:
        return ""
    if column in OF_SEGMENTS:
        segments = track.get("segments") or ()
        return str(segments[at][column] or "") if at < len(segments) else ""
    if column == "key":
        return " ".join(filter(None, (track.get("dominant_key"), track.get("mode"))))
    value = track.get(column)
    return "" if value is None else str(value)


def _table(rows: Sequence[Mapping[str, Any]], shown: Sequence[str], name: str) -> str:
    """Return a page of rows as HTML; the first cell of a row holds a button for the keyboard."""
    if not rows:
        return '<p class="player-note">No row is like that.</p>'
    head = "".join(f"<th>{html.escape(each)}</th>" for each in shown)
    body = []
    for row in rows:
        texts = [html.escape(_short(row[each])) for each in shown]
        cells = [f"<td>{text}</td>" for text in texts[1:]]
        first = (
            f'<td><button type="button">{texts[0] or "(empty)" if texts else "open"}</button></td>'
        )
        track = html.escape(str(row[name]), quote=True)
        body.append(f'<tr data-track="{track}">{first}{"".join(cells)}</tr>')
    return (
        f'<div class="rows"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _position(count: int, number: int) -> str:
    pages = max(1, -(-count // PAGE_ROWS))
    return f"{counted(count, 'row')}, page {number + 1:,} of {pages:,}"


def _player(dataset: Browsed, row: Track) -> str:
    """Return what the script makes a player of, as HTML."""
    if row is None:
        return "The dataset has no such track any more."
    name = " - ".join(
        str(row[each]) for each in ("artist", "title", "source_id", "id") if row.get(each)
    )
    track_id = html.escape(str(row[dataset.kind.id]), quote=True)
    return f'<h3>{html.escape(name)}</h3><div class="player" data-track="{track_id}"></div>'


def _values(dataset: Browsed, row: Track) -> str:
    """Return the values of a track that are to be read, as HTML."""
    if row is None:
        return ""
    facts = [
        f"<div><dt>{html.escape(column.name)}</dt><dd>{html.escape(_short(row[column.name]))}</dd></div>"
        for column in dataset.columns()
        if _is_fact(column, row[column.name])
    ]
    return (
        f'<details><summary>All values</summary><dl class="facts">{"".join(facts)}</dl></details>'
    )


def _is_fact(column: Column, value: Any) -> bool:
    """Whether a value is to be read beside the player: lyrics and lists of numbers are not."""
    if value in (None, [], "") or column.name == "lyrics":
        return False
    return not column.is_nested or (isinstance(value, list) and isinstance(value[0], str))


def _short(value: Any) -> str:
    """Return a value as a cell of a table shows it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        if any(not isinstance(each, str) for each in value):
            return _list_of(value)
        value = ", ".join(value)
    text = str(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def _list_of(values: Sequence[Any]) -> str:
    named = [str(each["tag"]) for each in values if isinstance(each, dict) and "tag" in each]
    return ", ".join(named) if named else counted(len(values), "value")


def _example(dataset: Browsed) -> str:
    if dataset.is_correctable:
        return (
            "tempo > 120 AND track_id IN (SELECT track_id FROM segments "
            "WHERE section_type = 'solo')"
        )
    return f"{dataset.kind.shown[0]} IS NOT NULL"
