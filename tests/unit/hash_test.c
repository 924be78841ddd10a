/* SPDX-License-Identifier: MIT */
/* Hashing: the secret matters at every length, the integer mixer can be undone, and both avalanche.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/hash.h"
#include "base/random.h"
#include "harness/prng.h"
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE_MAX_TRIED = 600 };

static void secret_enters_at_every_length(void **state) {
    (void)state;
    unsigned char one[WEFT_HASH_SECRET_SIZE];
    unsigned char other[WEFT_HASH_SECRET_SIZE];
    unsigned char data[SIZE_MAX_TRIED];
    weft_hash_make_secret(one, 1);
    weft_hash_make_secret(other, 2);
    memset(data, 'x', sizeof data);
    for (size_t size = 0; size <= sizeof data; size++) {
        uint64_t hash = weft_hash_bytes(data, size, one);
        assert_int_equal(hash, weft_hash_bytes(data, size, one));
        assert_int_not_equal(hash, weft_hash_bytes(data, size, other));
        if (size != 0) {
            assert_int_not_equal(hash, weft_hash_bytes(data, size - 1, one));
            data[size - 1] ^= 1;
            assert_int_not_equal(hash, weft_hash_bytes(data, size, one));
            data[size - 1] ^= 1;
        }
    }
}

/* Pairs of inputs that collide, or differ in a known way, under one secret must not do so under
 * another: whether two hashes agree in a byte has to depend on the secret. */
static void collisions_do_not_carry_over(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 3, 4, 8, 9, 16, 17, 128, 129, 240, 241, 500};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        unsigned char a[SIZE_MAX_TRIED] = {1};
        unsigned char b[SIZE_MAX_TRIED] = {2};
        unsigned equal = 0;
        for (uint64_t seed = 1; seed <= 4096; seed++) {
            unsigned char secret[WEFT_HASH_SECRET_SIZE];
            weft_hash_make_secret(secret, seed);
            equal += (weft_hash_bytes(a, sizes[s], secret) & 0xff) ==
                     (weft_hash_bytes(b, sizes[s], secret) & 0xff);
        }
        assert_in_range(equal, 1, 48); /* 16 expected */
    }
}

static void secrets_are_not_repetitive(void **state) {
    (void)state;
    unsigned char secret[WEFT_HASH_SECRET_SIZE];
    weft_hash_make_secret(secret, 0);
    for (size_t i = 0; i < sizeof secret; i += 8) {
        for (size_t j = 0; j < i; j += 8) {
            assert_memory_not_equal(secret + i, secret + j, 8);
        }
    }
}

static uint64_t mix(uint64_t x, uint64_t seed) {
    weft_mixer mixer = weft_mixer_of(seed);
    return weft_mix_with(&mixer, x);
}

static uint64_t unmix(uint64_t x, uint64_t seed) {
    weft_mixer mixer = weft_mixer_of(seed);
    return weft_unmix_with(&mixer, x);
}

static void mixer_can_be_undone(void **state) {
    (void)state;
    static const uint64_t edges[] = {0, 1, 2, 63, UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        for (size_t j = 0; j < sizeof edges / sizeof *edges; j++) {
            assert_int_equal(unmix(mix(edges[i], edges[j]), edges[j]), edges[i]);
            assert_int_equal(mix(unmix(edges[i], edges[j]), edges[j]), edges[i]);
        }
    }
    weft_prng prng = weft_prng_of(3);
    for (int i = 0; i < 1000000; i++) {
        uint64_t x = weft_prng_next(&prng);
        uint64_t seed = weft_prng_next(&prng);
        assert_int_equal(unmix(mix(x, seed), seed), x);
    }
}

enum { TRIALS = 4096 };

static double larger(double worst, double bias) {
    double size = bias < 0 ? -bias : bias;
    return size > worst ? size : worst;
}

/* The lowest byte of the last product knows the highest byte of the first one only. */
static bool is_weak(unsigned in, unsigned out) {
    return in >= 56 && out >= 24 && out < 32;
}

/* How far from one half is the chance that flipping an input bit flips an output bit, at worst?
 * For 64 * 64 fair coins thrown TRIALS times, 6 standard deviations are 0.047. */
