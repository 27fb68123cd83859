"""Where a JSON text may be cut: the list of rows in an object, and the ends of rows in that list.

Only strings and brackets are looked at. What is cut is decoded afterwards, and a text that is no JSON
fails then, wherever it was cut.
"""

cdef enum:
    QUOTE = 34
    COMMA = 44
    COLON = 58
    OPEN_LIST = 91
    BACKSLASH = 92
    CLOSE_LIST = 93
    OPEN_OBJECT = 123
    CLOSE_OBJECT = 125


cdef inline Py_ssize_t after_string(const unsigned char* text, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """What follows the string that begins at a quote; size or more where it does not end."""
    at += 1
    while at < size and text[at] != QUOTE:
        at += 2 if text[at] == BACKSLASH else 1
    return at + 1


cdef inline bint is_name(const unsigned char* text, Py_ssize_t size,
                         const unsigned char[::1] name) noexcept nogil:
    cdef Py_ssize_t i
    if size != name.shape[0]:
        return False
    for i in range(size):
        if text[i] != name[i]:
            return False
    return True


def find_list(const unsigned char[::1] data not None, const unsigned char[::1] name not None):
    """Where the items of the list begin that the outermost object has under a name; -1 if it is not there.

    A name that is written with escapes is not found.

    >>> find_list(b'{"x": {"roas": []}, "roas": [1]}', b"roas")
    29
    """
    cdef Py_ssize_t at = 0, end, size = data.shape[0], depth = 0
    cdef bint named = False, wanted = False
    cdef const unsigned char* text
    cdef unsigned char c
    if size == 0:
        return -1
    text = &data[0]
    with nogil:
        while at < size:
            c = text[at]
            if c == QUOTE:
                end = after_string(text, at, size)
                wanted = False
                named = depth == 1 and end <= size and is_name(text + at + 1, end - at - 2, name)
                at = end
                continue
            at += 1
            if c == COLON:
                wanted = depth == 1 and named
            elif c == COMMA:
                wanted = named = False
            elif c == OPEN_LIST and wanted and depth == 1:
                break
            elif c == OPEN_LIST or c == OPEN_OBJECT:
                depth += 1
                wanted = named = False
            elif c == CLOSE_LIST or c == CLOSE_OBJECT:
                depth -= 1
        else:
            at = -1
    return at


def cut_rows(const unsigned char[::1] data not None, Py_ssize_t begin):
    """Of the items of a list that begin at an offset: where the last comma between two stands, and the
    bracket that ends the list; -1 for what is not there. No comma is looked for beyond the bracket.

    >>> cut_rows(b'[{"a": [1, 2]}, "],"', 1), cut_rows(b"[1, 2], [3", 1)
    ((14, -1), (2, 5))
    """
    cdef Py_ssize_t at = begin, size = data.shape[0], depth = 0, comma = -1, bracket = -1
    cdef const unsigned char* text
    cdef unsigned char c
    if not 0 <= begin < size:
        return -1, -1
    text = &data[0]
    with nogil:
        while at < size:
            c = text[at]
            if c == QUOTE:
                at = after_string(text, at, size)
                continue
            if c == COMMA:
                if depth == 0:
                    comma = at
            elif c == OPEN_LIST or c == OPEN_OBJECT:
                depth += 1
            elif c == CLOSE_LIST or c == CLOSE_OBJECT:
                if depth == 0:
                    bracket = at
                    break
                depth -= 1
            at += 1
    return comma, bracket
