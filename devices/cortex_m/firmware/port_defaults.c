/* What a port need not bring: a model in plain memory, no watchdog, a line that may interrupt. Weak, so a port's own
 * take their place. */
#include <string.h>

#include "firmware.h"
#include "port.h"

__attribute__((weak)) int port_store_erase(uint32_t bytes)
{
    (void)bytes;
    return 1;
}

__attribute__((weak)) int port_store_write(uint32_t offset, const uint8_t *data, uint32_t count)
{
    memcpy(firmware_facts->model + offset, data, count);
    return 1;
}

__attribute__((weak)) int port_watchdog(uint32_t ms)
{
    (void)ms;
    return 0;
}

__attribute__((weak)) void port_quiet(int on)
{
    (void)on;
}
