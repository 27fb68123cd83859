"""SLURM files: the schema to the letter, the overlap rule, what filters and assertions do."""

import copy
import json
import tarfile

import numpy as np
import pytest

from rov import Aspa, Prefix, RouteBatch, RouterKey, SlurmError, Snapshot, State, Vrp, VrpIndex, slurm
from rov.columns import common

SKI = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA"
EMPTY = {
    "slurmVersion": 1,
    "validationOutputFilters": {"prefixFilters": [], "bgpsecFilters": []},
    "locallyAddedAssertions": {"prefixAssertions": [], "bgpsecAssertions": []},
}
EMPTY2 = {
    "slurmVersion": 2,
    "validationOutputFilters": {"prefixFilters": [], "bgpsecFilters": [], "aspaFilters": []},
    "locallyAddedAssertions": {"prefixAssertions": [], "bgpsecAssertions": [], "aspaAssertions": []},
}


def document(version=1, **sections):
    """A SLURM file with the entries of the named arrays."""
    value = copy.deepcopy(EMPTY if version == 1 else EMPTY2)
    for name, entries in sections.items():
        section = "validationOutputFilters" if name.endswith("Filters") else "locallyAddedAssertions"
        value[section][name] = entries
    return value


def load(*documents, **options):
    files = [(f"{place}.json", json.dumps(value).encode()) for place, value in enumerate(documents)]
    return slurm.read_bytes(files, **options)


def faults(*documents, **options):
    with pytest.raises(SlurmError) as caught:
        load(*documents, **options)
    return [(path, what) for _, path, what in caught.value.faults]


def vrp(text, max_length, asn):
    return Vrp(Prefix.parse(text), max_length, asn)


def snapshot(*vrps, **parts):
    return Snapshot.from_vrps(vrps, **parts)


def contained(columns, others):
    return common(columns, others)[0]


def test_empty_files_change_nothing():
    whole = snapshot(vrp("192.0.2.0/24", 24, 64496))
    for value in (EMPTY, EMPTY2):
        assert load(value).apply(whole).snapshot is whole


def test_a_byte_order_mark_is_passed_over():
    assert slurm.read_bytes([("x", b"\xef\xbb\xbf" + json.dumps(EMPTY).encode())]).filters == ()


FILTERS, ASSERTIONS = "$.validationOutputFilters", "$.locallyAddedAssertions"


@pytest.mark.parametrize(
    ("sections", "path", "what"),
    [
        ({"prefixFilters": [{}]}, f"{FILTERS}.prefixFilters[0]", "expected asn or prefix, or both"),
        ({"prefixFilters": [{"comment": "x"}]}, f"{FILTERS}.prefixFilters[0]", "expected asn or prefix"),
        ({"prefixFilters": [{"asn": "AS64496"}]}, f"{FILTERS}.prefixFilters[0].asn", "expected a number"),
        ({"prefixFilters": [{"asn": 64496.0}]}, f"{FILTERS}.prefixFilters[0].asn", "expected a number"),
        ({"prefixFilters": [{"asn": True}]}, f"{FILTERS}.prefixFilters[0].asn", "expected a number"),
        ({"prefixFilters": [{"asn": -1}]}, f"{FILTERS}.prefixFilters[0].asn", "expected a number"),
        ({"prefixFilters": [{"asn": 2**32}]}, f"{FILTERS}.prefixFilters[0].asn", "expected a number"),
        ({"prefixFilters": [{"asn": 1, "comment": 2}]}, f"{FILTERS}.prefixFilters[0].comment", "a string"),
        (
            {"prefixFilters": [{"asn": 1, "note": "x"}]},
            f"{FILTERS}.prefixFilters[0]",
            "unknown member 'note'",
        ),
        ({"prefixFilters": [{"prefix": "192.0.2.1/24"}]}, f"{FILTERS}.prefixFilters[0].prefix", "host bits"),
        ({"prefixFilters": [{"prefix": 7}]}, f"{FILTERS}.prefixFilters[0].prefix", "expected a string"),
        ({"prefixFilters": {}}, f"{FILTERS}.prefixFilters", "expected an array"),
        ({"bgpsecFilters": [{"SKI": "Zm9v"}]}, f"{FILTERS}.bgpsecFilters[0].SKI", "expected 20 octets"),
        ({"bgpsecFilters": [{"SKI": SKI + "="}]}, f"{FILTERS}.bgpsecFilters[0].SKI", "without padding"),
        ({"bgpsecFilters": [{"SKI": SKI[:-1] + "B"}]}, f"{FILTERS}.bgpsecFilters[0].SKI", "expected 20"),
        ({"bgpsecFilters": [7]}, f"{FILTERS}.bgpsecFilters[0]", "expected an object"),
        (
            {"prefixAssertions": [{"asn": 1, "prefix": "10.0.0.0/8", "maxPrefixLength": 7}]},
            f"{ASSERTIONS}.prefixAssertions[0].maxPrefixLength",
            "expected a number from 8 to 32",
        ),
        (
            {"prefixAssertions": [{"asn": 1, "prefix": "::/0", "maxPrefixLength": 129}]},
            f"{ASSERTIONS}.prefixAssertions[0].maxPrefixLength",
            "expected a number from 0 to 128",
        ),
        (
            {"prefixAssertions": [{"prefix": "10.0.0.0/8"}]},
            f"{ASSERTIONS}.prefixAssertions[0]",
            "member 'asn' is missing",
        ),
        (
            {"bgpsecAssertions": [{"asn": 1, "SKI": SKI, "routerPublicKey": ""}]},
            f"{ASSERTIONS}.bgpsecAssertions[0].routerPublicKey",
            "expected 1 to 4096 octets",
        ),
    ],
)
def test_each_deviation_is_named_with_its_path(sections, path, what):
    ((found_path, found_what),) = faults(document(**sections))
    assert found_path == path
    assert what in found_what


