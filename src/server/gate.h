/* SPDX-License-Identifier: MIT */
/* The gate makes commands on several keys atomic. Each event loop is inside the gate while it runs
 * a batch of commands; a command that must see and change several keys at one point (EXEC, MSET,
 * RENAME, DEL of several keys, …) first makes its own loop the only one inside. The common case
 * costs one exchange per batch on a line of the loop's own. */
#ifndef WEFT_SERVER_GATE_H
#define WEFT_SERVER_GATE_H

#include <stdbool.h>
#include <stdint.h>

struct weft_gate;

struct weft_gate *weft_gate_new(uint32_t loops);
void weft_gate_free(struct weft_gate *gate);

void weft_gate_enter(struct weft_gate *gate,
                     uint32_t loop); /* waits while another loop is exclusive */
void weft_gate_leave(struct weft_gate *gate, uint32_t loop); /* ends exclusivity too */

/* Inside: become the only one inside, until weft_gate_leave. Waits for the other loops to leave;
 * while it waits another loop may become exclusive first and run. Idempotent within a batch. */
void weft_gate_exclusive(struct weft_gate *gate, uint32_t loop);
bool weft_gate_is_exclusive(struct weft_gate *gate, uint32_t loop);

#endif
