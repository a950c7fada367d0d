#pragma once
#include <stddef.h>
#include <stdint.h>

/// Checksums and deflated data, by zlib.

/// The CRC-32 of `length` more bytes after bytes whose CRC-32 is `checksum` (0 at the start).
uint32_t rfm_crc32(uint32_t checksum, const void *bytes, size_t length);

/// Inflates raw deflated data (no header, as in ZIP archives). Returns 1 if all of `input` was one
/// deflated stream of exactly `output_length` bytes, 0 if it was anything else or memory ran out.
/// Never writes more than `output_length` bytes.
int rfm_inflate(
    const uint8_t *input, size_t input_length, uint8_t *output, size_t output_length);
