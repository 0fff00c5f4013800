/* Finds the themes of a text: the categorizer that all the guests of the comparison are, in C. */
#include "../../../sdk/c/closedloop.h"

enum { THEMES = 12, MAX_THEMES = 3, MAX_SPANS = 4, CLASSES = 32, STATES = 512 };

#define THEME(path, phrases) {{path, sizeof path - 1}, phrases}

/* The phrases of each theme; a sign says that a phrase is kind or harsh. */
static const struct {
    cl_str path;
    const char *phrases;
} vocabulary[THEMES] = {
    THEME("packaging/box", "-damaged,-crushed,box,packaging"),
    THEME("delivery/late", "-late,-never arrived,courier,delivery,+fast shipping"),
    THEME("price/fee", "-hidden fee,price,-too expensive,+good value,invoice"),
    THEME("staff/phone", "+kind,-rude,support,-waiting on hold"),
    THEME("app/crash", "-crash,-freez,-error,bug"),
    THEME("app/login", "password,-locked out,verification code,login"),
    THEME("checkout/payment", "paying,checkout,cart,coupon"),
    THEME("returns/refund", "refund,return label,-cancel"),
    THEME("website/search", "-confusing,-hard to find,+easy to use,+intuitive"),
    THEME("speed", "-slow,-forever,loading,+lightning"),
    THEME("praise", "+love,+amazing,+recommend,+great,+excellent"),
    THEME("features", "dark mode,export,integration"),
};

/* An automaton that finds all phrases in one pass, as Aho and Corasick do. */
static uint8_t class_of[256];             /* of a byte: 0 for what is no letter */
static uint16_t next_state[STATES * CLASSES];
static uint16_t ends[STATES];             /* the state, or its longest suffix, in which a phrase ends; 0 for none */
static uint16_t link_of[STATES];          /* likewise, but without the state itself */
static struct {
    uint8_t theme, length;
    int8_t tone;
} phrase_of[STATES]; /* the phrase that ends in the state */

static void insert(uint32_t theme, const char *phrase, uint32_t length, int tone, uint32_t *made) {
    uint32_t state = 0;
    for (uint32_t i = 0; i < length; i++) {
        uint16_t *to = &next_state[state * CLASSES + class_of[(uint8_t)phrase[i]]];
        if (!*to) *to = (uint16_t)(*made)++;
        state = *to;
    }
    ends[state] = (uint16_t)state;
    phrase_of[state].theme = (uint8_t)theme;
    phrase_of[state].length = (uint8_t)length;
    phrase_of[state].tone = (int8_t)tone;
}

/* Makes the transitions of all states complete, in the order of their depth. */
static void complete(void) {
    static uint16_t fail[STATES], queue[STATES];
    uint32_t from = 0, to = 1;
    while (from < to) {
        uint32_t state = queue[from++];
        for (uint32_t c = 0; c < CLASSES; c++) {
            uint16_t *next = &next_state[state * CLASSES + c];
            uint16_t back = state ? next_state[fail[state] * CLASSES + c] : 0;
            if (!*next || *next == back) {
                *next = back;
                continue;
            }
            fail[*next] = back;
            link_of[*next] = ends[back];
            if (!ends[*next]) ends[*next] = ends[back];
            queue[to++] = *next;
        }
    }
}

static cl_failure configure(const cl_config *config) {
    uint32_t made = 1;
    (void)config;
    class_of['-'] = 27;
    for (uint32_t c = 0; c < 26; c++) class_of['a' + c] = class_of['A' + c] = (uint8_t)(c + 1);
    for (uint32_t theme = 0; theme < THEMES; theme++) {
        for (const char *p = vocabulary[theme].phrases; *p;) {
            int tone = *p == '+' ? 1 : *p == '-' ? -1 : 0;
            if (tone) p++;
            const char *end = p;
            while (*end && *end != ',') end++;
            insert(theme, p, (uint32_t)(end - p), tone, &made);
            p = *end ? end + 1 : end;
        }
    }
    complete();
    return CL_DONE;
}

/* What was found of a theme. */
typedef struct {
    uint32_t weight; /* bytes of phrases */
    uint32_t spans, start[MAX_SPANS], end[MAX_SPANS];
} score;

static score scores[THEMES];
static int tone;

/* Counts the phrases that end in a state and before the offset end. */
static void found(uint32_t state, uint32_t end) {
    for (uint32_t at = ends[state]; at; at = link_of[at]) {
        uint32_t length = phrase_of[at].length;
        score *s = &scores[phrase_of[at].theme];
        s->weight += length;
        if (s->spans < MAX_SPANS) {
            s->start[s->spans] = end - length;
            s->end[s->spans++] = end;
        }
        tone += phrase_of[at].tone;
    }
}

/* Tells the themes with the most bytes of phrases, and the tone. */
static void tell(cl_result *out) {
    for (uint32_t n = 0; n < MAX_THEMES; n++) {
        uint32_t best = 0;
        for (uint32_t i = 1; i < THEMES; i++)
            if (scores[i].weight > scores[best].weight) best = i;
        score *s = &scores[best];
        if (!s->weight) break;
        cl_theme(out, vocabulary[best].path, (double)s->weight / (double)(s->weight + 8));
        for (uint32_t i = 0; i < s->spans; i++) cl_evidence(out, s->start[i], s->end[i]);
        s->weight = 0;
    }
    cl_sentiment(out, (double)tone / (double)(4 + (tone < 0 ? -tone : tone)));
}

static cl_failure categorize(const cl_item *item, cl_result *out) {
    cl_str text = cl_text(item);
    uint32_t state = 0;
    bool any = false;
    for (uint32_t i = 0; i < THEMES; i++) scores[i].weight = scores[i].spans = 0;
    tone = 0;
    for (uint32_t i = 0; i < text.len; i++) {
        state = next_state[state * CLASSES + class_of[(uint8_t)text.data[i]]];
        if (ends[state]) {
            found(state, i + 1);
            any = true;
        }
    }
    if (any) tell(out);
    return CL_DONE;
}

CL_PLUGIN(configure)
CL_CATEGORIZER(categorize)
