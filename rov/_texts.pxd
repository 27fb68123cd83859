cimport cython
from libc.stdint cimport uint8_t


# The layouts of Arrow's string, large_string and string_view.
cdef enum Layout:
    OFFSETS_32 = 0
    OFFSETS_64 = 1
    VIEWS = 2

cdef enum Found:
    TEXT
    ABSENT        # null
    OUT_OF_BOUNDS

cdef struct Text:
    const unsigned char* start
    Py_ssize_t size


@cython.final
cdef class TextColumn:
    cdef Layout layout
    cdef Py_ssize_t count
    cdef Py_ssize_t offset
    cdef const uint8_t[::1] validity
    cdef const uint8_t[::1] index
    cdef list held
    cdef const uint8_t** data
    cdef Py_ssize_t* sizes
    cdef Py_ssize_t buffers

    cdef Found text_at(self, Py_ssize_t row, Text* out) noexcept nogil
