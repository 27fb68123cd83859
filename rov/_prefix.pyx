"""IP prefixes as text: a strict parser and an RFC 5952 writer, both in C, one at a time or by column."""

from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeASCII
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from rov.errors import PrefixError


cdef inline bint is_digit(unsigned char c) noexcept nogil:
    return 48 <= c <= 57


cdef inline int hex_value(unsigned char c) noexcept nogil:
    if 48 <= c <= 57:
        return c - 48
    c |= 32
    if 97 <= c <= 102:
        return c - 87
    return -1


cdef Py_ssize_t parse_ipv4(const unsigned char* s, Py_ssize_t n, uint32_t* out) noexcept nogil:
    """Four octets without leading zeros; the number of characters read, -1 if it is no address."""
    cdef Py_ssize_t i = 0, start
    cdef int octet
    cdef uint32_t value, address = 0
    for octet in range(4):
        if octet:
            if i >= n or s[i] != b'.':
                return -1
            i += 1
        start = i
        value = 0
        while i < n and i - start < 3 and is_digit(s[i]):
            value = value * 10 + (s[i] - 48)
            i += 1
        if i == start or value > 255 or (s[start] == b'0' and i - start > 1):
            return -1
        address = (address << 8) | value
    out[0] = address
    return i


cdef bint parse_ipv6(const unsigned char* s, Py_ssize_t n, uint64_t* high, uint64_t* low) noexcept nogil:
    """RFC 4291 §2.2, all three forms, over exactly n characters; no zone."""
    cdef uint16_t groups[8]
    cdef int count = 0, gap = -1, digits, digit, k
    cdef uint32_t value, embedded
    cdef Py_ssize_t i = 0, start
    if n >= 2 and s[0] == b':':
        if s[1] != b':':
            return False
        gap = 0
        i = 2
    while i < n:
        if count == 8:
            return False
        start = i
        value = 0
        digits = 0
        while i < n and digits < 4:
            digit = hex_value(s[i])
            if digit < 0:
                break
            value = (value << 4) | <uint32_t>digit
            digits += 1
            i += 1
        if i < n and s[i] == b'.':
            if count > 6 or parse_ipv4(s + start, n - start, &embedded) != n - start:
                return False
            groups[count] = <uint16_t>(embedded >> 16)
            groups[count + 1] = <uint16_t>(embedded & 0xFFFF)
            count += 2
            break
        if digits == 0:
            return False
        groups[count] = <uint16_t>value
        count += 1
        if i == n:
            break
        if s[i] != b':':
            return False
        i += 1
        if i == n:
            return False
        if s[i] == b':':
            if gap >= 0:
                return False
            gap = count
            i += 1
    if gap < 0:
        if count != 8:
            return False
    else:
        # "::" stands for at least one group of zeros
        if count > 7:
            return False
        for k in range(count - gap):
            groups[7 - k] = groups[count - 1 - k]
        for k in range(gap, gap + 8 - count):
            groups[k] = 0
    high[0] = low[0] = 0
    for k in range(4):
        high[0] = (high[0] << 16) | groups[k]
        low[0] = (low[0] << 16) | groups[k + 4]
    return True


cdef inline bint has_host_bits(const ParsedPrefix* p) noexcept nogil:
    cdef int length = p.length
    if p.family == 4:
        return length < 32 and (p.high & ((<uint64_t>1 << (32 - length)) - 1)) != 0
    if length <= 64:
        return p.low != 0 or (length < 64 and (p.high & (~<uint64_t>0 >> length)) != 0)
    return length < 128 and (p.low & (~<uint64_t>0 >> (length - 64))) != 0


