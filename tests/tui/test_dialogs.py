"""Questions about a plan: the word that they ask for, and a plan that comes when they are closing."""

from __future__ import annotations

import asyncio

import pytest
from textual.app import App

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.tui.dialogs import PlanDialog, WordDialog, word_reader
from kalshi_cli.tui.questions import Change
from kalshi_cli.views.plans import CloseAllPlan


@pytest.mark.parametrize("text", ["kill", "KILL", "kill "])
def test_the_word_is_taken_in_any_case(text: str) -> None:
    assert word_reader("kill")(text) == text


@pytest.mark.parametrize("text", ["", "klil", " kill", "kill all", "skill"])
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="The word is kill"):
        word_reader("kill")(text)


@pytest.mark.parametrize("part", ["*", "#facts", "#changed", "#left", "#answers"])
def test_a_plan_that_comes_while_its_question_closes_ends_nothing(part: str) -> None:
    plan = CloseAllPlan(plan_id="p", subject="", facts=("Closes everything",), expires=Ts(2**53), positions=())
    dialog: PlanDialog = WordDialog("close all", "flatten", SystemClock(), "f")

    async def run() -> None:
        app: App[None] = App()
        async with app.run_test():
            await app.push_screen(dialog)
            await dialog.query(part).remove()  # as it closes, its parts go first, one by one
            dialog.show_plan(plan, Change)
            dialog.dismiss(False)

    asyncio.run(run())
    assert dialog.plan is plan
