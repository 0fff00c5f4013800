/*
 * What closedloop.h writes is compared with the frames of testdata/wire byte by byte. Run in this folder:
 *
 *     clang -Wall -Wextra -fsanitize=undefined -fsanitize-trap=undefined -o vectors closedloop_test.c && ./vectors
 */
#include "../closedloop.h"

#include <stdio.h>
#include <string.h>

static int failures;

#define CHECK(ok) \
    do { \
        if (!(ok)) failures++, printf("%s:%d: %s does not hold\n", __FILE__, __LINE__, #ok); \
    } while (0)

/* Reads a frame. */
static cl_str vector(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "../../../testdata/wire/%s.hex", name);
    FILE *f = fopen(path, "r");
    uint8_t *data = (uint8_t *)cl_new(1 << 16);
    uint32_t n = 0;
    unsigned byte;
    if (!f) {
        failures++, printf("%s cannot be read\n", path);
        return CL_NONE;
    }
    while (n < 1 << 16 && fscanf(f, "%2x", &byte) == 1) data[n++] = (uint8_t)byte;
    fclose(f);
    return (cl_str){(const char *)data, n};
}

static bool written(const cl__writer *w, const char *name) {
    return cl_equal((cl_str){(const char *)w->data, (uint32_t)w->len}, vector(name));
}

static cl_new_item few(void) {
    return (cl_new_item){.external_id = CL_STR("R-1002"), .survey = CL_STR("csat"), .score = {true, 0},
                         .contactable_known = true, .contactable = true};
}

static const cl_new_attribute attributes[] = {
    {CL_STR("coupon"), {.kind = CL_TEXT, .text = CL_STR("SPRING")}},
    {CL_STR("gift"), {.kind = CL_TRUTH}},
    {CL_STR("order_value"), {.kind = CL_NUMBER, .number = 49.9}},
    {CL_STR("ordered_at"), {.kind = CL_INSTANT, .instant = 1759990000000}},
};
static const cl_new_attribute customer_attributes[] = {{CL_STR("newsletter"), {.kind = CL_TRUTH, .truth = true}}};

static cl_new_item full(void) {
    return (cl_new_item){
        .id = CL_STR("f_01J9Z0000000000000000000AB"), .source = CL_STR("store-survey"), .external_id = CL_STR("R-1001"),
        .synthetic = CL_STR("damaged"), .batch = CL_STR("surveys.csv 2026-01-01"), .position = CL_STR("line 12"),
        .survey = CL_STR("nps"), .survey_id = CL_STR("SV_1"), .channel = CL_STR("survey"),
        .touchpoint = CL_STR("checkout/payment"), .stage = CL_STR("purchase"), .product = CL_STR("Kettle"),
        .location = CL_STR("Köln"), .language = CL_STR("de"), .title = CL_STR("Verpackung"),
        .text = CL_STR("Die Schachtel ging nicht auf – zum Verzweifeln."), .url = CL_STR("https://example.com/r/1001"),
        .version = 7, .occurred_at = 1760000000000, .received_at = 1760000500000, .occurred_assumed = true,
        .score = {true, 3}, .scale_min = {true, 0}, .scale_max = {true, 10}, .contactable_known = true,
        .customer_id = CL_STR("c-1"), .customer_key_kind = CL_STR("account"), .customer_name = CL_STR("Anna"),
        .customer_email = CL_STR("anna@example.com"), .customer_account = CL_STR("ACME"), .customer_segment = CL_STR("smb"),
        .customer_tier = CL_STR("gold"), .customer_region = CL_STR("EMEA"), .customer_country = CL_STR("DE"),
        .customer_language = CL_STR("de"), .customer_owner = CL_STR("ben"), .customer_arr = {true, 1200.5},
        .customer_tenure_days = {true, 0}, .attributes = attributes, .attribute_count = 4,
        .customer_attributes = customer_attributes, .customer_attribute_count = 1,
    };
}

