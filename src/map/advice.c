/* SPDX-License-Identifier: MIT */
#include "map/advice.h"
#include "engine/engine.h"

typedef struct rule {
    const char *name;
    weft_engine_id engine;
    bool plain;
    bool (*applies)(const weft_usage *usage, double copied);
    const char *when;
    const char *why;
} rule;

#define WEFT_RULE(name, ID, plain, condition, when, why)                                           \
    static bool name##_applies(const weft_usage *u, double copied) {                               \
        (void)u;                                                                                   \
        (void)copied;                                                                              \
        return condition;                                                                          \
    }
#include "map/advice.def"
#undef WEFT_RULE

static const rule rules[] = {
#define WEFT_RULE(name, ID, plain, condition, when, why)                                           \
    {#name, WEFT_ENGINE_##ID, plain, name##_applies, when, why},
#include "map/advice.def"
#undef WEFT_RULE
};

enum { RULES = sizeof rules / sizeof *rules };

static uint32_t offers_of(const weft_engine *engine) {
    return (engine->snapshot != NULL ? WEFT_NEED_SNAPSHOT : 0U) |
           (engine->write_batch != NULL ? WEFT_NEED_WRITE_BATCH : 0U) |
           ((engine->caps & WEFT_CAP_LOCK_FREE) != 0 ? WEFT_NEED_LOCK_FREE : 0U);
}

int weft_engine_card_get(weft_engine_id engine, weft_engine_card *card) {
    const weft_engine *found = weft_engine_of(engine);
    if (found == NULL) {
        return WEFT_E_INVALID;
    }
    *card = (weft_engine_card){.engine = found->id,
                               .name = found->name,
                               .choose = found->choose,
                               .do_not_choose = found->do_not_choose,
                               .offers = offers_of(found),
                               .threads = (found->caps & WEFT_CAP_THREADS) != 0,
                               .grows = (found->caps & WEFT_CAP_GROW) != 0,
                               .copies = (found->caps & WEFT_CAP_COPIES) != 0,
                               .keeps_removed = (found->caps & WEFT_CAP_KEEPS_REMOVED) != 0};
    return WEFT_OK;
}

static bool offers_all(weft_engine_id engine, uint32_t needs) {
    return (needs & ~offers_of(weft_engine_of(engine))) == 0;
}

/* Beyond its needs: who asked for neither gets an engine that lacks neither. */
static bool suits(const weft_engine *engine, const weft_usage *usage) {
    return ((engine->caps & WEFT_CAP_THREADS) != 0 || usage->exclusive) &&
           ((engine->caps & WEFT_CAP_GROW) != 0 || usage->bounded) &&
           offers_all(engine->id, usage->hints.needs);
}

static bool within(double number, double most) {
    return number >= 0 && number <= most; /* and is a number */
}

static bool is_valid(const weft_usage *u) {
    const double endless = 1e18;
    return u->hints.needs <= WEFT_NEEDS_ALL && within(u->hints.reads, 100) && within(u->skew, 10) &&
           within(u->burst, endless) && within(u->rate, endless);
}

int weft_engine_advise(const weft_usage *usage, weft_advice *advice) {
    if (!is_valid(usage)) {
        return WEFT_E_INVALID;
    }
    /* What is not known is not small. */
    bool known = usage->hints.reads > 0 && usage->entries > 0;
    double copied = known ? (100 - usage->hints.reads) / 100 * (double)usage->entries : 1e18;
    for (int i = 0; i < RULES; i++) {
        const rule *r = &rules[i];
        if (r->applies(usage, copied) && suits(weft_engine_of(r->engine), usage)) {
            *advice = (weft_advice){r->engine, r->plain, r->name, r->when, r->why};
            return WEFT_OK;
        }
    }
    return WEFT_E_UNSUPPORTED;
}

bool weft_options_bounded(const weft_map_options *options) {
    const weft_fixed_options *f = &options->fixed;
    return f->capacity != 0 || f->key_bytes != 0 || f->value_bytes != 0 || f->memory != NULL ||
           f->memory_bytes != 0;
}

int weft_advice_resolve(const weft_map_options *options, weft_engine_id *engine) {
    weft_usage usage = {.hints = options->hints,
                        .entries = options->expected_entries,
                        .bounded = weft_options_bounded(options)};
    weft_advice advice;
    *engine = options->engine;
    if (weft_engine_of(options->engine) == NULL || !is_valid(&usage)) {
        return WEFT_E_INVALID;
    }
    if (options->engine == WEFT_ENGINE_AUTO) {
        int status = weft_engine_advise(&usage, &advice);
        *engine = status == WEFT_OK ? advice.engine : options->engine;
        return status;
    }
    return offers_all(options->engine, options->hints.needs) ? WEFT_OK : WEFT_E_UNSUPPORTED;
}
