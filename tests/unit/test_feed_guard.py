"""Losses, the guard that judges them, the age of data, and how sources are joined."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rov import Aspa, Snapshot, VrpColumns
from rtr_server.config.sources import Guard as GuardPolicy
from rtr_server.config.sources import Policy, Stale, Watch
from rtr_server.config.values import Seconds, Share, network
from rtr_server.feed import losses
from rtr_server.feed.feed import FeedError
from rtr_server.feed.guard import Guard
from rtr_server.feed.merge import differences, merge, provenance
from rtr_server.feed.messages import Losses
from rtr_server.feed.stale import REPEAT, skewed
from rtr_server.feed.stale import Stale as Staleness


def vrps(*asns, expires=None, ta=None, names=("x",)):
    """One VRP for 0.0.0.0/8 for each ASN."""
    count = len(asns)
    columns = VrpColumns.ipv4([0] * count, [8] * count, [8] * count, list(asns), expires, ta)
    return Snapshot.build(columns, trust_anchors=names)


# Losses


def test_what_expires_or_is_filtered_is_not_lost():
    base = vrps(1, 2, 3, 4, expires=[0, 500, 0, 0])
    found = losses.find(base, vrps(4), 600, by_slurm=vrps(3))
    assert (found.withdrawn, found.expired, found.by_slurm, found.lost) == (3, 1, 1, 1)
    assert found.sample == ("0.0.0.0/8-8 AS1",)


def test_losses_are_counted_by_trust_anchor_asn_and_watch():
    base = vrps(1, 2, 3, ta=[0, 0, 1], names=("x", "y"))
    watch = (Watch(asn=1), Watch(prefix=network("0.0.0.0/4")), Watch(prefix=network("16.0.0.0/4")))
    found = losses.find(base, vrps(2), 0, watch=watch, sources={"a": vrps(1), "b": vrps(2)})
    assert found.trust_anchors == (("x", 2, 1, 1), ("y", 1, 1, 1))
    assert found.asns == ((1, 1), (3, 1))
    assert found.watched == (("AS1", 1, 1), ("0.0.0.0/4", 3, 2), ("16.0.0.0/4", 0, 0))
    assert dict(found.lacking) == {"a": 0.5, "b": 1.0}
    for word in ("3 VRPs are served", "x 1 of 2", "AS1 1", "0.0.0.0/4 2 of 3", "b 100%", "  0.0.0.0/8-8 AS1"):
        assert word in losses.text(found)


# Guard


def lost(count, before=10_000, **fields):
    return Losses(before=before, withdrawn=count, lost=count, **fields)


def test_small_losses_pass_and_large_ones_are_held():
    guard = Guard(GuardPolicy())
    assert guard.judge(None, 0), "nothing was served before"
    assert guard.judge(lost(1_000), 0)
    assert not guard.judge(lost(1_001), 0)
    assert guard.held.reasons == ("1,001 of 10,000 VRPs lost, 10.0%: at most 10%",)
    assert guard.judge(lost(500, before=999), 0), "shares of a small set say nothing"
    assert guard.held is None


@pytest.mark.parametrize(
    ("anchor", "reason"),
    [
        (("x", 4_000, 1_001, 1_001), "1,001 of 4,000 VRPs of trust anchor x lost, 25.0%: at most 25%"),
        (("x", 5, 5, 1), "all 5 VRPs of trust anchor x would be gone"),
        (("x", 5, 5, 0), None),
        (("x", 900, 899, 899), None),
    ],
    ids=["too many", "empty", "expired", "small"],
)
def test_trust_anchors_are_judged_by_themselves(anchor, reason):
    guard = Guard(GuardPolicy())
    assert guard.judge(lost(10, trust_anchors=(anchor,)), 0) == (reason is None)
    if reason:
        assert guard.held.reasons == (reason,)


def test_what_is_watched_is_judged_by_itself():
    guard = Guard(GuardPolicy(watch=(Watch(asn=7), Watch(asn=8, max_loss=Share(0.5)))))
    assert guard.judge(lost(1, watched=(("AS7", 3, 0), ("AS8", 4, 2))), 0)
    assert not guard.judge(lost(1, watched=(("AS7", 3, 1), ("AS8", 4, 2))), 0)
    assert guard.held.reasons == ("1 of 3 VRPs of AS7 lost, 33.3%: at most 0%",)


def test_the_clock_of_an_episode_runs_on():
    guard = Guard(GuardPolicy(accept_after=Seconds(100)))
    assert not guard.judge(lost(5_000), 1_000)
    assert not guard.judge(lost(5_001), 1_099)
    assert guard.due() == 1_100
    assert guard.judge(lost(5_001), 1_100)
    guard.end()
    assert guard.holds == 1
    assert not guard.judge(lost(5_000), 2_000)
    assert (guard.due(), guard.holds) == (2_100, 2)


def test_sources_that_agree_let_it_pass():
    guard = Guard(GuardPolicy(accept_agreeing=2))
    assert not guard.judge(lost(5_000, lacking=(("a", 1.0), ("b", 0.98), ("c", 0.2))), 0)
    assert guard.judge(lost(5_000, lacking=(("a", 1.0), ("b", 0.99), ("c", 0.2))), 0)


def test_an_episode_survives_a_restart(tmp_path):
    policy = GuardPolicy(accept_after=Seconds(100))
    Guard(policy, tmp_path / "held").judge(lost(5_000), 1_000)
    again = Guard(policy, tmp_path / "held")
    assert not again.judge(lost(5_000), 1_050)
    assert again.due() == 1_100
    again.reject()
    rejected = Guard(policy, tmp_path / "held")
    assert not rejected.judge(lost(5_000), 9_000)
    assert rejected.due() is None
    rejected.end()
    assert not os.path.exists(tmp_path / "held")


def test_a_damaged_episode_is_none(tmp_path):
    (tmp_path / "held").write_bytes(b"\xc1")
    assert Guard(GuardPolicy(), tmp_path / "held").episode is None


# Age


def test_age_is_told_when_it_changes_and_each_hour():
    stale = Staleness(Stale(after=Seconds(10_000)))
    seen = [stale.look(0, now) for now in (0, 5_001, 5_002, 5_001 + REPEAT, 10_001, 10_002)]
    assert [each.level for each in seen] == ["fresh", "aging", "aging", "aging", "stale", "stale"]
    assert [each.told for each in seen] == [False, True, False, True, True, False]
    assert stale.stale
    assert stale.look(10_000, 10_003).told, "fresh again"


def test_only_data_of_the_future_are_a_matter_of_clocks():
    assert skewed(10_000, 6_399)
    assert not skewed(10_000, 6_400)
    assert not skewed(0, 10_000)


# Merging

SETS = st.lists(st.sets(st.integers(1, 12)), min_size=1, max_size=4)


@given(SETS, st.sampled_from(["any", "union", "intersection", "quorum"]), st.data())
def test_merging_is_set_algebra(sets, combine, data):
    quorum = data.draw(st.integers(1, len(sets))) if combine == "quorum" else None
    merged = merge({place: vrps(*each) for place, each in enumerate(sets)}, Policy(combine, quorum))
    wanted = {
        "any": sets[0],
        "union": set.union(*sets),
        "intersection": set.intersection(*sets),
        "quorum": {asn for asn in range(13) if sum(asn in each for each in sets) >= (quorum or 0)},
    }[combine]
    assert merged.snapshot.ipv4.asn.tolist() == sorted(wanted)
    masks, _ = provenance(merged.snapshot, {place: vrps(*each) for place, each in enumerate(sets)})
    assert masks.tolist() == [
        sum(1 << place for place, each in enumerate(sets) if asn in each) for asn in sorted(wanted)
    ]


def test_objects_are_merged_too():
    one, two = (Snapshot.build(aspas=[Aspa(1, providers), Aspa(2, (9,))]) for providers in ((5,), (6,)))
    assert merge({0: one, 1: two}, Policy("union")).snapshot.aspas == (Aspa(1, (5, 6)), Aspa(2, (9,)))
    assert merge({0: one, 1: two}, Policy("intersection")).snapshot.aspas == (Aspa(2, (9,)),)


def test_too_few_sources_change_nothing():
    with pytest.raises(FeedError, match="1 of the sources usable: expected 2 at least"):
        merge({1: vrps(1)}, Policy("quorum", 2))
    with pytest.raises(FeedError):
        merge({}, Policy())


def test_differences_are_those_from_all_others():
    found = differences({"a": vrps(1, 2), "b": vrps(2, 3), "c": vrps(2, 3)})
    assert [(each.name, len(each.only), len(each.lacks)) for each in found] == [
        ("a", 1, 1),
        ("b", 0, 0),
        ("c", 0, 0),
    ]
