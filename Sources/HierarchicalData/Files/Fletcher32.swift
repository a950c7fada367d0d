/// The checksum of HDF5's filter of this name: Fletcher's, over big-endian words of 16 bits, modulo 65535,
/// where a sum of 65535 stands for 0 unless nothing was added to it.
///
/// Source: HDF5 File Format Specification, "Data Storage: Filter Pipeline"; Fletcher, "An arithmetic checksum
/// for serial transmissions", IEEE Transactions on Communications 30, 1982.
enum Fletcher32 {
  /// Words after which sums are reduced: before, the second one is below 2⁵⁷.
  private static let block = 1 << 20

  static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
    var first: UInt64 = 0
    var second: UInt64 = 0
    var place = 0
    while place < bytes.count {
      let end = min(bytes.count, place + 2 * block)
      // Four words at once: the second sum takes the first one four times, and each word as often as it has
      // been in the first.
      while place + 8 <= end {
        let words = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self))
        let (a, b) = (words >> 48, words >> 32 & 0xFFFF)
        let (c, d) = (words >> 16 & 0xFFFF, words & 0xFFFF)
        second &+= 4 &* first &+ 4 &* a &+ 3 &* b &+ 2 &* c &+ d
        first &+= a &+ b &+ c &+ d
        place += 8
      }
      while place < end {
        // What is odd at the end is followed by 0.
        let low = place + 1 < end ? UInt64(bytes[place + 1]) : 0
        first &+= UInt64(bytes[place]) << 8 | low
        second &+= first
        place += 2
      }
      first = reduced(first)
      second = reduced(second)
    }
    return UInt32(second) << 16 | UInt32(first)
  }

  private static func reduced(_ sum: UInt64) -> UInt64 { sum == 0 ? 0 : (sum - 1) % 65_535 + 1 }

  /// Whether it is the checksum that stands behind the data, as this or an old version of the library
  /// (before 1.6.3), which had bytes of words the wrong way round, has written it.
  static func matches(_ stored: UInt32, _ checksum: UInt32) -> Bool {
    stored == checksum
      || stored == (checksum & 0x00FF_00FF) << 8 | (checksum & 0xFF00_FF00) >> 8
  }
}