cdef ParseFault parse_prefix(const unsigned char* text, Py_ssize_t size, ParsedPrefix* out) noexcept nogil:
    """Read ADDRESS/LENGTH; on PARSE_HOST_BITS the fields of out are filled all the same."""
    cdef Py_ssize_t slash, i
    cdef uint32_t address
    cdef int length = 0
    if size > LONGEST_TEXT:
        return PARSE_NO_SLASH
    # IPv4 first: it is the common case, and its parser finds the slash by itself
    slash = parse_ipv4(text, size, &address)
    if 0 < slash < size and text[slash] == b'/':
        out.family = 4
        out.high = address
        out.low = 0
    else:
        slash = 0
        while slash < size and text[slash] != b'/':
            slash += 1
        if slash == size:
            return PARSE_NO_SLASH
        for i in range(slash):
            if text[i] == b':':
                break
        else:
            return PARSE_BAD_IPV4
        if not parse_ipv6(text, slash, &out.high, &out.low):
            return PARSE_BAD_IPV6
        out.family = 6
    i = slash + 1
    if i == size or size - i > 3 or (text[i] == b'0' and size - i > 1):
        return PARSE_BAD_LENGTH
    while i < size:
        if not is_digit(text[i]):
            return PARSE_BAD_LENGTH
        length = length * 10 + (text[i] - 48)
        i += 1
    if length > (32 if out.family == 4 else 128):
        return PARSE_LENGTH_RANGE
    out.length = <uint8_t>length
    if has_host_bits(out):
        return PARSE_HOST_BITS
    return PARSE_OK


cdef object prefix_error(object text, ParseFault fault):
    """The PrefixError that says what is wrong with a text."""
    shown = repr(text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "...")
    if fault == PARSE_NO_SLASH:
        return PrefixError(f"{shown}: expected ADDRESS/LENGTH such as '192.0.2.0/24' or '2001:db8::/32'")
    if fault == PARSE_BAD_IPV4:
        return PrefixError(f"{shown}: expected four octets to 255, none with leading zeros, before the slash")
    if fault == PARSE_BAD_IPV6:
        return PrefixError(f"{shown}: expected an IPv6 address before the slash")
    if fault == PARSE_BAD_LENGTH:
        return PrefixError(f"{shown}: expected a decimal prefix length without leading zeros after the slash")
    if fault == PARSE_LENGTH_RANGE:
        return PrefixError(f"{shown}: expected a prefix length of 32 at most in IPv4, 128 in IPv6")
    return PrefixError(f"{shown}: host bits are set beyond the prefix length, expected zeros")


cdef const char* utf8_of(object text, Py_ssize_t* size) except NULL:
    """UTF-8 of a str; a text that has none, as it holds half a surrogate pair, is no prefix."""
    try:
        return PyUnicode_AsUTF8AndSize(text, size)
    except UnicodeEncodeError:
        raise PrefixError(f"{text[:LONGEST_TEXT]!r}: expected a prefix in ASCII") from None


def parse(text not None):
    """Parse one prefix to (family, address, length); PrefixError if it is none or has host bits set.

    text: a str, or of a kind of str such as numpy's.

    >>> parse("192.0.2.0/24")
    (4, 3221225984, 24)
    """
    cdef Py_ssize_t size
    cdef const char* data = utf8_of(text, &size)
    cdef ParsedPrefix out
    cdef ParseFault fault = parse_prefix(<const unsigned char*>data, size, &out)
    if fault != PARSE_OK:
        raise prefix_error(text, fault)
    if out.family == 4:
        return 4, <uint32_t>out.high, out.length
    return 6, (<object>out.high << 64) | out.low, out.length


