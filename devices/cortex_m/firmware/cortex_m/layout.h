/* What sections.ld defines. */
#ifndef CORTEX_M_LAYOUT_H
#define CORTEX_M_LAYOUT_H

#include <stdint.h>

#define STACK_GUARD_BYTES 32u /* at the bottom of the stack, which is a multiple of it */

extern uint32_t __stack_bottom[], __stack_top[], __fault_stack_top[];
extern uint32_t __data_load[], __data_start[], __data_end[], __bss_start[], __bss_end[];
extern uint8_t __ram_free[], __ram_end[], __code_bytes[];

/* Of a port's memory.ld, where it says how much room there is for a model: between two addresses, or so many bytes.
 * What `harness devices firmware` prints is read from these. */
extern uint8_t __model_start[], __model_end[], __model_bytes[], __sample_bytes[], __arena_bytes[];
/* A number that the linker script has given. */
#define LINKED_NUMBER(symbol) ((uint32_t)(uintptr_t)(symbol))

#endif