@pytest.mark.parametrize(
    ("entry", "path", "what"),
    [
        ({"customerAsn": 1, "providerAsns": []}, ".providerAsns", "expected 1 to 10000 ASNs, found 0"),
        ({"customerAsn": 1, "providerAsns": [3, 2]}, ".providerAsns", "ascending"),
        ({"customerAsn": 1, "providerAsns": [2, 2]}, ".providerAsns", "each once"),
        ({"customerAsn": 1, "providerAsns": [1, 2]}, ".providerAsns", "its own providers"),
        ({"customerAsn": 0, "providerAsns": [1]}, ".customerAsn", "expected a number from 1"),
        ({"customerAsn": 1, "providerAsns": [2, "3"]}, ".providerAsns[1]", "expected a number"),
        ({"customerAsn": 1, "providerAsns": 2}, ".providerAsns", "expected an array"),
    ],
)
def test_each_deviation_of_an_aspa_is_named(entry, path, what):
    ((found_path, found_what),) = faults(document(2, aspaAssertions=[entry]))
    assert found_path == f"{ASSERTIONS}.aspaAssertions[0]{path}"
    assert what in found_what


@pytest.mark.parametrize(
    ("text", "path", "what"),
    [
        (b"", "$", "no sound JSON"),
        (b"\xff", "$", "no sound JSON"),
        (b"[" * 100_000, "$", "no sound JSON"),
        (b'{"slurmVersion": NaN}', "$", "no sound JSON"),
        (b"9" * 5000, "$", "no sound JSON"),
        (b"<html>", "$", "no sound JSON"),
        (b"[]", "$", "expected an object"),
        (b'{"slurmVersion": 1, "slurmVersion": 1}', "$", "stands twice"),
    ],
)
def test_what_is_no_slurm_file_is_refused(text, path, what):
    with pytest.raises(SlurmError) as caught:
        slurm.read_bytes([("x.json", text)])
    assert caught.value.faults[0][:2] == ("x.json", path)
    assert what in caught.value.faults[0][2]


def test_a_name_that_stands_twice_in_an_entry_is_refused():
    text = json.dumps(document(prefixFilters=[{"asn": 1}])).replace('"asn": 1', '"asn": 1, "asn": 2')
    with pytest.raises(SlurmError, match=r"prefixFilters\[0\]: a member name stands twice"):
        slurm.read_bytes([("x.json", text.encode())])