cdef inline int write_decimal(unsigned int value, char* out) noexcept nogil:
    cdef int n = 0
    if value >= 100:
        out[n] = <char>(48 + value // 100)
        n += 1
    if value >= 10:
        out[n] = <char>(48 + value // 10 % 10)
        n += 1
    out[n] = <char>(48 + value % 10)
    return n + 1


cdef inline int write_ipv4(uint32_t address, char* out) noexcept nogil:
    cdef int n = 0, shift
    for shift in range(24, -1, -8):
        if n:
            out[n] = b'.'
            n += 1
        n += write_decimal((address >> shift) & 255, out + n)
    return n


cdef int write_ipv6(uint64_t high, uint64_t low, char* out) noexcept nogil:
    """RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as "::"."""
    cdef uint16_t groups[8]
    cdef int k, n = 0, run, best = 0, best_at = -1, shift, digit
    cdef bint begun
    for k in range(4):
        groups[k] = <uint16_t>(high >> (48 - 16 * k))
        groups[k + 4] = <uint16_t>(low >> (48 - 16 * k))
    run = 0
    for k in range(8):
        run = run + 1 if groups[k] == 0 else 0
        if run > best:
            best = run
            best_at = k - run + 1
    if best < 2:
        best_at = -1
    if high == 0 and (low >> 32) == 0xFFFF:
        # RFC 5952 §5: the mapped range is written with its IPv4 part in dots
        out[0] = b':'
        out[1] = b':'
        for k in range(4):
            out[2 + k] = b'f'
        out[6] = b':'
        return 7 + write_ipv4(<uint32_t>low, out + 7)
    k = 0
    while k < 8:
        if k == best_at:
            out[n] = b':'
            out[n + 1] = b':'
            n += 2
            k += best
            continue
        if n and out[n - 1] != b':':
            out[n] = b':'
            n += 1
        begun = False
        for shift in range(12, -1, -4):
            digit = (groups[k] >> shift) & 15
            if digit or begun or shift == 0:
                begun = True
                out[n] = <char>(digit + (48 if digit < 10 else 87))
                n += 1
        k += 1
    return n


cdef int write_prefix(const ParsedPrefix* p, char* out) noexcept nogil:
    """Write ADDRESS/LENGTH into LONGEST_TEXT characters; how many there are."""
    cdef int n
    if p.family == 4:
        n = write_ipv4(<uint32_t>p.high, out)
    else:
        n = write_ipv6(p.high, p.low, out)
    out[n] = b'/'
    return n + 1 + write_decimal(p.length, out + n + 1)


cdef object text_of(ParsedPrefix* p):
    cdef char out[LONGEST_TEXT]
    return PyUnicode_DecodeASCII(out, write_prefix(p, out), NULL)


def format_prefix(int family, object address, int length):
    """Write one prefix, IPv6 in the form of RFC 5952.

    >>> format_prefix(6, 0x20010db8 << 96, 32)
    '2001:db8::/32'
    """
    cdef ParsedPrefix p
    p.family = <uint8_t>family
    p.length = <uint8_t>length
    if family == 4:
        p.high = address
        p.low = 0
    else:
        p.high = address >> 64
        p.low = address & 0xFFFFFFFFFFFFFFFF
    return text_of(&p)


def format_ipv4(const uint32_t[::1] addresses, const uint8_t[::1] lengths):
    """Write a column of IPv4 prefixes as a list of str.

    >>> import numpy
    >>> format_ipv4(numpy.array([3221225984], "u4"), numpy.array([24], "u1"))
    ['192.0.2.0/24']
    """
    cdef Py_ssize_t i, n = addresses.shape[0]
    cdef ParsedPrefix p
    cdef list out = [None] * n
    if lengths.shape[0] != n:
        raise PrefixError(f"expected an address a length, found {n} and {lengths.shape[0]}")
    p.family = 4
    p.low = 0
    for i in range(n):
        p.high = addresses[i]
        p.length = lengths[i]
        out[i] = text_of(&p)
    return out


def format_ipv6(const uint64_t[:, ::1] addresses, const uint8_t[::1] lengths):
    """Write a column of IPv6 prefixes, addresses as [n, 2] high and low words, as a list of str.

    >>> import numpy
    >>> format_ipv6(numpy.array([[0x20010db800000000, 0]], "u8"), numpy.array([32], "u1"))
    ['2001:db8::/32']
    """
    cdef Py_ssize_t i, n = addresses.shape[0]
    cdef ParsedPrefix p
    cdef list out = [None] * n
    if lengths.shape[0] != n or addresses.shape[1] != 2:
        raise PrefixError(f"expected {lengths.shape[0]} x 2 addresses, found {n} x {addresses.shape[1]}")
    p.family = 6
    for i in range(n):
        p.high = addresses[i, 0]
        p.low = addresses[i, 1]
        p.length = lengths[i]
        out[i] = text_of(&p)
    return out