static void expect_avalanche(uint64_t (*next)(weft_prng *prng), bool of_seed) {
    weft_prng prng = weft_prng_of(4);
    static unsigned flips[64][64];
    memset(flips, 0, sizeof flips);
    for (int trial = 0; trial < TRIALS; trial++) {
        uint64_t x = next(&prng);
        uint64_t seed = weft_prng_next(&prng);
        for (unsigned in = 0; in < 64; in++) {
            uint64_t bit = UINT64_C(1) << in;
            uint64_t changed = mix(x, seed) ^ (of_seed ? mix(x, seed ^ bit) : mix(x ^ bit, seed));
            for (unsigned out = 0; out < 64; out++) {
                flips[in][out] += changed >> out & 1;
            }
        }
    }
    double worst = 0;
    for (unsigned in = 0; in < 64; in++) {
        for (unsigned out = 0; out < 64; out++) {
            double bias = (double)flips[in][out] / TRIALS - 0.5;
            worst = !of_seed && is_weak(in, out) ? worst : larger(worst, bias);
        }
    }
    print_message("worst bias %.4f\n", worst);
    assert_true(worst < 0.047);
}

static uint64_t small_number(weft_prng *prng) {
    return weft_prng_below(prng, 1 << 16);
}

static void mixer_avalanches(void **state) {
    (void)state;
    expect_avalanche(weft_prng_next, false);
    expect_avalanche(small_number, false);
    expect_avalanche(small_number, true);
}

static double square_of(double x) {
    return x * x;
}

enum { PLACES = 256, EACH = 64 };

static double chi_square(const unsigned counts[PLACES]) {
    double sum = 0;
    for (int place = 0; place < PLACES; place++) {
        sum += square_of((double)counts[place] - EACH) / EACH;
    }
    return sum;
}

/* Is one of the places, by the low and by the high bits, fuller than chance would have it? 255
 * degrees of freedom: mean 255, standard deviation 22.6; 6 of them. */
static bool is_uneven(uint64_t stride, uint64_t seed) {
    weft_mixer mixer = weft_mixer_of(seed);
    unsigned low[PLACES] = {0};
    unsigned high[PLACES] = {0};
    for (uint64_t i = 0; i < PLACES * EACH; i++) {
        uint64_t hash = weft_mix_with(&mixer, i * stride);
        low[hash % PLACES]++;
        high[hash >> 56]++;
    }
    return chi_square(low) > 391 || chi_square(high) > 391;
}

/* Keys in a row fill the places of a table as chance would, for all but a few secrets: one in
 * twenty where their low bits differ. Where only high ones do, multiplying is not more than a
 * universal hash function, and one secret in five is unlucky. */
static void keys_in_a_row_are_spread(void **state) {
    (void)state;
    enum { SECRETS = 512 };
    for (uint64_t stride = 1; stride != 0 && stride < UINT64_C(1) << 56; stride <<= 8) {
        unsigned uneven = 0;
        for (uint64_t seed = 1; seed <= SECRETS; seed++) {
            uneven += is_uneven(stride, seed);
        }
        print_message("stride %llu: %u of %d\n", (unsigned long long)stride, uneven, SECRETS);
        assert_true(uneven <= (stride < UINT64_C(1) << 24 ? SECRETS / 20 : SECRETS / 4));
    }
}

static void random_is_not_constant(void **state) {
    (void)state;
    unsigned char bytes[1000] = {0};
    assert_true(weft_random_bytes(bytes, sizeof bytes));
    unsigned zeros = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        zeros += bytes[i] == 0;
    }
    assert_true(zeros < 40);
    assert_int_not_equal(weft_random_u64(), weft_random_u64());
}

/* Numbers are fetched ahead: none may come twice, be it in the child of a fork. */
static void random_numbers_come_once(void **state) {
    (void)state;
    enum { NUMBERS = 100 };
    uint64_t numbers[2 * NUMBERS];
    int ends[2];
    (void)weft_random_u64();
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    for (int i = 0; i < NUMBERS; i++) {
        numbers[i] = weft_random_u64();
    }
    if (child == 0) {
        _exit(write(ends[1], numbers, NUMBERS * sizeof *numbers) < 0);
    }
    assert_int_equal(read(ends[0], &numbers[NUMBERS], NUMBERS * sizeof *numbers),
                     NUMBERS * sizeof *numbers);
    assert_int_equal(waitpid(child, NULL, 0), child);
    for (int i = 0; i < 2 * NUMBERS; i++) {
        for (int k = 0; k < i; k++) {
            assert_int_not_equal(numbers[i], numbers[k]);
        }
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secret_enters_at_every_length),
        cmocka_unit_test(collisions_do_not_carry_over),
        cmocka_unit_test(secrets_are_not_repetitive),
        cmocka_unit_test(mixer_can_be_undone),
        cmocka_unit_test(mixer_avalanches),
        cmocka_unit_test(keys_in_a_row_are_spread),
        cmocka_unit_test(random_is_not_constant),
        cmocka_unit_test(random_numbers_come_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
