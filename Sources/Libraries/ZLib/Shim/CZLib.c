#include "CZLib.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

uint32_t rfm_crc32(uint32_t checksum, const void *bytes, size_t length) {
  return (uint32_t)crc32_z(checksum, bytes, length);
}

int rfm_inflate(
    const uint8_t *input, size_t input_length, uint8_t *output, size_t output_length) {
  z_stream stream;
  memset(&stream, 0, sizeof stream);
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return 0;
  // The library counts in 32 bits: data go through in pieces.
  const size_t piece = (size_t)1 << 30;
  uint8_t spare;
  int status = Z_OK;
  stream.next_in = (Bytef *)input;
  stream.next_out = output_length ? output : &spare;
  while (status == Z_OK) {
    if (stream.avail_in == 0) {
      stream.avail_in = (uInt)(input_length < piece ? input_length : piece);
      input_length -= stream.avail_in;
    }
    if (stream.avail_out == 0) {
      stream.avail_out = (uInt)(output_length < piece ? output_length : piece);
      output_length -= stream.avail_out;
    }
    // Without room or input left it is Z_BUF_ERROR, which ends the loop.
    status = inflate(&stream, Z_NO_FLUSH);
  }
  int whole = status == Z_STREAM_END && stream.avail_in == 0 && input_length == 0
      && stream.avail_out == 0 && output_length == 0;
  inflateEnd(&stream);
  return whole;
}
