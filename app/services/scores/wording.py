"""Numbers in words: singular and plural, and as many decimals as tell two numbers apart."""

_MOST_DECIMALS = 4


def count(number: float | str, noun: str) -> str:
    """Return a number of things in words: 1 day, 2 days."""
    shown = number if isinstance(number, str) else f"{number:.0f}"
    return f"{shown} {noun}" if shown == "1" else f"{shown} {noun}s"


def apart(value: float, reference: float, least: int = 0) -> tuple[str, str]:
    """Return two numbers in the fewest decimals, `least` or more, that tell them apart.

    Equal ones, or as good as equal, have no more than `least`.
    """
    for decimals in range(least, _MOST_DECIMALS + 1):
        own, other = f"{value:.{decimals}f}", f"{reference:.{decimals}f}"
        if float(own) != float(other):
            return (own, other) if least else (plain(own), plain(other))
    return f"{value:.{least}f}", f"{reference:.{least}f}"


def plain(number: str) -> str:
    """Return a decimal number without zeros at its end."""
    return number.rstrip("0").rstrip(".") if "." in number else number
