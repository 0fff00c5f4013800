/*
 * closedloop.h: plugins for Closedloop in C. One header, no library: it needs clang and wasm-ld, and nothing else.
 *
 *     #include "closedloop.h"
 *
 *     static uint32_t least; // letters
 *
 *     static cl_failure configure(const cl_config *config) {
 *         least = (uint32_t)cl_json_number(cl_json_get(config->settings, CL_STR("least")), 3);
 *         return CL_DONE;
 *     }
 *
 *     static cl_failure categorize(const cl_item *item, cl_result *out) {
 *         cl_str text = cl_text(item);
 *         for (uint32_t i = 0; i < text.len; i++)
 *             if (text.data[i] >= 'a' && text.data[i] <= 'z') return CL_DONE;
 *         if (text.len >= least) {
 *             cl_theme(out, CL_STR("tone/shouting"), 0.9);
 *             cl_evidence(out, 0, text.len);
 *         }
 *         return CL_DONE;
 *     }
 *
 *     CL_PLUGIN(configure)
 *     CL_CATEGORIZER(categorize)
 *
 * Include it in one C file of the plugin. `closedloop plugin build` compiles the folder and puts plugin.yaml into the
 * module; by hand:
 *
 *     clang --target=wasm32 -O2 -ffreestanding -nostdlib -mbulk-memory -Wl,--no-entry -o plugin.wasm plugin.c
 *
 * What holds:
 *   - A frame is checked once, before the plugin sees it; a malformed one is answered with a failure, never with a trap.
 *   - Items are views of the host's frame: reading them copies nothing. A string is bytes with a length, not ended by
 *     a zero; it is UTF-8 unless the source of the item damaged it. What is not given is empty, 0 or false.
 *   - cl_new gives memory that stays; cl_scratch gives memory until the call ends. Both are zeroed, neither is freed
 *     by hand. What an item, a request or a message points to is gone when the call ends.
 *   - Compiled for another machine, the same header serves unit tests: log lines go nowhere, nothing is granted.
 */
#ifndef CLOSEDLOOP_H
#define CLOSEDLOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CL__USED __attribute__((unused))
#define CL__FN static inline CL__USED
#define CL__INLINE static inline __attribute__((always_inline, unused))

/* ---- strings, memory and failures ---- */

/* Bytes. An empty string is one that is not given. */
typedef struct {
    const char *data;
    uint32_t len;
} cl_str;

#define CL_STR(literal) ((cl_str){"" literal, sizeof(literal) - 1})
#define CL_NONE ((cl_str){0, 0})

/* Milliseconds since 1970-01-01T00:00:00Z; 0 is not given. */
typedef int64_t cl_time;

/* Whether a call or an item failed, and whether trying again can help. */
typedef struct {
    bool failed;
    bool fatal;        /* trying again will not help */
    cl_str code;       /* short and stable, such as bad_score; may be empty */
    cl_str message;    /* for people */
    uint64_t after_ms; /* when to try again; 0 leaves it to the host */
} cl_failure;

#define CL_DONE ((cl_failure){0})
#define CL_FATAL(code, message) ((cl_failure){true, true, CL_STR(code), CL_STR(message), 0})
#define CL_RETRY(code, message) ((cl_failure){true, false, CL_STR(code), CL_STR(message), 0})

CL__FN bool cl_equal(cl_str a, cl_str b) {
    if (a.len != b.len) return false;
    for (uint32_t i = 0; i < a.len; i++)
        if (a.data[i] != b.data[i]) return false;
    return true;
}

/* An ASCII letter in lower case; other bytes as they are. */
CL__INLINE char cl_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

/* Whether a byte is part of a word: an ASCII letter or digit, or part of a character beyond ASCII. */
CL__INLINE bool cl_is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (uint8_t)c >= 128;
}

CL__INLINE uint64_t cl__u64(const uint8_t *p) {
    uint64_t v;
    __builtin_memcpy(&v, p, 8);
    return v;
}
CL__INLINE uint32_t cl__u32(const uint8_t *p) {
    uint32_t v;
    __builtin_memcpy(&v, p, 4);
    return v;
}
CL__INLINE void cl__put64(uint8_t *p, uint64_t v) { __builtin_memcpy(p, &v, 8); }
CL__INLINE void cl__put32(uint8_t *p, uint32_t v) { __builtin_memcpy(p, &v, 4); }
CL__INLINE uint64_t cl__bits(double v) {
    uint64_t b;
    __builtin_memcpy(&b, &v, 8);
    return b;
}
CL__INLINE double cl__double(uint64_t b) {
    double v;
    __builtin_memcpy(&v, &b, 8);
    return v;
}
CL__FN void cl__copy(uint8_t *to, const void *from, size_t n) {
    const uint8_t *p = (const uint8_t *)from;
    if (n > 128) {
        __builtin_memcpy(to, p, n);
        return;
    }
    for (; n >= 8; n -= 8, to += 8, p += 8) cl__put64(to, cl__u64(p));
    while (n--) *to++ = *p++;
}

/* ---- functions of the host ---- */

enum { CL_DEBUG, CL_INFO, CL_WARN, CL_ERROR };

#ifdef __wasm__
#define CL__IMPORT(name) __attribute__((import_module("closedloop"), import_name(#name)))
CL__IMPORT(log) void cl__host_log(uint32_t level, const void *p, uint32_t n);
CL__IMPORT(now) int64_t cl__host_now(void);
CL__IMPORT(file_stat) int32_t cl__host_file_stat(int32_t id, void *p, uint32_t cap);
CL__IMPORT(file_read) int32_t cl__host_file_read(int32_t id, int64_t offset, void *p, uint32_t cap);
CL__IMPORT(http) int64_t cl__host_http(const void *rp, uint32_t rn, void *p, uint32_t cap);
CL__IMPORT(kv_get) int32_t cl__host_kv_get(const void *kp, uint32_t kn, void *p, uint32_t cap);
CL__IMPORT(kv_put) int32_t cl__host_kv_put(const void *kp, uint32_t kn, const void *p, uint32_t n);

/* Fresh pages of memory, zeroed, apart from what a C library may manage. */
CL__FN void *cl__pages(size_t n) {
    size_t before = __builtin_wasm_memory_grow(0, (n + 65535) / 65536);
    if (before == (size_t)-1) {
        static const char message[] = "out of memory";
        cl__host_log(CL_ERROR, message, sizeof message - 1);
        __builtin_trap();
    }
    return (void *)(before * 65536);
}
#else
#include <stdlib.h>
CL__FN void cl__host_log(uint32_t level, const void *p, uint32_t n) { (void)level, (void)p, (void)n; }
CL__FN int64_t cl__host_now(void) { return 0; }
CL__FN int32_t cl__host_file_stat(int32_t id, void *p, uint32_t cap) { return (void)id, (void)p, (void)cap, -2; }
CL__FN int32_t cl__host_file_read(int32_t id, int64_t offset, void *p, uint32_t cap) {
    return (void)id, (void)offset, (void)p, (void)cap, -2;
}
CL__FN int64_t cl__host_http(const void *rp, uint32_t rn, void *p, uint32_t cap) {
    return (void)rp, (void)rn, (void)p, (void)cap, 0;
}
CL__FN int32_t cl__host_kv_get(const void *kp, uint32_t kn, void *p, uint32_t cap) {
    return (void)kp, (void)kn, (void)p, (void)cap, -2;
}
CL__FN int32_t cl__host_kv_put(const void *kp, uint32_t kn, const void *p, uint32_t n) {
    return (void)kp, (void)kn, (void)p, (void)n, -2;
}
CL__FN void *cl__pages(size_t n) { return calloc(1, (n + 65535) / 65536 * 65536); }
#endif

/* Memory that is handed out piece by piece. Chunks follow one another; a reset starts again at the first. */
typedef struct cl__chunk {
    struct cl__chunk *next;
    size_t size, used; /* with this header */
} cl__chunk;

