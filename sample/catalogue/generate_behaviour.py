"""Rebuild the sample shop's visitors: users.jsonl and events.jsonl from items and comments.

Each visitor has two or three interests (leaf categories), favourite brands and tags, and a budget.
A session is a walk: on to a similar item, on to something that goes with the last one, or back to
the visitor's own taste, with some wandering among what everybody looks at.
A view may become a click, a cart and at the end of the session a purchase; once something is in the
cart, the walk prefers what belongs to it (tent, pegs, sleeping mat): goes_with.json says which
leaves belong together, and within them the items that share tags and brand.
Comments are not made up here: they are read from comments.jsonl, and each goes to a visitor who
bought the item, or, if it tells of long ownership (`owned_before`), to one who fancies its leaf.

The walk never sees an item before it is published or after it expires, and leaves a few items
untouched.
The script knows nothing about the recommender and needs numpy alone.
The same files in give the same bytes out:

    python sample/catalogue/generate_behaviour.py           # writes both files
    python sample/catalogue/generate_behaviour.py --check   # exits 1 when they are out of date
"""

import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parent
SEED = 20261115
START, END = datetime(2026, 9, 14, tzinfo=UTC), datetime(2026, 11, 16, tzinfo=UTC)
CLOCKS_BACK = datetime(2026, 10, 25, 1, tzinfo=UTC)  # summer time ends
USERS = 260
BROWSING = 7_300  # events to plan sessions for; checkouts and comments come on top
BUSIEST = 150  # the most of them one visitor makes
UNTOUCHED = 9  # items that no visitor ever meets
COUNTRIES = {
    "DE": 26, "FR": 13, "NL": 10, "GB": 14, "IE": 5, "AT": 7, "BE": 6, "CH": 7, "NO": 5,
    "DK": 5, "SE": 5, "ES": 6, "IT": 8, "PL": 5,
}  # fmt: skip
HOUR_WEIGHTS = np.array(  # share of visits by local hour: a lunch bump and a long evening
    [4, 2, 1, 1, 1, 2, 6, 14, 20, 24, 26, 28, 36, 32, 26, 26, 28, 34, 44, 58, 66, 60, 36, 14], float
)
WEEKDAY_WEIGHTS = np.array([1.0, 0.95, 0.95, 1.0, 0.9, 1.15, 1.45])  # Monday first


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The items as arrays over the same n positions, and how one item leads to another.

    similar, complement: float64 (n, n), rows sum to 1 (a few entries each, the rest 0).
    appeal: float64 (n,), mean about 1, skewed; published, expires: POSIX seconds (n,).
    """

    ids: list[str]
    leaves: np.ndarray
    brands: np.ndarray
    seasons: np.ndarray
    tags: list[frozenset[str]]
    prices: np.ndarray
    consumable: np.ndarray
    published: np.ndarray
    expires: np.ndarray
    appeal: np.ndarray
    similar: np.ndarray
    complement: np.ndarray


@dataclass(slots=True)
class Visitor:
    """One user: what they like (taste: float64 (n,), unnormalised) and what they have done."""

    id: str
    country: str
    member: bool
    interests: list[str]
    taste: np.ndarray
    budget_events: float
    carted: set[int] = field(default_factory=set)
    bought: dict[int, datetime] = field(default_factory=dict)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the JSON objects of a file that holds one a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def draw(rng: np.random.Generator, weights: np.ndarray) -> int:
    """Return a position with probability proportional to its weight (some weight must be > 0)."""
    edges = np.cumsum(weights)
    return int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))


def seconds(text: str | None) -> float:
    """Return POSIX seconds of an ISO time; infinity for None."""
    return datetime.fromisoformat(text).timestamp() if text else float("inf")


def build_catalogue(
    rng: np.random.Generator,
    items: list[dict[str, Any]],
    comments: list[dict[str, Any]],
    partners: dict[str, list[str]],
) -> Catalogue:
    """Lay the items out as arrays; what is much talked about is also much looked at."""
    tags = [frozenset(item["tags"]) for item in items]
    leaves = np.array([item["categories"][-1] for item in items])
    brands = np.array([item["brand"] for item in items])
    shared = np.array([[len(a & b) / len(a | b) for b in tags] for a in tags])
    alike = shared + 0.25 * (brands[:, None] == brands[None, :])
    alike = alike + 0.35 * rng.random(alike.shape)  # what no text tells, and only behaviour shows
    np.fill_diagonal(alike, -1.0)
    same_leaf = leaves[:, None] == leaves[None, :]
    goes_with = np.array([[b in partners[a] for b in leaves] for a in leaves])
    spoken = Counter(comment["item"] for comment in comments)
    counts = np.array([spoken[item["id"]] for item in items], float)
    appeal = np.exp(0.5 * counts + 0.6 * rng.standard_normal(len(items)))
    quiet = np.flatnonzero(counts == 0)
    appeal[rng.permutation(quiet)[:UNTOUCHED]] = 0.0
    return Catalogue(
        ids=[item["id"] for item in items],
        leaves=leaves,
        brands=brands,
        seasons=np.array([item["attributes"]["season"] for item in items]),
        tags=tags,
        prices=np.array([item["price"] for item in items]),
        consumable=np.array(["consumable" in own for own in tags]),
        published=np.array([seconds(item["published_at"]) for item in items]),
        expires=np.array([seconds(item["expires_at"]) for item in items]),
        appeal=appeal / appeal.mean(),
        similar=nearest(np.where(same_leaf, alike, -1.0), 4),
        complement=nearest(np.where(goes_with, alike, -1.0), 4),
    )


def nearest(closeness: np.ndarray, k: int) -> np.ndarray:
    """Keep each row's k largest entries, halving from one to the next; rows sum to 1."""
    steps = np.zeros_like(closeness)
    order = np.argsort(-closeness, axis=1, kind="stable")[:, :k]
    np.put_along_axis(steps, order, 0.5 ** np.arange(k)[None, :], axis=1)
    steps /= steps.sum(axis=1, keepdims=True)
    return steps


