"""VRP columns to text: each row by one template, in a loop that touches no Python object."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from rov._numbers cimport write_number
from rov._prefix cimport LONGEST_TEXT, ParsedPrefix, write_prefix

cpdef enum Field:  # what follows the text of a step
    NOTHING = 0
    PREFIX = 1
    ASN = 2
    MAX_LENGTH = 3
    TRUST_ANCHOR = 4
    EXPIRES = 5              # unix seconds
    LONGER_MAX_LENGTH = 6    # text and field only where max_length exceeds the length
    STATED_EXPIRES = 7       # text and field only where a time is stated
    EXPIRES_DATE = 8         # 2025-07-20 09:31:33, or N/A where none is stated
    FAMILY_DIGIT = 9         # "6" in IPv6, nothing in IPv4: route, route6
    STATED_ISO_TIME = 10     # text and 2025-07-20T09:31:33Z only where a time is stated
    STATED = 11              # text only where a time is stated

cdef enum:
    MAX_STEPS = 32
    LONGEST_FIELD = LONGEST_TEXT  # of any field but the trust anchor
    MAX_NAMES = 256

# What stands for a time that is later yet: of 9999-12-31 23:59:59, as a year has four digits.
cdef int64_t LAST_SECOND = 253402300799

cdef struct Step:
    const char* text
    Py_ssize_t size
    int field

cdef struct Plan:
    Step steps[MAX_STEPS]
    int count
    const char* names[MAX_NAMES]
    Py_ssize_t name_sizes[MAX_NAMES]
    int name_count
    const char* separator
    Py_ssize_t separator_size
    Py_ssize_t row_bound


cdef inline void two_digits(uint64_t value, char* out) noexcept nogil:
    out[0] = <char>(48 + value // 10 % 10)
    out[1] = <char>(48 + value % 10)


cdef int write_date(int64_t seconds, char* out) noexcept nogil:
    """UTC as YYYY-MM-DD HH:MM:SS; the civil date by counting eras of 400 years from 1 March."""
    cdef int64_t days, rest, era, day, year, month
    seconds = min(seconds, LAST_SECOND)
    days = seconds // 86400 + 719468
    rest = seconds % 86400
    era = days // 146097
    day = days % 146097
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    year += era * 400 + (1 if month >= 10 else 0)
    month += 3 if month < 10 else -9
    two_digits(year // 100, out)
    two_digits(year % 100, out + 2)
    out[4] = out[7] = b'-'
    two_digits(month, out + 5)
    two_digits(day + 1, out + 8)
    out[10] = b' '
    two_digits(rest // 3600, out + 11)
    out[13] = out[16] = b':'
    two_digits(rest // 60 % 60, out + 14)
    two_digits(rest % 60, out + 17)
    return 19


cdef inline int put_field(int field, const ParsedPrefix* prefix, uint8_t max_length, uint32_t asn,
                          int64_t expires, const Plan* plan, uint8_t ta, char* out) noexcept nogil:
    if field == PREFIX:
        return write_prefix(prefix, out)
    if field == ASN:
        return write_number(asn, out)
    if field == MAX_LENGTH or field == LONGER_MAX_LENGTH:
        return write_number(max_length, out)
    if field == EXPIRES or field == STATED_EXPIRES:
        return write_number(<uint64_t>expires, out)
    if field == TRUST_ANCHOR:
        memcpy(out, plan.names[ta], plan.name_sizes[ta])
        return <int>plan.name_sizes[ta]
    if field == EXPIRES_DATE:
        if expires > 0:
            return write_date(expires, out)
        memcpy(out, b"N/A", 3)
        return 3
    if field == STATED_ISO_TIME:
        write_date(expires, out)
        out[10], out[19] = b'T', b'Z'
        return 20
    if field == FAMILY_DIGIT and prefix.family == 6:
        out[0] = b'6'
        return 1
    return 0


cdef Py_ssize_t put_row(const Plan* plan, const ParsedPrefix* prefix, uint8_t max_length, uint32_t asn,
                        int64_t expires, uint8_t ta, char* out) noexcept nogil:
    cdef Py_ssize_t n = 0
    cdef int i
    cdef const Step* step
    for i in range(plan.count):
        step = plan.steps + i
        if step.field == LONGER_MAX_LENGTH and max_length == prefix.length:
            continue
        if step.field in (STATED_EXPIRES, STATED_ISO_TIME, STATED) and expires <= 0:
            continue
        memcpy(out + n, step.text, step.size)
        n += step.size
        n += put_field(step.field, prefix, max_length, asn, expires, plan, ta, out + n)
    return n


cdef int make_plan(Plan* plan, tuple template, tuple names, bytes separator) except -1:
    cdef Py_ssize_t longest = 0
    cdef bytes text
    if len(template) > MAX_STEPS or len(names) > MAX_NAMES:
        raise ValueError(f"expected {MAX_STEPS} steps and {MAX_NAMES} names at most")
    plan.count = 0
    plan.row_bound = PyBytes_GET_SIZE(separator)
    for text, field in template:
        plan.steps[plan.count].text = PyBytes_AS_STRING(text)
        plan.steps[plan.count].size = PyBytes_GET_SIZE(text)
        plan.steps[plan.count].field = field
        plan.row_bound += PyBytes_GET_SIZE(text) + LONGEST_FIELD
        plan.count += 1
    plan.name_count = 0
    for text in names:
        plan.names[plan.name_count] = PyBytes_AS_STRING(text)
        plan.name_sizes[plan.name_count] = PyBytes_GET_SIZE(text)
        longest = max(longest, PyBytes_GET_SIZE(text))
        plan.name_count += 1
    plan.row_bound += longest * plan.count
    plan.separator = PyBytes_AS_STRING(separator)
    plan.separator_size = PyBytes_GET_SIZE(separator)
    return 0


def lines(int family, const uint32_t[::1] address4, const uint64_t[:, ::1] address6,
          const uint8_t[::1] length, const uint8_t[::1] max_length, const uint32_t[::1] asn,
          const int64_t[::1] expires, const uint8_t[::1] ta, tuple template not None,
          tuple names not None, bytes separator not None):
    """The rows as text: for each the steps (text, Field) of the template; separator between rows.

    names: the octets that stand for each trust anchor. Of address4 and address6 that of the family
    is used; both have the length of the other columns. ValueError: lengths or ta that do not fit.

    >>> import numpy as np
    >>> none, byte = np.zeros((1, 2), "u8"), np.array([24], "u1")
    >>> lines(4, np.array([3221225984], "u4"), none, byte, byte, np.array([64496], "u4"),
    ...       np.zeros(1, "i8"), np.zeros(1, "u1"), ((b"AS", Field.ASN), (b",", Field.PREFIX)), (b"",), b"")
    b'AS64496,192.0.2.0/24'
    """
    cdef Py_ssize_t count = length.shape[0], i, n = 0
    cdef Plan plan
    cdef ParsedPrefix prefix
    cdef char* out
    if not (address4.shape[0] == count if family == 4 else address6.shape[0] == count):
        raise ValueError(f"expected {count} addresses of IPv{family}")
    if not (max_length.shape[0] == asn.shape[0] == expires.shape[0] == ta.shape[0] == count):
        raise ValueError("expected columns of equal length")
    make_plan(&plan, template, names, separator)
    for i in range(count):
        if ta[i] >= plan.name_count:
            raise ValueError(f"row {i}: expected a trust anchor below {plan.name_count}")
    out = <char*>malloc(count * plan.row_bound + 1)
    if out == NULL:
        raise MemoryError
    prefix.family = <uint8_t>family
    prefix.low = 0
    try:
        with nogil:
            for i in range(count):
                if i:
                    memcpy(out + n, plan.separator, plan.separator_size)
                    n += plan.separator_size
                if family == 4:
                    prefix.high = address4[i]
                else:
                    prefix.high = address6[i, 0]
                    prefix.low = address6[i, 1]
                prefix.length = length[i]
                n += put_row(&plan, &prefix, max_length[i], asn[i], expires[i], ta[i], out + n)
        return PyBytes_FromStringAndSize(out, n)
    finally:
        free(out)