typedef struct {
    cl__chunk *first, *now;
} cl__arena;

static cl__arena cl__kept, cl__scratch;

CL__FN void *cl__take(cl__arena *a, size_t n) {
    n = (n + 15) & ~(size_t)15;
    while (!a->now || a->now->size - a->now->used < n) {
        cl__chunk *next = a->now ? a->now->next : a->first;
        if (!next) {
            size_t size = (n + sizeof(cl__chunk) + 15 + 65535) / 65536 * 65536;
            next = (cl__chunk *)cl__pages(size);
            next->size = size;
            next->next = 0;
            if (a->now) a->now->next = next;
            else a->first = next;
        }
        next->used = (sizeof(cl__chunk) + 15) & ~(size_t)15;
        a->now = next;
    }
    uint8_t *p = (uint8_t *)a->now + a->now->used;
    a->now->used += n;
    __builtin_memset(p, 0, n);
    return p;
}

/* Memory of n bytes that stays. For what a plugin keeps from its settings; there is no way to give it back. */
CL__FN void *cl_new(size_t n) { return cl__take(&cl__kept, n); }

/* Memory of n bytes until the call ends. */
CL__FN void *cl_scratch(size_t n) { return cl__take(&cl__scratch, n); }

CL__FN void cl__reset(void) { cl__scratch.now = 0; }

/* ---- frames ---- */

enum {
    CL__CONFIGURE = 1, CL__OK, CL__FAILURE, CL__ITEMS, CL__RESULTS, CL__POLL, CL__POLL_RESULT, CL__RECEIVE,
    CL__RECEIVE_RESULT, CL__DELIVER, CL__HTTP_REQUEST, CL__HTTP_RESPONSE, CL__FILES,
    CL__MAX_RECORDS = 65535, CL__MAX_FRAME = 256 << 20, CL__ITEM = 312
};

/* Fields of a head, a record or a list's element, of which size bytes are there. */
typedef struct {
    const uint8_t *frame, *at;
    uint32_t size;
} cl__fields;

CL__INLINE uint64_t cl__f64(const cl__fields *f, uint32_t at) { return at + 8 <= f->size ? cl__u64(f->at + at) : 0; }
CL__INLINE uint32_t cl__f32(const cl__fields *f, uint32_t at) { return at + 4 <= f->size ? cl__u32(f->at + at) : 0; }
CL__INLINE cl_str cl__fstr(const cl__fields *f, uint32_t at) {
    uint64_t ref = cl__f64(f, at);
    return ref >> 32 ? (cl_str){(const char *)f->frame + (uint32_t)ref, (uint32_t)(ref >> 32)} : CL_NONE;
}

/* Records of a frame, or elements of a list. */
typedef struct {
    const uint8_t *frame, *at;
    uint32_t count, stride;
} cl__list;

CL__INLINE cl__fields cl__at(const cl__list *l, uint32_t i) {
    return (cl__fields){l->frame, l->at + (size_t)i * l->stride, l->stride};
}
CL__FN cl__list cl__flist(const cl__fields *f, uint32_t at) {
    uint64_t ref = cl__f64(f, at);
    return (cl__list){f->frame, f->frame + (uint32_t)ref, (uint32_t)(ref >> 32 & 0xffff), (uint32_t)(ref >> 48)};
}

/* A frame that is being read, and the first thing that is wrong with it. */
typedef struct {
    cl__fields head;
    cl__list records;
    uint64_t total, lists, chars; /* what lists and strings may still take up */
    const char *wrong;
} cl__frame;

#define CL__BAD(f, reason) ((void)((f)->wrong = (f)->wrong ? (f)->wrong : (reason)))

CL__FN cl_failure cl__malformed(const char *reason) {
    cl_str s = {reason, 0};
    while (s.data[s.len]) s.len++;
    return (cl_failure){true, true, CL_STR("malformed"), s, 0};
}

CL__INLINE void cl__check_ref(cl__frame *f, uint64_t ref) {
    uint64_t n = ref >> 32;
    if (!n) return;
    if ((ref & 0xffffffff) + n > f->total) CL__BAD(f, "found a string that leaves the frame");
    else if (n > f->chars) CL__BAD(f, "found strings that add up to more than the frame can hold");
    else f->chars -= n;
}
CL__INLINE void cl__check_strings(cl__frame *f, const cl__fields *x, uint32_t from, uint32_t to) {
    if (to > x->size) to = x->size;
    for (; from < to; from += 8) cl__check_ref(f, cl__u64(x->at + from));
}
CL__FN cl__list cl__check_list(cl__frame *f, const cl__fields *x, uint32_t at) {
    cl__list l = cl__flist(x, at), none = {0};
    uint64_t n = (uint64_t)l.count * l.stride;
    if (!l.count) return none;
    if (l.stride < 8 || l.stride % 8 || (uint64_t)(l.at - l.frame) + n > f->total) {
        CL__BAD(f, "found a list that leaves the frame or has elements of a size that cannot be");
        return none;
    }
    if (n > f->lists) {
        CL__BAD(f, "found lists that add up to more than the frame can hold");
        return none;
    }
    f->lists -= n;
    return l;
}
CL__INLINE void cl__check_number(cl__frame *f, const cl__fields *x, uint32_t at) {
    if ((cl__f64(x, at) >> 52 & 0x7ff) == 0x7ff) CL__BAD(f, "found a number that is not finite");
}
CL__INLINE void cl__check_time(cl__frame *f, const cl__fields *x, uint32_t at) {
    int64_t ms = (int64_t)cl__f64(x, at);
    if (ms < -62135596800000 || ms > 253402300799999) CL__BAD(f, "found an instant outside the years 1 to 9999");
}

CL__FN cl_failure cl__read_failure(cl__frame *f);

/* Opens a frame of the kind that is expected. A failure frame in place of another answer is the failure. */
CL__FN cl_failure cl__open(cl__frame *f, const uint8_t *b, size_t n, uint32_t kind) {
    if (n < 24) return cl__malformed("found the end of the data, expected a header");
    if (cl__u32(b) != 0x31464c43) return cl__malformed("found another start than CLF1, expected a frame");
    uint32_t version = cl__u32(b + 4), total = cl__u32(b + 8), count = cl__u32(b + 12), sizes = cl__u32(b + 16);
    uint32_t stride = sizes & 0xffff, head = sizes >> 16;
    if ((version & 0xffff) != 1) return cl__malformed("found a version other than 1");
    if (total < 24 || total > n || total > CL__MAX_FRAME) return cl__malformed("found a size that is not the frame's");
    if (head < 24 || head > total || head % 8) return cl__malformed("found a head size that cannot be");
    if (count > CL__MAX_RECORDS) return cl__malformed("found too many records");
    if (count && (stride < 8 || stride % 8 || (uint64_t)count * stride > total - head))
        return cl__malformed("found a record size that cannot be");
    *f = (cl__frame){{b, b, head}, {b, b + head, count, stride}, total, total, 4 * (uint64_t)total + 65536, 0};
    if (version >> 16 == kind) return CL_DONE;
    if (version >> 16 == CL__FAILURE) return cl__read_failure(f);
    return cl__malformed("found a frame of another kind than was expected");
}

CL__FN cl_failure cl__done(const cl__frame *f) { return f->wrong ? cl__malformed(f->wrong) : CL_DONE; }

CL__FN cl_failure cl__read_failure(cl__frame *f) {
    cl__fields *h = &f->head;
    cl__check_strings(f, h, 32, 48);
    if (cl__f64(h, 48) > INT64_MAX / 1000000) CL__BAD(f, "found a duration that is negative or too long");
    if (f->wrong) return cl__malformed(f->wrong);
    return (cl_failure){true, cl__f64(h, 24) & 1, cl__fstr(h, 32), cl__fstr(h, 40), cl__f64(h, 48)};
}

