/* Which basic blocks of the MRT parser run, counted for libFuzzer: part of rov._mrt where ROV_SANITIZE=1.
 *
 * gcc has each block call __sanitizer_cov_trace_pc. AddressSanitizer's runtime brings functions of libFuzzer's
 * names that do nothing, and they are found first; so this call stays within the extension, and fuzz_mrt.py hands
 * the counters to libFuzzer itself.
 */
#include <stdint.h>

enum { COUNTERS = 1 << 15 };

uint8_t rov_counters[COUNTERS];

/* Address and flags for each counter: libFuzzer wants them, but only shows them. */
uintptr_t rov_blocks[2 * COUNTERS];

/* A block is told by where it returns to; where two share a counter, each hides that the other is new. */
__attribute__((visibility("hidden"), no_sanitize_coverage, no_sanitize("address", "undefined")))
void __sanitizer_cov_trace_pc(void)
{
    uintptr_t offset = (uintptr_t)__builtin_return_address(0) - (uintptr_t)&__sanitizer_cov_trace_pc;

    rov_counters[((uint32_t)offset * UINT32_C(2654435769)) >> 17]++;
}
