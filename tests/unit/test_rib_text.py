"""Tables as text: each format recognised and read, real files counted by other means, bad lines."""

import gzip

import pytest

import rov
from rov.rib import read_table
from rov.rib.text import detect
from tests.rib_rows import rows_of


@pytest.fixture
def read(tmp_path):
    def read(text, name="table"):
        path = tmp_path / name
        path.write_bytes(text.encode())
        return read_table(path)

    return read


BGPDUMP = (
    "TABLE_DUMP2|1277971199|B|202.249.2.169|2497|192.0.2.0/24|2497 2914 64496|IGP|202.249.2.169|0|0||NAG||\n"
    "TABLE_DUMP2|1277971199|B|202.249.2.20|4777|192.0.2.0/24|4777 64496|IGP|202.249.2.20|0|0||NAG||\n"
    "TABLE_DUMP2|1277971199|B|202.249.2.20|4777|192.0.2.0/24|4777 {64496,64497}|IGP|202.249.2.20|0|0||NAG||\n"
    "BGP4MP|1277971199|W|202.249.2.20|4777|198.51.100.0/24\n"
    "BGP4MP|1277971199|STATE|202.249.2.20|4777|1|2\n"
    "BGP4MP_ET|1277971199.5|A|2001:db8::1|4777|2001:db8::/32|4777 1.10|IGP|::|0|0||NAG||\n"
    "BGP4MP|1277971199|A|202.249.2.20|4777|203.0.113.0/24||IGP|::|0|0||NAG||\n"
    "BGP4MP|1277971199|A|202.249.2.20|4777|203.0.113.0/24|4777 (64496)|IGP|::|0|0||NAG||\n"
)


def test_bgpdump(read):
    table = read(BGPDUMP)
    assert rows_of(table) == [
        ("192.0.2.0/24", 0, 1),
        ("192.0.2.0/24", 64496, 2),
        ("203.0.113.0/24", 0, 1),
        ("2001:db8::/32", 65546, 1),
    ]
    counts = table.counts
    assert (counts.entries, counts.as_set, counts.empty_path, counts.withdrawn) == (6, 1, 2, 1)
    assert [(str(peer.address), peer.asn) for peer in table.peers[1:]] == [
        ("202.249.2.169/32", 2497),
        ("202.249.2.20/32", 4777),
        ("2001:db8::1/128", 4777),
    ]
    assert table.ipv4.carried_by(1).tolist() == [False, True, False]
    assert table.ipv4.carried_by(2).tolist() == [True, True, True]
    assert table.ipv4.carried_by(99).tolist() == [False] * 3


def test_bgpdump_with_add_path(read):
    line = "TABLE_DUMP2_AP|1452168107|B|10.0.15.1|65015|10.0.10.0/24|36|65015 65011|IGP|::|0|0||NAG||\n"
    bad = "TABLE_DUMP2_AP|1452168107|B|10.0.15.1|65015|10.0.10.0/24|65015 65011|IGP|::|0|0||NAG||\n"
    table = read(line + line + bad)
    assert rows_of(table) == [("10.0.10.0/24", 65011, 1)]
    assert table.counts.skipped == 1


def test_ris_whois_states_the_number_of_peers(read):
    table = read("% comment\n\n64496\t192.0.2.0/24\t17\n{1,2}\t192.0.2.0/24\t1\n{3}\t192.0.2.0/24\t5\n")
    assert rows_of(table) == [("192.0.2.0/24", 0, 5), ("192.0.2.0/24", 64496, 17)]
    assert table.counts.as_set == 2
    assert table.ipv4.peer_sets is None
    with pytest.raises(rov.ArgumentError, match="which peers"):
        table.ipv4.carried_by(0)


def test_a_line_with_one_bad_origin_among_several_is_left_out_whole(read):
    bad = "192.0.2.0\t24\t64496_x\n2001:db8::\t32\t1_2_3.x\n"
    table = read("198.51.100.0\t24\t64497_64498\n" * 3 + bad)
    assert [row[:2] for row in rows_of(table)] == [("198.51.100.0/24", 64497), ("198.51.100.0/24", 64498)]
    assert table.counts.skipped == 2


def test_pfx2as_has_several_origins_and_sets(read):
    table = read("192.0.2.0\t24\t64496_64497\n198.51.100.0\t24\t64496_64497,64498\n2001:db8::\t32\t1\n")
    assert rows_of(table) == [
        ("192.0.2.0/24", 64496, 1),
        ("192.0.2.0/24", 64497, 1),
        ("198.51.100.0/24", 0, 1),
        ("198.51.100.0/24", 64496, 1),
        ("2001:db8::/32", 1, 1),
    ]


def test_pyasn(read):
    assert rows_of(read("; IP-ASN32-DAT file\n; \n192.0.2.0/24\t64496\n")) == [("192.0.2.0/24", 64496, 1)]