/* A frame that is being written into memory that is used again. */
typedef struct {
    uint8_t *data;
    size_t len, cap;
    bool full; /* it cannot be carried */
} cl__writer;

static cl__writer cl__answer;

CL__FN void cl__reserve(cl__writer *w, size_t n) {
    size_t cap = w->cap * 2 > w->len + n ? w->cap * 2 : w->len + n;
    cap = (cap + 65535) / 65536 * 65536;
    uint8_t *data = (uint8_t *)cl__pages(cap);
    if (w->len) __builtin_memcpy(data, w->data, w->len);
    w->data = data;
    w->cap = cap;
}
CL__INLINE uint8_t *cl__room(cl__writer *w, size_t n) {
    if (w->cap - w->len < n) cl__reserve(w, n);
    uint8_t *p = w->data + w->len;
    w->len += n;
    return p;
}
CL__FN size_t cl__zeros(cl__writer *w, size_t n) {
    size_t at = w->len;
    uint8_t *p = cl__room(w, n);
    __builtin_memset(p, 0, n);
    return at;
}
CL__FN void cl__begin(cl__writer *w, uint32_t kind, uint32_t head, uint32_t count, uint32_t stride) {
    w->len = 0;
    w->full = count > CL__MAX_RECORDS;
    if (w->full) count = 0;
    cl__zeros(w, head + (size_t)count * stride);
    cl__put32(w->data, 0x31464c43);
    cl__put32(w->data + 4, 1 | kind << 16);
    cl__put32(w->data + 12, count);
    cl__put32(w->data + 16, stride | head << 16);
}
CL__FN uint64_t cl__append(cl__writer *w, const void *p, size_t n) {
    size_t at = w->len;
    if (!n) return 0;
    if (n > CL__MAX_FRAME || at > CL__MAX_FRAME) {
        w->full = true;
        return 0;
    }
    uint8_t *to = cl__room(w, n);
    cl__copy(to, p, n);
    return at | (uint64_t)n << 32;
}
CL__FN void cl__str(cl__writer *w, size_t at, cl_str s) {
    uint64_t ref = cl__append(w, s.data, s.len);
    cl__put64(w->data + at, ref);
}
/* A list of zeros, its reference at at; returns where its elements start, 0 when there are none. */
CL__FN size_t cl__list_of(cl__writer *w, size_t at, uint32_t count, uint32_t stride) {
    if (count > CL__MAX_RECORDS) w->full = true;
    if (!count || w->full) return 0;
    size_t start = cl__zeros(w, (size_t)count * stride);
    cl__put64(w->data + at, start | (uint64_t)count << 32 | (uint64_t)stride << 48);
    return start;
}
/* The longest start of a string of at most n bytes that does not divide a character. */
CL__FN cl_str cl__cut(cl_str s, uint32_t n) {
    if (s.len <= n) return s;
    while (n && ((uint8_t)s.data[n] & 0xc0) == 0x80) n--;
    s.len = n;
    return s;
}
CL__FN void cl__fail(cl__writer *w, const cl_failure *f) {
    cl__begin(w, CL__FAILURE, 56, 0, 0);
    cl__put64(w->data + 24, f->fatal);
    cl__str(w, 32, cl__cut(f->code, 64));
    cl__str(w, 40, cl__cut(f->message, 4096));
    cl__put64(w->data + 48, f->after_ms);
    cl__put32(w->data + 8, (uint32_t)w->len);
}
/* Completes a frame. One that breaks a limit becomes a failure frame that says so. */
CL__FN void cl__end(cl__writer *w) {
    cl_failure f = CL_FATAL("too_large", "the answer does not fit a frame: too many elements or too many bytes");
    if (w->full || w->len > CL__MAX_FRAME) cl__fail(w, &f);
    else cl__put32(w->data + 8, (uint32_t)w->len);
}
CL__FN uint64_t cl__answered(cl__writer *w) { return (uint64_t)(uintptr_t)w->data << 32 | (uint32_t)w->len; }

/* ---- items ---- */

/* One piece of feedback. */
typedef struct {
    cl__fields f;
} cl_item;

#define CL__STRING(name, offset) \
    CL__INLINE cl_str cl_##name(const cl_item *item) { return cl__fstr(&item->f, offset); }
CL__STRING(id, 88)
CL__STRING(source, 96)      /* the id of the connector that brought it */
CL__STRING(external_id, 104) /* the source's own id */
CL__STRING(synthetic, 112)  /* why the engine made that id up */
CL__STRING(batch, 120)      /* the import that it belongs to */
CL__STRING(position, 128)   /* where in the import it stood */
CL__STRING(survey, 136)     /* nps, csat, ces or another */
CL__STRING(survey_id, 144)
CL__STRING(channel, 152)
CL__STRING(touchpoint, 160)
CL__STRING(stage, 168)
CL__STRING(product, 176)
CL__STRING(location, 184)
CL__STRING(language, 192)
CL__STRING(title, 200)
CL__STRING(text, 208) /* what the customer wrote; evidence counts bytes of it */
CL__STRING(url, 216)
CL__STRING(customer_id, 224)
CL__STRING(customer_key_kind, 232)
CL__STRING(customer_name, 240)
CL__STRING(customer_email, 248)
CL__STRING(customer_account, 256)
CL__STRING(customer_segment, 264)
CL__STRING(customer_tier, 272)
CL__STRING(customer_region, 280)
CL__STRING(customer_country, 288)
CL__STRING(customer_language, 296)
CL__STRING(customer_owner, 304)

/* Each of these says whether the number is known, and puts it into v. */
#define CL__NUMBER(name, bit, offset) \
    CL__FN bool cl_##name(const cl_item *item, double *v) { \
        if (!(cl__f64(&item->f, 0) & bit)) return false; \
        *v = cl__double(cl__f64(&item->f, offset)); \
        return true; \
    }
CL__NUMBER(score, 1, 32)
CL__NUMBER(scale_min, 2, 40)
CL__NUMBER(scale_max, 4, 48)
CL__NUMBER(customer_arr, 8, 56)
CL__NUMBER(customer_tenure_days, 16, 64)

CL__FN int64_t cl_version(const cl_item *item) { return (int64_t)cl__f64(&item->f, 8); }
CL__FN cl_time cl_occurred_at(const cl_item *item) { return (cl_time)cl__f64(&item->f, 16); }
CL__FN cl_time cl_received_at(const cl_item *item) { return (cl_time)cl__f64(&item->f, 24); }
CL__FN bool cl_occurred_assumed(const cl_item *item) { return cl__f64(&item->f, 0) & 128; }

/* Whether it is known whether the customer may be contacted, which is put into yes. */
CL__FN bool cl_contactable(const cl_item *item, bool *yes) {
    uint64_t flags = cl__f64(&item->f, 0);
    *yes = flags & 64;
    return flags & 32;
}

enum { CL_ABSENT, CL_TEXT, CL_NUMBER, CL_TRUTH, CL_INSTANT };

/* The value of an attribute; the member that its kind names holds it. */
typedef struct {
    int kind;
    cl_str text;
    double number;
    bool truth;
    cl_time instant;
} cl_value;

typedef struct {
    cl__list l;
} cl_attributes;

CL__FN cl_attributes cl_attributes_of(const cl_item *item) { return (cl_attributes){cl__flist(&item->f, 72)}; }
CL__FN cl_attributes cl_customer_attributes_of(const cl_item *item) { return (cl_attributes){cl__flist(&item->f, 80)}; }

/* The attribute at i, from 0 to before a.l.count; its kind is CL_ABSENT when it says nothing. */
CL__FN cl_value cl_attribute_at(cl_attributes a, uint32_t i, cl_str *name) {
    cl__fields e = cl__at(&a.l, i);
    uint64_t bits = cl__f64(&e, 16);
    uint32_t kind = cl__f32(&e, 8);
    cl_value v = {kind <= CL_INSTANT ? (int)kind : CL_ABSENT, CL_NONE, cl__double(bits), bits != 0, (cl_time)bits};
    *name = cl__fstr(&e, 0);
    if (kind == CL_TEXT) v.text = cl__fstr(&e, 16);
    if ((kind == CL_TEXT && !v.text.len) || (kind == CL_INSTANT && !bits)) v.kind = CL_ABSENT;
    return v;
}