def invite(rng: np.random.Generator, shop: Catalogue, partners: dict[str, list[str]]) -> list[Visitor]:
    """Return the visitors; a tenth of them come once and do one to three things."""
    leaves = sorted(partners)
    drawn = np.sqrt([shop.appeal[shop.leaves == leaf].sum() for leaf in leaves])
    wanted = np.exp(0.75 * rng.standard_normal(USERS))
    rare = rng.permutation(USERS)[: USERS // 10]
    wanted *= (BROWSING - 2 * len(rare)) / np.delete(wanted, rare).sum()
    wanted = np.clip(wanted, 4.0, BUSIEST)
    wanted[rare] = 1 + np.floor(3 * rng.random(len(rare)))
    visitors = []
    for number in range(USERS):
        first = leaves[draw(rng, drawn)]
        interests = [first, partners[first][draw(rng, np.ones(len(partners[first])))]]
        if rng.random() < 0.55:
            interests.append(leaves[draw(rng, drawn)])
        interests = list(dict.fromkeys(interests))
        country = list(COUNTRIES)[draw(rng, np.array(list(COUNTRIES.values()), float))]
        member = bool(rng.random() < 0.45)
        taste = fancy(rng, shop, interests)
        visitors.append(Visitor(f"u{number + 1:03d}", country, member, interests, taste, wanted[number]))
    return visitors


def fancy(rng: np.random.Generator, shop: Catalogue, interests: list[str]) -> np.ndarray:
    """Return a taste, float64 (n,): leaf, brand, tags and budget; appeal comes on top of it."""
    mine = np.isin(shop.leaves, interests)
    brands = rng.permutation(np.unique(shop.brands[mine]))[:2]
    known = sorted(set().union(*(shop.tags[i] for i in np.flatnonzero(mine))))
    liked = set(rng.permutation(np.array(known))[:5].tolist())
    taste = np.full(len(shop.ids), 0.02)
    for rank, leaf in enumerate(interests):
        taste[shop.leaves == leaf] = (1.0, 0.7, 0.6)[rank]
    taste *= np.where(np.isin(shop.brands, brands), 2.0, 1.0)
    taste *= np.array([1.0 + 1.2 * len(own & liked) for own in shop.tags])
    purse = np.exp(4.0 + 0.7 * rng.standard_normal())  # EUR spent without thinking twice
    weighed: np.ndarray = taste * np.where(shop.prices > 2.5 * purse, 0.35, 1.0)
    return weighed


def open_shelf(shop: Catalogue, now: datetime) -> np.ndarray:
    """Return what is on sale at `now` and how much the season favours it, float64 (n,)."""
    stamp = now.timestamp()
    autumn = (now - START) / (END - START)  # 0 in mid-September, 1 in mid-November
    favour = np.ones(len(shop.ids))
    favour[shop.seasons == "summer"] = 1.2 - 0.8 * autumn
    favour[shop.seasons == "winter"] = 0.5 + 1.3 * autumn
    favour[shop.seasons == "autumn"] = 1.5
    on_sale = (shop.published < stamp) & (shop.expires > stamp)
    return np.where(on_sale, shop.appeal * favour, 0.0)


def visit_times(rng: np.random.Generator, country: str, count: int) -> list[datetime]:
    """Return `count` sorted starts of a visit in UTC, in the waking hours of the country."""
    span = (END - START).days
    days = np.array([WEEKDAY_WEIGHTS[(START + timedelta(days=d)).weekday()] for d in range(span)])
    days = days * (1.0 + 0.5 * np.arange(span) / span)  # busier towards the holidays
    starts = []
    for _ in range(count):
        local = START + timedelta(days=draw(rng, days), hours=draw(rng, HOUR_WEIGHTS))
        local += timedelta(seconds=int(3600 * rng.random()))
        ahead = (country not in {"GB", "IE"}) + (local < CLOCKS_BACK)
        starts.append(max(START, local - timedelta(hours=ahead)))
    return sorted(starts)


def walk(
    rng: np.random.Generator, shop: Catalogue, who: Visitor, now: datetime, length: int
) -> list[dict[str, Any]]:
    """Return the events of one session of up to about `length` events; updates the visitor."""
    events: list[dict[str, Any]] = []
    cart: list[int] = []
    seen: set[int] = set()

    def note(kind: str, at: int, pause_s: float, value: float | None = None) -> None:
        nonlocal now
        now += timedelta(seconds=int(pause_s * (0.3 + 1.4 * rng.random())))
        events.append({"user": who.id, "item": shop.ids[at], "type": kind, "time": now, "value": value})

    shelf = open_shelf(shop, now)
    shelf[[i for i in who.bought if not shop.consumable[i]]] = 0.0
    last = None
    while len(events) < length:
        chance = rng.random()
        weights = shelf * who.taste
        if cart and chance < 0.5:
            weights = shop.complement[cart[draw(rng, np.ones(len(cart)))]] * np.sqrt(weights)
        elif last is not None and chance < 0.62:
            toward = shop.complement if chance < 0.18 else shop.similar
            weights = toward[last] * np.sqrt(weights)
        elif chance > 0.93:
            weights = shelf
        elif chance > 0.85 and who.carted - seen:
            weights = shelf * np.isin(np.arange(len(shelf)), sorted(who.carted))
        weights = np.where(np.isin(np.arange(len(shelf)), sorted(seen)), 0.0, weights)
        if weights.sum() <= 0.0:
            weights = shelf * who.taste
        last = draw(rng, weights)
        seen.add(last)
        keen = who.taste[last] / (who.taste[last] + 0.9)
        belongs = bool(cart) and shop.complement[cart][:, last].max() > 0.0
        if belongs:
            keen = max(keen, 0.65)
        note("view", last, 75)
        if keen < 0.1 and rng.random() < 0.12:
            note("dislike", last, 12)
            continue
        if rng.random() < 0.15 + 0.55 * keen:
            note("click", last, 22)
            if rng.random() < 0.06:
                note("share", last, 40)
            wish = 0.2 + 0.42 * keen
            if belongs:
                wish += 0.4
            elif shop.leaves[last] in shop.leaves[cart]:
                wish *= 0.3  # nobody needs two of the same kind
            if rng.random() < wish:
                note("cart", last, 45)
                cart.append(last)
    pays = rng.random() < (0.86 if who.member else 0.72)
    kept = [i for i in cart if pays and rng.random() < 0.9]
    who.carted = (who.carted | set(cart)) - set(kept)
    for place, at in enumerate(kept):
        note("purchase", at, 1 if place else 150, float(shop.prices[at]))
        who.bought[at] = now
    return events


def live(rng: np.random.Generator, shop: Catalogue, who: Visitor) -> list[list[dict[str, Any]]]:
    """Return a visitor's sessions over the nine weeks, in order."""
    left = round(who.budget_events)
    lengths = []
    while left > 0:
        lengths.append(min(left, 3 + int(11 * rng.random())))
        left -= lengths[-1]
    sessions: list[list[dict[str, Any]]] = []
    for start, length in zip(visit_times(rng, who.country, len(lengths)), lengths, strict=True):
        if sessions and start <= sessions[-1][-1]["time"] + timedelta(minutes=30):
            start = sessions[-1][-1]["time"] + timedelta(minutes=45)
        events = walk(rng, shop, who, start, length)
        if who.budget_events <= 3:
            events = events[: int(who.budget_events)]
            who.bought.clear()
        sessions.append([event for event in events if event["time"] < END])
    return [session for session in sessions if session]


def speak(
    rng: np.random.Generator,
    shop: Catalogue,
    visitors: list[Visitor],
    comments: list[dict[str, Any]],
) -> list[list[dict[str, Any]]]:
    """Give each comment to a visitor and a moment; one that suits nobody is left out."""
    said: set[tuple[str, int]] = set()
    talk: list[list[dict[str, Any]]] = []
    for comment in (comments[i] for i in rng.permutation(len(comments))):
        at = shop.ids.index(comment["item"])
        active = [who for who in visitors if who.budget_events > 3 and (who.id, at) not in said]
        if comment["owned_before"]:
            able = [w for w in active if shop.leaves[at] in w.interests and at not in w.bought]
        else:
            able = [w for w in active if at in w.bought]
        if not able:
            continue
        who = able[draw(rng, np.ones(len(able)))]
        earliest = who.bought.get(at, START) + timedelta(days=3)
        latest = min(END.timestamp(), shop.expires[at], (earliest + timedelta(days=21)).timestamp())
        times = [t for t in visit_times(rng, who.country, 60) if earliest < t]
        times = [t for t in times if t.timestamp() < latest]
        if not times:
            continue
        said.add((who.id, at))
        event = {"user": who.id, "item": shop.ids[at], "type": "comment", "time": times[0]}
        before, after = (timedelta(seconds=30 + int(150 * rng.random())) for _ in range(2))
        talk.append([event | {"type": "view", "time": times[0] - before}])
        talk[-1].append(event | {"text": comment["text"]})
        if comment["polarity"] == "negative" and rng.random() < 0.3:
            talk[-1].append(event | {"type": "dislike", "time": times[0] + after})
    return talk


def number(sessions: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Name sessions and events in order of time and return the events sorted by it."""
    sessions = sorted(sessions, key=lambda events: (events[0]["time"], events[0]["user"]))
    rows = [
        event | {"session": f"s{place + 1:05d}"} for place, events in enumerate(sessions) for event in events
    ]
    rows.sort(key=lambda row: row["time"])
    ordered = []
    for place, row in enumerate(rows):
        text = {"text": row["text"]} if "text" in row else {}
        ordered.append(
            {"event_key": f"ev-{place + 1:05d}", "user": row["user"], "item": row["item"]}
            | {"type": row["type"], "time": row["time"].strftime("%Y-%m-%dT%H:%M:%SZ")}
            | {"session": row["session"], "value": row.get("value")}
            | text
        )
    return ordered


def build(folder: Path) -> dict[str, str]:
    """Return the text of users.jsonl and events.jsonl made from the sources in `folder`."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    comments = read_rows(folder / "comments.jsonl")
    partners = json.loads((folder / "goes_with.json").read_text(encoding="utf-8"))
    shop = build_catalogue(rng, read_rows(folder / "items.jsonl"), comments, partners)
    visitors = invite(rng, shop, partners)
    sessions = [session for who in visitors for session in live(rng, shop, who)]
    events = number(sessions + speak(rng, shop, visitors, comments))
    users = [
        {
            "id": who.id,
            "attributes": {
                "country": who.country,
                "member": who.member,
                "interests": who.interests,
            },
        }
        for who in visitors
    ]
    return {"users.jsonl": dump(users), "events.jsonl": dump(events)}


def dump(rows: list[dict[str, Any]]) -> str:
    """Return one JSON object a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main() -> int:
    """Write the two files, or compare them with what is there when `--check` is given."""
    made = build(FOLDER)
    if "--check" in sys.argv[1:]:
        stale = [n for n, text in made.items() if (FOLDER / n).read_bytes() != text.encode()]
        print("out of date: " + ", ".join(stale) if stale else "up to date")
        return 1 if stale else 0
    for name, text in made.items():
        (FOLDER / name).write_bytes(text.encode())
        print(f"{name}: {text.count(chr(10))} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