@pytest.mark.parametrize(
    "text",
    [
        'prefix,origin_asn,peers\n192.0.2.0/24,64496,7\n198.51.100.0/24,,2\n192.0.2.0/24,"{1,2}",3\n',
        "Peers;how;Origin;Prefix\r\n7;x;AS64496;192.0.2.0/24\r\n2;;;198.51.100.0/24\r\n"
        "3;;{1,2};192.0.2.0/24\r\n",
        '"ASN"\t"IP Prefix"\t"seen_by_peers"\n64496\t192.0.2.0/24\t7\n\t198.51.100.0/24\t2\n'
        "1,2\t192.0.2.0/24\t3",
    ],
)
def test_csv_by_its_names(read, text):
    assert rows_of(read(text)) == [
        ("192.0.2.0/24", 0, 3),
        ("192.0.2.0/24", 64496, 7),
        ("198.51.100.0/24", 0, 2),
    ]


def test_host_bits_are_cleared(read):
    assert rows_of(read("192.0.2.1\t24\t64496\n2001:db8::1\t32\t1\n"))[0][0] == "192.0.2.0/24"


def test_bad_lines_are_left_out_counted_and_named(read):
    good = "".join(f"10.0.{i}.0/24\t64496\n" for i in range(9))
    table = read(good + "10.0.0.0/33\t1\n10.0.0.0/8\tx\n\n10.0.0.0/8\n")
    assert len(table) == 9
    assert table.counts.skipped == 3
    assert [text.split(": ", 1)[1] for text in table.warnings] == [
        r"line 10: no IP prefix: '10.0.0.0/33\t1'",
        r"line 11: no origin AS: '10.0.0.0/8\tx'",
        "line 13: fewer fields than expected: '10.0.0.0/8'",
    ]


def test_the_header_counts_as_a_line(read):
    good = "".join(f"10.0.{i}.0/24,64496\n" for i in range(9))
    assert "line 11: no IP prefix" in read("prefix,asn\n" + good + "bad,1\n").warnings[0]


def test_mostly_bad_lines_are_refused(read):
    with pytest.raises(rov.RibFileError, match=r"most lines are bad, the first: line 2: no IP prefix"):
        read("prefix,asn\nx,1\n")
    with pytest.raises(rov.RibFileError, match="most lines are bad"):
        read("prefix,asn\n" + "x,1\n" * 100_000)


@pytest.mark.parametrize(
    "text", ["", "\n\n", "% only\n", "192.0.2.0/24\n", "\x00\x01", "<html>", '"', "a,b\n1,2\n"]
)
def test_what_is_no_table_is_refused(read, text):
    with pytest.raises(rov.RibFileError, match="expected an MRT dump"):
        read(text)


def test_a_line_without_end_is_bounded(read):
    with pytest.raises(rov.RibFileError, match="longer than"):
        read("prefix,asn\n" + "1" * (3 << 20))


def test_files_are_merged_and_stated_peers_add_up(tmp_path):
    for name, origin in (("a", 1), ("b", 2)):
        (tmp_path / name).write_text(f"1\t192.0.2.0/24\t5\n{origin}\t198.51.100.0/24\t2\n")
    assert rows_of(read_table(f"{tmp_path}/*")) == [
        ("192.0.2.0/24", 1, 10),
        ("198.51.100.0/24", 1, 2),
        ("198.51.100.0/24", 2, 2),
    ]


def test_a_peer_met_in_two_files_counts_once(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(BGPDUMP)
    table = read_table([tmp_path / "a", tmp_path / "b"])
    assert [peers for *_, peers in rows_of(table)] == [1, 2, 1, 1]
    assert table.counts.files == 2


def test_seen_by(read):
    table = read("1\t192.0.2.0/24\t5\n2\t198.51.100.0/24\t2\n2\t2001:db8::/32\t1\n")
    assert rows_of(table.seen_by(3)) == [("192.0.2.0/24", 1, 5)]
    assert len(table.seen_by(1)) == 3


def test_detect_passes_over_comments():
    assert detect(b"%\n% long\n" * 100 + b"64496\t192.0.2.0/24\t17\n").name == "RIS whois dump"


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "ipv4", "ipv6", "as_set"),
    [
        ("rib/riswhoisdump_20241220.IPv6.gz", 0, 270_340, 49),  # 270,345 pairs, 49 sets of 44 prefixes
        ("rib/pyasn_ipasn_20140513.dat.gz", 512_621, 0, 0),
        ("rib/pyasn_ipasn6_20151101.dat.gz", 606_138, 27_693, 0),
        ("rib/fulltable_bart2024_x_iplocdb202606_prefix_origin.csv.xz", 901_899, 160_147, 0),
        ("mrt/bgpdump-text_bview.20100701.0759.txt.gz", 323_753, 0, 123),
    ],
)
def test_real_tables(data, name, ipv4, ipv6, as_set):
    table = read_table(data(name))
    assert (len(table.ipv4), len(table.ipv6), table.counts.as_set) == (ipv4, ipv6, as_set)
    assert table.counts.skipped == 0


@pytest.mark.realdata
def test_real_pfx2as_against_a_plain_reading(data):
    path = data("rib/routeviews-rv2-20160202-1200.pfx2as.gz")
    expected = set()
    with gzip.open(path, "rt") as file:
        for line in file:
            address, length, origins = line.split()
            for origin in origins.split("_"):
                expected.add((f"{address}/{length}", 0 if "," in origin else int(origin)))
    assert {row[:2] for row in rows_of(read_table(path))} == expected
