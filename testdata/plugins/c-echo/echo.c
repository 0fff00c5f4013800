/* Says what it has read and builds what it is told; see ../README.md. */
#include "../../../sdk/c/closedloop.h"

/* A text that grows, in memory until the call ends. */
typedef struct {
    char *data;
    uint32_t len, cap;
} said;

__attribute__((noinline)) static void bytes(said *s, cl_str t) {
    if (s->len + t.len > s->cap) {
        s->cap = 2 * (s->len + t.len) + 1024;
        char *data = (char *)cl_scratch(s->cap);
        __builtin_memcpy(data, s->data, s->len);
        s->data = data;
    }
    __builtin_memcpy(s->data + s->len, t.data, t.len);
    s->len += t.len;
}

static void digits(said *s, uint64_t v) {
    char text[16];
    for (int i = 15; i >= 0; i--, v >>= 4) text[i] = "0123456789abcdef"[v & 15];
    bytes(s, (cl_str){text, 16});
}

__attribute__((noinline)) static void line(said *s, const char *name, uint64_t v) {
    while (*name) bytes(s, (cl_str){name++, 1});
    bytes(s, CL_STR("="));
    digits(s, v);
    bytes(s, CL_STR("\n"));
}

static void number(said *s, const char *name, uint64_t v) {
    if (v) line(s, name, v);
}

static void some(said *s, const char *name, bool known, double v) {
    if (known) line(s, name, cl__bits(v));
}

__attribute__((noinline)) static void string(said *s, const char *name, cl_str v) {
    if (!v.len) return;
    while (*name) bytes(s, (cl_str){name++, 1});
    bytes(s, CL_STR("="));
    bytes(s, v);
    bytes(s, CL_STR("\n"));
}

static void attributes(said *s, cl_str of, cl_attributes all) {
    for (uint32_t i = 0; i < all.l.count; i++) {
        cl_str name;
        cl_value v = cl_attribute_at(all, i, &name);
        if (v.kind == CL_ABSENT) continue;
        bytes(s, of);
        bytes(s, name);
        bytes(s, v.kind == CL_TEXT ? CL_STR("=1:") : v.kind == CL_NUMBER ? CL_STR("=2:") : v.kind == CL_TRUTH ? CL_STR("=3:") : CL_STR("=4:"));
        if (v.kind == CL_TEXT) bytes(s, v.text);
        else digits(s, v.kind == CL_NUMBER ? cl__bits(v.number) : v.kind == CL_TRUTH ? v.truth : (uint64_t)v.instant);
        bytes(s, CL_STR("\n"));
    }
}

static cl_str dump(const cl_item *item) {
    said s = {0};
    double v = 0;
    bool yes, known;
    bytes(&s, CL_STR("item\n"));
    number(&s, "version", (uint64_t)cl_version(item));
    number(&s, "occurred_at", (uint64_t)cl_occurred_at(item));
    number(&s, "received_at", (uint64_t)cl_received_at(item));
    known = cl_score(item, &v);
    some(&s, "score", known, v);
    known = cl_scale_min(item, &v);
    some(&s, "scale_min", known, v);
    known = cl_scale_max(item, &v);
    some(&s, "scale_max", known, v);
    known = cl_customer_arr(item, &v);
    some(&s, "customer.arr", known, v);
    known = cl_customer_tenure_days(item, &v);
    some(&s, "customer.tenure_days", known, v);
    known = cl_contactable(item, &yes);
    some(&s, "contactable", known, yes);
    number(&s, "occurred_assumed", cl_occurred_assumed(item));
    string(&s, "id", cl_id(item));
    string(&s, "source", cl_source(item));
    string(&s, "external_id", cl_external_id(item));
    string(&s, "synthetic", cl_synthetic(item));
    string(&s, "batch", cl_batch(item));
    string(&s, "position", cl_position(item));
    string(&s, "survey", cl_survey(item));
    string(&s, "survey_id", cl_survey_id(item));
    string(&s, "channel", cl_channel(item));
    string(&s, "touchpoint", cl_touchpoint(item));
    string(&s, "stage", cl_stage(item));
    string(&s, "product", cl_product(item));
    string(&s, "location", cl_location(item));
    string(&s, "language", cl_language(item));
    string(&s, "title", cl_title(item));
    string(&s, "text", cl_text(item));
    string(&s, "url", cl_url(item));
    string(&s, "customer.id", cl_customer_id(item));
    string(&s, "customer.key_kind", cl_customer_key_kind(item));
    string(&s, "customer.name", cl_customer_name(item));
    string(&s, "customer.email", cl_customer_email(item));
    string(&s, "customer.account", cl_customer_account(item));
    string(&s, "customer.segment", cl_customer_segment(item));
    string(&s, "customer.tier", cl_customer_tier(item));
    string(&s, "customer.region", cl_customer_region(item));
    string(&s, "customer.country", cl_customer_country(item));
    string(&s, "customer.language", cl_customer_language(item));
    string(&s, "customer.owner", cl_customer_owner(item));
    attributes(&s, CL_STR("attributes."), cl_attributes_of(item));
    attributes(&s, CL_STR("customer.attributes."), cl_customer_attributes_of(item));
    return (cl_str){s.data, s.len};
}

