/* Marks what should not stand in feedback: addresses of email, and numbers of payment cards and telephones. */
#include "../../../sdk/c/closedloop.h"

static uint32_t phone_digits;
static cl_strings own_domains;

static cl_failure configure(const cl_config *config) {
    phone_digits = (uint32_t)cl_json_number(cl_json_get(config->settings, CL_STR("phone_digits")), 9);
    own_domains = cl_json_strings(cl_json_get(config->settings, CL_STR("own_domains")));
    return CL_DONE;
}

static bool digit(char c) { return c >= '0' && c <= '9'; }

static bool of_address(char c) { return cl_is_word(c) || c == '.' || c == '-' || c == '_' || c == '+'; }

/* What was found of one kind: the theme is added with the first. */
typedef struct {
    cl_str theme;
    bool any;
} kind;

static void found(cl_result *out, kind *k, uint32_t start, uint32_t end) {
    if (!k->any) cl_theme(out, k->theme, 1);
    k->any = true;
    cl_evidence(out, start, end);
}

static bool own(cl_str domain) {
    for (uint32_t i = 0; i < own_domains.count; i++)
        if (cl_equal(own_domains.at[i], domain)) return true;
    return false;
}

/* Finds addresses: a name, @, and a domain with a dot in it. */
static void emails(cl_str text, cl_result *out) {
    kind k = {CL_STR("privacy/email"), false};
    for (uint32_t at = 0, after = 0; at < text.len; at++) {
        if (text.data[at] != '@') continue;
        uint32_t start = at, end = at + 1, dots = 0;
        while (start > after && of_address(text.data[start - 1])) start--;
        while (end < text.len && of_address(text.data[end])) end++;
        while (end > at + 1 && !cl_is_word(text.data[end - 1])) end--; /* the full stop of a sentence */
        for (uint32_t i = at + 1; i < end; i++) dots += text.data[i] == '.';
        after = end;
        if (start < at && dots && !own((cl_str){text.data + at + 1, end - at - 1})) found(out, &k, start, end);
    }
}

/* The check digit that numbers of payment cards have. */
static bool luhn(const char *digits, uint32_t n) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t d = (uint32_t)(digits[n - 1 - i] - '0') << (i & 1);
        sum += d > 9 ? d - 9 : d;
    }
    return sum % 10 == 0;
}

/* Finds runs of digits that spaces, hyphens and the like may divide: a card's when the check digit fits. */
static void numbers(cl_str text, cl_result *out, bool cards) {
    kind k = {cards ? CL_STR("privacy/card") : CL_STR("privacy/phone"), false};
    for (uint32_t i = 0; i < text.len; i++) {
        if (!digit(text.data[i]) || (i > 0 && cl_is_word(text.data[i - 1]))) continue;
        char digits[20];
        uint32_t n = 0, start = i, end = i, gap = 0;
        for (; i < text.len && gap < 2; i++) {
            char c = text.data[i];
            if (digit(c)) {
                if (n < sizeof digits) digits[n] = c;
                n++, end = i + 1, gap = 0;
            } else if (c == ' ' || c == '-' || c == '/' || c == '.') {
                gap++;
            } else {
                break;
            }
        }
        i = end - 1;
        if (start > 0 && text.data[start - 1] == '+') start--;
        bool card = n >= 13 && n <= 19 && luhn(digits, n);
        if (end < text.len && cl_is_word(text.data[end])) continue;
        if (cards ? card : !card && n >= phone_digits && n <= 15) found(out, &k, start, end);
    }
}

static cl_failure categorize(const cl_item *item, cl_result *out) {
    cl_str text = cl_text(item);
    emails(text, out);
    numbers(text, out, true);
    numbers(text, out, false);
    return CL_DONE;
}

CL_PLUGIN(configure)
CL_CATEGORIZER(categorize)
