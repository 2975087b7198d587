"""The readable names in a simulated log."""

VALUES: dict[str, list[str]] = {
    "device": ["phone", "tablet", "desktop", "laptop", "tv", "console"],
    "hour": [str(hour) for hour in range(24)],
    "weekday": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
    "country": ["AT", "BE", "DE", "ES", "FR", "GB", "IT", "NL", "PL", "SE"],
    "site": [
        f"{first}-{second}"
        for first in ("daily", "evening", "metro", "north", "river", "sunday")
        for second in ("herald", "journal", "mail", "post")
    ],
    "section": [
        "home", "news", "sport", "money", "travel", "food", "style", "science", "games", "weather",
    ],
    "category": [
        "bikes", "books", "cars", "coffee", "fashion", "flights", "furniture", "garden", "hotels",
        "insurance", "jewellery", "laptops", "phones", "shoes", "toys", "wine",
    ],
    "format": ["banner", "skyscraper", "native", "video", "carousel"],
}  # fmt: skip
AGES = ["18-24", "25-34", "35-44", "45-54", "55-64", "65+"]
INTERESTS = [
    "cinema", "cooking", "cycling", "diy", "gaming", "gardening", "hiking", "music", "painting",
    "photography", "reading", "running", "sailing", "theatre", "travel", "yoga",
]  # fmt: skip


def advertisers() -> list[str]:
    """Names of the advertisers."""
    firsts = (
        "alder",
        "birch",
        "cedar",
        "elm",
        "hazel",
        "juniper",
        "maple",
        "oak",
        "rowan",
        "willow",
    )
    return [
        f"{first}-{second}" for first in firsts for second in ("and-co", "direct", "house", "store")
    ]


def ads(count: int) -> list[str]:
    """Names of `count` ads."""
    return [f"ad-{number:04}" for number in range(1, count + 1)]


def users(count: int) -> list[str]:
    """Names of `count` users."""
    return [f"user-{number:06}" for number in range(1, count + 1)]