static cl_failure configure(const cl_config *c) {
    said s = {0};
    number(&s, "now", (uint64_t)c->now);
    string(&s, "settings", cl_json_text(c->settings));
    string(&s, "instance", c->instance);
    number(&s, "contract", c->contract);
    number(&s, "grants", c->grants);
    for (uint32_t i = 0; i < c->files.count; i++) {
        const cl_file *f = &c->files.at[i];
        string(&s, "file", f->name);
        number(&s, "size", (uint64_t)f->size);
        number(&s, "modified", (uint64_t)f->modified);
        number(&s, "identity", f->identity);
        number(&s, "id", (uint64_t)f->id);
    }
    cl_log(CL_INFO, (cl_str){s.data, s.len});
    cl_str why = cl_json_string(cl_json_get(c->settings, CL_STR("refuse")), CL_NONE);
    if (why.len) return (cl_failure){true, true, CL_STR("refused"), why, 0};
    return CL_DONE;
}

/* Takes what stands before a byte off the front of a text. */
static cl_str before(cl_str *rest, char c) {
    uint32_t n = 0;
    while (n < rest->len && rest->data[n] != c) n++;
    cl_str first = {rest->data, n};
    uint32_t skip = n < rest->len ? n + 1 : n;
    *rest = (cl_str){rest->data + skip, rest->len - skip};
    return first;
}

static uint64_t hex(cl_str *rest) {
    cl_str word = before(rest, ' ');
    uint64_t v = 0;
    for (uint32_t i = 0; i < word.len; i++) {
        char c = word.data[i];
        v = v << 4 | (uint64_t)(c >= 'a' ? c - 'a' + 10 : c - '0');
    }
    return v;
}

/* Builds a result from lines of a verb, numbers in hexadecimal and text. */
static cl_failure script(cl_str text, cl_result *out) {
    while (text.len) {
        cl_str rest = before(&text, '\n');
        cl_str verb = before(&rest, ' ');
        if (cl_equal(verb, CL_STR("sentiment"))) {
            cl_sentiment(out, cl__double(hex(&rest)));
        } else if (cl_equal(verb, CL_STR("drop"))) {
            cl_drop(out, rest);
        } else if (cl_equal(verb, CL_STR("theme"))) {
            double confidence = cl__double(hex(&rest));
            cl_theme(out, rest, confidence);
        } else if (cl_equal(verb, CL_STR("towards"))) {
            cl_theme_sentiment(out, cl__double(hex(&rest)));
        } else if (cl_equal(verb, CL_STR("span"))) {
            uint64_t start = hex(&rest);
            cl_evidence(out, (uint32_t)start, (uint32_t)hex(&rest));
        } else if (cl_equal(verb, CL_STR("fatal")) || cl_equal(verb, CL_STR("retry"))) {
            uint64_t after = hex(&rest);
            cl_str code = before(&rest, ' ');
            return (cl_failure){true, verb.data[0] == 'f', code, rest, after};
        } else {
            return CL_FATAL("bad_script", "found an unknown verb");
        }
    }
    return CL_DONE;
}

