"""An empty Typer program: the least that `--help` can cost with this library, which is without rich."""

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def main() -> None:
    """Nothing."""


if __name__ == "__main__":
    app()
