/// PNG files of any colour type and depth, stored without compression (RFC 2083, RFC 1950): the
/// program's own encoder makes 8-bit ones without alpha only.
enum PNGFile {
  enum Color: UInt8 {
    case rgb = 2
    case rgbAlpha = 6
  }

  /// - Parameter samples: `height` rows, big-endian if `depth` is 16.
  static func encode(
    width: Int, height: Int, color: Color, depth: UInt8, samples: [UInt8]
  ) -> [UInt8] {
    precondition(samples.count % height == 0, "every row has as many bytes")
    let row = samples.count / height
    var scanlines: [UInt8] = []
    for y in 0..<height { scanlines += [0] + samples[y * row..<(y + 1) * row] }
    let header = big(width) + big(height) + [depth, color.rawValue, 0, 0, 0]
    return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
      + chunk("IHDR", header) + chunk("IDAT", stored(scanlines)) + chunk("IEND", [])
  }

  private static func big(_ value: Int) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
  }

  private static func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
    let body = Array(name.utf8) + data
    var crc: UInt32 = 0xFFFF_FFFF
    for byte in body {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
    return big(data.count) + body + big(Int(~crc))
  }

  /// A zlib stream of stored blocks.
  private static func stored(_ bytes: [UInt8]) -> [UInt8] {
    var stream: [UInt8] = [0x78, 0x01]
    var start = 0
    repeat {
      let end = min(start + 0xFFFF, bytes.count)
      let length = end - start
      stream += [end == bytes.count ? 1 : 0]
      stream += [UInt8(length & 0xFF), UInt8(length >> 8)]
      stream += [UInt8(~length & 0xFF), UInt8(~length >> 8 & 0xFF)]
      stream += bytes[start..<end]
      start = end
    } while start < bytes.count
    var (a, b) = (1, 0)
    for byte in bytes {
      a = (a + Int(byte)) % 65_521
      b = (b + a) % 65_521
    }
    return stream + big(b << 16 | a)
  }
}
