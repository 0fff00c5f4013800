#include "../pii.c"

#include <assert.h>

static cl_test_answer label(cl_str text) {
    cl_new_item item = {.text = text};
    return cl_test_categorize(categorize, &item);
}

int main(void) {
    cl_failure e = cl_test_configure(configure, CL_STR("{\"phone_digits\": 7, \"own_domains\": [\"shop.example\"]}"));
    assert(!e.failed);
    cl_test_answer a = label(CL_STR("I am anna@mail.example, call 1234567. Not help@shop.example."));
    assert(a.theme_count == 2);
    assert(cl_equal(a.themes[0].path, CL_STR("privacy/email")) && a.themes[0].start == 5 && a.themes[0].end == 22);
    assert(cl_equal(a.themes[1].path, CL_STR("privacy/phone")) && a.themes[1].start == 29 && a.themes[1].end == 36);
    a = label(CL_STR("4111111111111111"));
    assert(a.theme_count == 1 && cl_equal(a.themes[0].path, CL_STR("privacy/card")));
    assert(label(CL_STR("")).theme_count == 0);
    return 0;
}