/* Calls a function of the host and says what came of it. */
static cl_failure host(cl_str text, cl_result *out) {
    said s = {0};
    cl_failure e = CL_DONE;
    cl_str verb = before(&text, ' ');
    cl_files_list files = {0};
    bytes(&s, CL_STR("host\n"));
    if (cl_equal(verb, CL_STR("now"))) {
        number(&s, "now", (uint64_t)cl_now());
    } else if (cl_equal(verb, CL_STR("files"))) {
        e = cl_files(&files);
        for (uint32_t i = 0; i < files.count; i++) {
            string(&s, "file", files.at[i].name);
            number(&s, "size", (uint64_t)files.at[i].size);
        }
    } else if (cl_equal(verb, CL_STR("read"))) {
        e = cl_files(&files);
        for (uint32_t i = 0; i < files.count; i++) {
            said content = {0};
            char buf[7];
            uint32_t n = 1;
            while (!e.failed && n && cl_equal(files.at[i].name, text)) {
                e = cl_read_file(files.at[i].id, content.len, buf, sizeof buf, &n);
                bytes(&content, (cl_str){buf, n});
            }
            string(&s, "content", (cl_str){content.data, content.len});
        }
    } else if (cl_equal(verb, CL_STR("http"))) {
        cl_pair header = {CL_STR("x-test"), CL_STR("1")};
        cl_request q = {.method = CL_STR("POST"), .url = text, .body = CL_STR("body"), .headers = &header, .header_count = 1};
        cl_response r = {0};
        e = cl_http(&q, &r);
        number(&s, "status", r.status);
        string(&s, "body", r.body);
    } else if (cl_equal(verb, CL_STR("put"))) {
        cl_str key = before(&text, ' ');
        e = cl_kv_put(key, text);
    } else if (cl_equal(verb, CL_STR("get"))) {
        cl_str value;
        e = cl_kv_get(text, &value);
        string(&s, "value", value.len ? value : CL_STR("none"));
    }
    if (!e.failed) cl_drop(out, (cl_str){s.data, s.len});
    return e;
}

static cl_failure categorize(const cl_item *item, cl_result *out) {
    cl_str source = cl_source(item);
    if (cl_equal(source, CL_STR("script"))) return script(cl_text(item), out);
    if (cl_equal(source, CL_STR("host"))) return host(cl_text(item), out);
    if (cl_equal(source, CL_STR("panic"))) {
        cl_log(CL_ERROR, CL_STR("told to"));
        __builtin_trap();
    }
    cl_drop(out, dump(item));
    return CL_DONE;
}

static cl_failure poll(const cl_poll_request *q, cl_poll_result *out) {
    said s = {0};
    number(&s, "now", (uint64_t)q->now);
    string(&s, "checkpoint", q->checkpoint);
    number(&s, "limit", q->limit);
    cl_new_item *item = (cl_new_item *)cl_scratch(sizeof *item);
    item->external_id = CL_STR("1");
    item->text = (cl_str){s.data, s.len};
    item->score = (cl_maybe){true, 3};
    out->items = item;
    out->item_count = 1;
    out->next = CL_STR("next");
    return CL_DONE;
}

static cl_failure receive(const cl_receive_request *q, cl_receive_result *out) {
    said s = {0};
    number(&s, "now", (uint64_t)q->now);
    for (uint32_t i = 0; i < q->headers.l.count; i++) {
        cl_str value, name = cl_header_at(q->headers, i, &value);
        bytes(&s, name);
        string(&s, "", value);
    }
    string(&s, "body", q->body);
    cl_note *note = (cl_note *)cl_scratch(sizeof *note);
    note->code = CL_STR("said");
    note->message = (cl_str){s.data, s.len};
    out->rejects = note;
    out->reject_count = 1;
    return CL_DONE;
}

static cl_failure deliver(const cl_message *m) {
    said s = {0};
    number(&s, "now", (uint64_t)m->now);
    string(&s, "key", m->key);
    string(&s, "kind", m->kind);
    string(&s, "body", m->body);
    number(&s, "at", (uint64_t)m->at);
    number(&s, "attempt", m->attempt);
    return (cl_failure){true, false, CL_STR("said"), {s.data, s.len}, 1500};
}

CL_PLUGIN(configure)
CL_CATEGORIZER(categorize)
CL_POLLER(poll)
CL_RECEIVER(receive)
CL_DELIVERER(deliver)