static void frames(void) {
    cl__writer w = {0};
    cl_new_item items[] = {few(), full()};
    cl_note rejects[] = {{CL_STR("line 121"), CL_STR("bad_score"), CL_STR("found eleven, expected 0 to 10"), CL_STR("R-9;eleven")}};
    cl_note notices[] = {{CL_STR("line 1"), CL_STR("damaged_ids"), CL_STR("ids such as 5.7E+17"), CL_NONE}};
    cl_poll_result p = {items, 2, rejects, 1, notices, 1, CL_STR("line 122"), CL_STR("surveys.csv"), true, 60000};
    cl__write_poll_result(&w, &p);
    CHECK(written(&w, "poll-result"));
    p.item_count = 65536;
    cl__write_poll_result(&w, &p);
    cl__frame f;
    cl_failure e = cl__open(&f, w.data, w.len, CL__POLL_RESULT);
    CHECK(e.failed && cl_equal(e.code, CL_STR("too_large")));
    p = (cl_poll_result){0};
    cl__write_poll_result(&w, &p);
    CHECK(written(&w, "poll-result-none"));
    cl_note body = {CL_NONE, CL_STR("bad_body"), CL_STR("no JSON"), CL_NONE};
    cl_receive_result r = {items, 1, &body, 1};
    cl__write_receive_result(&w, &r);
    CHECK(written(&w, "receive-result"));
    e = CL_RETRY("", "zu viele Anfragen – später");
    e.after_ms = 30000;
    cl__fail(&w, &e);
    CHECK(written(&w, "failure-retry"));
    cl_pair header = {CL_STR("content-type"), CL_STR("application/json")};
    cl_request q = {CL_STR("POST"), CL_STR("https://hooks.example.com/x"), CL_STR("{}"), &header, 1, CL_STR("bearer"),
                    CL_STR("token"), CL_STR("standard-webhooks"), CL_STR("hook"), CL_STR("msg_1"), 1767225000000};
    cl__write_request(&w, &q);
    CHECK(cl_equal(cl__cut(CL_STR("aäb"), 2), CL_STR("a")));
    cl_str want = vector("http-request");
    CHECK(want.len == w.len);
}

static void json(void) {
    cl_json j = cl_json_of(CL_STR(" { \"a\" : \"x\\\"\\\\\\n\\u00e4\\ud83d\\ude00\\ud800\" , \"b\":[1,-2.5e3 , [], {\"k\":\"]\"}, \"s\"],"
                                  "\"c\":true,\"d\":null,\"e\":{\"f\":{\"g\":0.1}},\"\" : {}, \"\\u0061b\": 9007199254740993e-3 } "));
    CHECK(cl_equal(cl_json_string(cl_json_get(j, CL_STR("a")), CL_NONE), CL_STR("x\"\\\nä😀\xef\xbf\xbd")));
    cl_json b = cl_json_get(j, CL_STR("b"));
    uint32_t n = 0;
    double sum = 0;
    for (cl_json e = cl_json_first(b); e.at; e = cl_json_next(e)) n++, sum += cl_json_number(e, 0);
    CHECK(n == 5 && sum == -2499);
    CHECK(cl_json_strings(b).count == 1 && cl_equal(cl_json_strings(b).at[0], CL_STR("s")));
    CHECK(cl_json_truth(cl_json_get(j, CL_STR("c")), false) && !cl_json_truth(b, false));
    CHECK(!cl_json_exists(cl_json_get(j, CL_STR("d"))) && !cl_json_exists(cl_json_get(j, CL_STR("zz"))));
    CHECK(cl_json_exists(cl_json_get(j, CL_STR(""))));
    CHECK(cl_json_number(cl_json_get(cl_json_get(cl_json_get(j, CL_STR("e")), CL_STR("f")), CL_STR("g")), 0) == 0.1);
    CHECK(cl_json_number(cl_json_get(j, CL_STR("ab")), 0) == 9007199254740.993);
    CHECK(cl_json_number(cl_json_of(CL_STR("1e400")), 0) > 1e308 && cl_json_number(cl_json_of(CL_STR("-1e-400")), 1) == 0);
    cl_str text = CL_STR("{\"a\":[\"\\u12\",\"b\\");
    for (uint32_t from = 0; from < text.len; from++) {
        for (uint32_t to = from; to <= text.len; to++) {
            char *copy = (char *)malloc(to - from + 1);
            memcpy(copy, text.data + from, to - from);
            cl_json c = cl_json_of((cl_str){copy, to - from});
            cl_json_strings(cl_json_get(c, CL_STR("a")));
            cl_json_strings(c);
            cl_json_string(c, CL_NONE);
            cl_json_number(c, 0);
            cl_json_truth(c, false);
            free(copy);
        }
    }
}

static cl_failure nothing(const cl_config *c) { return (void)c, CL_DONE; }

/* A drop between a theme and its evidence, and more themes than fit at first. */
static cl_failure many(const cl_item *item, cl_result *out) {
    (void)item;
    for (uint32_t i = 0; i < 5000; i++) {
        cl_theme(out, CL_STR("a/b"), 0.5);
        cl_evidence(out, i, i + 1);
        if (i == 3) cl_drop(out, CL_STR("dropped"));
        cl_evidence(out, i + 1, i + 2);
        cl_theme_sentiment(out, -1);
    }
    return CL_DONE;
}

static void results(void) {
    cl_new_item item = {.text = CL_STR("x")};
    CHECK(!cl_test_configure(nothing, CL_STR("{}")).failed);
    for (int i = 0; i < 3; i++) {
        cl_test_answer a = cl_test_categorize(many, &item);
        CHECK(a.theme_count == 5000 && cl_equal(a.drop, CL_STR("dropped")) && !a.failure.failed);
        CHECK(a.themes[3].spans == 2 && a.themes[3].start == 3 && a.themes[3].end == 4 && a.themes[3].sentiment.v == -1);
    }
}

int main(void) {
    frames();
    json();
    results();
    if (!failures) puts("ok");
    return failures != 0;
}
