"""pytricia and py-radix as peers: what one writes with them to get RFC 6811 verdicts on texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytricia
import radix

import rov

Tries = dict[bool, Any]
"""For IPv4 (False) and IPv6 (True) a tree."""


def flattened(snapshot: rov.Snapshot) -> Tries:
    """Each prefix holds all VRPs that cover it: one lookup a route, memory for it."""
    tries = {False: pytricia.PyTricia(32), True: pytricia.PyTricia(128)}
    for vrp in snapshot.vrps():
        text = str(vrp.prefix)
        trie = tries[vrp.prefix.family == 6]
        if not trie.has_key(text):
            above = trie.get(text) if text in trie else []
            trie[text] = list(above)
        trie[text].append((vrp.max_length, vrp.asn))
    return tries


def flattened_states(tries: Tries, texts: Sequence[str], origins: Sequence[int]) -> list[int]:
    """One lookup a route."""
    states = []
    for text, origin in zip(texts, origins, strict=True):
        covering = tries[":" in text].get(text)
        if covering is None:
            states.append(0)
            continue
        length = int(text[text.index("/") + 1 :])
        matched = any(asn == origin != 0 and length <= most for most, asn in covering)
        states.append(1 if matched else 2)
    return states


def own(snapshot: rov.Snapshot) -> Tries:
    """Each prefix holds its own VRPs."""
    tries = {False: pytricia.PyTricia(32), True: pytricia.PyTricia(128)}
    for vrp in snapshot.vrps():
        text = str(vrp.prefix)
        trie = tries[vrp.prefix.family == 6]
        if trie.has_key(text):
            trie[text].append((vrp.max_length, vrp.asn))
        else:
            trie[text] = [(vrp.max_length, vrp.asn)]
    return tries


def parent_states(tries: Tries, texts: Sequence[str], origins: Sequence[int]) -> list[int]:
    """From the longest match to its parent, until one matches."""
    states = []
    for text, origin in zip(texts, origins, strict=True):
        trie = tries[":" in text]
        key = trie.get_key(text)
        state = 0 if key is None else 2
        length = int(text[text.index("/") + 1 :])
        while key is not None and state == 2:
            if any(asn == origin != 0 and length <= most for most, asn in trie[key]):
                state = 1
            key = trie.parent(key)
        states.append(state)
    return states


def radix_tree(snapshot: rov.Snapshot) -> Any:
    """A py-radix tree in which each node has its own VRPs."""
    tree = radix.Radix()
    for vrp in snapshot.vrps():
        tree.add(str(vrp.prefix)).data.setdefault("vrps", []).append((vrp.max_length, vrp.asn))
    return tree


def radix_states(tree: Any, texts: Sequence[str], origins: Sequence[int]) -> list[int]:
    """All covering nodes of each route."""
    states = []
    for text, origin in zip(texts, origins, strict=True):
        state = 0
        length = int(text[text.index("/") + 1 :])
        for node in tree.search_covering(text):
            state = 2
            if any(asn == origin != 0 and length <= most for most, asn in node.data["vrps"]):
                state = 1
                break
        states.append(state)
    return states