/* The attribute of that name; its kind is CL_ABSENT when there is none. */
CL__FN cl_value cl_attribute(cl_attributes a, cl_str name) {
    for (uint32_t i = a.l.count; i-- > 0;) {
        cl__fields e = cl__at(&a.l, i);
        uint32_t kind = cl__f32(&e, 8);
        cl_str n = cl__fstr(&e, 0);
        if (kind >= CL_TEXT && kind <= CL_INSTANT && cl_equal(n, name)) return cl_attribute_at(a, i, &n);
    }
    return (cl_value){0};
}

CL__FN void cl__check_attributes(cl__frame *f, const cl__fields *item, uint32_t at) {
    cl__list l = cl__check_list(f, item, at);
    for (uint32_t i = 0; i < l.count; i++) {
        cl__fields e = cl__at(&l, i);
        uint32_t kind = cl__f32(&e, 8);
        cl__check_strings(f, &e, 0, 8);
        if (kind == CL_TEXT) cl__check_strings(f, &e, 16, 24);
        if (kind == CL_NUMBER) cl__check_number(f, &e, 16);
        if (kind == CL_INSTANT) cl__check_time(f, &e, 16);
    }
}
CL__FN void cl__check_item(cl__frame *f, const cl__fields *item) {
    uint64_t flags = cl__f64(item, 0);
    cl__check_time(f, item, 16);
    cl__check_time(f, item, 24);
    cl__check_strings(f, item, 88, CL__ITEM);
    for (uint32_t i = 0; i < 5; i++)
        if (flags >> i & 1) cl__check_number(f, item, 32 + 8 * i);
    if (cl__f64(item, 72)) cl__check_attributes(f, item, 72);
    if (cl__f64(item, 80)) cl__check_attributes(f, item, 80);
}

/* ---- results ---- */

/* What is said of one item. */
typedef struct {
    size_t at, spans;
    uint64_t flags;
} cl_result;

static cl__writer cl__themes; /* of the item that is being labelled, as they will be in the frame */

/* Adds a theme such as packaging/opening, with a confidence from 0 to 1. */
CL__FN void cl_theme(cl_result *out, cl_str path, double confidence) {
    uint64_t ref = cl__append(&cl__answer, path.data, path.len);
    uint8_t *t = cl__room(&cl__themes, 40);
    cl__put64(t, 0);
    cl__put64(t + 8, ref);
    cl__put64(t + 16, cl__bits(confidence));
    cl__put64(t + 24, 0);
    cl__put64(t + 32, 0);
    out->spans = 0;
}

/* Says where in the item's text the theme that was added last shows: bytes from start to before end. */
CL__FN void cl_evidence(cl_result *out, uint32_t start, uint32_t end) {
    if (!cl__themes.len) return;
    if (out->spans == CL__MAX_RECORDS) {
        cl__answer.full = true;
        return;
    }
    uint8_t *t = cl__themes.data + cl__themes.len - 40;
    size_t first = out->spans ? cl__u32(t + 32) : cl__answer.len, n = 8 * out->spans;
    if (first + n != cl__answer.len) { /* something else has been said since: the spans move behind it */
        size_t to = cl__zeros(&cl__answer, n);
        cl__copy(cl__answer.data + to, cl__answer.data + first, n);
        first = to;
    }
    uint8_t *span = cl__room(&cl__answer, 8);
    cl__put64(span, start | (uint64_t)end << 32);
    cl__put64(t + 32, first | (uint64_t)++out->spans << 32 | (uint64_t)8 << 48);
}

/* Says the sentiment towards the theme that was added last, from -1 to 1. */
CL__FN void cl_theme_sentiment(cl_result *out, double v) {
    (void)out;
    if (!cl__themes.len) return;
    uint8_t *t = cl__themes.data + cl__themes.len - 40;
    cl__put64(t, 1);
    cl__put64(t + 24, cl__bits(v));
}

/* Says the sentiment of the whole item, from -1 to 1. */
CL__FN void cl_sentiment(cl_result *out, double v) {
    out->flags |= 1;
    cl__put64(cl__answer.data + out->at + 8, cl__bits(v));
}

/* Says that this is no feedback at all, and why. */
CL__FN void cl_drop(cl_result *out, cl_str reason) { cl__str(&cl__answer, out->at + 24, reason); }

CL__FN void cl__end_result(cl_result *out, const cl_failure *f) {
    cl__writer *w = &cl__answer;
    if (f->failed) {
        out->flags |= 2 | (uint64_t)f->fatal << 2;
        cl__str(w, out->at + 32, cl__cut(f->code, 64));
        cl__str(w, out->at + 40, cl__cut(f->message, 4096));
        cl__put64(w->data + out->at + 48, f->after_ms);
    }
    cl__put64(w->data + out->at, out->flags);
    size_t count = cl__themes.len / 40;
    if (count > CL__MAX_RECORDS) w->full = true;
    else if (count) {
        size_t start = w->len;
        uint8_t *p = cl__room(w, cl__themes.len);
        cl__copy(p, cl__themes.data, cl__themes.len);
        cl__put64(w->data + out->at + 16, start | (uint64_t)count << 32 | (uint64_t)40 << 48);
    }
    cl__themes.len = 0;
}

/* ---- settings ---- */

/* A JSON value within a text, of which the host has checked that it is JSON. What is not there, or is of another type,
 * is absent: reading it gives what the caller says. */
typedef struct {
    const char *at, *end;
} cl_json;

CL__FN cl_json cl__space(cl_json j) {
    while (j.at < j.end && (*j.at == ' ' || *j.at == '\t' || *j.at == '\n' || *j.at == '\r')) j.at++;
    return j;
}

/* The JSON value in a text. */
CL__FN cl_json cl_json_of(cl_str text) { return cl__space((cl_json){text.data, text.data + text.len}); }

CL__INLINE bool cl__starts(cl_json j, char c) { return j.at < j.end && *j.at == c; }

/* Whether there is a value, and it is not null. */
CL__FN bool cl_json_exists(cl_json j) { return j.at < j.end && *j.at != 'n'; }

/* Where the value ends that starts here. */
CL__FN const char *cl__value_end(cl_json j) {
    const char *p = j.at;
    for (int depth = 0; p < j.end;) {
        char c = *p;
        if (c == '"') {
            for (p++; p < j.end && *p != '"'; p++)
                if (*p == '\\' && p + 1 < j.end) p++;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (!depth) break;
            depth--;
        } else if (!depth && (c == ',' || c == ':' || c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
            break;
        }
        if (p < j.end) p++;
        if (!depth && (c == '"' || c == '}' || c == ']')) break;
    }
    return p;
}

/* The text of a value. */
CL__FN cl_str cl_json_text(cl_json j) { return (cl_str){j.at, (uint32_t)(cl__value_end(j) - j.at)}; }

/* The first element of a list, or the name of the first member of an object; absent when there is none. */
CL__FN cl_json cl_json_first(cl_json j) {
    cl_json none = {0};
    if (!cl__starts(j, '[') && !cl__starts(j, '{')) return none;
    j.at++;
    j = cl__space(j);
    return j.at < j.end && *j.at != ']' && *j.at != '}' ? j : none;
}

/* The element after this one:
 *     for (cl_json e = cl_json_first(list); e.at; e = cl_json_next(e)) ...
 */
CL__FN cl_json cl_json_next(cl_json j) {
    cl_json none = {0};
    j.at = cl__value_end(j);
    j = cl__space(j);
    if (!cl__starts(j, ',')) return none;
    j.at++;
    j = cl__space(j);
    return j.at < j.end ? j : none;
}

/* The value of the member whose name this is; cl_json_next of the value is the next name. */
CL__FN cl_json cl_json_value(cl_json name) {
    cl_json none = {0};
    name.at = cl__value_end(name);
    name = cl__space(name);
    if (!cl__starts(name, ':')) return none;
    name.at++;
    return cl__space(name);
}

CL__FN uint32_t cl__hex4(const char *p, const char *end) {
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p + i < end ? cl_lower(p[i]) : '0';
        v = v << 4 | (uint32_t)(c >= 'a' ? c - 'a' + 10 : c - '0');
    }
    return v & 0xffff;
}