def test_versions_and_their_sections():
    assert faults({**EMPTY, "slurmVersion": 3}) == [("$.slurmVersion", "expected 1 or 2, found 3")]
    assert faults({**EMPTY, "slurmVersion": "1"})[0][0] == "$.slurmVersion"
    assert faults({**EMPTY2, "slurmVersion": 1})[0] == (FILTERS, "unknown member 'aspaFilters'")
    assert faults({**EMPTY, "slurmVersion": 2})[0] == (FILTERS, "member 'aspaFilters' is missing")
    assert faults({**EMPTY, "extra": 1}) == [("$", "unknown member 'extra'")]
    assert faults({"slurmVersion": 1})[0][1].endswith("is missing")


def test_every_fault_is_told_not_only_the_first():
    found = faults(document(prefixFilters=[{"asn": "x"}, {}, {"prefix": "10.0.0.1/8"}], bgpsecFilters=[1]))
    assert len(found) == 4


def test_the_list_of_faults_is_bounded():
    with pytest.raises(SlurmError) as caught:
        load(document(prefixFilters=[{}] * 5000))
    assert (len(caught.value.faults), caught.value.count) == (100, 5000)
    assert str(caught.value).endswith("(and 4999 more)")


def test_half_a_character_in_a_comment_is_refused():
    text = json.dumps(document(prefixFilters=[{"asn": 1, "comment": "x"}])).replace('"x"', '"\\ud800"')
    with pytest.raises(SlurmError, match="comment"):
        slurm.read_bytes([("x.json", text.encode())])


def test_customer_asid_is_taken_with_a_warning():
    loaded = load(document(2, aspaFilters=[{"customerAsid": 64496}]))
    assert [entry.customer for entry in loaded.filters] == [64496]
    assert loaded.warnings == (
        f"0.json: {FILTERS}.aspaFilters[0]: 'customerAsid' is taken for 'customerAsn'",
    )


# --- what the entries do


def test_a_prefix_filter_removes_what_it_covers_and_nothing_above_it():
    kept = [vrp("0.0.0.0/0", 32, 1), vrp("10.0.0.0/7", 8, 1), vrp("11.0.0.0/8", 8, 1), vrp("a00::/8", 8, 1)]
    gone = [vrp("10.0.0.0/8", 8, 1), vrp("10.0.0.0/9", 9, 1), vrp("10.1.0.0/16", 32, 2)]
    (effect,) = (
        load(document(prefixFilters=[{"prefix": "10.0.0.0/8"}])).apply(snapshot(*kept, *gone), examples=2)
    ).filters
    applied = load(document(prefixFilters=[{"prefix": "10.0.0.0/8"}])).apply(snapshot(*kept, *gone))
    assert applied.snapshot == snapshot(*kept)
    assert applied.removed == snapshot(*gone)
    assert (effect.count, effect.examples) == (3, tuple(gone[:2]))


def test_asn_filters_stand_alone_or_together_with_a_prefix():
    whole = snapshot(vrp("10.0.0.0/8", 8, 0), vrp("10.0.0.0/8", 8, 1), vrp("2001:db8::/32", 32, 0))
    assert list(load(document(prefixFilters=[{"asn": 0}])).apply(whole).snapshot) == [vrp("10.0.0.0/8", 8, 1)]
    both = load(document(prefixFilters=[{"asn": 0, "prefix": "::/0"}])).apply(whole)
    assert list(both.removed) == [vrp("2001:db8::/32", 32, 0)]
    assert [effect.count for effect in both.filters] == [1]


def test_the_last_prefix_of_a_family_is_no_special_case():
    whole = snapshot(vrp("255.255.255.255/32", 32, 1), vrp("ffff::/16", 128, 1), vrp("0.0.0.0/0", 0, 1))
    for prefix, left in (("255.0.0.0/8", 2), ("ff00::/8", 2), ("0.0.0.0/0", 1), ("::/0", 2)):
        assert len(load(document(prefixFilters=[{"prefix": prefix}])).apply(whole).snapshot) == left


def test_an_assertion_stands_against_its_own_filter():
    entry = {"asn": 64496, "prefix": "192.0.2.0/24"}
    whole = snapshot(vrp("192.0.2.0/24", 24, 64496), vrp("192.0.2.0/24", 25, 64496))
    applied = load(document(prefixFilters=[{"asn": 64496}], prefixAssertions=[entry])).apply(whole)
    assert list(applied.snapshot) == [vrp("192.0.2.0/24", 24, 64496)]
    assert applied.snapshot.of_trust_anchor(slurm.TRUST_ANCHOR) == applied.snapshot
    assert [effect.count for effect in (*applied.filters, *applied.assertions)] == [2, 1]


