"""`kalshi schema`: the JSON schema of what a command prints, without a network."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.base.errors import UsageError
from kalshi_cli.cli.options import form_of
from kalshi_cli.cli.parameters import CommandGroup, argument
from kalshi_cli.cli.screen.output import Format, chosen_fields, info, write_out

app = CommandGroup("Show the JSON schema of what a command prints.")


@app.command("schema")
def schema(
    ctx: typer.Context,
    name: Annotated[list[str] | None, argument("[VIEW|COMMAND]...", "View, such as OrderRow, or a command")] = None,
) -> None:
    """Show the JSON schema of what a command prints.

    List the views and the commands that print them, or print the schema of one object: of a view, or of what a command
    prints with `--json`. A command that lists prints an array of such objects. Where a command prints one of several
    views, the schema has each of them in `anyOf`. `error` is the object that any command writes to stderr when it
    fails. The schema (JSON Schema, draft 2020-12) is JSON in every format; docs/views.md says what each field means. No
    network is needed.

    \b
    kalshi schema
    kalshi schema OrderRow
    kalshi schema order list
    kalshi schema error
    """
    import msgspec

    from kalshi_cli.cli.fields import commands_of, views_named
    from kalshi_cli.cli.screen.brief import SchemaLine
    from kalshi_cli.cli.screen.render import render_rows
    from kalshi_cli.views.formats import TruncatableText
    from kalshi_cli.views.schema import ERROR_SCHEMA, SchemaRow, all_views, schema_document, schema_of

    form = form_of(ctx)
    if not name:
        listed = {view: commands_of(kind) for view, kind in all_views().items()}
        if form is Format.TABLE:
            lines = [SchemaLine(view=view, commands=TruncatableText(", ".join(each))) for view, each in listed.items()]
            render_rows(SchemaLine, lines, form, title="views")
        else:
            render_rows(SchemaRow, [SchemaRow(view=view, commands=each) for view, each in listed.items()], form)
        info("A view without a command is a part of others. To see a schema: `kalshi schema VIEW`")
        return
    if chosen_fields() or form is Format.CSV:
        raise UsageError("--fields and --format csv are for the list of views", hint="a schema is printed as JSON")
    words = " ".join(name) + _default(ctx, name)
    schemas = [ERROR_SCHEMA] if words.lower() == "error" else [schema_of(view) for view in views_named(words)]
    encoded = msgspec.json.encode(schema_document(schemas))
    write_out((encoded if form is Format.NDJSON else msgspec.json.format(encoded, indent=2)).decode() + "\n")


def _default(ctx: typer.Context, words: list[str]) -> str:
    """Return what a group runs without a name, such as ` list` of `kalshi alerts`; empty for any other name."""
    root: Any = ctx.find_root().command
    default = getattr(root.get_command(ctx, words[0]), "default", "") if len(words) == 1 else ""
    return f" {default}" if default else ""