/* A string, in memory that stays; otherwise when the value is none. */
CL__FN cl_str cl_json_string(cl_json j, cl_str otherwise) {
    if (!cl__starts(j, '"')) return otherwise;
    cl_str text = cl_json_text(j);
    if (text.len < 2) return otherwise;
    const char *p = text.data + 1, *end = text.data + text.len - 1;
    char *out = (char *)cl_new(text.len), *to = out;
    while (p < end) {
        if (*p != '\\' || p + 1 >= end) {
            *to++ = *p++;
            continue;
        }
        char c = p[1];
        p += 2;
        if (c != 'u') {
            *to++ = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'b' ? '\b' : c == 'f' ? '\f' : c;
            continue;
        }
        uint32_t r = cl__hex4(p, end), low = 0;
        p = end - p < 4 ? end : p + 4;
        if (r >= 0xd800 && r < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') low = cl__hex4(p + 2, end);
        if (low >= 0xdc00 && low < 0xe000) {
            r = 0x10000 + ((r - 0xd800) << 10) + (low - 0xdc00);
            p += 6;
        } else if (r >= 0xd800 && r < 0xe000) {
            r = 0xfffd;
        }
        if (r < 0x80) {
            *to++ = (char)r;
        } else if (r < 0x800) {
            *to++ = (char)(0xc0 | r >> 6);
            *to++ = (char)(0x80 | (r & 63));
        } else if (r < 0x10000) {
            *to++ = (char)(0xe0 | r >> 12);
            *to++ = (char)(0x80 | (r >> 6 & 63));
            *to++ = (char)(0x80 | (r & 63));
        } else {
            *to++ = (char)(0xf0 | r >> 18);
            *to++ = (char)(0x80 | (r >> 12 & 63));
            *to++ = (char)(0x80 | (r >> 6 & 63));
            *to++ = (char)(0x80 | (r & 63));
        }
    }
    return (cl_str){out, (uint32_t)(to - out)};
}

/* The member of an object. */
CL__FN cl_json cl_json_get(cl_json object, cl_str name) {
    cl_json none = {0};
    if (!cl__starts(object, '{')) return none;
    for (cl_json n = cl_json_first(object); n.at;) {
        cl_json value = cl_json_value(n);
        if (!value.at) break;
        cl_str text = cl_json_text(n);
        bool plain = text.len == name.len + 2 && cl_equal((cl_str){text.data + 1, text.len - 2}, name);
        bool escaped = false;
        for (uint32_t i = 0; i < text.len; i++) escaped |= text.data[i] == '\\';
        if (plain || (escaped && cl_equal(cl_json_string(n, CL_NONE), name))) return value;
        n = cl_json_next(value);
    }
    return none;
}

/* A number; exact up to 15 digits, beyond that to about one part in 10^15. */
CL__FN double cl_json_number(cl_json j, double otherwise) {
    if (!cl__starts(j, '-') && !(j.at < j.end && *j.at >= '0' && *j.at <= '9')) return otherwise;
    cl_str t = cl_json_text(j);
    uint64_t digits = 0;
    int scale = 0, exponent = 0;
    bool fraction = false, negative = t.data[0] == '-', small = false;
    uint32_t i = negative;
    for (; i < t.len && ((t.data[i] >= '0' && t.data[i] <= '9') || t.data[i] == '.'); i++) {
        if (t.data[i] == '.') {
            fraction = true;
        } else if (digits < UINT64_MAX / 100) {
            digits = digits * 10 + (uint64_t)(t.data[i] - '0');
            scale -= fraction;
        } else {
            scale += !fraction;
        }
    }
    if (i < t.len && cl_lower(t.data[i]) == 'e') {
        i++;
        small = i < t.len && t.data[i] == '-';
        if (small || (i < t.len && t.data[i] == '+')) i++;
        for (; i < t.len && t.data[i] >= '0' && t.data[i] <= '9'; i++)
            if (exponent < 10000) exponent = exponent * 10 + (t.data[i] - '0');
    }
    scale += small ? -exponent : exponent;
    double v = (double)digits, power = 1;
    int steps = scale < 0 ? -scale : scale;
    if (steps > 400) steps = 400;
    for (; steps > 22; steps -= 22) v = scale < 0 ? v / 1e22 : v * 1e22;
    while (steps--) power *= 10;
    v = scale < 0 ? v / power : v * power;
    return negative ? -v : v;
}

/* A truth value. */
CL__FN bool cl_json_truth(cl_json j, bool otherwise) {
    cl_str t = j.at ? cl_json_text(j) : CL_NONE;
    if (cl_equal(t, CL_STR("true"))) return true;
    return cl_equal(t, CL_STR("false")) ? false : otherwise;
}

/* Strings of a list, in memory that stays. */
typedef struct {
    cl_str *at;
    uint32_t count;
} cl_strings;

/* The strings of a list; other elements are left out. */
CL__FN cl_strings cl_json_strings(cl_json list) {
    cl_strings out = {0};
    uint32_t n = 0;
    if (!cl__starts(list, '[')) return out;
    for (cl_json e = cl_json_first(list); e.at; e = cl_json_next(e)) n++;
    out.at = (cl_str *)cl_new(n * sizeof(cl_str));
    for (cl_json e = cl_json_first(list); e.at; e = cl_json_next(e))
        if (cl__starts(e, '"')) out.at[out.count++] = cl_json_string(e, CL_NONE);
    return out;
}

/* ---- what the host offers ---- */

/* Writes to the engine's log, if the program grants log. */
CL__FN void cl_log(int level, cl_str message) { cl__host_log((uint32_t)level, message.data, message.len); }

/* The engine's time; that of the call, unless the program grants clock. */
CL__FN cl_time cl_now(void) { return cl__host_now(); }

/* A file that the program grants. */
typedef struct {
    cl_str name; /* relative to the granted file or folder, with slashes */
    int64_t size;
    cl_time modified;
    uint64_t identity; /* changes when another file takes the name */
    int32_t id;        /* what cl_read_file takes */
} cl_file;

typedef struct {
    cl_file *at;
    uint32_t count;
} cl_files_list;

CL__FN cl_files_list cl__files(cl__frame *f) {
    cl_files_list all = {(cl_file *)cl_scratch(f->records.count * sizeof(cl_file)), f->records.count};
    for (uint32_t i = 0; i < all.count; i++) {
        cl__fields r = cl__at(&f->records, i);
        cl__check_strings(f, &r, 0, 8);
        cl__check_time(f, &r, 16);
        if ((int64_t)cl__f64(&r, 8) < 0) CL__BAD(f, "found a negative size");
        if (f->wrong) break;
        all.at[i] = (cl_file){cl__fstr(&r, 0), (int64_t)cl__f64(&r, 8), (cl_time)cl__f64(&r, 16), cl__f64(&r, 24),
                              (int32_t)cl__f32(&r, 32)};
    }
    return all;
}

CL__FN cl_failure cl__file_failure(int32_t code) {
    if (code == -2) return CL_FATAL("not_granted", "the program does not grant \"file\" to this plugin");
    if (code == -3) return CL_RETRY("gone", "the file is not among the granted files");
    if (code == -4) return CL_FATAL("bad_argument", "a file was asked for with a wrong argument");
    return CL_RETRY("file", "the file cannot be read");
}

/* Puts the files that the program grants into all. They and their names last until the call ends. */
CL__FN cl_failure cl_files(cl_files_list *all) {
    uint32_t cap = 4096;
    uint8_t *p = (uint8_t *)cl_scratch(cap);
    int32_t n = cl__host_file_stat(-1, p, cap);
    while (n > 0 && (uint32_t)n > cap) {
        cap = (uint32_t)n;
        p = (uint8_t *)cl_scratch(cap);
        n = cl__host_file_stat(-1, p, cap);
    }
    if (n < 0) return cl__file_failure(n);
    cl__frame f;
    cl_failure e = cl__open(&f, p, (uint32_t)n, CL__FILES);
    if (e.failed) return e;
    *all = cl__files(&f);
    return cl__done(&f);
}

/* Reads bytes of a granted file from the offset into p and puts their number into n: 0 at the end of the file. */
CL__FN cl_failure cl_read_file(int32_t id, uint64_t offset, void *p, uint32_t cap, uint32_t *n) {
    int32_t got = cl__host_file_read(id, (int64_t)offset, p, cap);
    *n = got < 0 ? 0 : (uint32_t)got;
    return got < 0 ? cl__file_failure(got) : CL_DONE;
}

CL__FN cl_failure cl__kv_failure(int32_t code) {
    if (code == -2) return CL_FATAL("not_granted", "the program does not grant \"kv\" to this plugin");
    if (code == -4) return CL_FATAL("bad_argument", "a key has 1 to 512 bytes, a value at most 65536");
    if (code == -5) return CL_FATAL("kv_full", "the plugin keeps as much as the program allows");
    return CL_RETRY("kv", "the store cannot be used");
}

/* Puts the value that the plugin keeps under a key of 1 to 512 bytes into value; an empty one is none. It lasts until
 * the call ends. */
CL__FN cl_failure cl_kv_get(cl_str key, cl_str *value) {
    uint32_t cap = 1024;
    char *p = (char *)cl_scratch(cap);
    int32_t n = cl__host_kv_get(key.data, key.len, p, cap);
    while (n > 0 && (uint32_t)n > cap) {
        cap = (uint32_t)n;
        p = (char *)cl_scratch(cap);
        n = cl__host_kv_get(key.data, key.len, p, cap);
    }
    *value = n > 0 ? (cl_str){p, (uint32_t)n} : CL_NONE;
    return n < 0 && n != -3 ? cl__kv_failure(n) : CL_DONE;
}

/* Keeps a value of at most 65536 bytes under a key; an empty one removes the key. It is kept when the call succeeds. */
CL__FN cl_failure cl_kv_put(cl_str key, cl_str value) {
    int32_t n = cl__host_kv_put(key.data, key.len, value.data, value.len);
    return n ? cl__kv_failure(n) : CL_DONE;
}

/* Headers of a request or a response, their names in lower case when the host wrote them. */
typedef struct {
    cl__list l;
} cl_headers;

/* The value of a header, empty when there is none. */
CL__FN cl_str cl_header(cl_headers h, cl_str name) {
    for (uint32_t i = h.l.count; i-- > 0;) {
        cl__fields e = cl__at(&h.l, i);
        if (cl_equal(cl__fstr(&e, 0), name)) return cl__fstr(&e, 8);
    }
    return CL_NONE;
}

/* The name of the header at i, from 0 to before h.l.count, and its value. */
CL__FN cl_str cl_header_at(cl_headers h, uint32_t i, cl_str *value) {
    cl__fields e = cl__at(&h.l, i);
    *value = cl__fstr(&e, 8);
    return cl__fstr(&e, 0);
}

CL__FN cl_headers cl__headers(cl__frame *f) {
    for (uint32_t i = 0; i < f->records.count; i++) {
        cl__fields e = cl__at(&f->records, i);
        cl__check_strings(f, &e, 0, 16);
    }
    return (cl_headers){f->records};
}

typedef struct {
    cl_str name, value;
} cl_pair;

/* A request that the host makes. The host adds what needs a secret; the plugin never sees it. */
typedef struct {
    cl_str method, url, body;
    const cl_pair *headers;
    uint32_t header_count;
    cl_str auth_scheme, auth_secret; /* bearer, basic or url, and the name of the program's secret */
    cl_str sign_scheme, sign_secret; /* standard-webhooks, and the name of the program's secret */
    cl_str sign_id;                  /* the message's id, part of what is signed */
    cl_time sign_timestamp;          /* part of what is signed; 0 means the host's time */
} cl_request;

/* The answer. It lasts until the call ends. */
typedef struct {
    uint32_t status;
    cl_headers headers;
    cl_str body;
} cl_response;

CL__FN void cl__write_request(cl__writer *w, const cl_request *q) {
    cl__begin(w, CL__HTTP_REQUEST, 96, q->header_count, 16);
    cl_str all[] = {q->url, q->method, q->body, q->auth_scheme, q->auth_secret, q->sign_scheme, q->sign_secret, q->sign_id};
    for (uint32_t i = 0; i < 8; i++) cl__str(w, 24 + 8 * i, all[i]);
    cl__put64(w->data + 88, (uint64_t)q->sign_timestamp);
    for (uint32_t i = 0; i < q->header_count && !w->full; i++) {
        cl__str(w, 96 + 16 * i, q->headers[i].name);
        cl__str(w, 104 + 16 * i, q->headers[i].value);
    }
    cl__end(w);
}

/* Makes a request to a host that the program grants. A failure means that there is no response. */
CL__FN cl_failure cl_http(const cl_request *request, cl_response *response) {
    static cl__writer w;
    cl__write_request(&w, request);
    uint32_t cap = 16 << 10;
    uint8_t *p = (uint8_t *)cl_scratch(cap);
    uint32_t n = (uint32_t)cl__host_http(w.data, (uint32_t)w.len, p, cap);
    if (n > cap) { /* the host keeps the answer until it is fetched */
        cap = n;
        p = (uint8_t *)cl_scratch(cap);
        n = (uint32_t)cl__host_http(0, 0, p, cap);
    }
    cl__frame f;
    cl_failure e = cl__open(&f, p, n < cap ? n : cap, CL__HTTP_RESPONSE);
    if (e.failed) return e;
    cl__check_strings(&f, &f.head, 32, 40);
    *response = (cl_response){cl__f32(&f.head, 24), cl__headers(&f), CL_NONE};
    if (!f.wrong) response->body = cl__fstr(&f.head, 32);
    return cl__done(&f);
}

/* ---- connectors and deliverers ---- */

/* An attribute of a new item; see cl_value. */
typedef struct {
    cl_str name;
    cl_value value;
} cl_new_attribute;

/* A number that may be missing. */
typedef struct {
    bool known;
    double v;
} cl_maybe;

/* An item as a connector makes it; see cl_item for what the fields mean. What is not given is zero. Attributes are in
 * the order of their names. */
typedef struct {
    cl_str id, source, external_id, synthetic, batch, position, survey, survey_id, channel, touchpoint, stage, product,
        location, language, title, text, url, customer_id, customer_key_kind, customer_name, customer_email,
        customer_account, customer_segment, customer_tier, customer_region, customer_country, customer_language,
        customer_owner;
    cl_maybe score, scale_min, scale_max, customer_arr, customer_tenure_days;
    int64_t version;
    cl_time occurred_at, received_at;
    bool occurred_assumed, contactable_known, contactable;
    const cl_new_attribute *attributes, *customer_attributes;
    uint32_t attribute_count, customer_attribute_count;
} cl_new_item;

CL__FN void cl__write_attributes(cl__writer *w, size_t at, const cl_new_attribute *all, uint32_t count) {
    size_t start = cl__list_of(w, at, count, 24);
    for (uint32_t i = 0; start && i < count; i++, start += 24) {
        const cl_value *v = &all[i].value;
        uint64_t bits = v->kind == CL_NUMBER ? cl__bits(v->number) : v->kind == CL_TRUTH ? v->truth : (uint64_t)v->instant;
        cl__str(w, start, all[i].name);
        if (v->kind == CL_TEXT) bits = cl__append(w, v->text.data, v->text.len);
        cl__put32(w->data + start + 8, (uint32_t)v->kind);
        cl__put64(w->data + start + 16, bits);
    }
}

CL__FN void cl__write_items(cl__writer *w, size_t at, const cl_new_item *items, uint32_t count) {
    for (; count && !w->full; count--, items++, at += CL__ITEM) {
        const cl_maybe *numbers[] = {&items->score, &items->scale_min, &items->scale_max, &items->customer_arr,
                                     &items->customer_tenure_days};
        uint64_t flags = (uint64_t)items->contactable_known << 5 | (uint64_t)items->contactable << 6 |
                         (uint64_t)items->occurred_assumed << 7;
        for (uint32_t i = 0; i < 5; i++) {
            flags |= (uint64_t)numbers[i]->known << i;
            if (numbers[i]->known) cl__put64(w->data + at + 32 + 8 * i, cl__bits(numbers[i]->v));
        }
        cl__put64(w->data + at, flags);
        cl__put64(w->data + at + 8, (uint64_t)items->version);
        cl__put64(w->data + at + 16, (uint64_t)items->occurred_at);
        cl__put64(w->data + at + 24, (uint64_t)items->received_at);
        const cl_str *strings = &items->id; /* the fields that follow one another */
        for (uint32_t i = 0; i < 28; i++) cl__str(w, at + 88 + 8 * i, strings[i]);
        cl__write_attributes(w, at + 72, items->attributes, items->attribute_count);
        cl__write_attributes(w, at + 80, items->customer_attributes, items->customer_attribute_count);
    }
}

/* Something that is no valid item, or, without raw, something worth telling. */
typedef struct {
    cl_str position, code, message, raw;
} cl_note;

/* Asks for more feedback: what came after the checkpoint, at most limit items and rejects together. */
typedef struct {
    cl_time now;
    cl_str checkpoint; /* the next of the last poll whose items are all durable; empty at the first */
    uint32_t limit;
} cl_poll_request;

/* What a poll brought. What it points to must last until the call ends: cl_scratch. */
typedef struct {
    const cl_new_item *items;
    uint32_t item_count;
    const cl_note *rejects;
    uint32_t reject_count;
    const cl_note *notices;
    uint32_t notice_count;
    cl_str next;  /* opaque, at most 65536 bytes */
    cl_str batch; /* the import that the items belong to */
    bool more;    /* another poll would return something at once */
    uint64_t wait_ms;
} cl_poll_result;

/* A request that arrived, its signature checked. */
typedef struct {
    cl_time now;
    cl_headers headers;
    cl_str body;
} cl_receive_request;

/* What it held. */
typedef struct {
    const cl_new_item *items;
    uint32_t item_count;
    const cl_note *rejects;
    uint32_t reject_count;
} cl_receive_result;

/* A message to deliver. */
typedef struct {
    cl_time now;
    cl_str key;  /* the same at every attempt of one delivery */
    cl_str kind; /* what it is about */
    cl_str body; /* a JSON object */
    cl_time at;  /* when the message was made */
    uint32_t attempt;
} cl_message;

CL__FN void cl__write_notes(cl__writer *w, size_t at, const cl_note *all, uint32_t count, uint32_t size) {
    size_t start = cl__list_of(w, at, count, size);
    for (uint32_t i = 0; start && i < count; i++, start += size) {
        const cl_str *strings = &all[i].position;
        for (uint32_t k = 0; k < size / 8; k++) cl__str(w, start + 8 * k, strings[k]);
    }
}

CL__FN void cl__write_poll_result(cl__writer *w, const cl_poll_result *p) {
    cl_failure f = CL_FATAL("too_large", "the checkpoint is larger than 65536 bytes");
    if (p->next.len > 65536) {
        cl__fail(w, &f);
        return;
    }
    cl__begin(w, CL__POLL_RESULT, 72, p->item_count, CL__ITEM);
    cl__str(w, 24, p->next);
    cl__str(w, 32, p->batch);
    cl__put64(w->data + 40, p->wait_ms);
    cl__put64(w->data + 48, p->more);
    cl__write_notes(w, 56, p->rejects, p->reject_count, 32);
    cl__write_notes(w, 64, p->notices, p->notice_count, 24);
    cl__write_items(w, 72, p->items, p->item_count);
    cl__end(w);
}

CL__FN void cl__write_receive_result(cl__writer *w, const cl_receive_result *p) {
    cl__begin(w, CL__RECEIVE_RESULT, 32, p->item_count, CL__ITEM);
    cl__write_notes(w, 24, p->rejects, p->reject_count, 32);
    cl__write_items(w, 32, p->items, p->item_count);
    cl__end(w);
}

/* ---- calls ---- */

/* What a plugin is made from. The settings and the instance's name stay, the files do not. */
typedef struct {
    cl_time now;
    cl_json settings; /* the program's, checked against the manifest and completed with its defaults */
    cl_str instance;  /* the plugin's id in the program */
    uint32_t contract; /* what the host speaks: major<<16 | minor */
    uint32_t grants;   /* 1 log, 2 file, 4 http, 8 clock, 16 kv, 32 random */
    cl_files_list files;
} cl_config;

static uint8_t *cl__input;
static uint32_t cl__input_size;
static bool cl__configured;

CL__FN uint8_t *cl__alloc(uint32_t n) {
    if (n > cl__input_size) {
        cl__input_size = (n + 65535) & ~65535u;
        cl__input = (uint8_t *)cl__pages(cl__input_size);
    }
    return cl__input;
}

CL__FN cl_str cl__keep(cl_str s) {
    uint8_t *p = (uint8_t *)cl_new(s.len);
    cl__copy(p, s.data, s.len);
    return (cl_str){(const char *)p, s.len};
}

CL__FN cl_failure cl__enter(cl__frame *f, uint32_t n, uint32_t kind) {
    cl__reset();
    if (!cl__configured && kind != CL__CONFIGURE) return CL_FATAL("not_configured", "the plugin was not configured");
    cl_failure e = cl__open(f, cl__input, n < cl__input_size ? n : cl__input_size, kind);
    if (!e.failed) cl__check_time(f, &f->head, 24);
    return e;
}

CL__FN uint64_t cl__leave(const cl_failure *e) {
    if (e->failed) cl__fail(&cl__answer, e);
    return cl__answered(&cl__answer);
}

CL__FN uint64_t cl__configure(uint32_t n, cl_failure (*configure)(const cl_config *)) {
    cl__frame f;
    cl_failure e = cl__enter(&f, n, CL__CONFIGURE);
    if (!e.failed) {
        cl__check_strings(&f, &f.head, 32, 48);
        cl_config c = {.now = (cl_time)cl__f64(&f.head, 24), .files = cl__files(&f)};
        e = cl__done(&f);
        if (!e.failed) {
            c.settings = cl_json_of(cl__keep(cl__fstr(&f.head, 32)));
            c.instance = cl__keep(cl__fstr(&f.head, 40));
            c.contract = cl__f32(&f.head, 48);
            c.grants = cl__f32(&f.head, 52);
            e = configure(&c);
            cl__configured = !e.failed;
        }
    }
    cl__begin(&cl__answer, CL__OK, 24, 0, 0);
    cl__end(&cl__answer);
    return cl__leave(&e);
}

CL__INLINE uint64_t cl__categorize(uint32_t n, cl_failure (*categorize)(const cl_item *, cl_result *)) {
    cl__frame f;
    cl_failure e = cl__enter(&f, n, CL__ITEMS);
    for (uint32_t i = 0; !e.failed && i < f.records.count; i++) {
        cl__fields item = cl__at(&f.records, i);
        cl__check_item(&f, &item);
    }
    if (!e.failed) e = cl__done(&f);
    if (e.failed) return cl__leave(&e);
    cl__begin(&cl__answer, CL__RESULTS, 24, f.records.count, 56);
    for (uint32_t i = 0; i < f.records.count; i++) {
        cl_item item = {cl__at(&f.records, i)};
        cl_result out = {24 + 56 * (size_t)i, 0, 0};
        cl_failure failed = categorize(&item, &out);
        cl__end_result(&out, &failed);
    }
    cl__end(&cl__answer);
    return cl__leave(&e);
}

CL__FN uint64_t cl__poll(uint32_t n, cl_failure (*poll)(const cl_poll_request *, cl_poll_result *)) {
    cl__frame f;
    cl_failure e = cl__enter(&f, n, CL__POLL);
    if (e.failed) return cl__leave(&e);
    cl__check_strings(&f, &f.head, 32, 40);
    if (f.wrong) return e = cl__done(&f), cl__leave(&e);
    cl_poll_request q = {(cl_time)cl__f64(&f.head, 24), cl__fstr(&f.head, 32), cl__f32(&f.head, 40)};
    cl_poll_result p = {0};
    e = poll(&q, &p);
    if (!e.failed) cl__write_poll_result(&cl__answer, &p);
    return cl__leave(&e);
}

CL__FN uint64_t cl__receive(uint32_t n, cl_failure (*receive)(const cl_receive_request *, cl_receive_result *)) {
    cl__frame f;
    cl_failure e = cl__enter(&f, n, CL__RECEIVE);
    if (e.failed) return cl__leave(&e);
    cl__check_strings(&f, &f.head, 32, 40);
    cl_receive_request q = {(cl_time)cl__f64(&f.head, 24), cl__headers(&f), CL_NONE};
    if (f.wrong) return e = cl__done(&f), cl__leave(&e);
    q.body = cl__fstr(&f.head, 32);
    cl_receive_result p = {0};
    e = receive(&q, &p);
    if (!e.failed) cl__write_receive_result(&cl__answer, &p);
    return cl__leave(&e);
}

CL__FN uint64_t cl__deliver(uint32_t n, cl_failure (*deliver)(const cl_message *)) {
    cl__frame f;
    cl_failure e = cl__enter(&f, n, CL__DELIVER);
    if (e.failed) return cl__leave(&e);
    cl__fields *h = &f.head;
    cl__check_strings(&f, h, 32, 56);
    cl__check_time(&f, h, 56);
    if (f.wrong) return e = cl__done(&f), cl__leave(&e);
    cl_message m = {(cl_time)cl__f64(h, 24), cl__fstr(h, 32), cl__fstr(h, 40), cl__fstr(h, 48), (cl_time)cl__f64(h, 56),
                    cl__f32(h, 64)};
    e = deliver(&m);
    cl__begin(&cl__answer, CL__OK, 24, 0, 0);
    cl__end(&cl__answer);
    return cl__leave(&e);
}

#ifdef __wasm__
#define CL__EXPORT(name) __attribute__((export_name(#name), visibility("default")))
#else
#define CL__EXPORT(name) CL__USED
#endif

/* Makes the module a plugin. configure gets its settings, once, before anything else is called. */
#define CL_PLUGIN(configure) \
    CL__EXPORT(cl_abi) uint32_t cl__export_abi(void) { return 1 << 16; } \
    CL__EXPORT(cl_alloc) uint32_t cl__export_alloc(uint32_t n) { return (uint32_t)(uintptr_t)cl__alloc(n); } \
    CL__EXPORT(cl_configure) uint64_t cl__export_configure(uint32_t n) { return cl__configure(n, configure); }

/* Makes the plugin a categorizer. categorize says what an item means; a failure is this item's alone. The answer must
 * depend on the item alone, not on those before it. */
#define CL_CATEGORIZER(categorize) \
    CL__EXPORT(cl_categorize) uint64_t cl__export_categorize(uint32_t n) { return cl__categorize(n, categorize); }

/* Makes the plugin a connector that fetches feedback when asked, without waiting for any to arrive. */
#define CL_POLLER(poll) \
    CL__EXPORT(cl_poll) uint64_t cl__export_poll(uint32_t n) { return cl__poll(n, poll); }

/* Makes the plugin a connector that is handed what others send. */
#define CL_RECEIVER(receive) \
    CL__EXPORT(cl_receive) uint64_t cl__export_receive(uint32_t n) { return cl__receive(n, receive); }

/* Makes the plugin send messages out. CL_DONE once the destination has the message. */
#define CL_DELIVERER(deliver) \
    CL__EXPORT(cl_deliver) uint64_t cl__export_deliver(uint32_t n) { return cl__deliver(n, deliver); }

/* ---- for unit tests, on the machine that they run on ---- */

#ifndef __wasm__

/* A theme of an answer: what was said of it, and the first place where it shows. */
typedef struct {
    cl_str path;
    double confidence;
    cl_maybe sentiment;
    uint32_t spans, start, end;
} cl_test_theme;

/* An answer for one item. It lasts until the next call. */
typedef struct {
    cl_failure failure; /* of the call or of the item */
    cl_maybe sentiment;
    cl_str drop;
    uint32_t theme_count;
    cl_test_theme themes[16];
} cl_test_answer;

/* Configures the plugin with settings: a complete JSON object, nothing is filled in. */
CL__FN cl_failure cl_test_configure(cl_failure (*configure)(const cl_config *), cl_str settings) {
    static cl__writer w;
    cl__frame f;
    cl__begin(&w, CL__CONFIGURE, 56, 0, 0);
    cl__str(&w, 32, settings);
    cl__str(&w, 40, CL_STR("test"));
    cl__end(&w);
    cl__copy(cl__alloc((uint32_t)w.len), w.data, w.len);
    cl__configure((uint32_t)w.len, configure);
    cl_failure e = cl__open(&f, cl__answer.data, cl__answer.len, CL__OK);
    return e;
}

/* Categorizes one item. */
CL__FN cl_test_answer cl_test_categorize(cl_failure (*categorize)(const cl_item *, cl_result *), const cl_new_item *item) {
    static cl__writer w;
    cl__frame f;
    cl_test_answer a = {0};
    cl__begin(&w, CL__ITEMS, 32, 1, CL__ITEM);
    cl__write_items(&w, 32, item, 1);
    cl__end(&w);
    cl__copy(cl__alloc((uint32_t)w.len), w.data, w.len);
    cl__categorize((uint32_t)w.len, categorize);
    a.failure = cl__open(&f, cl__answer.data, cl__answer.len, CL__RESULTS);
    if (a.failure.failed) return a;
    cl__fields r = cl__at(&f.records, 0);
    uint64_t flags = cl__f64(&r, 0);
    cl__list themes = cl__flist(&r, 16);
    a.sentiment = (cl_maybe){flags & 1, cl__double(cl__f64(&r, 8))};
    a.drop = cl__fstr(&r, 24);
    a.failure = (cl_failure){flags >> 1 & 1, flags >> 2 & 1, cl__fstr(&r, 32), cl__fstr(&r, 40), cl__f64(&r, 48)};
    for (uint32_t i = 0; i < themes.count && i < 16; i++) {
        cl__fields t = cl__at(&themes, i);
        cl__list spans = cl__flist(&t, 32);
        cl__fields s = cl__at(&spans, 0);
        a.themes[i] = (cl_test_theme){cl__fstr(&t, 8), cl__double(cl__f64(&t, 16)), {cl__f64(&t, 0) & 1, cl__double(cl__f64(&t, 24))},
                                      spans.count, spans.count ? cl__f32(&s, 0) : 0, spans.count ? cl__f32(&s, 4) : 0};
    }
    a.theme_count = themes.count;
    return a;
}

#endif

#endif