def test_what_is_validated_and_asserted_appears_once():
    entry = {"asn": 64496, "prefix": "192.0.2.0/24", "maxPrefixLength": 25}
    whole = snapshot(vrp("192.0.2.0/24", 25, 64496))
    applied = load(document(prefixAssertions=[entry])).apply(whole)
    assert applied.snapshot == whole
    assert [effect.count for effect in applied.assertions] == [0]
    assert not applied.added


def test_an_asserted_aspa_joins_what_is_validated_and_replaces_what_is_filtered():
    whole = snapshot(aspas=[Aspa(64496, (64497,)), Aspa(64500, (0,))])
    asserts = [{"customerAsn": 64496, "providerAsns": [64498]}, {"customerAsn": 64500, "providerAsns": [1]}]
    joined = load(document(2, aspaAssertions=asserts)).apply(whole)
    assert joined.snapshot.aspas == (Aspa(64496, (64497, 64498)), Aspa(64500, (1,)))
    replaced = load(document(2, aspaFilters=[{"customerAsn": 64496}], aspaAssertions=asserts)).apply(whole)
    assert replaced.snapshot.aspas[0] == Aspa(64496, (64498,))
    assert [effect.count for effect in (*replaced.filters, *replaced.assertions)] == [1, 1, 1]


def test_router_keys_are_filtered_by_asn_by_ski_and_by_both():
    ski = b"12345678901234567890"
    keys = [RouterKey(1, ski, b"a"), RouterKey(2, ski, b"a"), RouterKey(1, bytes(20), b"a")]
    whole = snapshot(router_keys=keys)
    for entry, left in (({"asn": 1}, {1}), ({"SKI": SKI}, {2}), ({"asn": 2, "SKI": SKI}, {0, 2})):
        applied = load(document(bgpsecFilters=[entry])).apply(whole, examples=5)
        assert set(applied.snapshot.router_keys) == {keys[row] for row in left}
        assert applied.filters[0].count == 3 - len(left)
        assert set(applied.filters[0].examples) == set(keys) - set(applied.snapshot.router_keys)


def test_an_asserted_router_key_is_added():
    entry = {"asn": 1, "SKI": SKI, "routerPublicKey": "Ymx1YmI"}
    applied = load(document(bgpsecAssertions=[entry])).apply(Snapshot.empty())
    assert applied.added.router_keys == (RouterKey(1, b"12345678901234567890", b"blubb"),)


@pytest.mark.realdata
def test_ten_thousand_filters_on_the_real_set(first_snapshot):
    """7 billion comparisons if it were filters times VRPs; told by the trie, which knows no filters."""
    picked = [*first_snapshot.ipv4.take(slice(None, None, 80)).vrps()]
    picked += first_snapshot.ipv6.take(slice(None, None, 50)).vrps()
    of_both = [{"prefix": str(v.prefix), "asn": v.asn} for v in picked[::3]]
    others = [{"prefix": str(v.prefix)} for v in picked[1::3]] + [{"asn": v.asn} for v in picked[2::3]]
    assert len(of_both) + len(others) > 10_000
    applied = load(document(prefixFilters=of_both + others)).apply(first_snapshot)
    assert applied.snapshot | applied.removed == first_snapshot
    assert all(effect.count for effect in applied.filters)

    covers = VrpIndex(Snapshot.from_vrps([Vrp(v.prefix, v.prefix.bits, v.asn) for v in picked[::3] if v.asn]))
    alone = VrpIndex(Snapshot.from_vrps([Vrp(v.prefix, v.prefix.bits, 1) for v in picked[1::3]]))
    asns = [v.asn for v in picked[2::3]]
    for columns in (first_snapshot.ipv4, first_snapshot.ipv6):
        make = RouteBatch.ipv4 if columns.family == 4 else RouteBatch.ipv6
        routes = make(columns.address, columns.length, columns.asn)
        gone = covers.validate_batch(routes) == State.VALID
        gone |= alone.validate_batch(routes) != State.NOT_FOUND
        gone |= np.isin(columns.asn, asns)
        removed = applied.removed.ipv4 if columns.family == 4 else applied.removed.ipv6
        named_zero = columns.asn == 0  # prefix and AS 0: no trie answers for that
        assert not (~contained(columns, removed) & gone).any()
        assert not (contained(columns, removed) & ~gone & ~named_zero).any()


