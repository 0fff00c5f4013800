/* The categorizer behind Extism's functions: the same frames, brought in and out as its kits do, eight bytes a call. */
#include "../c/label.h"

#define EXTISM(name) __attribute__((import_module("extism:host/env"), import_name(#name)))
EXTISM(input_length) uint64_t x_input_length(void);
EXTISM(input_load_u8) uint32_t x_input_load_u8(uint64_t at);
EXTISM(input_load_u64) uint64_t x_input_load_u64(uint64_t at);
EXTISM(alloc) uint64_t x_alloc(uint64_t n);
EXTISM(store_u8) void x_store_u8(uint64_t at, uint32_t v);
EXTISM(store_u64) void x_store_u64(uint64_t at, uint64_t v);
EXTISM(output_set) void x_output_set(uint64_t at, uint64_t n);

/* Copies the input into the plugin's buffer and returns its length. */
static uint32_t bring(void) {
    uint64_t n = x_input_length(), i = 0;
    uint8_t *to = cl__alloc((uint32_t)n);
    for (; i + 8 <= n; i += 8) cl__put64(to + i, x_input_load_u64(i));
    for (; i < n; i++) to[i] = (uint8_t)x_input_load_u8(i);
    return (uint32_t)n;
}

static int32_t answer(uint64_t ref) {
    const uint8_t *from = (const uint8_t *)(uintptr_t)(ref >> 32);
    uint64_t n = (uint32_t)ref, i = 0, to = x_alloc(n);
    for (; i + 8 <= n; i += 8) x_store_u64(to + i, cl__u64(from + i));
    for (; i < n; i++) x_store_u8(to + i, from[i]);
    x_output_set(to, n);
    return 0;
}

CL__EXPORT(extism_configure) int32_t extism_configure(void) { return answer(cl__export_configure(bring())); }
CL__EXPORT(extism_categorize) int32_t extism_categorize(void) { return answer(cl__export_categorize(bring())); }
