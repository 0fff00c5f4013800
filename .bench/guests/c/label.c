/* The categorizer as a plugin. */
#include "label.h"