# --- several files


def test_files_that_speak_of_different_things_are_joined():
    a = document(prefixFilters=[{"prefix": "10.0.0.0/8"}, {"asn": 1}], bgpsecFilters=[{"SKI": SKI}])
    b = document(prefixAssertions=[{"prefix": "11.0.0.0/8", "asn": 1}], prefixFilters=[{"asn": 1}])
    assert len(load(a, b, document(bgpsecFilters=[{"SKI": SKI}])).filters) == 5


@pytest.mark.parametrize("swapped", [False, True])
def test_an_address_in_two_files_refuses_both(swapped):
    files = [
        document(prefixFilters=[{"prefix": "10.0.0.0/8"}]),
        document(prefixAssertions=[{"prefix": "10.1.0.0/16", "asn": 1}]),
    ]
    files = files[::-1] if swapped else files
    ((_, what),) = faults(*files)
    assert what.startswith("10.1.0.0/16 lies in 10.0.0.0/8 of ")
    assert len(load(*files, allow_overlap=True).filters) == 1


def test_an_overlap_is_seen_through_a_prefix_of_the_same_file_between():
    a = document(prefixFilters=[{"prefix": "10.0.0.0/8"}])
    b = document(prefixFilters=[{"prefix": "10.0.0.0/9"}, {"prefix": "10.0.0.0/10"}])
    assert [what.split(" lies")[0] for _, what in faults(a, b)] == ["10.0.0.0/9", "10.0.0.0/10"]


def test_an_asn_of_router_keys_or_aspas_in_two_files_refuses_both():
    key = {"asn": 7, "SKI": SKI, "routerPublicKey": "Ymx1YmI"}
    assert faults(document(bgpsecFilters=[{"asn": 7}]), document(bgpsecAssertions=[key]))
    aspa = {"customerAsn": 7, "providerAsns": [8]}
    assert faults(document(2, aspaFilters=[{"customerAsn": 7}]), document(2, aspaAssertions=[aspa]))
    assert len(load(document(bgpsecFilters=[{"asn": 7}]), document(2, aspaAssertions=[aspa])).filters) == 1


def test_a_bad_file_refuses_the_good_one_too():
    assert len(faults(EMPTY, document(prefixFilters=[{}]))) == 1


def test_a_file_given_twice_is_refused(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(EMPTY))
    with pytest.raises(SlurmError, match="given twice"):
        slurm.read(path, path)


# --- files of others


@pytest.fixture(scope="module")
def samples(data):
    with tarfile.open(data("slurm/slurm_and_small_vrp_json_samples.tar.xz")) as archive:
        return {
            name.removeprefix("./"): archive.extractfile(name).read()
            for name in archive.getnames()
            if archive.getmember(name).isfile()
        }


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "filters", "assertions"),
    [
        ("fort_demo.slurm", 4, 2),
        ("rpki-rs_slurm_full.json", 6, 3),
        ("rpki-rs_slurm_full_v2.json", 7, 4),
        ("routinator_111.slurm", 0, 4),
        ("routinator_111.slurm2", 0, 6),
    ],
)
def test_files_of_other_programs_are_read(samples, name, filters, assertions):
    found = slurm.read_bytes([(name, samples[name])])
    assert (len(found.filters), len(found.assertions)) == (filters, assertions)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("ripe-validator3_slurm1.json", "expected 20 octets"),
        ("stayrtr_slurm.json", "member 'aspaFilters' is missing"),
        ("stayrtr_test.slurm.json", "member 'bgpsecAssertions' is missing"),
        ("routinator_full.json", "expected 20 octets"),
    ],
)
def test_files_that_deviate_are_refused(samples, name, first):
    with pytest.raises(SlurmError, match=first):
        slurm.read_bytes([(name, samples[name])])
