#pragma once

#include <stddef.h>
#include <stdint.h>

/// SHA-256 (FIPS 180-4): takes `blocks` times 64 bytes into the state, with the processor's own
/// instructions where it has them.
void rfm_sha256_blocks(uint32_t state[8], const uint8_t *data, size_t blocks);

/// The same in plain C.
void rfm_sha256_blocks_plain(uint32_t state[8], const uint8_t *data, size_t blocks);
