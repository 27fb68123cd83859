"""The shape of the real VRP set in numbers: counts of the global set of 2025-07-20, rounded where long."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

TRUST_ANCHORS = ("afrinic", "apnic", "arin", "lacnic", "ripe")

REAL_VRPS = 723_521
REAL_IPV4 = 580_366
REAL_ASNS = 50_106
REAL_AS0 = 2_419
ASPAS = 100
ASPAS_AS0 = 2
ROUTER_KEYS = 2

Weights: TypeAlias = dict[int, int]


class Plan(NamedTuple):
    """The shape of one family. Addresses are 64 bits wide here: IPv4 stands in the upper half."""

    lengths: Weights
    max_gaps: dict[int, Weights]  # length -> max_length minus length -> how many; the rest has 0
    nesting: dict[int, tuple[float, ...]]  # from this length on: percent with 0, 1, 2... prefixes above
    spread_from: int  # prefixes longer than this are too few to have others nested in them
    per_prefix: float  # VRPs per distinct prefix
    trust_anchors: tuple[int, ...]  # VRPs of each


IPV4 = Plan(
    lengths={8: 2, 9: 7, 10: 31, 11: 82, 12: 209, 13: 388, 14: 836, 15: 1488, 16: 9123, 17: 4834, 18: 8254,
             19: 14434, 20: 24083, 21: 26263, 22: 71072, 23: 79869, 24: 333121, 25: 517, 26: 471, 27: 326,
             28: 480, 29: 368, 30: 149, 31: 15, 32: 3944},
    max_gaps={11: {13: 25}, 12: {12: 68}, 13: {11: 145}, 14: {10: 308, 2: 16}, 15: {9: 496, 1: 44, 17: 19},
              16: {8: 4200, 1: 100, 16: 59, 4: 43, 2: 42}, 17: {7: 1506, 15: 60, 1: 47, 3: 43},
              18: {6: 2288, 14: 89, 1: 74, 2: 43}, 19: {5: 4257, 1: 404, 13: 200, 3: 71, 4: 47},
              20: {4: 6268, 12: 453, 1: 241, 2: 202, 3: 93}, 21: {3: 7590, 11: 436, 1: 328, 2: 101},
              22: {2: 23720, 10: 1961, 1: 680, 3: 56}, 23: {1: 18556, 9: 939},
              24: {8: 4049, 1: 190, 5: 58, 2: 50, 6: 40}, 25: {7: 42}, 27: {5: 37}, 28: {4: 18}},
    nesting={8: (100,), 12: (88, 12), 16: (78, 19, 3), 18: (56, 32, 8, 3, 1), 20: (44, 37, 12, 5, 1, 1),
             22: (58, 22, 17, 2, 1), 23: (35, 22, 38, 2, 1, 1, 1),
             24: (45.5, 35, 13, 3, 1, 0.7, 0.6, 0.6, 0.6), 25: (5, 69, 18, 6, 2)},
    spread_from=24,
    per_prefix=580_366 / 512_044,
    trust_anchors=(25_413, 116_404, 167_034, 27_453, 244_062),
)  # fmt: skip

IPV6 = Plan(
    lengths={16: 1, 19: 1, 20: 8, 21: 7, 22: 5, 23: 10, 24: 52, 25: 13, 26: 105, 27: 23, 28: 168, 29: 6145,
             30: 439, 31: 283, 32: 17927, 33: 914, 34: 2565, 35: 500, 36: 5689, 37: 621, 38: 1574, 39: 604,
             40: 10779, 41: 2034, 42: 1139, 43: 673, 44: 8486, 45: 835, 46: 3724, 47: 3963, 48: 68200,
             **dict.fromkeys(range(49, 56), 39), 56: 191, **dict.fromkeys(range(57, 64), 19), 64: 1227,
             **dict.fromkeys(range(65, 126), 2), 126: 72, 127: 8, 128: 3611},
    max_gaps={28: {20: 43}, 29: {19: 1063, 3: 418, 35: 117, 99: 92, 7: 81}, 30: {18: 58, 98: 56},
              31: {17: 45}, 32: {16: 4875, 96: 820, 32: 514, 4: 325, 8: 289, 2: 243, 1: 127, 3: 86, 24: 70},
              33: {15: 46}, 34: {14: 53, 94: 19}, 36: {12: 774, 5: 179, 28: 68, 8: 65, 4: 57, 92: 38},
              37: {11: 61}, 38: {10: 86, 2: 72, 6: 50}, 39: {9: 82, 8: 37},
              40: {8: 2878, 24: 86, 6: 46, 4: 34, 88: 27}, 41: {7: 79}, 42: {6: 100}, 43: {5: 64},
              44: {4: 2295, 84: 49, 20: 22}, 45: {3: 150}, 46: {2: 820}, 47: {1: 322},
              48: {16: 504, 80: 272, 8: 70, 1: 20}, 56: {8: 40}, 64: {64: 19}},
    nesting={16: (100,), 32: (90, 10), 33: (35, 45, 18, 2), 36: (32, 52, 11, 2, 3), 40: (35, 39, 24, 2),
             44: (50, 20, 25, 5), 48: (34, 40, 15.5, 9, 1, 0.5), 49: (11, 61, 20, 8), 65: (16, 70, 12, 2)},
    spread_from=48,
    per_prefix=143_155 / 128_671,
    trust_anchors=(913, 36_797, 36_961, 11_558, 56_926),
)  # fmt: skip

NOT_PUBLIC = ((0, 8), (10, 8), (0x6440, 10), (127, 8), (0xA9FE, 16), (0xAC10, 12), (0xC0A8, 16), (224, 3))
"""IPv4 blocks without VRPs, as (leading octets, length): RFC 6890."""

IPV6_BLOCKS = (0x2C00, 0x2400, 0x2600, 0x2800, 0x2A00)
"""The /12 of each trust anchor, by their first 16 bits (IANA)."""

VRPS_PER_ASN = ((1, 1, 14920), (2, 2, 11052), (3, 3, 5189), (4, 5, 5959), (6, 10, 5648), (11, 20, 3387),
                 (21, 50, 2284), (51, 100, 865), (101, 200, 417), (201, 500, 233), (501, 1000, 75),
                 (1001, 5000, 67), (5001, 14620, 10))  # fmt: skip
"""(from, to, how many ASNs)."""

MORE_ORIGINS = {1: 38_002, 2: 7_611, 3: 2_625, 4: 700, 5: 300, 6: 173, 7: 280}
"""How many prefixes have so many VRPs beyond their first."""

BOTH_FAMILIES, IPV6_ONLY = 22_801 / REAL_ASNS, 4_057 / 27_305

FOUR_BYTE_SHARE = 28_612 / REAL_ASNS
FOUR_BYTE_SLOPE = 0.17
"""Old networks have short numbers and many VRPs: this makes 4-byte ASNs hold a quarter of the VRPs."""

FOUR_BYTE_BLOCKS = ((131_072, 22_000), (196_608, 20_000), (262_144, 12_000), (327_680, 2_400),
                     (393_216, 9_500))  # fmt: skip
"""Where the registries began to assign, and how far they came."""

PROVIDERS = {1: 16, 2: 21, 3: 14, 4: 12, 5: 8, 6: 4, 7: 6, 8: 4, 9: 2, 10: 1, 11: 1, 12: 2, 13: 1, 16: 5,
              17: 1, 31: 1, 55: 1}  # fmt: skip
"""How many ASPAs list so many providers."""

P256_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
"""What precedes the 64 octets of a point in the SubjectPublicKeyInfo of a P-256 key (RFC 5480)."""
